import { timestampOf } from '../../kube/project/time.ts';
import { sleep, type Clock } from '../../ports/clock.ts';
import type { Order } from './order.ts';
import type { SavablePod } from './savable-pod.ts';

/** Often enough to see that a dump advances, seldom enough for the API server: at most one write each, of each dump. */
const TELL_EVERY_MS = 5_000;

export interface DumpReportOptions {
  readonly clock: Clock;
  readonly startedMs: number;
  readonly takenMs: number;
  /** Ends with the dump: what was not written by then is not worth a wait. */
  readonly until: AbortSignal;
  readonly onError: (error: unknown) => void;
}

/** Says that the pod is frozen, and every few seconds how far its dump is. Nobody waits for it; never rejects. */
export async function reportDump(order: Order, pod: SavablePod, options: DumpReportOptions): Promise<void> {
  const { clock, startedMs, takenMs, until } = options;
  const beganMs = clock.monotonic();
  const times = { startedAt: timestampOf(startedMs), takenAt: timestampOf(takenMs) };
  await unlessOver(options, () => order.status.report(times, [SAVING], until));
  while (!until.aborted) {
    await sleep(clock, TELL_EVERY_MS, until).catch(() => undefined);
    await unlessOver(options, async () => {
      const progress = await pod.progress(order.key);
      if (progress === null) return;
      const { writtenBytes, expectedBytes } = progress;
      const seconds = (clock.monotonic() - beganMs) / 1000;
      const bytesPerSecond = seconds > 0 ? Math.round(writtenBytes / seconds) : 0;
      const percent = expectedBytes === 0 ? 0 : Math.min(99, Math.floor((100 * writtenBytes) / expectedBytes));
      await order.status.report({ progress: { writtenBytes, expectedBytes, bytesPerSecond, percent } }, [], until);
    });
  }
}

async function unlessOver({ until, onError }: DumpReportOptions, tell: () => Promise<void>): Promise<void> {
  if (until.aborted) return;
  try {
    await tell();
  } catch (error) {
    if (!until.aborted) onError(error);
  }
}

const SAVING = {
  type: 'Frozen',
  status: 'True',
  reason: 'Saving',
  message: 'the state of the pod is written',
} as const;
