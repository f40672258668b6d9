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
  /** What the disk has left now, and what has to remain. */
  readonly freeBytes: () => Promise<number>;
  readonly keepFreeBytes: number;
}

/**
 * Watches a dump while it is written. One that becomes larger than its rules allow, or that leaves less of the disk free than has to
 * remain, whoever wrote the rest, is aborted: archives end at once, criu when it
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
    this.#lookSoon();
  }

  /** Aborted when it is too large, or the disk short. */
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
    return this.#fail({ reason: 'TooLarge', message });
  }

  #fail(failure: SaveFailure): SaveFailure {
    this.#failure = failure;
    this.#exceeded.abort(new Error(failure.message));
    return failure;
  }

  end(): void {
    this.#isEnded = true;
    this.#timer?.cancel();
  }

  #lookSoon(): void {
    this.#timer = this.#options.clock.setTimer(LOOK_EVERY_MS, () => void this.#look());
  }

  /** A look that fails decides nothing: the finished dump is judged as well. */
  async #look(): Promise<void> {
    const { folder, run, rules, freeBytes, keepFreeBytes } = this.#options;
    const free = await freeBytes().catch(() => keepFreeBytes);
    const bytes = rules.maxBytes === 0 ? 0 : await diskUsage([folder], run).catch(() => 0);
    if (this.#isEnded) return;
    if (free < keepFreeBytes) {
      const message = `${mebibytes(free)} of the disk are free, and ${mebibytes(keepFreeBytes)} are to remain`;
      this.#fail({ reason: 'NoSpace', message });
    } else if (this.judge(bytes) === null) {
      this.#lookSoon();
    }
  }
}
