import type { DisplacedPod, Displacement } from '../../domain/displacement.ts';
import { ownerKey, type OwnerKey, type PodUid } from '../../domain/ids.ts';
import { failsAlone, JOB_READ_EVERY_MS, type EvictionLimit } from '../../domain/owner-facts.ts';
import type { Pod } from '../../domain/pod.ts';
import type { ClusterView } from '../../index/types.ts';

/** The eviction of this pod alone would fail its Job for good. Cheap where there is no such Job. */
export function endsItsJob(view: ClusterView, pod: Pod): boolean {
  const { owner, namespace } = pod;
  if (owner === null || !view.failingOwners().has(ownerKey(namespace, owner))) return false;
  const limit = view.ownerFacts(ownerKey(namespace, owner))?.failsByEviction;
  return limit != null && failsAlone(limit, pod);
}

/**
 * Why the eviction of this pod, beside those of its Job that are going or have just gone, would fail the Job for good; null: it
 * would not, as far as the Job was read.
 */
export function jobEndedBy(
  view: ClusterView,
  open: { all(): Iterable<Displacement> },
  pod: Pod,
  nowMs: number,
): EvictionLimit['message'] | null {
  if (pod.owner === null) return null;
  const owner = ownerKey(pod.namespace, pod.owner);
  const limit = view.ownerFacts(owner)?.failsByEviction ?? null;
  if (limit === null) return null;
  if (failsAlone(limit, pod)) return limit.message;
  const others = new Set(leaving(view, open.all(), owner, nowMs));
  others.delete(pod.uid);
  return others.size >= limit.bears ? limit.message : null;
}

/** Pods of a Job that these displacements move, or that have just gone, also by one of an earlier leader. */
export function* leaving(
  view: ClusterView,
  displacements: Iterable<Displacement>,
  owner: OwnerKey,
  nowMs: number,
): Generator<PodUid> {
  for (const { pods } of displacements) for (const pod of pods) if (ownerOf(view, pod) === owner) yield pod.uid;
  for (const { phaseMs, pod } of view.ticketsOfOwner(owner)) if (nowMs < phaseMs + JOB_READ_EVERY_MS) yield pod.uid;
}

/** The controller of a displaced pod; null: it has none, or the index does not hold the pod. */
export function ownerOf(view: ClusterView, { uid, namespace }: DisplacedPod): OwnerKey | null {
  const owner = view.pod(uid)?.owner ?? null;
  return owner === null ? null : ownerKey(namespace, owner);
}
