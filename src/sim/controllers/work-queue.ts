import { KubeApiError } from '../../kube/api-error.ts';
import { TransportError } from '../../kube/transport.ts';
import type { Clock, Timer } from '../../ports/clock.ts';

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 10_000;

/**
 * A level-triggered loop: keys wait once however often they are added, one is reconciled at a time, and a key whose
 * reconciliation fails for a reason of the API comes back after a growing pause. Other errors are bugs and surface.
 */
export class WorkQueue {
  readonly #clock: Clock;
  readonly #ready: Promise<void>;
  readonly #reconcile: (key: string) => Promise<void>;
  readonly #waiting = new Set<string>(); // in order of arrival
  readonly #failures = new Map<string, number>();
  readonly #timers = new Map<string, Timer>();
  #isDraining = false;
  #isStopped = false;

  /** Nothing is reconciled before `ready`: with half of the informers filled, everything looks like an orphan. */
  constructor(
    context: { readonly clock: Clock; readonly ready: Promise<void> },
    reconcile: (key: string) => Promise<void>,
  ) {
    this.#clock = context.clock;
    this.#ready = context.ready;
    this.#reconcile = reconcile;
  }

  add(key: string): void {
    if (this.#isStopped) return;
    this.#waiting.add(key);
    if (this.#isDraining) return;
    this.#isDraining = true;
    void this.#drain();
  }

  /** The latest call for a key counts. */
  addAfter(key: string, delayMs: number): void {
    if (this.#isStopped) return;
    this.#timers.get(key)?.cancel();
    const timer = this.#clock.setTimer(delayMs, () => {
      this.#timers.delete(key);
      this.add(key);
    });
    this.#timers.set(key, timer);
  }

  stop(): void {
    this.#isStopped = true;
    this.#waiting.clear();
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
  }

  async #drain(): Promise<void> {
    // The events of one moment are taken together: the caller is a handler in the middle of them.
    await this.#ready;
    for (;;) {
      const [key] = this.#waiting;
      if (key === undefined) break;
      this.#waiting.delete(key);
      await this.#process(key);
    }
    this.#isDraining = false;
  }

  async #process(key: string): Promise<void> {
    try {
      await this.#reconcile(key);
      this.#failures.delete(key);
    } catch (error) {
      if (!(error instanceof KubeApiError) && !(error instanceof TransportError)) throw error;
      const failures = this.#failures.get(key) ?? 0;
      this.#failures.set(key, failures + 1);
      this.addAfter(key, Math.min(FIRST_RETRY_MS * 2 ** failures, MAX_RETRY_MS));
    }
  }
}
