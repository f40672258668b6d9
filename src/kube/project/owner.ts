import type { V1Job, V1JobSpec, V1JobStatus, V1ReplicaSet, V1StatefulSet } from '@kubernetes/client-node';
import { groupOf } from '../../domain/owner-kinds.ts';
import type { OwnerFacts } from '../../domain/owner-facts.ts';
import type { PodOwner } from '../../domain/pod.ts';
import { RESOURCES, type ResourceType } from '../resources.ts';
import type { KubeObject } from '../transport.ts';
import { isConditionTrue, conditionOf } from './conditions.ts';
import { wireOf, type Wire } from './wire.ts';

interface OwnerReading {
  readonly resource: ResourceType;
  readonly project: (object: KubeObject) => Said;
}

const { replicaSets, replicationControllers, statefulSets, jobs } = RESOURCES;
const NOTHING = { end: null, count: null, numbers: null, failsByEviction: null } as const;

type Said = Omit<OwnerFacts, 'what'>;

/** Kinds of controllers that Reprieve may read (`src/kube/access.ts`). */
const READINGS: readonly OwnerReading[] = [
  { resource: replicaSets, project: replicatedFacts },
  { resource: replicationControllers, project: replicatedFacts },
  { resource: statefulSets, project: statefulFacts },
  { resource: jobs, project: jobFacts },
];

/** How a controller of this kind is read; null for kinds that Reprieve may not read. */
export function ownerReadingOf({ apiVersion, kind }: Pick<PodOwner, 'apiVersion' | 'kind'>): OwnerReading | null {
  return READINGS.find(({ resource }) => resource.kind === kind && resource.group === groupOf(apiVersion)) ?? null;
}

/** What a stored controller says; null: there is none of that name. One of another UID took the place of the one that is asked about. */
export function ownerFactsOf(owner: PodOwner, object: KubeObject | null, { project }: OwnerReading): OwnerFacts {
  const what = `${owner.kind} ${owner.name}`;
  const isGone = object?.metadata.uid !== owner.uid;
  if (object === null || isGone || object.metadata.deletionTimestamp !== undefined) {
    const message = `${what} ${isGone ? 'was deleted' : 'is being deleted'}`;
    return { ...NOTHING, what, end: { reason: 'OwnerGone', message } };
  }
  return { what, ...project(object) };
}

function replicatedFacts(object: KubeObject): Said {
  const { spec, status } = wireOf<V1ReplicaSet>(object);
  const wants = spec?.replicas ?? 1;
  const isSeen = (status?.observedGeneration ?? 0) >= (object.metadata.generation ?? 0);
  return { ...NOTHING, count: isSeen ? { wants, lacks: wants - (status?.replicas ?? 0), isSettled: false } : null };
}

function statefulFacts(object: KubeObject): Said {
  const { spec } = wireOf<V1StatefulSet>(object);
  const first = spec?.ordinals?.start ?? 0;
  return { ...NOTHING, numbers: { first, end: first + (spec?.replicas ?? 1), done: [] } };
}

function jobFacts(object: KubeObject): Said {
  const { spec, status } = wireOf<V1Job>(object);
  const is = (type: string): boolean => isConditionTrue(status?.conditions, type);
  const what = `Job ${object.metadata.name}`;
  if (is('Complete') || is('SuccessCriteriaMet')) {
    return { ...NOTHING, end: { reason: 'OwnerComplete', message: `${what} is complete` } };
  }
  if (is('Failed') || is('FailureTarget')) {
    const { reason, message } = conditionOf(status?.conditions, is('Failed') ? 'Failed' : 'FailureTarget') ?? {};
    return { ...NOTHING, end: { reason: 'OwnerFailed', message: `${what} failed: ${reason}: ${message}` } };
  }
  const failsByEviction = failsByEvictionOf(what, spec, status);
  if (spec?.suspend) return { ...NOTHING, failsByEviction };
  const { completions, parallelism = 1, completionMode } = spec ?? {};
  const { completedIndexes, failedIndexes, active = 0, succeeded = 0 } = status ?? {};
  if (completionMode === 'Indexed') {
    const done = [completedIndexes ?? '', failedIndexes ?? ''];
    return { ...NOTHING, failsByEviction, numbers: { first: 0, end: completions ?? parallelism ?? 1, done } };
  }
  // Of a work queue whose end one pod has seen no other pod is made.
  const left = completions == null ? ((succeeded ?? 0) > 0 ? 0 : Infinity) : completions - (succeeded ?? 0);
  const wants = Math.max(0, Math.min(parallelism ?? 1, left));
  return { ...NOTHING, failsByEviction, count: { wants, lacks: wants - (active ?? 0), isSettled: false } };
}

/** A Job counts each pod that is deleted before it ended as a failure, unless its podFailurePolicy ignores disruptions. */
function failsByEvictionOf(
  what: string,
  spec: Wire<V1JobSpec> | undefined | null,
  status: Wire<V1JobStatus> | undefined | null,
): OwnerFacts['failsByEviction'] {
  const ignores = spec?.podFailurePolicy?.rules?.some(
    ({ action, onPodConditions }) =>
      action === 'Ignore' &&
      onPodConditions?.some(
        (condition) => condition.type === 'DisruptionTarget' && (condition.status ?? 'True') === 'True',
      ),
  );
  if (ignores) return null;
  const remedy = 'a podFailurePolicy rule that ignores DisruptionTarget prevents that';
  if (spec?.backoffLimitPerIndex === 0)
    return { bears: 0, message: `${what} fails the index of an evicted pod (backoffLimitPerIndex 0); ${remedy}` };
  if (spec?.backoffLimitPerIndex != null) return null;
  const [limit, failed] = [spec?.backoffLimit ?? 6, status?.failed ?? 0];
  const bears = Math.max(0, limit - failed);
  if (bears >= Math.max(1, status?.active ?? spec?.parallelism ?? 1)) return null;
  const pods = bears === 0 ? 'a pod of it is' : `more than ${bears} of its pods are`;
  return { bears, message: `${what} fails if ${pods} evicted (backoffLimit ${limit}, ${failed} failed); ${remedy}` };
}
