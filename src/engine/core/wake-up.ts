import type { Clock, Timer } from '../../ports/clock.ts';

/** Longer delays overflow the 32 bits of the platform's timers; looking early does no harm. */
const MAX_TIMER_MS = 2_000_000_000;

/** One timer, set for another time whenever that changes. Times are those of the monotonic clock. */
export class WakeUp {
  readonly #clock: Clock;
  readonly #run: () => void;
  #set: { readonly atMs: number; readonly timer: Timer } | null = null;

  constructor(clock: Clock, run: () => void) {
    this.#clock = clock;
    this.#run = run;
  }

  /** Infinity: never. */
  setFor(atMs: number): void {
    if (this.#set?.atMs === atMs) return;
    this.cancel();
    if (atMs === Number.POSITIVE_INFINITY) return;
    const timer = this.#clock.setTimer(Math.min(atMs - this.#clock.monotonic(), MAX_TIMER_MS), () => {
      this.#set = null;
      this.#run();
    });
    this.#set = { atMs, timer };
  }

  cancel(): void {
    this.#set?.timer.cancel();
    this.#set = null;
  }
}
