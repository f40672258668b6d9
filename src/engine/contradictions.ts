import { isTerminal, type Pod } from '../domain/pod.ts';
import { isFailedPod, isFinal, type Ticket } from '../domain/ticket.ts';
import { isGated } from './claims.ts';
import { withdraw } from './displacement.ts';
import { checkpointOf } from './saved-state.ts';
import { seesAll, type Steps, type World } from './steps.ts';

/**
 * Finds records that cannot all be true, and resolves them: edited by hand, or from a backup of etcd that is older than
 * the cluster. What is seen of pods counts more than what tickets say; of two tickets the one that loses least stands.
 * A ticket has at most one thing done about it in a pass; the others stand until the next.
 */
export function stepContradiction(world: World, ticket: Ticket, steps: Steps): void {
  noteOverruled(world, ticket, steps);
  noteFlawed(world, ticket, steps);
  if (!seesAll(world, steps) || ticket.deleting) return;
  const victim = runningVictim(world, ticket);
  if (victim !== null) withdrawTicket(world, ticket, victim, steps);
  else if (isFinal(ticket.phase)) return;
  else if (ticket.claim !== null) checkClaim(world, ticket, ticket.claim, steps);
  else findLostClaim(world, ticket, steps);
}

/** What is undone by itself: `DecisionBook.refresh` has closed the older decision, so its tickets are leftovers. */
function noteOverruled({ view, book }: World, ticket: Ticket, steps: Steps): void {
  const { id, preemptor } = ticket.decision;
  if (ticket.phase !== 'Saving' || !book.isOverruled(id)) return; // nothing is to be undone once the eviction has begun
  // Its undoing was under way, or all but done, when the process that did it died.
  const checkpoint = checkpointOf(view, ticket);
  if (ticket.deleting || checkpoint === undefined || checkpoint.deleting) return;
  steps.contradictions.push({
    kind: 'TwoDecisions',
    object: ticket,
    what: `another decision about ${preemptor.namespace}/${preemptor.name} is open beside ${id}`,
    resolution: 'the newer one stands, this one is undone',
  });
}

/** What is undone by itself: a flawed decision is never adopted, and an open one is closed, so its tickets are leftovers. */
function noteFlawed({ view }: World, ticket: Ticket, steps: Steps): void {
  const { flaw, phase, deleting } = ticket;
  if (flaw === null || deleting || (phase !== 'Saving' && phase !== 'Displacing')) return;
  if (view.pod(ticket.pod.uid)?.deletionMs !== null) return; // it is too late to undo anything
  steps.contradictions.push({
    kind: 'ImpossibleDecision',
    object: ticket,
    what: flaw,
    resolution: 'its decision is not carried out, and the pod is not evicted for it',
  });
}

/** The victim, where it runs on although its ticket is past the eviction and no open decision is about to evict it. */
function runningVictim({ view, book }: World, ticket: Ticket): Pod | null {
  if (ticket.phase === 'Saving' || book.get(ticket.decision.preemptor.uid)?.id === ticket.decision.id) return null;
  const victim = view.pod(ticket.pod.uid);
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
  const keeper = keeperOf(world, claim);
  if (keeper === undefined || keeper.uid === ticket.uid) return;
  takeBack(ticket, 'TwoClaims', `ticket ${keeper.name} claims pod ${claim.name} too`, steps);
}

/** Of the tickets that claim one pod, the one that may. */
function keeperOf(world: World, claim: NonNullable<Ticket['claim']>): Ticket | undefined {
  let keeper: Ticket | undefined;
  for (const ticket of world.view.ticketsOfClaimant(claim.uid)) {
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
 * continue it too. Found where the name leads to the pod: bare pods and StatefulSets.
 */
function findLostClaim({ view }: World, ticket: Ticket, steps: Steps): void {
  if (ticket.phase !== 'Waiting' || (ticket.owner !== null && ticket.owner.kind !== 'StatefulSet')) return;
  const pod = view.podNamed(ticket.namespace, ticket.pod.name);
  if (pod?.ticket !== ticket.name || pod.uid === ticket.pod.uid || isGated(pod) || pod.deletionMs !== null) return;
  if (isFailedPod(ticket, pod.uid)) return; // it gave its claim up when its restore failed
  steps.resolve({
    kind: 'ClaimLost',
    object: ticket,
    what: `pod ${pod.name} continues it, but is not claimed`,
    resolution: 'it claims the pod',
  });
  steps.do({ kind: 'Claim', ticket, pod });
}

function continuesAnother({ view }: World, ticket: Ticket, claim: NonNullable<Ticket['claim']>): boolean {
  const named = view.pod(claim.uid)?.ticket ?? null;
  return named !== null && named !== ticket.name;
}

/** Total, so that every process keeps the same one. */
function isOlder(a: Ticket, b: Ticket): boolean {
  return a.creationMs < b.creationMs || (a.creationMs === b.creationMs && a.name < b.name);
}
