import { WATCH_LAG_MS } from '../core/steps.ts';
import type { NodeName, PodUid } from '../../domain/ids.ts';
import type { Ticket } from '../../domain/ticket.ts';

/** The head of the queue starves, and the node is kept clear of everybody behind it. */
export interface Reservation {
  readonly node: NodeName;
  readonly head: Ticket;
}

/** What the search for capacity remembers from pass to pass. */
export class RoomMemory {
  #openSinceMs: ReadonlyMap<PodUid, number> = new Map(); // newcomer -> since when there has been room for it, on the clock that nobody sets
  /** Null: no pod starves, or none behind it was let go. kube-scheduler is held to it by `filter`. */
  reservation: Reservation | null = null;

  #promises: ReadonlyMap<PodUid, NodeName> = new Map();
  #promisedMs: ReadonlyMap<PodUid, number> = new Map(); // when, on the clock that nobody sets

  /** Pods that were admitted and have no node yet -> the node that the last pass has promised to each. */
  get promises(): ReadonlyMap<PodUid, NodeName> {
    return this.#promises;
  }

  /** What one pass has promised, in place of what the pass before has. */
  setPromises(promises: ReadonlyMap<PodUid, NodeName>, steadyMs: number): void {
    const promisedMs = new Map<PodUid, number>();
    for (const [uid, node] of promises) {
      const isKept = this.#promises.get(uid) === node && this.justPromised(uid, steadyMs) !== undefined;
      promisedMs.set(uid, isKept ? (this.#promisedMs.get(uid) as number) : steadyMs);
    }
    this.#promises = promises;
    this.#promisedMs = promisedMs;
  }

  /** The node that a pod was promised so short a time ago that the index may not show yet that its gate is removed; how long it may. */
  justPromised(uid: PodUid, steadyMs: number): { readonly node: NodeName; readonly leftMs: number } | undefined {
    const node = this.#promises.get(uid);
    const leftMs = (this.#promisedMs.get(uid) ?? Number.NEGATIVE_INFINITY) + WATCH_LAG_MS - steadyMs;
    return node !== undefined && leftMs > 0 ? { node, leftMs } : undefined;
  }

  /** As far as gated pods competed for that room. */
  openSinceMs(uid: PodUid): number | undefined {
    return this.#openSinceMs.get(uid);
  }

  /** What one pass has found, in place of what the pass before has. */
  setOpen(sinceMs: ReadonlyMap<PodUid, number>): void {
    this.#openSinceMs = sinceMs;
  }

  /** One pass could admit no pod and keep no node clear: the promises of the pass before stand, unchecked. */
  keepPromises(): void {
    this.#openSinceMs = new Map();
    this.reservation = null;
  }

  clear(): void {
    this.#openSinceMs = new Map();
    this.reservation = null;
    this.#promises = this.#promisedMs = new Map();
  }
}
