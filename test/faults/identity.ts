import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '../../src/kube/transport.ts';
import { RANK_LABEL } from './teams.ts';

/**
 * Over raw objects, apart from the code under test: which pod is the same work as another one. Kinds of controllers that
 * tell their pods apart by nothing are listed; teams do it by rank, whatever the policy says of it; of all others the name counts.
 */
interface RawPod {
  readonly spec?: RawSpec;
}
interface RawSpec {
  readonly containers?: readonly Readonly<Record<string, unknown>>[];
  readonly initContainers?: readonly Readonly<Record<string, unknown>>[];
  readonly volumes?: readonly { readonly name: string }[];
  readonly [field: string]: unknown;
}

const INTERCHANGEABLE = new Set(['apps/v1 ReplicaSet', 'v1 ReplicationController']);
const INDEX = 'batch.kubernetes.io/job-completion-index';

/** What tells a pod from its siblings; '' for those that nothing tells apart. */
export function siblingIdentity(pod: KubeObject): string {
  const { metadata } = pod;
  const owner = ownerOf(pod);
  const kind = owner === undefined ? '' : `${owner.apiVersion} ${owner.kind}`;
  if (INTERCHANGEABLE.has(kind)) return '';
  if (kind === 'batch/v1 Job') return metadata.annotations?.[INDEX] ?? '';
  return metadata.labels?.[RANK_LABEL] ?? metadata.name;
}

export function ownerOf({ metadata }: KubeObject) {
  return metadata.ownerReferences?.find(({ controller }) => controller);
}

/** Kinds of Kubernetes tell their pods apart as above; a pod of any other kind is told by its name, if that was chosen for it. */
export function isTold(pod: KubeObject): boolean {
  const owner = ownerOf(pod);
  return owner === undefined || KUBERNETES.has(owner.apiVersion) || pod.metadata.generateName === undefined;
}

const KUBERNETES: ReadonlySet<string> = new Set(['apps/v1', 'v1', 'batch/v1']);

const POD_FIELDS = ['hostname', 'subdomain', 'serviceAccountName', 'securityContext', 'hostNetwork'];
const CONTAINER_FIELDS = ['name', 'image', 'command', 'args', 'env', 'envFrom', 'lifecycle', 'securityContext'];

/** Why `next` is not the same work as `saved`; null where it may continue it. */
export function whyOtherWork(saved: KubeObject, next: KubeObject): string | null {
  if (saved.metadata.namespace !== next.metadata.namespace) return 'of another namespace';
  if (ownerOf(saved)?.uid !== ownerOf(next)?.uid) return 'of another owner';
  if (siblingIdentity(saved) !== siblingIdentity(next)) return 'its sibling';
  const [a, b] = [saved, next].map((pod) => (pod as unknown as RawPod).spec ?? {}) as [RawSpec, RawSpec];
  for (const field of POD_FIELDS) if (!isDeepStrictEqual(a[field], b[field])) return `of another ${field}`;
  for (const kind of ['containers', 'initContainers'] as const) {
    const [ours, theirs] = [a, b].map((spec) => containersIn(spec, kind));
    if (!isDeepStrictEqual(ours, theirs)) return `of other ${kind}`;
  }
  return null;
}

function containersIn(spec: RawSpec, kind: 'containers' | 'initContainers'): unknown {
  return (spec[kind] ?? []).map((container) => CONTAINER_FIELDS.map((field) => container[field]));
}
