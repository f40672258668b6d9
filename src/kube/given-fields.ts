import { API_GROUP } from './resources.ts';
import { canonicalJson } from './project/canonical-json.ts';
import { fieldsAt, fieldsOf, isMember, NO_FIELDS, union, type FieldSet } from './project/field-sets.ts';
import type { KubeObject, ManagedFields } from './transport.ts';

const CONTAINERS = ['f:spec', 'f:containers'] as const;

/** What those who created a pod gave it, and under which names. */
export interface GivenFields {
  readonly metadata: FieldSet;
  readonly spec: FieldSet;
  /** The same by manager, as a new pod with these fields records them. */
  readonly managers: readonly ManagedFields[];
}

/**
 * Reads from `metadata.managedFields` what a new pod may be made of. kube-apiserver records the fields of a CREATE before it calls
 * admission plugins and mutating webhooks (k8s.io/apiserver/pkg/endpoints/handlers/create.go), so what these added has no manager:
 * the injected container, the token volume, the default tolerations. They are left out, and admission of the new pod adds
 * them again, once.
 *
 * - Labels, annotations and finalizers count if they were written by the request that created the pod, by server-side apply, or with
 *   kubectl. Those that a CNI plugin, a device plugin or a scheduler wrote later describe the old node.
 * - Fields of the spec count whoever wrote them: a running pod has few that can change (image, resources, tolerations), and the saved
 *   processes run with the present ones. kube-scheduler's binding leaves no manager.
 *
 * Null where nothing shows who created the pod, as after `kubectl patch --type=json` emptied the list.
 */
export function givenFieldsOf({ metadata }: KubeObject): GivenFields | null {
  const entries = (metadata.managedFields ?? []).filter(({ subresource }) => !subresource || subresource === 'resize');
  if (!entries.some(createdThePod)) return null;
  const managers: ManagedFields[] = [];
  for (const entry of entries) {
    const { 'f:metadata': given = NO_FIELDS, 'f:spec': spec } = fieldsOf(entry);
    const metadata = isCreator(entry) ? withoutOurs(given) : NO_FIELDS;
    const fieldsV1 = { ...(!isEmpty(metadata) && { 'f:metadata': metadata }), ...(spec && { 'f:spec': spec }) };
    if (!isEmpty(fieldsV1)) managers.push({ ...entry, fieldsV1 });
  }
  const all = managers.map(fieldsOf).reduce(union);
  return { metadata: all['f:metadata'] ?? NO_FIELDS, spec: all['f:spec'] ?? NO_FIELDS, managers };
}

/**
 * `metadata.managedFields` of a pod that Reprieve created in place of the creators of the displaced one: the fields are theirs again,
 * so that `kubectl apply --server-side` finds no conflict, and what Reprieve added is its own. Null where nothing is to be
 * changed, also for a pod that somebody else created.
 *
 * A CREATE cannot say this itself: kube-apiserver gives every field of a new object to who sends it. An update may
 * (k8s.io/apimachinery/pkg/util/managedfields/internal/fieldmanager.go, `decodeLiveOrNew`).
 */
export function handedOver(pod: KubeObject, managers: readonly ManagedFields[]): readonly ManagedFields[] | null {
  const present = pod.metadata.managedFields ?? [];
  const ours = present.find(createdItForTicket);
  if (ours === undefined || managers.length === 0) return null;
  const handed = new Map<string, ManagedFields>();
  const added = { ...ours, fieldsV1: addedByUs(fieldsOf(ours)) };
  for (const entry of [...managers, added, ...present.filter((entry) => entry !== ours)]) {
    const known = handed.get(keyOf(entry));
    const fieldsV1 = known ? union(fieldsOf(known), fieldsOf(entry)) : entry.fieldsV1;
    handed.set(keyOf(entry), { ...entry, fieldsV1 });
  }
  const isDone = present.every((entry) => isSame(entry.fieldsV1, handed.get(keyOf(entry))?.fieldsV1));
  return isDone && present.length === handed.size ? null : [...handed.values()];
}

/** Who created the pod gave it the ticket as well, so Reprieve did. */
export function isCreatedForTicket({ metadata }: KubeObject): boolean {
  return metadata.managedFields?.some(createdItForTicket) ?? false;
}

function createdItForTicket(entry: ManagedFields): boolean {
  return createdThePod(entry) && namesTicket(fieldsOf(entry));
}

/** kube-apiserver keeps one entry for each. */
function keyOf({ manager, operation, subresource, apiVersion }: ManagedFields): string {
  return [manager, operation, subresource, apiVersion].join(' ');
}

function isSame(a: unknown, b: unknown): boolean {
  return canonicalJson(a) === canonicalJson(b);
}

/** Only who creates a pod owns a container as an item of the list: none can be added later. */
function createdThePod(entry: ManagedFields): boolean {
  if (entry.subresource) return false;
  const containers = fieldsAt(fieldsOf(entry), ...CONTAINERS);
  return containers !== undefined && Object.values(containers).some(isMember);
}

function isCreator(entry: ManagedFields): boolean {
  if (entry.subresource) return false;
  return entry.operation === 'Apply' || isPerson(entry) || createdThePod(entry);
}

/** kubectl sends `kubectl-<command>` for `label`, `annotate`, `edit`, `patch` and the like. */
function isPerson({ manager = '' }: ManagedFields): boolean {
  return manager === 'kubectl' || manager.startsWith('kubectl-');
}

function withoutOurs(metadata: FieldSet): FieldSet {
  const annotations = metadata['f:annotations'];
  if (annotations === undefined) return metadata;
  const kept = Object.entries(annotations).filter(([element]) => !isOurAnnotation(element));
  return { ...metadata, 'f:annotations': Object.fromEntries(kept) };
}

function addedByUs(fields: FieldSet): FieldSet {
  const annotations = Object.entries(fieldsAt(fields, 'f:metadata', 'f:annotations') ?? NO_FIELDS);
  const spec = Object.entries(fields['f:spec'] ?? NO_FIELDS);
  return {
    'f:metadata': { 'f:annotations': Object.fromEntries(annotations.filter(([element]) => isOurAnnotation(element))) },
    'f:spec': Object.fromEntries(
      spec.filter(([element]) => element === 'f:schedulingGates' || element === 'f:runtimeClassName'),
    ),
  };
}

function namesTicket(fields: FieldSet): boolean {
  return Object.keys(fieldsAt(fields, 'f:metadata', 'f:annotations') ?? NO_FIELDS).some(isOurAnnotation);
}

function isOurAnnotation(element: string): boolean {
  return element.startsWith(`f:${API_GROUP}/`);
}

function isEmpty(fields: object): boolean {
  return Object.keys(fields).length === 0;
}
