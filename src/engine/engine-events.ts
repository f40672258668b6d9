import type { Pod, PodOwner } from '../domain/pod.ts';
import type { Displacement } from '../domain/displacement.ts';
import type { CheaperEviction } from './preemption/cheaper-evictions.ts';
import type { Command } from './core/commands.ts';
import type { PreemptVerdict } from './preemption/callbacks.ts';
import type { CloseReason } from './displace/close-reasons.ts';
import type { GuardRequest, GuardVerdict } from './guard/guard-request.ts';
import type { Refusal } from '../ports/cluster-writer.ts';
import type { Contradiction } from './core/steps.ts';
import type { UnprotectedEviction } from './displace/unprotected-eviction.ts';

/** What the engine tells those who watch it: metrics, the log, the demo's timeline. Keys are `noun:what happened`. */
export interface EngineEventMap {
  /** `preempt` was answered. */
  'preempt:answered': { readonly preemptor: Pod; readonly verdict: PreemptVerdict };
  'displacement:opened': { readonly displacement: Displacement };
  /** The displacement is over: carried out (`Bound`) or not; what it left behind is undone. */
  'displacement:closed': {
    readonly displacement: Displacement;
    readonly because: CloseReason;
    readonly message: string;
  };
  /** kube-apiserver asked whether a pod may be deleted. */
  'guard:answered': { readonly request: GuardRequest; readonly verdict: GuardVerdict };
  /** Operators have paused Reprieve, or go on (`why` is null). Told by the replica that may act. */
  'pause:changed': { readonly why: string | null };
  /** A pod that people ask to be moved off its node stays there. Told once for as long as the reason stands. */
  'pod:stays': { readonly pod: Pod; readonly why: string };
  /** A protected victim is being evicted without its state, because saving it would cost more. Told once. */
  'victim:cheaper': CheaperEviction;
  /** A pod that a policy selects is being evicted without its state, because it was not protected. Told once. */
  'victim:unprotected': UnprotectedEviction;
  /** Records cannot all be true; `resolution` is under way. Told once for as long as it stands. */
  'record:contradiction': Contradiction;
  /** The reconciler has looked at what changed. Times are those of the event loop, without what ran between two slices. */
  'pass:done': { readonly tookMs: number; readonly longestSliceMs: number };
  /** A displacement that waited until every replica of the webhook had seen its tickets evicts its first victim. */
  'barrier:passed': { readonly displacement: Displacement; readonly waitedMs: number };
  /** The tickets for a new pod were read from the API server, because the index of this replica may not hold them. */
  'admission:read': { readonly namespace: string };
  /** The API server refuses the pods of a controller with our gate and RuntimeClass only: they pass without both, and start cold. */
  'admission:aside': { readonly namespace: string; readonly owner: PodOwner | null; readonly message: string };
  /** A write is on its way. */
  'command:started': { readonly command: Command };
  /** A write came back. `failed` is retried with backoff; `refused` when something changes that it may depend on, or after long. */
  'command:done': {
    readonly command: Command;
    readonly outcome: 'done' | 'moved' | 'failed' | 'refused';
    readonly error: unknown;
    /** Why the API server will refuse it again; null where it did not refuse it. */
    readonly refusal: Refusal | null;
    readonly tookMs: number;
    /** How long its object is left alone. */
    readonly restMs: number;
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
