import { keepsName } from '../../domain/owner-kinds.ts';
import { hasOurClass, isTerminal, type Pod } from '../../domain/pod.ts';
import { isFinal, makesWay, type Ticket } from '../../domain/ticket.ts';
import { isGated } from '../return/claims.ts';
import { startedCold } from '../return/ended-claimant.ts';
import { purposeOf } from '../causes/causes.ts';
import { withdraw } from './displacement.ts';
import { checkpointOf, isCalledOff, stateFor } from '../checkpoints/saved-state.ts';
import { seesAll, type Steps, type World } from '../core/steps.ts';

/**
 * Finds records that cannot all be true, and resolves them: edited by hand, or from a backup of etcd that is older than
 * the cluster. What is seen of pods counts more than what tickets say; of two tickets the one that loses least stands.
 * A ticket has at most one thing done about it in a pass; the others stand until the next.
 */
export function stepContradiction(world: World, ticket: Ticket, steps: Steps): void {
  noteOverruled(world, ticket, steps);
  noteFlawed(world, ticket, steps);
  noteUnknown(world, ticket, steps);
  if (!seesAll(world, steps) || ticket.deleting) return;
  const victim = runningVictim(world, ticket);
  if (victim !== null) withdrawTicket(world, ticket, victim, steps);
  else if (isFinal(ticket.phase)) return;
  else if (ticket.claim !== null) checkClaim(world, ticket, ticket.claim, steps);
  else findLostClaim(world, ticket, steps);
}

/** What is undone by itself: `DisplacementBook.refresh` has closed the older displacement, so its tickets are leftovers. */
function noteOverruled({ view, book }: World, ticket: Ticket, steps: Steps): void {
  const { displacement } = ticket;
  if (ticket.phase !== 'Saving' || !book.isOverruled(displacement.id)) return; // nothing is to be undone once the eviction has begun
  // Its undoing was under way, or all but done, when the process that did it died.
  const checkpoint = checkpointOf(view, ticket);
  if (ticket.deleting || checkpoint === undefined || isCalledOff(checkpoint)) return;
  steps.contradictions.push({
    kind: 'TwoDisplacements',
    object: ticket,
    what: `beside displacement ${displacement.id}, another one ${purposeOf(displacement)} is open`,
    resolution: 'the newer one stands, this one is undone',
  });
}

/** What is undone by itself: a flawed displacement is never adopted, and an open one is closed, so its tickets are leftovers. */
function noteFlawed({ view }: World, ticket: Ticket, steps: Steps): void {
  const { flaw, phase, deleting } = ticket;
  if (flaw === null || deleting || (phase !== 'Saving' && phase !== 'Displacing')) return;
  if (view.podOf({ namespace: ticket.namespace, uid: ticket.pod.uid })?.deletionMs !== null) return; // it is too late to undo anything
  steps.contradictions.push({
    kind: 'ImpossibleDisplacement',
    object: ticket,
    what: flaw,
    resolution: 'its displacement is not carried out, and the pod is not evicted for it',
  });
}

/** What is undone by itself: a displacement that nobody decided is not carried out, so its tickets are leftovers. */
function noteUnknown({ book }: World, ticket: Ticket, steps: Steps): void {
  const { flaw, phase, deleting, displacement } = ticket;
  if (flaw !== null || deleting || phase !== 'Saving' || book.isKnown(displacement.id)) return;
  steps.contradictions.push({
    kind: 'UnknownDisplacement',
    object: ticket,
    what: `no leader decided displacement ${displacement.id}`,
    resolution: 'it is not carried out, and the ticket is undone',
  });
}

/** The victim, where it runs on although its ticket is past the eviction and no open displacement is about to evict it. */
function runningVictim({ view, book }: World, ticket: Ticket): Pod | null {
  if (ticket.phase === 'Saving' || book.get(ticket.displacement.id) !== undefined) return null;
  const victim = view.podOf({ namespace: ticket.namespace, uid: ticket.pod.uid });
  return victim === undefined || victim.deletionMs !== null || isTerminal(victim) ? null : victim;
}

/** Whoever claimed it loses its ticket with it, and starts cold: there is nothing to continue. */
function withdrawTicket(world: World, ticket: Ticket, victim: Pod, steps: Steps): void {
  steps.resolve({
    kind: 'VictimRuns',
    object: ticket,
    what: `its phase is ${ticket.phase}, but ${victim.namespace}/${victim.name} was not evicted and runs`,
    resolution: 'the pod is thawed; its checkpoint and this ticket are deleted',
  });
  withdraw(world, ticket, victim, 'it was not evicted', steps);
}

function checkClaim(world: World, ticket: Ticket, claim: NonNullable<Ticket['claim']>, steps: Steps): void {
  if (continuesAnother(world, ticket, claim)) {
    takeBack(ticket, 'OtherTicket', `pod ${claim.name}, which it claims, continues another ticket`, steps);
    return;
  }
  const keeper = keeperOf(world, ticket.namespace, claim);
  if (keeper === undefined || keeper.uid === ticket.uid) return;
  takeBack(ticket, 'TwoClaims', `ticket ${keeper.name} claims pod ${claim.name} too`, steps);
}

/** Of the tickets that claim one pod, the one that may. */
function keeperOf(world: World, namespace: string, claim: NonNullable<Ticket['claim']>): Ticket | undefined {
  let keeper: Ticket | undefined;
  for (const ticket of world.view.ticketsOfClaimant({ namespace, uid: claim.uid })) {
    if (ticket.deleting || isFinal(ticket.phase) || continuesAnother(world, ticket, claim)) continue;
    if (keeper === undefined || isOlder(ticket, keeper)) keeper = ticket;
  }
  return keeper;
}

function takeBack(ticket: Ticket, kind: 'OtherTicket' | 'TwoClaims', what: string, steps: Steps): void {
  steps.resolve({ kind, object: ticket, what, resolution: 'its claim is taken back' });
  steps.do({ kind: 'Claim', ticket, pod: null });
}

/**
 * The pod that was made or let go for this ticket names it, but the ticket does not know: somebody else would be let
 * continue it too. Found where the name leads to the pod.
 */
function findLostClaim({ view }: World, ticket: Ticket, steps: Steps): void {
  if (ticket.phase !== 'Waiting' || !keepsName(ticket.owner, ticket.pod)) return;
  const pod = view.podNamed(ticket.namespace, ticket.pod.name);
  if (pod?.ticket !== ticket.name || pod.uid === ticket.pod.uid || isGated(pod) || pod.deletionMs !== null) return;
  if (!hasOurClass(pod)) return; // its ticket ends
  if (makesWay(ticket, pod.uid)) return; // it gave its claim up when its restore failed
  if (startedCold(ticket, pod)) return; // a person has the state tried again
  steps.resolve({
    kind: 'ClaimLost',
    object: ticket,
    what: `pod ${pod.name} continues it, but is not claimed`,
    resolution: 'it claims the pod',
  });
  steps.do({ kind: 'Claim', ticket, pod, ...stateFor(view, ticket) });
}

function continuesAnother({ view }: World, ticket: Ticket, claim: NonNullable<Ticket['claim']>): boolean {
  const named = view.podOf({ namespace: ticket.namespace, uid: claim.uid })?.ticket ?? null;
  return named !== null && named !== ticket.name;
}

/** Total, so that every process keeps the same one. */
function isOlder(a: Ticket, b: Ticket): boolean {
  return a.creationMs < b.creationMs || (a.creationMs === b.creationMs && a.name < b.name);
}
