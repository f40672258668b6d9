import { isTerminal, type Pod } from '../domain/pod.ts';
import { isBeforeEviction, type Decision, type Ticket } from '../domain/ticket.ts';
import type { CloseReason } from './close-reasons.ts';
import { checkpointOf } from './saved-state.ts';
import type { Steps, World } from './steps.ts';
import { victimState } from './victim-state.ts';

/**
 * Prepare, commit, evict, undo (design 4), for all open decisions and for what closed ones left behind.
 *
 * Prepare: tickets, then checkpoints, one write a victim at a time; the preemptor is nominated meanwhile. Commit is the
 * moment no victim is unfinished; from then on each pass evicts whoever still stands. Undo is no path of its own: when a
 * decision is closed, its tickets whose victims still run are leftovers, and leftovers are removed.
 */
export function displacementSteps(world: World, steps: Steps): void {
  for (const decision of world.book.all()) stepDecision(world, decision, steps);
  for (const ticket of world.view.tickets()) stepLeftover(world, ticket, steps);
  stepOrphanedCheckpoints(world, steps);
}

function stepDecision(world: World, decision: Decision, steps: Steps): void {
  const { view, nowMs } = world;
  const preemptor = view.pod(decision.preemptor.uid);
  if (preemptor === undefined) steps.lookAgainAt(decision.decidedMs + WATCH_LAG_MS);
  const over = whyNotNeeded(decision, preemptor, nowMs);
  if (over !== null) {
    steps.close(decision, over.because, over.message);
    return;
  }
  if (view.node(decision.node) === undefined) {
    steps.close(decision, 'NodeGone', `node ${decision.node} no longer exists`);
    return;
  }

  const states = decision.victims.map((victim) => ({ victim, state: victimState(view, decision, victim, nowMs) }));
  for (const { victim, state } of states) {
    if (state.kind === 'failed' && victim.onFailure === 'Refuse') {
      const because = state.reason === 'DeadlineExceeded' ? 'DeadlineExceeded' : 'CheckpointFailed';
      steps.close(decision, because, `${victim.namespace}/${victim.name}: ${state.message}`);
      return;
    }
  }

  if (preemptor !== undefined && preemptor.nominatedNodeName !== decision.node) {
    steps.do({ kind: 'Nominate', pod: preemptor, node: decision.node });
  }
  const unfinished = states.filter(({ state }) => state.kind === 'unfinished');
  if (unfinished.length > 0) {
    for (const { state } of unfinished) if (state.kind === 'unfinished' && state.next !== null) steps.do(state.next);
    steps.lookAgainAt(decision.deadlineMs);
    return;
  }
  for (const { victim, state } of states) {
    if (state.kind !== 'ready' && state.kind !== 'failed') continue;
    steps.do({
      kind: 'Evict',
      order: {
        victim: { namespace: victim.namespace, name: victim.name, uid: victim.uid },
        frozenBy: state.kind === 'ready' ? state.frozenBy : null,
        preemptor: decision.preemptor,
      },
      victim,
      decision,
      unsaved: state.kind === 'failed' ? `${state.reason}: ${state.message}` : null,
    });
  }
  if (states.every(({ state }) => state.kind === 'gone')) stepEmptied(world, decision, preemptor, steps);
}

/** All victims have left: kube-scheduler binds the preemptor in milliseconds, unless the wake-up was lost or the room was. */
function stepEmptied(world: World, decision: Decision, preemptor: Pod | undefined, steps: Steps): void {
  const { bindGraceMs } = world.settings;
  const emptiedMs = world.book.emptiedAt(decision);
  if (emptiedMs === undefined) {
    steps.emptied.push(decision);
    steps.lookAgainAt(world.nowMs + bindGraceMs);
    return;
  }
  const waitedMs = world.nowMs - emptiedMs;
  if (waitedMs >= 12 * bindGraceMs) {
    steps.close(decision, 'NotBound', 'its victims are gone, and it was not bound: kube-scheduler may ask again');
  } else if (waitedMs >= bindGraceMs) {
    if (preemptor !== undefined) steps.do({ kind: 'Wake', pod: preemptor, node: decision.node });
    steps.lookAgainAt(world.nowMs + bindGraceMs);
  } else {
    steps.lookAgainAt(emptiedMs + bindGraceMs);
  }
}

function whyNotNeeded(
  decision: Decision,
  preemptor: Pod | undefined,
  nowMs: number,
): { because: CloseReason; message: string } | null {
  // kube-scheduler's watch may be ahead of ours: a preemptor that was just decided for may still be on its way to us.
  if (preemptor === undefined && nowMs < decision.decidedMs + WATCH_LAG_MS) return null;
  if (preemptor === undefined || isTerminal(preemptor) || preemptor.deletionMs !== null) {
    return { because: 'PreemptorGone', message: 'the preemptor is gone' };
  }
  if (preemptor.nodeName === decision.node) return { because: 'Bound', message: `bound to ${decision.node}` };
  if (preemptor.nodeName !== null) return { because: 'BoundElsewhere', message: `bound to ${preemptor.nodeName}` };
  return null;
}

const WATCH_LAG_MS = 5_000;

/** A ticket whose decision is over and whose victim was not evicted: the pod goes on as if nothing had been. */
function stepLeftover(world: World, ticket: Ticket, steps: Steps): void {
  if (!isBeforeEviction(ticket.phase) || ticket.deleting) return;
  if (world.book.get(ticket.decision.preemptor.uid)?.id === ticket.decision.id) return;
  const { view } = world;
  const victim = view.pod(ticket.pod.uid);
  if (victim === undefined || victim.deletionMs !== null) return; // its eviction was on the way: the ticket stands
  const because = `the preemption by ${ticket.decision.preemptor.namespace}/${ticket.decision.preemptor.name} is off`;
  const planned = ticket.decision.victims.find((candidate) => candidate.uid === ticket.pod.uid);
  const checkpoint = checkpointOf(view, ticket);
  if (planned?.action === 'checkpoint' && checkpoint !== undefined) {
    if (!checkpoint.deleting) steps.do({ kind: 'DeleteCheckpoint', checkpoint, undo: { victim, because } });
    return; // the ticket stays until the node has let the pod go on: a witness that something is still frozen
  }
  steps.do({ kind: 'DeleteTicket', ticket, because });
}

/** Checkpoints made for an eviction without a ticket, and those that wait for an agent that is gone with its node. */
function stepOrphanedCheckpoints(world: World, steps: Steps): void {
  const { view } = world;
  for (const checkpoint of view.checkpoints()) {
    if (checkpoint.deleting) {
      if (view.node(checkpoint.nodeName) === undefined) steps.do({ kind: 'ReleaseCheckpoint', checkpoint });
      continue;
    }
    if (checkpoint.keepFrozen && view.ticketOfVictim(checkpoint.podUid) === undefined) {
      steps.do({ kind: 'DeleteCheckpoint', checkpoint, undo: null });
    }
  }
}
