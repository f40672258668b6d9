import { sleep, type Clock } from '../../ports/clock.ts';

const FIRST_MS = 200;
const LAST_MS = 10_000;

/** How long to wait after the given number of failures in a row (1, 2, ...). */
export function retryMs(failures: number): number {
  return Math.min(LAST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 10));
}

export interface RetryOptions {
  readonly clock: Clock;
  /** Ends the attempts. */
  readonly life: AbortSignal;
  /** Told of each failure. */
  readonly onError: (error: unknown) => void;
}

/** Calls `work` until it succeeds or `life` ends. Never rejects: nothing that fails on a node ends its agent. */
export async function untilDone({ clock, life, onError }: RetryOptions, work: () => Promise<unknown>): Promise<void> {
  for (let failures = 1; !life.aborted; failures++) {
    try {
      await work();
      return;
    } catch (error) {
      if (life.aborted) return;
      onError(error);
      await sleep(clock, retryMs(failures), life).catch(() => undefined);
    }
  }
}
