import type { Checkpoint } from '../domain/checkpoint.ts';
import {
  objectKey,
  ownerKey,
  type NodeName,
  type ObjectKey,
  type OwnerKey,
  type PodKey,
  type PodUid,
} from '../domain/ids.ts';
import type { Ticket } from '../domain/ticket.ts';
import { MultiMap } from './multi-map.ts';

/** Tickets and checkpoints by the pods, controllers and nodes that they are about. Follows changes that the object tables let through. */
export class RecordIndex {
  readonly #ticketsByVictim = new MultiMap<PodUid, Ticket>(({ pod }) => pod.uid); // displaced pod -> its tickets, usually one
  readonly #ticketsByOwner = new MultiMap<OwnerKey, Ticket>(({ namespace, owner }) =>
    owner === null ? null : ownerKey(namespace, owner),
  ); // controller -> tickets of its pods
  readonly #ticketsByBarePod = new MultiMap<ObjectKey, Ticket>(({ namespace, owner, pod }) =>
    owner === null ? objectKey(namespace, pod.name) : null,
  ); // namespace/name of a pod without a controller -> its tickets
  readonly #ticketsByClaimant = new MultiMap<PodUid, Ticket>(({ claim }) => claim?.uid ?? null); // claiming pod -> its tickets
  readonly #checkpointsByPod = new MultiMap<PodUid, Checkpoint>(({ podUid }) => podUid); // saved pod -> its checkpoints
  readonly #checkpointsByNode = new MultiMap<NodeName, Checkpoint>(({ nodeName }) => nodeName); // node -> checkpoints of its pods

  ticketOfVictim(pod: PodKey): Ticket | undefined {
    return newest(ofNamespace(pod.namespace, this.#ticketsByVictim.get(pod.uid)));
  }

  ticketsOfVictim(uid: PodUid): readonly Ticket[] {
    return this.#ticketsByVictim.get(uid);
  }

  ticketsOfOwner(owner: OwnerKey): readonly Ticket[] {
    return this.#ticketsByOwner.get(owner);
  }

  ticketsOfBarePod(pod: ObjectKey): readonly Ticket[] {
    return this.#ticketsByBarePod.get(pod);
  }

  ticketsOfClaimant({ namespace, uid }: PodKey): readonly Ticket[] {
    return ofNamespace(namespace, this.#ticketsByClaimant.get(uid));
  }

  checkpointsOfPod({ namespace, uid }: PodKey): readonly Checkpoint[] {
    return ofNamespace(namespace, this.#checkpointsByPod.get(uid));
  }

  checkpointsOn(node: NodeName): readonly Checkpoint[] {
    return this.#checkpointsByNode.get(node);
  }

  /** `before` is what was held of this ticket, `after` what is held now; undefined where there was or is none. */
  changeTicket(before: Ticket | undefined, after: Ticket | undefined): void {
    this.#ticketsByVictim.change(before, after);
    this.#ticketsByOwner.change(before, after);
    this.#ticketsByBarePod.change(before, after);
    this.#ticketsByClaimant.change(before, after);
  }

  changeCheckpoint(before: Checkpoint | undefined, after: Checkpoint | undefined): void {
    this.#checkpointsByPod.change(before, after);
    this.#checkpointsByNode.change(before, after);
  }
}

/** Those that may speak for a pod of this namespace: nearly always all of them, and then no other array. */
function ofNamespace<T extends { readonly namespace: string }>(namespace: string, records: readonly T[]): readonly T[] {
  return records.every((record) => record.namespace === namespace)
    ? records
    : records.filter((record) => record.namespace === namespace);
}

/** The ticket that was made last. Ours have one name per victim, so there are more only where somebody made them by hand. */
function newest(tickets: readonly Ticket[]): Ticket | undefined {
  let last = tickets[0];
  for (const ticket of tickets) {
    if (last === undefined || ticket === last) continue;
    if (ticket.creationMs > last.creationMs || (ticket.creationMs === last.creationMs && ticket.uid > last.uid)) {
      last = ticket;
    }
  }
  return last;
}
