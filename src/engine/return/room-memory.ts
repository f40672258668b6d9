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

  /** As far as gated pods competed for that room. */
  openSinceMs(uid: PodUid): number | undefined {
    return this.#openSinceMs.get(uid);
  }

  /** What one pass has found, in place of what the pass before has. */
  setOpen(sinceMs: ReadonlyMap<PodUid, number>): void {
    this.#openSinceMs = sinceMs;
  }

  clear(): void {
    this.#openSinceMs = new Map();
    this.reservation = null;
  }
}
