import { FETCHES_OF_A_LINK } from '../../domain/restore-time.ts';
import { Turns } from '../turns.ts';

/** One holder that is slow, or means to be, leaves turns for the states of the others. */
const OF_ONE_HOLDER = FETCHES_OF_A_LINK / 2;

/** A few fetches at a time, and fewer from one node. */
export class FetchTurns {
  readonly #all = new Turns(FETCHES_OF_A_LINK);
  readonly #ofHolder = new Map<string, { readonly turns: Turns; fetches: number }>(); // node -> its fetches, those that wait included

  /** Runs `work` when it is its turn; rejects at once where `stop` comes before that. */
  async take<T>(holder: string, work: () => Promise<T>, stop: AbortSignal): Promise<T> {
    const own = this.#ofHolder.get(holder) ?? { turns: new Turns(OF_ONE_HOLDER), fetches: 0 };
    this.#ofHolder.set(holder, own);
    own.fetches++;
    try {
      return await own.turns.take(() => this.#all.take(work, stop), stop);
    } finally {
      own.fetches--;
      if (own.fetches === 0) this.#ofHolder.delete(holder);
    }
  }
}
