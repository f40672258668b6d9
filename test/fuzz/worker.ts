import { setTimeout as pause } from 'node:timers/promises';
import { fuzzBlock, subjectsNamed, type Failure } from './fuzz.ts';

/** What a worker is told: every `stride`-th block from `from` to before `to`. */
export interface Order {
  readonly seed: number;
  /** Name of a subject, or `all`. */
  readonly only: string;
  readonly from: number;
  readonly to: number;
  readonly stride: number;
  readonly deadlineMs: number;
  /** No block is begun after this moment. */
  readonly untilMs: number;
}

/** What a worker says after each block, and once more for its memory at the end. */
export interface Progress {
  readonly cases: number;
  readonly answers: readonly (readonly [string, number])[];
  readonly failures: readonly Failure[];
  readonly slowestMs: number;
  /** Live bytes of the heap after a full collection; null between the looks at it. */
  readonly heapBytes: number | null;
}

/** The heap is looked at after so many blocks. */
const LOOK_EVERY = 10;

process.once('message', (order: Order) => void run(order));

async function run({ seed, only, from, to, stride, deadlineMs, untilMs }: Order): Promise<void> {
  // What nobody awaited would fail in no test of ours, and end the process of a user.
  process.on('unhandledRejection', (error) => {
    throw error;
  });
  const blocks = Math.ceil((to - from) / stride);
  for (let done = 1; done <= blocks && Date.now() < untilMs; done++) {
    const report = await fuzzBlock(from + (done - 1) * stride, { seed, subjects: subjectsNamed(only), deadlineMs });
    await pause(0); // timers and rejections that a block left behind
    tell({ ...report, answers: [...report.answers], heapBytes: done % LOOK_EVERY === 0 ? liveBytes() : null });
    if (report.failures.length > 0) break;
  }
  process.disconnect();
}

function tell(progress: Progress): void {
  process.send?.(progress);
}

function liveBytes(): number | null {
  globalThis.gc?.();
  return globalThis.gc === undefined ? null : process.memoryUsage().heapUsed;
}
