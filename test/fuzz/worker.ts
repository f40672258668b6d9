import { setTimeout as pause } from 'node:timers/promises';
import { fuzzBlock, type Failure } from './fuzz.ts';

/** What a worker is told: every `stride`-th block from `from` to before `to`. */
export interface Order {
  readonly seed: number;
  readonly from: number;
  readonly to: number;
  readonly stride: number;
  readonly deadlineMs: number;
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

/** How many looks at the heap a worker takes, evenly over its blocks. */
const LOOKS = 8;

process.once('message', (order: Order) => void run(order));

async function run({ seed, from, to, stride, deadlineMs }: Order): Promise<void> {
  // What nobody awaited would fail in no test of ours, and end the process of a user.
  process.on('unhandledRejection', (error) => {
    throw error;
  });
  const blocks = Math.ceil((to - from) / stride);
  for (let done = 1; done <= blocks; done++) {
    const report = await fuzzBlock(from + (done - 1) * stride, { seed, deadlineMs });
    await pause(0); // timers and rejections that a block left behind
    const isLook = Math.floor((done * LOOKS) / blocks) > Math.floor(((done - 1) * LOOKS) / blocks);
    tell({ ...report, answers: [...report.answers], heapBytes: isLook ? liveBytes() : null });
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
