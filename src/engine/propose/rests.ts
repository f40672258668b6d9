import type { PodUid } from '../../domain/ids.ts';
import { setNewest } from '../../domain/newest.ts';
import { growingWaitMs } from '../../domain/growing-wait.ts';
import type { CloseReason } from '../displace/close-reasons.ts';
import type { Clock } from '../../ports/clock.ts';

/** The oldest are forgotten first. */
const MOST_RESTING = 10_000;

interface Rest {
  readonly untilMs: number;
  readonly failures: number;
  readonly because: CloseReason;
}

/** The pod itself was tried, and could not be saved. */
const NOT_SAVED: ReadonlySet<CloseReason> = new Set(['CheckpointFailed', 'DeadlineExceeded']);

/** Pods whose displacement failed, and until when none is proposed again: a time that doubles with each failure. */
export class Rests {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #resting = new Map<PodUid, Rest>(); // oldest first

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** On the monotonic clock; null: its displacement has not failed. */
  untilMs(uid: PodUid): number | null {
    return this.#resting.get(uid)?.untilMs ?? null;
  }

  /** The same, where saving it is what failed. */
  notSavedUntilMs(uid: PodUid): number | null {
    const rest = this.#resting.get(uid);
    return rest !== undefined && NOT_SAVED.has(rest.because) ? rest.untilMs : null;
  }

  /** A displacement of the pod failed: the first time it rests for `forMs`. */
  failed(uid: PodUid, because: CloseReason, forMs: number): void {
    const failures = (this.#resting.get(uid)?.failures ?? 0) + 1;
    const untilMs = this.#clock.monotonic() + growingWaitMs(forMs, failures);
    setNewest(this.#resting, uid, { untilMs, failures, because }, MOST_RESTING);
  }

  forget(uid: PodUid): void {
    this.#resting.delete(uid);
  }
}
