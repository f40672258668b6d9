import { ownerKey, type OwnerKey } from '../../domain/ids.ts';
import type { TicketReason } from '../../domain/condition-reasons.ts';
import type { OwnerFacts } from '../../domain/owner-facts.ts';
import { whyUnwanted } from '../../domain/owner-facts.ts';
import { identityOf } from '../../domain/owner-kinds.ts';
import type { Pod } from '../../domain/pod.ts';
import { byNewestState, isFinal, isOpenAndFree, type Ticket } from '../../domain/ticket.ts';
import type { ClusterView } from '../../index/types.ts';

/**
 * Why no pod will come to continue a ticket that waits for one: its controller is gone, has ended or wants fewer pods, or a newer state
 * of the same work was saved. Null while one may come. `taker`: a pod that came in its place past the webhook.
 */
export function whyNotAwaited(
  view: ClusterView,
  ticket: Ticket,
  taker: Pod | null,
): { readonly reason: TicketReason; readonly message: string } | null {
  if (ticket.owner === null) return null;
  const newer = newerStateOf(view, ticket);
  if (newer !== undefined) {
    return { reason: 'Superseded', message: `a newer state of the same work was saved: ticket ${newer.name}` };
  }
  const facts = view.ownerFacts(ownerKey(ticket.namespace, ticket.owner));
  if (facts === undefined) return null;
  // A pod that came in its place starts cold for it, and the ticket says so.
  return whyUnwanted(facts, ticket.pod) ?? (taker === null ? whySurplus(view, ticket, facts) : null);
}

/** Of pods that the controller tells apart. The newer pod ran, so what was saved before it is outdated. */
function newerStateOf(view: ClusterView, ticket: Ticket): Ticket | undefined {
  const identity = identityOf(ticket.owner, ticket.pod);
  if (ticket.owner === null || identity === null) return undefined;
  return view
    .ticketsOfOwner(ownerKey(ticket.namespace, ticket.owner))
    .find(
      (other) =>
        other.creationMs > ticket.creationMs &&
        other.phase !== 'Saving' &&
        identityOf(other.owner, other.pod) === identity,
    );
}

/** Pods of that controller behind the gate that claim no open ticket: one whose ticket has ended may still claim another. */
export function unclaimedPods(view: ClusterView, owner: OwnerKey): readonly Pod[] {
  const isOpen = ({ phase, deleting }: Ticket): boolean => !isFinal(phase) && !deleting;
  return view.gatedPodsOfOwner(owner).filter((pod) => !view.ticketsOfClaimant(pod).some(isOpen));
}

/**
 * The controller has, or makes, pods for the newest states only. Pods behind the gate that claim nothing yet are among those it has.
 * It must have said so itself and twice, and the pods in the index must say the same.
 */
function whySurplus(
  view: ClusterView,
  ticket: Ticket,
  { what, count }: OwnerFacts,
): { readonly reason: TicketReason; readonly message: string } | null {
  if (count === null || !count.isSettled || ticket.owner === null) return null;
  const owner = ownerKey(ticket.namespace, ticket.owner);
  const active = view.activePodsOfOwner(owner);
  const comes = Math.max(0, count.lacks, count.wants - active.length) + unclaimedPods(view, owner).length;
  const waiting = view
    .ticketsOfOwner(owner)
    .filter((other) => isOpenAndFree(other) && other.phase !== 'Saving')
    .toSorted(byNewestState);
  if (waiting.findIndex((other) => other.uid === ticket.uid) < comes) return null;
  return { reason: 'OwnerWantsFewer', message: `${what} wants ${count.wants} pods and has ${active.length}` };
}
