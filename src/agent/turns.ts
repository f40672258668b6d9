/** Runs one thing at a time, in the order of asking: the dumps of a disk, the status writes of one object. */
export class Turns {
  #last: Promise<void> = Promise.resolve();

  /** Runs `work` when everything before it is over, however that ended; rejects at once where `stop` comes before its turn. */
  take<T>(work: () => Promise<T>, stop?: AbortSignal): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    // Not only when its turn comes: what stands before it may hang.
    const onStop = (): void => reject(stop?.reason as Error);
    if (stop?.aborted) {
      onStop();
      return promise;
    }
    stop?.addEventListener('abort', onStop, { once: true });
    this.#last = this.#last.then(async () => {
      stop?.removeEventListener('abort', onStop);
      if (stop?.aborted) return;
      try {
        resolve(await work());
      } catch (error) {
        reject(error);
      }
    });
    return promise;
  }
}
