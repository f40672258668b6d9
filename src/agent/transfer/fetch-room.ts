import { mebibytes } from '../checkpointer/space.ts';

/** What one fetch has still to write. */
export interface FetchClaim {
  /** So much of it has arrived. */
  arrived(bytes: number): void;
  release(): void;
}

/** The room for states that are fetched: two fetches do not count the same space. */
export class FetchRoom {
  readonly #roomBytes: () => Promise<number>;
  readonly #claims = new Set<{ bytes: number }>(); // of the fetches under way

  /** @param roomBytes what may be written on the disk of the states now */
  constructor(roomBytes: () => Promise<number>) {
    this.#roomBytes = roomBytes;
  }

  /** Where there is no room, a message with the numbers. */
  async claim(bytes: number): Promise<FetchClaim | string> {
    // Claimed before the disk is asked: two that ask at the same time see each other.
    const claimed = [...this.#claims].reduce((sum, other) => sum + other.bytes, 0);
    const claim = { bytes };
    this.#claims.add(claim);
    const release = (): void => void this.#claims.delete(claim);
    const room = await this.#roomBytes().catch((error: unknown) => {
      release();
      throw error;
    });
    const free = Math.max(0, room - claimed);
    if (bytes <= free) {
      return { arrived: (more) => void (claim.bytes = Math.max(0, claim.bytes - more)), release };
    }
    release();
    return `${mebibytes(bytes)} are to come, and this node has room for ${mebibytes(free)}, beyond agent.reserve and what its kubelet needs`;
  }
}
