import type { Clock, Timer } from '../ports/clock.ts';

interface Pending {
  readonly atMs: number;
  readonly sequence: number;
  readonly run: () => void;
  cancelled: boolean;
}

export interface VirtualClockOptions {
  /** Where time starts, milliseconds since the epoch. */
  readonly startMs?: number;
  /** Simulated seconds per real second; absent: as fast as the machine can. */
  readonly speed?: number;
}

/**
 * Time that moves only when everything has come to rest: all promises settled, no outside call under way. Timers fire in
 * order of time, then of creation, so that one seed gives one history whatever the machine does meanwhile.
 *
 * With `speed` the same history is played at a readable pace: before each timer the clock waits in real time. A real
 * call to the outside (HTTP to the extender) is wrapped in {@link outside}; virtual time stands still while it runs.
 */
export class VirtualClock implements Clock {
  #nowMs: number;
  #sequence = 0;
  readonly #heap: Pending[] = []; // binary min-heap by (atMs, sequence)
  readonly #speed: number | null;
  #outside = 0;
  #whenInside: (() => void) | null = null;

  constructor(options: VirtualClockOptions = {}) {
    this.#nowMs = options.startMs ?? Date.UTC(2026, 0, 1);
    this.#speed = options.speed ?? null;
  }

  now(): number {
    return this.#nowMs;
  }

  monotonic(): number {
    return this.#nowMs;
  }

  /** How many timers are set; one that was cancelled counts until its time has come. */
  get pending(): number {
    return this.#heap.length;
  }

  setTimer(delayMs: number, run: () => void): Timer {
    const pending: Pending = {
      atMs: this.#nowMs + Math.max(0, delayMs),
      sequence: this.#sequence++,
      run,
      cancelled: false,
    };
    this.#push(pending);
    return {
      cancel: () => {
        pending.cancelled = true;
      },
    };
  }

  /** Holds time still until `work` has settled. For calls that leave the process. */
  async outside<T>(work: Promise<T>): Promise<T> {
    this.#outside++;
    try {
      return await work;
    } finally {
      this.#outside--;
      if (this.#outside === 0) {
        this.#whenInside?.();
        this.#whenInside = null;
      }
    }
  }

  /** Lets everything that can happen now happen, without moving time. */
  async settle(): Promise<void> {
    // One turn of the event loop runs every promise callback, however long the chain; a second one catches what a
    // finished outside call started.
    do {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#outside > 0) await new Promise<void>((resolve) => (this.#whenInside = resolve));
    } while (this.#outside > 0);
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Runs until `untilMs`, or until `stop` says so after a step. Returns false when `stop` ended it. */
  async runUntil(untilMs: number, stop: () => boolean = () => false): Promise<boolean> {
    for (;;) {
      await this.settle();
      if (stop()) return false;
      const next = this.#peek();
      if (next === undefined || next.atMs > untilMs) {
        await this.#pace(untilMs);
        this.#nowMs = Math.max(this.#nowMs, untilMs);
        return true;
      }
      this.#pop();
      await this.#pace(next.atMs);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.run();
    }
  }

  /** Runs for `ms` from now. */
  async advance(ms: number): Promise<void> {
    await this.runUntil(this.#nowMs + ms);
  }

  async #pace(toMs: number): Promise<void> {
    if (this.#speed === null) return;
    const realMs = (toMs - this.#nowMs) / this.#speed;
    // Shorter waits than a timer tick add up in the next longer one closely enough for the eye.
    if (realMs >= 1) await new Promise((resolve) => setTimeout(resolve, realMs));
  }

  #peek(): Pending | undefined {
    while (this.#heap[0]?.cancelled) this.#pop();
    return this.#heap[0];
  }

  #push(pending: Pending): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(pending);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(pending, heap[parent] as Pending)) break;
      heap[at] = heap[parent] as Pending;
      at = parent;
    }
    heap[at] = pending;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Pending, heap[child] as Pending)) child++;
      if (!isBefore(heap[child] as Pending, last)) break;
      heap[at] = heap[child] as Pending;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Pending, b: Pending): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);
}
