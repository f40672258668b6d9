import { LONGEST_TIMER_MS, type Clock, type Timer } from '../../ports/clock.ts';

/** When something is due for the pod of an order; one moment for each order. Measured on the clock that nobody sets. */
export class ThawTimers {
  readonly #clock: Clock;
  readonly #timers = new Map<string, Timer>(); // key of an order -> its timer

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  set(key: string, atMonotonicMs: number, run: () => void): void {
    this.cancel(key);
    // Whole milliseconds: what is less of one may be nothing beside the time of day.
    const leftMs = Math.max(0, Math.ceil(atMonotonicMs - this.#clock.monotonic()));
    const timer = this.#clock.setTimer(Math.min(leftMs, LONGEST_TIMER_MS), () => {
      if (this.#clock.monotonic() < atMonotonicMs) return this.set(key, atMonotonicMs, run);
      this.#timers.delete(key);
      run();
    });
    this.#timers.set(key, timer);
  }

  cancel(key: string): void {
    this.#timers.get(key)?.cancel();
    this.#timers.delete(key);
  }

  stop(): void {
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
  }
}
