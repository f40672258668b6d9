import type { Clock } from '../../ports/clock.ts';
import type { Victims } from './extender.ts';
import type { PodInfo } from './pod-info.ts';
import { isApiFailure, type PodWrites } from './pod-writes.ts';
import type { Eviction } from './statistics.ts';

/** One preemption that was decided. */
export interface Preemption {
  readonly preemptor: PodInfo;
  readonly node: string;
  readonly victims: Victims;
  /** Pods of lower priority that were nominated to the node. */
  readonly displaced: readonly PodInfo[];
}

/**
 * `prepareCandidateAsync`: sends the evictions beside the scheduling cycle. Until the last of them is on its way the
 * preemptor is not tried again.
 */
export class PreemptionExecutor {
  readonly #clock: Clock;
  readonly #writes: PodWrites;
  readonly #onEviction: (eviction: Eviction) => void;
  readonly #onFailure: (uid: string) => void;
  readonly #isGoing: (uid: string) => boolean;
  readonly #running = new Map<string, string | null>(); // preemptor -> last victim, null before its turn

  constructor(options: {
    readonly clock: Clock;
    readonly writes: PodWrites;
    readonly onEviction: (eviction: Eviction) => void;
    /** An eviction failed: the preemptor would wait for an event that does not come. */
    readonly onFailure: (preemptorUid: string) => void;
    /** Whether the pod is gone or has a deletionTimestamp. */
    readonly isGoing: (uid: string) => boolean;
  }) {
    this.#clock = options.clock;
    this.#writes = options.writes;
    this.#onEviction = options.onEviction;
    this.#onFailure = options.onFailure;
    this.#isGoing = options.isGoing;
  }

  /** True while evictions for the pod are being sent. The end of the last victim may be seen before the answer to its DELETE. */
  isRunning(preemptorUid: string): boolean {
    const last = this.#running.get(preemptorUid);
    return last !== undefined && (last === null || !this.#isGoing(last));
  }

  start(preemption: Preemption): void {
    const { preemptor, victims } = preemption;
    // Nothing needs to be said about a victim that is on its way out.
    const toEvict = victims.pods.filter(({ pod }) => pod.deletionMs === null);
    if (toEvict.length === 0) return;
    this.#running.set(preemptor.pod.uid, null);
    void this.#run(preemption, toEvict);
  }

  async #run(preemption: Preemption, victims: readonly PodInfo[]): Promise<void> {
    const { uid } = preemption.preemptor.pod;
    let failed = false;
    try {
      for (const { raw } of preemption.displaced) {
        await this.#writes.clearNomination(raw).catch((error: unknown) => {
          if (!isApiFailure(error)) throw error;
        });
      }
      const last = victims.at(-1) as PodInfo;
      await Promise.all(victims.slice(0, -1).map((victim) => this.#evict(preemption, victim)));
      this.#running.set(uid, last.pod.uid);
      await this.#evict(preemption, last);
    } catch (error) {
      if (!isApiFailure(error)) throw error;
      failed = true;
    } finally {
      this.#running.delete(uid);
    }
    if (failed) this.#onFailure(uid);
  }

  async #evict({ preemptor, node }: Preemption, { raw, pod }: PodInfo): Promise<void> {
    const message = `${preemptor.pod.schedulerName}: preempting to accommodate a higher priority pod`;
    if (!(await this.#writes.evict(raw, message, this.#clock.now()))) return;
    const { uid, namespace, name } = pod;
    this.#onEviction({ uid, namespace, name, node, preemptorUid: preemptor.pod.uid, atMs: this.#clock.now() });
  }
}
