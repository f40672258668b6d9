import type { WatchEvent } from '../../kube/transport.ts';

interface Waiter {
  resolve(result: IteratorResult<WatchEvent>): void;
  reject(error: Error): void;
}

/**
 * The events of one watch between the server, which never waits, and its one reader, who asks for them one by one.
 * What was pushed before the end is still read; then the reader learns how it ended.
 */
export class EventQueue implements AsyncIterableIterator<WatchEvent> {
  #events: WatchEvent[] = [];
  #head = 0;
  #waiter: Waiter | null = null;
  #ended: { readonly error: Error | null } | null = null;
  readonly #onReturn: () => void;

  /** `onReturn` is called when the reader leaves before the end. */
  constructor(onReturn: () => void) {
    this.#onReturn = onReturn;
  }

  push(event: WatchEvent): void {
    if (this.#ended !== null) return;
    const waiter = this.#waiter;
    if (waiter === null) {
      this.#events.push(event);
      return;
    }
    this.#waiter = null;
    waiter.resolve({ done: false, value: event });
  }

  /** Ends the watch after what was pushed; with an error where the connection broke. */
  end(error: Error | null = null): void {
    if (this.#ended !== null) return;
    this.#ended = { error };
    const waiter = this.#waiter;
    this.#waiter = null;
    if (waiter === null) return;
    if (error === null) waiter.resolve({ done: true, value: undefined });
    else waiter.reject(error);
  }

  next(): Promise<IteratorResult<WatchEvent>> {
    const event = this.#events[this.#head];
    if (event !== undefined) {
      this.#head++;
      if (this.#head === this.#events.length) {
        this.#events = [];
        this.#head = 0;
      }
      return Promise.resolve({ done: false, value: event });
    }
    if (this.#ended !== null) {
      const { error } = this.#ended;
      this.#ended = { error: null }; // an error is told once, then the iteration is over
      return error === null ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
    }
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
  }

  return(): Promise<IteratorResult<WatchEvent>> {
    this.#events = [];
    this.#head = 0;
    this.end();
    this.#onReturn();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
