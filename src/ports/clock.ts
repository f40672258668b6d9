/**
 * Time as a port. Production runs on the machine's clock, tests and the embedded cluster on a virtual one that they
 * move themselves. Nothing outside an implementation of it calls `Date.now` or `setTimeout`.
 */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /**
   * Milliseconds of a clock that nobody sets: differences of it are lengths of time. Its zero means nothing, and is the same for
   * all processes of a machine since it was booted.
   */
  monotonic(): number;
  /** Calls `run` once, `delayMs` from now (at once, but not synchronously, where it is 0 or less). */
  setTimer(delayMs: number, run: () => void): Timer;
}

/** The longest delay a timer takes: below the 32 bits of the platform's. */
export const LONGEST_TIMER_MS = 2_000_000_000;

export interface Timer {
  /** Prevents the call. Harmless when it already happened. */
  cancel(): void;
}

/** Resolves after `delayMs`; rejects with the signal's reason as soon as it is aborted. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason as Error);
    };
    const timer = clock.setTimer(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/**
 * The result of `work`; rejects where that takes longer than `limitMs`. Nothing calls the work off: it goes on, and whatever comes
 * of it is dropped.
 */
export async function within<T>(clock: Clock, limitMs: number, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = clock.setTimer(limitMs, () => reject(new Error(`no answer within ${limitMs / 1000} s`)));
  try {
    return await Promise.race([work, promise]);
  } finally {
    timer.cancel();
  }
}

/** `performance.now` begins with the process; the clock behind both with the machine. */
const STARTED_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => STARTED_MS + performance.now(),
  setTimer(delayMs, run) {
    const handle = setTimeout(run, Math.max(0, delayMs));
    return { cancel: () => clearTimeout(handle) };
  },
};
