import type { PodUid } from '../domain/ids.ts';
import type { Pod } from '../domain/pod.ts';
import type { IndexEvent } from '../index/types.ts';
import type { PodRef } from '../ports/cluster-writer.ts';

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
 * the same question may be asked again.
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

  /** Another answer saves it. */
  forget(victim: PodUid): void {
    this.#expected.delete(victim);
  }

  /** The eviction whose beginning this change shows; null: none. */
  seen(event: IndexEvent): CheaperEviction | null {
    if (this.#expected.size === 0 || event.kind !== 'pod' || event.type !== 'upsert') return null;
    const { uid, deletionMs, disruptionTarget }: Pod = event.value;
    if (deletionMs === null || !disruptionTarget) return null;
    const { eviction } = this.#expected.get(uid) ?? { eviction: null };
    this.#expected.delete(uid);
    return eviction;
  }
}
