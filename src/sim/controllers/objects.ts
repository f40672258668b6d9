import type { V1Pod, V1PodTemplateSpec } from '@kubernetes/client-node';
import { wireOf, type Wire } from '../../kube/project/wire.ts';
import { apiVersionOf, type ResourceType } from '../../kube/resources.ts';
import type { KubeObject, OwnerReference } from '../../kube/transport.ts';

/** A pod as it travels. */
export type WirePod = Wire<V1Pod>;

/** Conditions of whatever kind. */
export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

/** The owner that manages the object, or null. */
export function controllerRefOf(object: KubeObject | null): OwnerReference | null {
  return object?.metadata.ownerReferences?.find((reference) => reference.controller === true) ?? null;
}

/** A reference that makes `owner` the controller of an object. */
export function ownedBy(type: ResourceType, owner: KubeObject): readonly OwnerReference[] {
  const { name, uid = '' } = owner.metadata;
  return [{ apiVersion: apiVersionOf(type), kind: type.kind, name, uid, controller: true, blockOwnerDeletion: true }];
}

/** `namespace/name`, the key of the work queues. */
export function keyOf({ metadata: { namespace = '', name } }: KubeObject): string {
  return `${namespace}/${name}`;
}

/** The inverse of {@link keyOf}. */
export function splitKey(key: string): { readonly namespace: string; readonly name: string } {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

export function uidOf({ metadata: { uid = '' } }: KubeObject): string {
  return uid;
}

export function phaseOf(pod: KubeObject): string {
  return wireOf<V1Pod>(pod).status?.phase ?? 'Pending';
}

export function isTerminalPod(pod: KubeObject): boolean {
  const phase = phaseOf(pod);
  return phase === 'Succeeded' || phase === 'Failed';
}

export function isDeleting(object: KubeObject): boolean {
  return object.metadata.deletionTimestamp !== undefined;
}

/** Neither ended nor on its way out. */
export function isActivePod(pod: KubeObject): boolean {
  return !isTerminalPod(pod) && !isDeleting(pod);
}

export function isReadyPod(pod: KubeObject): boolean {
  const conditions = wireOf<V1Pod>(pod).status?.conditions ?? [];
  return conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
}

/** What a controller adds to its pod template. */
export interface PodAdditions {
  readonly namespace: string;
  /** Or `generateName`: exactly one of the two. */
  readonly name?: string;
  readonly generateName?: string;
  readonly owner: readonly OwnerReference[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly hostname?: string;
  readonly env?: { readonly name: string; readonly value: string };
}

/** A pod out of a template, as `GetPodFromTemplate` makes it. */
export function podFromTemplate(template: Wire<V1PodTemplateSpec> | null | undefined, extra: PodAdditions): object {
  const { labels, annotations } = template?.metadata ?? {};
  const { env } = extra;
  const containers = template?.spec?.containers?.map((container) =>
    env === undefined ? container : { ...container, env: [...(container.env ?? []), env] },
  );
  return {
    metadata: {
      namespace: extra.namespace,
      ...(extra.name !== undefined && { name: extra.name }),
      ...(extra.generateName !== undefined && { generateName: extra.generateName }),
      labels: { ...labels, ...extra.labels },
      annotations: { ...annotations, ...extra.annotations },
      ownerReferences: extra.owner,
      ...(extra.finalizers && { finalizers: extra.finalizers }),
    },
    spec: { ...template?.spec, containers, ...(extra.hostname !== undefined && { hostname: extra.hostname }) },
  };
}

/** `new Date(ms)` as the API writes it: whole seconds. */
export function timestampOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
