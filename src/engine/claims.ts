import { RESTORE_GATE } from '../domain/labels.ts';
import { objectKey, type PodUid } from '../domain/ids.ts';
import { identityOf, type Pod } from '../domain/pod.ts';
import { isFinal, isOpenAndFree, type Ticket } from '../domain/ticket.ts';
import type { ClusterView } from '../index/types.ts';
import { placesTaken } from './replaced.ts';
import { seesAll, WATCH_LAG_MS, type Steps, type World } from './steps.ts';

/**
 * The gated pods among which tickets are given out together: those of one controller, by its UID; a pod without one by itself,
 * by its own. No ticket is for pods of two groups.
 */
export function claimGroupOf({ owner, uid }: Pod): string {
  return owner?.uid ?? uid;
}

/**
 * Binds tickets to the gated pods of one group that will continue them ("The life of one preempt call" in ARCHITECTURE.md,
 * step 8). A pod for which nothing can be continued loses its gate at once: it must not wait for what never comes.
 */
export function stepClaims(world: World, group: string, steps: Steps): void {
  const { view, nowMs, actingSinceMs, settings } = world;
  const taken = new Set<string>(placesTaken(world, group).keys()); // uids of tickets that are not to be had
  for (const pod of gatedPodsOf(view, group)) {
    if (pod.deletionMs !== null || holdsTicket(view, pod, steps)) continue;
    // The eviction of what it continues has begun, so the state is final. One that waited long enough takes no ticket that
    // may have to wait on.
    const candidates = candidateTickets(view, pod).filter(
      (ticket) => !taken.has(ticket.uid) && !steps.isContested(ticket),
    );
    const graceEndMs = Math.max(pod.creationMs, actingSinceMs + WATCH_LAG_MS) + settings.claimGraceMs;
    const expiresMs = pod.creationMs + settings.maxGateMs;
    const ticket = candidates.find(
      ({ phase }) => phase === 'Waiting' || phase === 'Held' || (phase === 'Displacing' && nowMs < expiresMs),
    );
    const ended = view.ticketsOfClaimant(pod.uid).find(({ phase }) => isFinal(phase));
    if (candidates.length > 0 && nowMs < expiresMs) steps.lookAgainAt(expiresMs);
    if (ticket !== undefined) {
      taken.add(ticket.uid);
      steps.do({ kind: 'Claim', ticket, pod });
    } else if (candidates.length > 0 && nowMs < graceEndMs) {
      // The replacement came before we saw its predecessor's deletion: in a moment one of these is claimable.
      steps.lookAgainAt(graceEndMs);
    } else if (ended !== undefined) {
      const { reason, message } = ended.said;
      steps.do({ kind: 'Ungate', pod, as: null, because: 'TicketEnded', ended: `${reason}: ${message}` });
    } else if (seesAll(world, steps)) {
      steps.do({ kind: 'Ungate', pod, as: null, because: 'NoMatchingTicket' });
    }
  }
}

/** Oldest first. */
export function gatedPodsOf(view: ClusterView, group: string): readonly Pod[] {
  const bare = view.pod(group as PodUid);
  const pods = bare === undefined ? view.gatedPodsOfOwner(group) : bare.owner === null && isGated(bare) ? [bare] : [];
  return pods.toSorted((a, b) => a.creationMs - b.creationMs || (a.uid < b.uid ? -1 : 1));
}

/** Some open ticket claims it. A ticket that is going takes its claimant along no further, however long its own end takes. */
function holdsTicket(view: ClusterView, pod: Pod, steps: Steps): boolean {
  return view
    .ticketsOfClaimant(pod.uid)
    .some((ticket) => !isFinal(ticket.phase) && !ticket.deleting && !steps.isContested(ticket));
}

/** Open, unclaimed tickets that `pod` could continue, oldest first. */
function candidateTickets(view: ClusterView, pod: Pod): readonly Ticket[] {
  // The name on a pod with an owner is that of a claim that was taken back.
  if (pod.ticket !== null && pod.owner === null) {
    const ticket = view.ticket(objectKey(pod.namespace, pod.ticket));
    const isOurs = ticket?.owner === null && ticket.pod.name === pod.name && ticket.restoreShape === pod.restoreShape;
    return ticket !== undefined && isOurs && isOpenAndFree(ticket) ? [ticket] : [];
  }
  if (pod.owner === null) return [];
  return view
    .ticketsOfOwner(pod.owner.uid)
    .filter((ticket) => isOpenAndFree(ticket) && canContinue(ticket, pod))
    .sort((a, b) => a.creationMs - b.creationMs || (a.name < b.name ? -1 : 1));
}

/**
 * Same namespace, owner and shape; the identity that a StatefulSet or an indexed Job gives its pods must be the same too,
 * because others know the work by it (volumes, DNS names, completion index).
 */
function canContinue(ticket: Ticket, pod: Pod): boolean {
  return (
    ticket.namespace === pod.namespace &&
    sameIdentity(ticket, { owner: pod.owner, name: pod.name, completionIndex: pod.completionIndex }) &&
    ticket.restoreShape === pod.restoreShape
  );
}

/** Whether the name or index, where it matters, is that of the displaced pod. `name` is null while it is not chosen yet. */
export function sameIdentity(
  ticket: Ticket,
  pod: { readonly owner: Pod['owner']; readonly name: string | null; readonly completionIndex: number | null },
): boolean {
  if (pod.owner === null || ticket.owner?.uid !== pod.owner.uid) return false;
  return identityOf(ticket.owner, ticket.pod) === identityOf(pod.owner, pod);
}

/** Whether our gate still holds `pod`. */
export function isGated(pod: Pod): boolean {
  return pod.gates.includes(RESTORE_GATE);
}
