import type { TicketReason } from '../domain/condition-reasons.ts';
import { isTerminal, type Pod } from '../domain/pod.ts';
import { isFinal, type Ticket, type TicketPhase } from '../domain/ticket.ts';
import { isGated } from './claims.ts';
import { checkpointOf, isSaved } from './saved-state.ts';
import type { Steps, World } from './steps.ts';

/** A pod that runs and whose node never said how the restore went: the ticket does not wait for ever. */
const RESTORE_REPORT_MS = 600_000;

/**
 * Moves each ticket along its phases by what is seen (design 5, and `TicketPhase`):
 *
 *     Saving ─> Displacing ─> Waiting ─> Admitted ─> Restoring ─> Restored | ColdStarted
 *        └────────┴──────────────┴─────────> Abandoned
 *
 * A step backwards happens only from Admitted or Restoring to Waiting, when the pod that claimed the ticket is gone.
 */
export function returnSteps(world: World, steps: Steps): void {
  for (const ticket of world.view.tickets()) {
    if (ticket.deleting) continue;
    if (isFinal(ticket.phase)) stepFinal(world, ticket, steps);
    else if (ticket.phase === 'Saving' || ticket.phase === 'Displacing') stepDisplaced(world, ticket, steps);
    else if (ticket.claim === null) stepUnclaimed(world, ticket, steps);
    else stepClaimed(world, ticket, ticket.claim, steps);
  }
}

/** Until the victim's object is gone: two pods must never continue one process. */
function stepDisplaced(world: World, ticket: Ticket, steps: Steps): void {
  const victim = world.view.pod(ticket.pod.uid);
  if (victim !== undefined && victim.phase === 'Succeeded') {
    steps.do({ kind: 'DeleteTicket', ticket, because: 'the pod completed by itself' });
    return;
  }
  if (victim !== undefined && victim.deletionMs === null && !isTerminal(victim)) return; // it still runs
  const saved = isSaved(world.view, ticket);
  if (victim !== undefined) {
    if (saved && ticket.phase === 'Saving')
      move(steps, ticket, 'Displacing', 'Evicted', 'its state is saved; the pod is going');
    return;
  }
  if (saved) move(steps, ticket, 'Waiting', 'Queued', 'waits for room on a compatible node');
  else move(steps, ticket, 'Abandoned', 'NotSaved', 'the pod went before its state was saved');
}

function stepUnclaimed(world: World, ticket: Ticket, steps: Steps): void {
  const { view, nowMs } = world;
  if (ticket.phase !== 'Waiting') {
    move(steps, ticket, 'Waiting', 'Queued', 'the pod that was to continue it is gone');
    return;
  }
  const abandonAtMs = ticket.phaseMs + ticket.restore.maxWaitMs;
  if (nowMs >= abandonAtMs) {
    move(steps, ticket, 'Abandoned', 'NobodyClaimed', 'no pod came to continue it within maxWait');
    return;
  }
  steps.lookAgainAt(abandonAtMs);
  const other = view.podNamed(ticket.namespace, ticket.pod.name);
  if (ticket.owner !== null) {
    // Its controller makes the replacement. Where the name shows that it came past our webhook, nothing is left to wait for.
    const isReplacement = ticket.owner.kind === 'StatefulSet' && other !== undefined && other.uid !== ticket.pod.uid;
    if (isReplacement && !isGated(other)) {
      move(steps, ticket, 'ColdStarted', 'NotGated', 'its replacement was created while the webhook was away');
    }
    return;
  }
  if (other === undefined) steps.do({ kind: 'RecreatePod', ticket });
  else if (other.ticket !== ticket.name && other.uid !== ticket.pod.uid) {
    move(steps, ticket, 'Abandoned', 'NameTaken', 'another pod of that name exists');
  }
}

function stepClaimed(world: World, ticket: Ticket, claim: { readonly uid: Pod['uid'] }, steps: Steps): void {
  const { view, nowMs } = world;
  const pod = view.pod(claim.uid);
  if (pod === undefined) {
    if (ticket.owner === null)
      move(steps, ticket, 'Abandoned', 'PodDeleted', 'the pod was deleted before it was restored');
    else steps.do({ kind: 'Claim', ticket, pod: null });
    return;
  }
  if (pod.restored !== null) {
    const { succeeded, reason, message } = pod.restored;
    if (succeeded)
      move(steps, ticket, 'Restored', 'Restored', `continues in ${pod.name} on ${pod.nodeName ?? 'a node'}`);
    else move(steps, ticket, 'ColdStarted', reason, message);
    return;
  }
  if (isTerminal(pod)) {
    move(
      steps,
      ticket,
      'ColdStarted',
      'EndedUnreported',
      'the pod ended, and its node never said that it was restored',
    );
    return;
  }
  if (pod.nodeName !== null) {
    if (ticket.phase !== 'Restoring') move(steps, ticket, 'Restoring', 'Placed', `on ${pod.nodeName}`);
    else if (pod.phase === 'Running') {
      if (nowMs < ticket.phaseMs + RESTORE_REPORT_MS) steps.lookAgainAt(ticket.phaseMs + RESTORE_REPORT_MS);
      else
        move(steps, ticket, 'ColdStarted', 'NotReported', 'the pod runs, and its node never said that it was restored');
    }
    return;
  }
  if (!isGated(pod) && ticket.phase === 'Waiting')
    move(steps, ticket, 'Admitted', 'Admitted', 'kube-scheduler places it');
}

/** The state is no longer needed; the record stays a while for people to read. */
function stepFinal(world: World, ticket: Ticket, steps: Steps): void {
  const checkpoint = checkpointOf(world.view, ticket);
  if (checkpoint !== undefined && !checkpoint.deleting) steps.do({ kind: 'DeleteCheckpoint', checkpoint, undo: null });
  const forgetAtMs = ticket.phaseMs + world.settings.ticketRetentionMs;
  if (world.nowMs < forgetAtMs) steps.lookAgainAt(forgetAtMs);
  else steps.do({ kind: 'DeleteTicket', ticket, because: 'kept long enough' });
}

function move(steps: Steps, ticket: Ticket, phase: TicketPhase, reason: TicketReason, message: string): void {
  steps.do({ kind: 'SetTicketPhase', ticket, phase, reason, message });
}
