import { LONGEST_TIMER_MS, type Clock, type Timer } from '../../ports/clock.ts';
import type { SavablePods } from './savable-pod.ts';

export interface QuarantineOptions {
  readonly pods: Pick<SavablePods, 'unknownSince' | 'known' | 'forget'>;
  readonly clock: Clock;
  /** How long a state is kept whose PodCheckpoint nobody knows. */
  readonly keepMs: number;
  readonly onNotice: (reference: string, message: string) => void;
  readonly onError: (error: unknown) => void;
}

/**
 * Keeps states whose PodCheckpoint is gone although this agent saw no deletion of it: after a restore of etcd that concerns
 * every state that was saved since the backup, and each is all that is left of the work of a pod.
 *
 *     known ── PodCheckpoint gone, no deletion seen ──> unknown ── PodCheckpoint back ──> known
 *                                                          └────── keepMs later ────────> removed
 */
export class Quarantine {
  readonly #options: QuarantineOptions;
  readonly #timers = new Map<string, Timer>(); // reference -> when it is removed

  constructor(options: QuarantineOptions) {
    this.#options = options;
  }

  /** Keeps the state, or removes it where it is not whole or its time is over. */
  async add(reference: string): Promise<void> {
    const { pods, clock, keepMs, onNotice } = this.#options;
    const sinceMs = await pods.unknownSince(reference, clock.now());
    const leftMs = sinceMs === null ? 0 : sinceMs + keepMs - clock.now();
    if (leftMs <= 0) {
      this.#release(reference);
      await pods.forget(reference);
      return;
    }
    const untilMs = clock.now() + leftMs;
    if (!this.#timers.has(reference))
      onNotice(
        reference,
        `its PodCheckpoint is unknown: the saved state is kept until ${new Date(untilMs).toISOString()}`,
      );
    this.#release(reference);
    const timer = clock.setTimer(Math.min(leftMs, LONGEST_TIMER_MS), () => {
      this.add(reference).catch(this.#options.onError);
    });
    this.#timers.set(reference, timer);
  }

  /** Its PodCheckpoint is known. */
  async remove(reference: string): Promise<void> {
    this.#release(reference);
    await this.#options.pods.known(reference);
  }

  stop(): void {
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
  }

  #release(reference: string): void {
    this.#timers.get(reference)?.cancel();
    this.#timers.delete(reference);
  }
}
