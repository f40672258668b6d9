/** Runs one thing at a time, or a few, in the order of asking: the dumps of a disk, the status writes of one object. */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(atATime = 1) {
    this.#free = atATime;
  }

  /** Runs `work` when it is its turn, however what came before it ended; rejects at once where `stop` comes before that. */
  take<T>(work: () => Promise<T>, stop?: AbortSignal): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    // Not only when its turn comes: what stands before it may hang.
    const onStop = (): void => reject(stop?.reason as Error);
    if (stop?.aborted) {
      onStop();
      return promise;
    }
    stop?.addEventListener('abort', onStop, { once: true });
    this.#waiting.push(() => {
      stop?.removeEventListener('abort', onStop);
      if (stop?.aborted) return this.#release();
      work()
        .then(resolve, reject)
        .finally(() => this.#release());
    });
    this.#begin();
    return promise;
  }

  #begin(): void {
    if (this.#free === 0) return;
    const next = this.#waiting.shift();
    if (next === undefined) return;
    this.#free--;
    next();
  }

  #release(): void {
    this.#free++;
    this.#begin();
  }
}
