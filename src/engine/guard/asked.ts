import type { PodUid } from '../../domain/ids.ts';
import { setNewest } from '../../domain/newest.ts';
import type { Clock } from '../../ports/clock.ts';

/** A question is repeated within the seconds that an answer says, or by a new attempt of whoever asks, which comes soon after. */
export const REPEATED_WITHIN_MS = 15_000;
/** The oldest are forgotten first. */
const MOST_ASKED = 10_000;

/** What the guard was asked last for each pod. */
export class Asked {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #asked = new Map<PodUid, { readonly atMs: number; readonly allowed: boolean }>(); // pod -> its last question, oldest first

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  note(uid: PodUid, allowed: boolean): void {
    setNewest(this.#asked, uid, { atMs: this.#clock.monotonic(), allowed }, MOST_ASKED);
  }

  /** On the monotonic clock; null where this process was not asked. */
  lastMs(uid: PodUid): number | null {
    return this.#asked.get(uid)?.atMs ?? null;
  }

  /** The pod may go: whoever asked is about to delete it, and not its user. */
  mayGo(uid: PodUid): boolean {
    return this.#asked.get(uid)?.allowed ?? false;
  }
}
