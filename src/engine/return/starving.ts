import type { Steps, World } from '../core/steps.ts';
import { byTurn, type RestoreQueue } from './restore-queue.ts';
import type { Queued } from './queue.ts';
import type { Room } from './room.ts';

/**
 * Backfill cannot delay the head of the queue for longer than `restore.starvationReservation`. The first pod in order that has waited so
 * long, and that some node could take, keeps the node that comes nearest to taking it: no pod behind it is admitted there. Found only when
 * a pod is to be admitted, because a search through all nodes is in vain while nothing fits anywhere.
 */
export class Starving {
  readonly #world: World;
  readonly #room: Room;
  readonly #steps: Steps;
  readonly #inOrder: Iterator<Queued>;
  readonly #isOverShare: (entry: Queued) => boolean;
  readonly #standBack: Queued[] = []; // they wait for others of their priority
  #next: Queued | undefined;
  #isReserved = false;

  /** A pod waits so long that a node may be kept clear for it. */
  readonly isAnybody: boolean;

  constructor(world: World, queue: RestoreQueue, room: Room, steps: Steps) {
    this.#world = world;
    this.#room = room;
    this.#steps = steps;
    const { namespaces } = queue;
    this.#isOverShare = (entry) => room.isOverShare(entry, namespaces);
    this.#inOrder = queue.gated()[Symbol.iterator]();
    this.#next = this.#inOrder.next().value;
    const { waitsSinceMs } = queue;
    this.isAnybody = waitsSinceMs !== undefined && this.#starves(waitsSinceMs);
  }

  /** `entry` is to be admitted. True where a node was reserved for a pod before it just now. `leaves`: pods that this pass lets go. */
  reserveBefore(entry: Queued, leaves: ReadonlySet<Queued>): boolean {
    if (this.#isReserved || !this.isAnybody) return false;
    const aside = this.#standBack.find(
      (waiting) => waiting.ticket.priority > entry.ticket.priority && !leaves.has(waiting),
    );
    this.#isReserved = aside !== undefined && this.#room.reserveBest(aside);
    for (; !this.#isReserved; this.#next = this.#inOrder.next().value) {
      const waiting = this.#next;
      if (waiting === undefined || byTurn(waiting, entry) >= 0) return false;
      if (leaves.has(waiting) || !this.#starves(waiting.ticket.phaseMs)) continue;
      if (waiting.ticket.priority === entry.ticket.priority && this.#isOverShare(waiting))
        this.#standBack.push(waiting);
      else this.#isReserved = this.#room.reserveBest(waiting);
    }
    return true;
  }

  /** A pod that waits since then. Looks again when it begins to. */
  #starves(sinceMs: number): boolean {
    const { nowMs, settings } = this.#world;
    const starvesAtMs = sinceMs + settings.starvationMs;
    if (nowMs < starvesAtMs) this.#steps.lookAgainAt(starvesAtMs);
    return nowMs >= starvesAtMs;
  }
}
