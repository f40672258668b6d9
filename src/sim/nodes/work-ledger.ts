import type { Container } from './container.ts';

/** What happened to the work of one pod, for a timeline. */
export interface WorkEvent {
  readonly kind: 'started' | 'frozen' | 'saved' | 'thawed' | 'killed' | 'restored' | 'coldStarted' | 'completed';
  readonly atMs: number;
  readonly namespace: string;
  readonly pod: string;
  readonly podUid: string;
  readonly node: string;
  readonly progressSeconds: number;
  /** Size of the state, where one is saved or restored. */
  readonly bytes?: number;
}

export function workEvent(kind: WorkEvent['kind'], container: Container, atMs: number, bytes?: number): WorkEvent {
  const { name, namespace } = container.pod.metadata;
  return {
    kind,
    atMs,
    namespace: namespace ?? '',
    pod: name,
    podUid: container.uid,
    node: container.nodeName,
    progressSeconds: container.progressSeconds,
    ...(bytes !== undefined && { bytes }),
  };
}

/**
 * What displacement costs, from the true state of the nodes, in node-seconds: seconds times the pod's largest share of its
 * node. Two kinds:
 *
 * - discarded: progress that was made and is not carried on;
 * - held: room that a pod held without progress because of a displacement: frozen, terminating, being restored, or
 *   starting again from nothing.
 */
export class WorkLedger {
  #discarded = 0;
  #held = 0;
  readonly #counts: Record<WorkEvent['kind'], number> = {
    started: 0,
    frozen: 0,
    saved: 0,
    thawed: 0,
    killed: 0,
    restored: 0,
    coldStarted: 0,
    completed: 0,
  };
  readonly #listeners = new Set<(event: WorkEvent) => void>();

  /** Node-seconds. */
  get lost(): { readonly discarded: number; readonly held: number; readonly total: number } {
    return { discarded: this.#discarded, held: this.#held, total: this.#discarded + this.#held };
  }

  /** How often each kind of event happened. */
  count(kind: WorkEvent['kind']): number {
    return this.#counts[kind];
  }

  discard(weight: number, seconds: number): void {
    this.#discarded += weight * Math.max(0, seconds);
  }

  hold(weight: number, seconds: number): void {
    this.#held += weight * Math.max(0, seconds);
  }

  record(event: WorkEvent): void {
    this.#counts[event.kind]++;
    for (const listener of this.#listeners) listener(event);
  }

  subscribe(listener: (event: WorkEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
