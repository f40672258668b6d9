import { FETCHES_OF_A_LINK } from '../../domain/restore-time.ts';
import type { Clock } from '../../ports/clock.ts';

/** One node that reads slowly, or means to, leaves slots for the others. */
const OF_ONE_NODE = FETCHES_OF_A_LINK / 2;
/** A fetch asks for two files at a time. */
const REQUESTS_OF_ONE = 4;
/** A transfer between two of its files keeps its slot for so long. */
const IDLE_MS = 2_000;

interface Transfer {
  readonly node: string;
  requests: number;
  lastMs: number;
}

/** How many states are given away at once. A transfer that has begun goes before others: half a state is of no use to anybody. */
export class TransferSlots {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #transfers = new Map<string, Transfer>(); // node, reference -> what is under way

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** A request of a node for a file of a state. Returns what ends it; null: too many are under way. */
  enter(node: string, reference: string): (() => void) | null {
    this.#forgetIdle();
    const key = `${node} ${reference}`;
    const transfer = this.#transfers.get(key) ?? { node, requests: 0, lastMs: 0 };
    if (transfer.requests === REQUESTS_OF_ONE) return null;
    if (!this.#transfers.has(key)) {
      const ofNode = [...this.#transfers.values()].filter((other) => other.node === node).length;
      if (this.#transfers.size === FETCHES_OF_A_LINK || ofNode === OF_ONE_NODE) return null;
      this.#transfers.set(key, transfer);
    }
    transfer.requests++;
    return () => {
      transfer.requests--;
      transfer.lastMs = this.#clock.monotonic();
    };
  }

  #forgetIdle(): void {
    const nowMs = this.#clock.monotonic();
    for (const [key, { requests, lastMs }] of this.#transfers) {
      if (requests === 0 && nowMs - lastMs >= IDLE_MS) this.#transfers.delete(key);
    }
  }
}
