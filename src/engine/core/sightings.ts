import type { PodKey, PodUid } from '../../domain/ids.ts';
import { isTerminal, type Pod } from '../../domain/pod.ts';
import { isBeforeEviction, isFinal, type Ticket } from '../../domain/ticket.ts';
import type { ClusterView, IndexedKind, IndexedKinds, IndexEvent } from '../../index/types.ts';
import type { Clock } from '../../ports/clock.ts';
import { isFreed } from '../return/replaced.ts';
import type { World } from './steps.ts';

/**
 * What was seen of pods and tickets that may be gone from the index when the next pass looks: a change and the next one may come
 * between two passes. Kept for as long as a step can ask for it.
 */
export class Sightings {
  readonly #view: ClusterView;
  readonly #clock: Clock;
  readonly #disrupted = new Map<PodUid, PodKey>();
  readonly #evicted = new Map<PodUid, number>();
  readonly #unwanted = new Set<PodUid>();
  readonly #freed = new Map<string, number>(); // uid of a ticket -> time of day

  constructor(view: ClusterView, clock: Clock) {
    this.#view = view;
    this.#clock = clock;
  }

  /** Continuing pods that were disrupted before they were restored. */
  get disrupted(): World['disrupted'] {
    return this.#disrupted;
  }

  /** When the deletion of pods with a ticket was requested. */
  get evicted(): ReadonlyMap<PodUid, number> {
    return this.#evicted;
  }

  /**
   * Bare pods that were deleted before Reprieve evicted them, and without the condition `DisruptionTarget` that every eviction by Kubernetes
   * sets first: their users meant it.
   */
  get unwanted(): ReadonlySet<PodUid> {
    return this.#unwanted;
  }

  /** When tickets came to be free again, by their UID. */
  get freed(): ReadonlyMap<string, number> {
    return this.#freed;
  }

  note(event: IndexEvent, before: IndexedKinds[IndexedKind] | undefined): void {
    if (event.type === 'upsert' && event.kind === 'pod') this.#notePod(event.value);
    if (event.type === 'delete' && event.kind === 'pod' && before !== undefined) this.#noteDeletion(before as Pod);
    if (event.kind !== 'ticket') return;
    if (event.type === 'delete') this.#freed.delete(event.uid);
    else if (isFreed(before as Ticket | undefined, event.value)) this.#freed.set(event.value.uid, this.#clock.now());
  }

  /** Forgets pods that no open ticket claims any more, and evictions that their tickets have recorded. */
  forgetSettled(): void {
    for (const [uid, pod] of this.#disrupted) {
      const isClaimed = this.#view.ticketsOfClaimant(pod).some(({ phase }) => !isFinal(phase));
      if (!isClaimed) this.#disrupted.delete(uid);
    }
    for (const uid of this.#evicted.keys())
      if (!this.#view.ticketsOfVictim(uid).some(isUndisplaced)) this.#evicted.delete(uid);
    for (const uid of this.#unwanted)
      if (!this.#view.ticketsOfVictim(uid).some(isUndisplaced)) this.#unwanted.delete(uid);
  }

  #notePod(pod: Pod): void {
    const { namespace, uid, ticket, restored, disrupted, evictedMs } = pod;
    if (ticket !== null && restored === null && disrupted) this.#disrupted.set(uid, { namespace, uid });
    if (pod.deletionMs !== null) this.#noteDeletion(pod);
    // The replacement of a pod that ended by itself may be older than the deletion, so that one is not noted.
    if (evictedMs === null || isTerminal(pod) || this.#evicted.has(uid)) return;
    if (isUndisplaced(this.#view.ticketOfVictim(pod))) this.#evicted.set(uid, evictedMs);
  }

  /** As it was last seen. */
  #noteDeletion(pod: Pod): void {
    if (pod.owner !== null || pod.disrupted || isTerminal(pod)) return;
    if (isUndisplaced(this.#view.ticketOfVictim(pod))) this.#unwanted.add(pod.uid);
  }
}

/** Its eviction is not recorded yet. */
function isUndisplaced(ticket: Ticket | undefined): boolean {
  return ticket !== undefined && isBeforeEviction(ticket.phase);
}
