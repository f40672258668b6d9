import { isTooLarge, type CheckpointRules } from '../../domain/checkpoint-rules.ts';
import type { Clock, Timer } from '../../ports/clock.ts';
import type { SaveFailure } from '../orders/savable-pod.ts';
import type { RunCommand } from '../runtime/command.ts';
import { diskUsage, mebibytes } from './space.ts';

const LOOK_EVERY_MS = 500;

export interface SizeLimitOptions {
  /** What is written into grows. */
  readonly folder: string;
  readonly rules: CheckpointRules;
  readonly run: RunCommand;
  readonly clock: Clock;
}

/**
 * Watches a dump while it is written. One that becomes larger than its rules allow is aborted: archives end at once, criu when it
 * is done with its container, since it cannot be killed inside of the processes.
 */
export class SizeLimit {
  readonly #options: SizeLimitOptions;
  readonly #exceeded = new AbortController();
  #failure: SaveFailure | null = null;
  #timer: Timer | null = null;
  #isEnded = false;

  constructor(options: SizeLimitOptions) {
    this.#options = options;
    if (options.rules.maxBytes > 0) this.#lookSoon();
  }

  /** Aborted when it is too large. */
  get exceeded(): AbortSignal {
    return this.#exceeded.signal;
  }

  /** Null while nothing was seen that is too large. */
  get failure(): SaveFailure | null {
    return this.#failure;
  }

  /** Whether a state of this size is too large after all. */
  judge(bytes: number): SaveFailure | null {
    const { rules } = this.#options;
    if (this.#failure !== null || !isTooLarge(bytes, rules)) return this.#failure;
    const message = `its state has ${mebibytes(bytes)}, and may have ${mebibytes(rules.maxBytes)}`;
    this.#failure = { reason: 'TooLarge', message };
    this.#exceeded.abort(new Error(message));
    return this.#failure;
  }

  end(): void {
    this.#isEnded = true;
    this.#timer?.cancel();
  }

  #lookSoon(): void {
    const { folder, run, clock } = this.#options;
    this.#timer = clock.setTimer(LOOK_EVERY_MS, () => {
      // A look that fails decides nothing: the finished dump is judged as well.
      const looked = diskUsage([folder], run).catch(() => 0);
      void looked.then((bytes) => {
        if (!this.#isEnded && this.judge(bytes) === null) this.#lookSoon();
      });
    });
  }
}
