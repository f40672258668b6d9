import type { Checkpoint } from '../domain/checkpoint.ts';
import { isTerminal, standsOn, type Pod } from '../domain/pod.ts';
import { isBeforeEviction, type Decision, type PlannedVictim, type Ticket } from '../domain/ticket.ts';
import { whyUnfit } from '../domain/toleration.ts';
import { isAdopted, isTakenOver } from './adoption.ts';
import type { CloseReason } from './close-reasons.ts';
import { deadlineOf, demandsSaving, mayGoUnsaved } from './decision-terms.ts';
import { checkpointOf, isSaved } from './saved-state.ts';
import { isGone, seesAll, WATCH_LAG_MS, type Steps, type World } from './steps.ts';
import { victimState, type VictimState } from './victim-state.ts';

/**
 * Prepare, commit, evict, undo ("The life of one preempt call" in ARCHITECTURE.md, steps 5 to 7), for an open decision;
 * {@link stepLeftover} is for what a closed one left behind.
 *
 * Prepare: tickets, then checkpoints, one write a victim at a time; the preemptor is nominated meanwhile. Commit is the
 * moment no victim is unfinished; from then on each pass evicts whoever still stands. Undo is no path of its own: when a
 * decision is closed, its tickets whose victims still run are leftovers, and leftovers are removed.
 */
export function stepDecision(world: World, decision: Decision, steps: Steps): void {
  const { view } = world;
  const preemptor = view.pod(decision.preemptor.uid);
  const over =
    whyNotNeeded(world, decision, preemptor, steps) ??
    whyNotHere(world, decision, preemptor) ??
    whyImpossible(world, decision, preemptor) ??
    whyNotItsTurn(world, decision, steps);
  if (over !== null) {
    steps.close(decision, over.because, over.message);
    return;
  }

  const deadlineMs = deadlineOf(view, decision);
  const states = decision.victims.map((victim) => {
    return { victim, state: victimState(world, decision, victim, { deadlineMs, steps }) };
  });
  for (const { victim, state } of states) {
    const obstacle = obstacleTo(world, decision, victim, state);
    if (obstacle === null) continue;
    steps.close(decision, obstacle.because, `${victim.namespace}/${victim.name}: ${obstacle.message}`);
    return;
  }

  if (preemptor !== undefined && preemptor.nominatedNodeName !== decision.node) {
    steps.do({ kind: 'Nominate', pod: preemptor, node: decision.node });
  }
  const unfinished = states.filter(({ state }) => state.kind === 'unfinished');
  if (unfinished.length > 0) {
    for (const { state } of unfinished) if (state.kind === 'unfinished' && state.next !== null) steps.do(state.next);
    steps.lookAgainAt(deadlineMs);
    return;
  }
  // An eviction cannot be taken back: nobody goes for a preemptor that we have not seen, nor before one that we have not.
  if (preemptor === undefined) return;
  if (decision.victims.some(({ uid }) => view.pod(uid) === undefined && !isGone(world, uid, steps))) return;
  for (const { victim, state } of states) {
    if (state.kind !== 'ready' && state.kind !== 'failed') continue;
    steps.do({
      kind: 'Evict',
      order: {
        victim: { namespace: victim.namespace, name: victim.name, uid: victim.uid },
        frozenBy: state.kind === 'ready' ? state.frozenBy : null,
        thawAtMs: state.kind === 'ready' ? state.thawAtMs : null,
        preemptor: decision.preemptor,
      },
      victim,
      decision,
      unsaved: state.kind === 'failed' ? `${state.reason}: ${state.message}` : null,
    });
  }
  if (states.every(({ state }) => state.kind === 'gone')) stepEmptied(world, decision, preemptor, steps);
}

/** Why a victim may not be evicted as things stand, so that its decision is off; null where it may, or where that is still open. */
function obstacleTo(
  { view }: World,
  decision: Decision,
  victim: PlannedVictim,
  state: VictimState,
): { readonly because: CloseReason; readonly message: string } | null {
  if (state.kind === 'failed' && !mayGoUnsaved(view, state.pod, victim)) {
    const because = state.reason === 'DeadlineExceeded' ? 'DeadlineExceeded' : 'CheckpointFailed';
    return { because, message: state.message };
  }
  if (state.kind === 'ready' && victim.action === 'evict') {
    const policy = demandsSaving(view, state.pod, decision);
    if (policy !== null) return { because: 'PolicyChanged', message: `policy ${policy.name} now wants it saved first` };
  }
  return null;
}

/** All victims have left: kube-scheduler binds the preemptor in milliseconds, unless the wake-up was lost or the room was. */
function stepEmptied(world: World, decision: Decision, preemptor: Pod, steps: Steps): void {
  const { bindGraceMs } = world.settings;
  const emptiedMs = world.book.emptiedAt(decision);
  if (emptiedMs === undefined) {
    steps.emptied.push(decision);
    steps.lookAgainAt(world.nowMs + bindGraceMs);
    return;
  }
  const waitedMs = world.steadyMs - emptiedMs;
  if (waitedMs >= 12 * bindGraceMs) {
    steps.close(decision, 'NotBound', 'its victims are gone, and it was not bound: kube-scheduler may ask again');
  } else if (waitedMs >= bindGraceMs) {
    steps.do({ kind: 'Wake', pod: preemptor, node: decision.node });
    steps.lookAgainAt(world.nowMs + bindGraceMs);
  } else {
    steps.lookAgainAt(world.nowMs + Math.ceil(bindGraceMs - waitedMs));
  }
}

interface Ending {
  readonly because: CloseReason;
  readonly message: string;
}

function whyNotNeeded(
  { nowMs, actingSinceMs }: World,
  decision: Decision,
  preemptor: Pod | undefined,
  steps: Steps,
): Ending | null {
  // kube-scheduler's watch may be ahead of ours: a preemptor that was just decided for may still be on its way to us.
  const seenByMs = Math.max(decision.decidedMs, actingSinceMs) + WATCH_LAG_MS;
  if (preemptor === undefined && nowMs < seenByMs) {
    steps.lookAgainAt(seenByMs);
    return null;
  }
  if (preemptor === undefined || isTerminal(preemptor) || preemptor.deletionMs !== null) {
    return { because: 'PreemptorGone', message: 'the preemptor is gone' };
  }
  if (preemptor.nodeName === decision.node) return { because: 'Bound', message: `bound to ${decision.node}` };
  if (preemptor.nodeName !== null) return { because: 'BoundElsewhere', message: `bound to ${preemptor.nodeName}` };
  return null;
}

/**
 * The node takes the preemptor no more: nobody else is evicted for it. Victims whose deletion has begun go on to their end,
 * and come back by their tickets; should the preemptor be bound here after all, nothing was lost.
 */
function whyNotHere({ view }: World, { node }: Decision, preemptor: Pod | undefined): Ending | null {
  const on = view.node(node);
  if (on === undefined) return { because: 'NodeGone', message: `node ${node} no longer exists` };
  // What it tolerates is not known before it is seen; until then nobody is evicted for it either.
  const unfit = preemptor === undefined ? null : whyUnfit(on.node, preemptor.tolerations);
  return unfit === null ? null : { because: 'NodeUnfit', message: `node ${node} ${unfit}` };
}

/** The records are at odds with themselves or with the index: whom they would have us evict stays. */
function whyImpossible({ view, nowMs }: World, decision: Decision, preemptor: Pod | undefined): Ending | null {
  if (decision.decidedMs > nowMs + LONGEST_CLOCK_ERROR_MS)
    return { because: 'RecordsConflict', message: 'it was decided in the future' };
  for (const victim of decision.victims) {
    const pod = view.pod(victim.uid);
    if (preemptor !== undefined && pod !== undefined && pod.priority >= preemptor.priority)
      return { because: 'RecordsConflict', message: `${pod.name} is not less important than ${preemptor.name}` };
    const ticket = view.ticketOfVictim(victim.uid);
    if (ticket?.decision.id !== decision.id) continue;
    const flaw = ticket.flaw ?? (ticket.checkpoint === victim.checkpoint ? null : 'it names another checkpoint');
    if (flaw !== null) return { because: 'RecordsConflict', message: `ticket ${ticket.name}: ${flaw}` };
  }
  return null;
}

/** Another preemptor has the node, or what this one was to take over is gone. */
function whyNotItsTurn(world: World, decision: Decision, steps: Steps): Ending | null {
  const { view, book } = world;
  for (const { preemptor } of book.on(decision.node, decision.preemptor.uid)) {
    // One that a predecessor had closed, and could not undo any more.
    if (preemptor.priority > decision.preemptor.priority)
      return { because: 'Superseded', message: `${preemptor.name} of higher priority takes the node` };
  }
  for (const victim of decision.victims) {
    if (!isTakenOver(decision, victim) || view.ticketOfVictim(victim.uid) !== undefined) continue;
    if (standsOn(view.pod(victim.uid), decision.node) && seesAll(world, steps))
      return { because: 'HoldLost', message: `the ticket of ${victim.namespace}/${victim.name} was removed` };
  }
  return null;
}

/** How far the clocks of two replicas may be apart, so that what one wrote lies ahead of the other. */
const LONGEST_CLOCK_ERROR_MS = 3_600_000;

/** A ticket whose decision is over and whose victim was not evicted: the pod goes on as if nothing had been. */
export function stepLeftover(world: World, ticket: Ticket, steps: Steps): void {
  if (!isBeforeEviction(ticket.phase) || ticket.deleting) return;
  if (world.book.get(ticket.decision.preemptor.uid)?.id === ticket.decision.id || isAdopted(world.book, ticket)) return;
  const { view } = world;
  const victim = view.pod(ticket.pod.uid);
  if (victim === undefined || victim.deletionMs !== null) return; // its eviction was on the way: the ticket stands
  if (isTerminal(victim) && isSaved(view, ticket)) return; // others ended it while it was held: it comes back as if evicted
  const because = `the preemption by ${ticket.decision.preemptor.namespace}/${ticket.decision.preemptor.name} is off`;
  withdraw(world, ticket, victim, because, steps);
}

/** Undoes a ticket whose victim goes on: first its checkpoint, so that the node lets the pod go on, then itself. */
export function withdraw({ view }: World, ticket: Ticket, victim: Pod, because: string, steps: Steps): void {
  const checkpoint = checkpointOf(view, ticket);
  // What holds nobody frozen is left to retention: a failed checkpoint for people to read, a reused one to its maker.
  if (checkpoint?.keepFrozen === true && checkpoint.reason !== 'Manual' && checkpoint.failure === null) {
    if (!checkpoint.deleting) steps.do({ kind: 'DeleteCheckpoint', checkpoint, undo: { victim, because } });
    return; // the ticket stays until the node has let the pod go on: a witness that something is still frozen
  }
  steps.do({ kind: 'DeleteTicket', ticket, because, whileStands: victim });
}

/**
 * How long a deleted checkpoint waits for an agent that is silent. Far longer than an agent needs to start again, which then
 * thaws the pod and removes the files itself; and the end of the wait for whoever deletes a namespace or the CRDs.
 */
export const SILENT_AGENT_MS = 600_000;

/** A deleted checkpoint whose agent does not remove its finalizer: the node is gone, or the agent is silent for too long. */
export function stepDeletedCheckpoint({ view, nowMs }: World, checkpoint: Checkpoint, steps: Steps): void {
  if (!checkpoint.deleting) return;
  const on = view.node(checkpoint.nodeName);
  if (on !== undefined && !on.node.agentSilent) return;
  const releaseMs = on === undefined ? nowMs : (checkpoint.deletionMs ?? nowMs) + SILENT_AGENT_MS;
  if (nowMs < releaseMs) steps.lookAgainAt(releaseMs);
  else steps.do({ kind: 'ReleaseCheckpoint', checkpoint });
}
