import type { Displacement } from '../../domain/displacement.ts';
import { ownerKey, type OwnerKey, type PodUid } from '../../domain/ids.ts';
import { failsAlone, type EvictionLimit } from '../../domain/owner-facts.ts';
import type { Pod } from '../../domain/pod.ts';
import type { ClusterView } from '../../index/types.ts';

/** A leader reads a Job once a minute: the count of the Job may lack what was evicted since. */
export const JOB_READ_EVERY_MS = 60_000;

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
  const others = new Set(leaving(view, open, owner, nowMs));
  others.delete(pod.uid);
  return others.size >= limit.bears ? limit.message : null;
}

function* leaving(
  view: ClusterView,
  open: { all(): Iterable<Displacement> },
  owner: OwnerKey,
  nowMs: number,
): Generator<PodUid> {
  for (const { pods } of open.all()) {
    for (const { uid, namespace } of pods) {
      const controller = view.pod(uid)?.owner;
      if (controller != null && ownerKey(namespace, controller) === owner) yield uid;
    }
  }
  for (const { phaseMs, pod } of view.ticketsOfOwner(owner)) if (nowMs < phaseMs + JOB_READ_EVERY_MS) yield pod.uid;
}
