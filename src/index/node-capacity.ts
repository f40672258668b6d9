/**
 * What a node can still take. Everything that asks counts in this way, and differs only in which pods it leaves out:
 *
 *     allocatable ─ pods that stand here ─────────────────────────> NodeSnapshot.free
 *                                          ─ nominated pods ──────> unclaimedOn   for whoever has no nomination
 *                   ─ those that stay      ─ those that count ────> freeAfter     for a preemptor, once its victims are gone
 *
 * It may be negative where a node is overcommitted; `fits` in `src/domain/resources.ts` compares.
 */
import type { Pod } from '../domain/pod.ts';
import { remainder, withReturned, type Resources } from '../domain/resources.ts';
import type { NodeSnapshot } from './types.ts';

export function unclaimedOn({ free, nominated }: NodeSnapshot): Resources {
  return remainder(free, nominated);
}

/** `leaves`: a pod that stands here and will not; `counts`: a pod nominated here whose claim is respected. */
export function freeAfter(
  { free, pods, nominated }: NodeSnapshot,
  leaves: (pod: Pod) => boolean,
  counts: (pod: Pod) => boolean,
): Resources {
  return remainder(withReturned(free, pods.filter(leaves)), nominated.filter(counts));
}
