import type { Pod } from '../domain/pod.ts';
import type { Decision } from '../domain/ticket.ts';
import type { CheaperEviction } from './cheaper-evictions.ts';
import type { Command } from './commands.ts';
import type { PreemptVerdict } from './callbacks.ts';
import type { CloseReason } from './close-reasons.ts';
import type { Contradiction } from './steps.ts';
import type { UnprotectedEviction } from './unprotected-eviction.ts';

/** What the engine tells those who watch it: metrics, the log, the demo's timeline. Keys are `noun:what happened`. */
export interface EngineEventMap {
  /** `preempt` was answered. */
  'preempt:answered': { readonly preemptor: Pod; readonly verdict: PreemptVerdict };
  'decision:opened': { readonly decision: Decision };
  /** The decision is over: carried out (`Bound`) or not; what it left behind is undone. */
  'decision:closed': { readonly decision: Decision; readonly because: CloseReason; readonly message: string };
  /** A protected victim is being evicted without its state, because saving it would cost more. Told once. */
  'victim:cheaper': CheaperEviction;
  /** A pod that a policy selects is being evicted without its state, because it was not protected. Told once. */
  'victim:unprotected': UnprotectedEviction;
  /** Records cannot all be true; `resolution` is under way. Told once for as long as it stands. */
  'record:contradiction': Contradiction;
  /** The reconciler has looked at what changed. Times are those of the event loop, without what ran between two slices. */
  'pass:done': { readonly tookMs: number; readonly longestSliceMs: number };
  /** A write came back. `failed` is retried with backoff. */
  'command:done': {
    readonly command: Command;
    readonly outcome: 'done' | 'moved' | 'failed';
    readonly error: unknown;
    readonly tookMs: number;
  };
}

export type EngineEventName = keyof EngineEventMap;
type Listener<K extends EngineEventName> = (payload: EngineEventMap[K]) => void;

/** A typed emitter that cannot throw: a listener that does is reported and otherwise ignored. */
export class EngineEvents {
  readonly #listeners = new Map<EngineEventName, Set<(payload: never) => void>>(); // event -> its listeners
  readonly #onError: (error: unknown) => void;

  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  /** Returns the function that ends the subscription. */
  on<K extends EngineEventName>(event: K, listener: Listener<K>): () => void {
    let listeners = this.#listeners.get(event);
    if (listeners === undefined) this.#listeners.set(event, (listeners = new Set()));
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  emit<K extends EngineEventName>(event: K, payload: EngineEventMap[K]): void {
    for (const listener of this.#listeners.get(event) ?? []) {
      try {
        (listener as Listener<K>)(payload);
      } catch (error) {
        this.#onError(error);
      }
    }
  }
}
