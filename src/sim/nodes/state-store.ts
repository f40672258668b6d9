/** A saved state on a node's disk. */
export interface SavedState {
  readonly progressSeconds: number;
  readonly bytes: number;
  readonly images: readonly string[];
  /** Share of a node that its pod took: what losing a second of it costs. */
  readonly weight: number;
  /** Somebody continued it: removing it loses nothing. */
  restored: boolean;
}

/** The states a node keeps; they survive the agent, not the node. */
export class StateStore {
  readonly #states = new Map<string, SavedState>(); // reference -> state

  get(reference: string): SavedState | undefined {
    return this.#states.get(reference);
  }

  put(reference: string, state: SavedState): void {
    this.#states.set(reference, state);
  }

  take(reference: string): SavedState | undefined {
    const state = this.#states.get(reference);
    this.#states.delete(reference);
    return state;
  }
}

/** A disk that does one thing at a time, in order. */
export class Disk {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `work` when everything before it is done, however that ended. */
  async use<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#last;
    const done = before.then(work, work);
    this.#last = done.catch(() => undefined);
    return done;
  }
}
