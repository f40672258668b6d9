import type { PodUid } from '../../domain/ids.ts';
import type { Pod } from '../../domain/pod.ts';
import type { ClusterView } from '../../index/types.ts';
import type { PodRef } from '../../ports/cluster-writer.ts';
import { isSaved } from '../checkpoints/saved-state.ts';

/** A protected victim that goes without its state, because saving it would cost more (`decision: Adaptive`). Node-seconds. */
export interface CheaperEviction {
  readonly victim: PodRef;
  readonly preemptor: PodRef;
  readonly policy: string;
  readonly evictCost: number;
  readonly savingCost: number;
}

/** kube-scheduler evicts within a second of the answer, or asks again. */
const FORGET_MS = 60_000;

/**
 * From the answer that lets kube-scheduler evict such a victim, to the sight of its deletion: an answer alone evicts nobody, and
 * the same question may be asked again. A later answer that saves the victim changes nothing: the deletion may be written already,
 * and not seen.
 */
export class CheaperEvictions {
  readonly #expected = new Map<PodUid, { readonly eviction: CheaperEviction; readonly sinceMs: number }>(); // oldest first

  /** `steadyMs`: of the clock that nobody sets. */
  expect(evictions: readonly CheaperEviction[], steadyMs: number): void {
    for (const [uid, { sinceMs }] of this.#expected) {
      if (steadyMs - sinceMs < FORGET_MS) break;
      this.#expected.delete(uid);
    }
    for (const eviction of evictions) {
      this.#expected.delete(eviction.victim.uid);
      this.#expected.set(eviction.victim.uid, { eviction, sinceMs: steadyMs });
    }
  }

  /** Reprieve evicts it itself, and tells of that. */
  forget(victim: PodUid): void {
    this.#expected.delete(victim);
  }

  /** An answer that is not old yet lets kube-scheduler evict it as it is. */
  isExpected(victim: PodUid, steadyMs: number): boolean {
    const expected = this.#expected.get(victim);
    return expected !== undefined && steadyMs - expected.sinceMs < FORGET_MS;
  }

  /** What was expected of a pod that is seen going for a preemptor; null: nothing. */
  seen(view: ClusterView, pod: Pod): CheaperEviction | null {
    const { eviction } = this.#expected.get(pod.uid) ?? { eviction: null };
    this.#expected.delete(pod.uid);
    const ticket = eviction === null ? undefined : view.ticketOfVictim(pod);
    return ticket !== undefined && isSaved(view, ticket) ? null : eviction;
  }
}
