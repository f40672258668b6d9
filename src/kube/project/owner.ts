import type { V1Job, V1ReplicaSet, V1StatefulSet } from '@kubernetes/client-node';
import { groupOf } from '../../domain/owner-kinds.ts';
import type { OwnerFacts } from '../../domain/owner-facts.ts';
import type { PodOwner } from '../../domain/pod.ts';
import { RESOURCES, type ResourceType } from '../resources.ts';
import type { KubeObject } from '../transport.ts';
import { isConditionTrue, conditionOf } from './conditions.ts';
import { evictionLimitOf } from './job-failures.ts';
import { wireOf } from './wire.ts';

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
  const job = wireOf<V1Job>(object);
  const { spec, status } = job;
  const is = (type: string): boolean => isConditionTrue(status?.conditions, type);
  const what = `Job ${object.metadata.name}`;
  if (is('Complete') || is('SuccessCriteriaMet')) {
    return { ...NOTHING, end: { reason: 'OwnerComplete', message: `${what} is complete` } };
  }
  if (is('Failed') || is('FailureTarget')) {
    const { reason, message } = conditionOf(status?.conditions, is('Failed') ? 'Failed' : 'FailureTarget') ?? {};
    return { ...NOTHING, end: { reason: 'OwnerFailed', message: `${what} failed: ${reason}: ${message}` } };
  }
  const failsByEviction = evictionLimitOf(what, job);
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
