/**
 * What must be equal for the state of one pod to continue in another, one entry a field, as users know it from the pod template.
 * The order is that of the digests in a shape: entries are added at the end.
 */
export const SHAPE_FIELDS = [
  'container names',
  'image',
  'command',
  'args',
  'env',
  'env valueFrom',
  'envFrom',
  'lifecycle',
  'securityContext',
  'volumeMounts',
  'volumes',
  'hostname',
  'subdomain',
  'serviceAccountName',
  'host and shared namespaces',
] as const;

export type ShapeField = (typeof SHAPE_FIELDS)[number];

/** Hexadecimal digits of the digest of one field: enough to say which one differs; the digest of all says whether one does. */
export const FIELD_DIGITS = 6;

/** `<digest of all fields>:<digests of the fields, one after the other>`. Two pods with one shape may continue each other's state. */
export function joinShape(digest: string, fieldDigests: readonly string[]): string {
  return `${digest}:${fieldDigests.join('')}`;
}

/** Fields in which two shapes differ; empty where that cannot be told, as of a shape of another version. */
export function differingFields(one: string, other: string): readonly ShapeField[] {
  const [a = '', b = ''] = [one, other].map((shape) => shape.slice(shape.indexOf(':') + 1));
  if (a.length !== b.length || a.length !== SHAPE_FIELDS.length * FIELD_DIGITS) return [];
  return SHAPE_FIELDS.filter((_, at) => digestAt(a, at) !== digestAt(b, at));
}

function digestAt(digests: string, at: number): string {
  return digests.slice(at * FIELD_DIGITS, (at + 1) * FIELD_DIGITS);
}
