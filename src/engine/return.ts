import { isTerminal } from '../domain/pod.ts';
import { isFinal, type Ticket } from '../domain/ticket.ts';
import { isGated } from './claims.ts';
import { isSaved } from './saved-state.ts';
import { isGone, seesAll, type Steps, type World } from './steps.ts';

/** A pod that runs and whose node never said how the restore went: the ticket does not wait for ever. */
const RESTORE_REPORT_MS = 600_000;

/**
 * Moves a ticket along its phases by what is seen (design 5, and `TicketPhase`):
 *
 *     Saving ─> Displacing ─> Waiting ─> Admitted ─> Restoring ─> Restored | ColdStarted
 *        └────────┴──────────────┴─────────> Abandoned
 *
 * A step backwards happens only from Admitted or Restoring to Waiting, when the pod that claimed the ticket is gone.
 */
export function stepReturn(world: World, ticket: Ticket, steps: Steps): void {
  if (ticket.deleting || steps.isContested(ticket)) return;
  if (isFinal(ticket.phase)) stepFinal(world, ticket, steps);
  else if (ticket.phase === 'Saving' || ticket.phase === 'Displacing') stepDisplaced(world, ticket, steps);
  else if (ticket.claim === null) stepUnclaimed(world, ticket, steps);
  else stepClaimed(world, ticket, ticket.claim, steps);
}

/** Until the victim's object is gone: two pods must never continue one process. */
function stepDisplaced(world: World, ticket: Ticket, steps: Steps): void {
  const { view, nowMs } = world;
  const victim = view.pod(ticket.pod.uid);
  if (victim !== undefined && victim.phase === 'Succeeded') {
    steps.do({ kind: 'DeleteTicket', ticket, because: 'the pod completed by itself', whileStands: null });
    return;
  }
  if (victim !== undefined && victim.deletionMs === null && !isTerminal(victim)) return; // it still runs
  const saved = isSaved(view, ticket);
  if (victim !== undefined) {
    const abandonAtMs = ticket.phaseMs + ticket.restore.maxWaitMs;
    if (saved && ticket.phase === 'Saving')
      steps.move(ticket, 'Displacing', 'Evicted', 'its state is saved; the pod is going');
    else if (nowMs < abandonAtMs) steps.lookAgainAt(abandonAtMs);
    else steps.move(ticket, 'Abandoned', 'VictimRemains', 'the displaced pod was not gone within maxWait');
    return;
  }
  if (saved && isGone(world, ticket.pod.uid, steps))
    steps.move(ticket, 'Waiting', 'Queued', 'waits for room on a compatible node');
  else if (!saved && seesAll(world, steps))
    steps.move(ticket, 'Abandoned', 'NotSaved', 'the pod went before its state was saved');
}

function stepUnclaimed(world: World, ticket: Ticket, steps: Steps): void {
  const { view, nowMs } = world;
  if (ticket.phase !== 'Waiting') {
    steps.move(ticket, 'Waiting', 'Queued', 'the pod that was to continue it is gone');
    return;
  }
  const abandonAtMs = ticket.phaseMs + ticket.restore.maxWaitMs;
  if (nowMs >= abandonAtMs) {
    steps.move(ticket, 'Abandoned', 'NobodyClaimed', 'no pod came to continue it within maxWait');
    return;
  }
  steps.lookAgainAt(abandonAtMs);
  const other = view.podNamed(ticket.namespace, ticket.pod.name);
  if (ticket.owner !== null) {
    // Its controller makes the replacement. Where the name shows that it came past our webhook, nothing is left to wait for.
    const isReplacement = ticket.owner.kind === 'StatefulSet' && other !== undefined && other.uid !== ticket.pod.uid;
    if (isReplacement && !isGated(other)) {
      steps.move(ticket, 'ColdStarted', 'NotGated', 'its replacement was created while the webhook was away');
    }
    return;
  }
  if (other === undefined) steps.do({ kind: 'RecreatePod', ticket });
  else if (other.ticket !== ticket.name && other.uid !== ticket.pod.uid) {
    steps.move(ticket, 'Abandoned', 'NameTaken', 'another pod of that name exists');
  }
}

function stepClaimed(world: World, ticket: Ticket, claim: NonNullable<Ticket['claim']>, steps: Steps): void {
  const { view, nowMs } = world;
  const pod = view.pod(claim.uid);
  if (pod === undefined && !isGone(world, claim.uid, steps)) return;
  // Without a node it will never have one: what still holds the object is no process.
  if (pod === undefined || (pod.deletionMs !== null && pod.nodeName === null)) {
    // Asked once more where it is known: after this nobody comes back to what was saved.
    const whileGone = { namespace: ticket.namespace, ...claim };
    if (ticket.owner !== null || world.preempted.has(claim.uid)) {
      steps.do({ kind: 'Claim', ticket, pod: null, whileGone });
    } else {
      const message = 'the pod was deleted before it was restored';
      steps.do({ kind: 'SetTicketPhase', ticket, phase: 'Abandoned', reason: 'PodDeleted', message, whileGone });
    }
    return;
  }
  // Preempted while it was being restored: the state is whole, and waits for the next one. Whoever deletes a bare pod by
  // hand means it.
  if (pod.restored === null && pod.deletionMs !== null && pod.disruptionTarget) {
    steps.do({ kind: 'Claim', ticket, pod: null });
    return;
  }
  if (pod.restored !== null) {
    const { succeeded, reason, message } = pod.restored;
    if (succeeded)
      steps.move(ticket, 'Restored', 'Restored', `continues in ${pod.name} on ${pod.nodeName ?? 'a node'}`);
    else steps.move(ticket, 'ColdStarted', reason, message);
    return;
  }
  if (isTerminal(pod)) {
    steps.move(ticket, 'ColdStarted', 'EndedUnreported', 'the pod ended, and its node never said that it was restored');
    return;
  }
  if (!isGated(pod) && pod.ticket !== ticket.name) {
    steps.move(
      ticket,
      'ColdStarted',
      'GateRemoved',
      'somebody else lifted the gate of the pod that was to continue it',
    );
    return;
  }
  if (pod.nodeName !== null) {
    if (ticket.phase !== 'Restoring') steps.move(ticket, 'Restoring', 'Placed', `on ${pod.nodeName}`);
    else if (pod.phase === 'Running') {
      if (nowMs < ticket.phaseMs + RESTORE_REPORT_MS) steps.lookAgainAt(ticket.phaseMs + RESTORE_REPORT_MS);
      else
        steps.move(ticket, 'ColdStarted', 'NotReported', 'the pod runs, and its node never said that it was restored');
    }
    return;
  }
  if (!isGated(pod) && ticket.phase === 'Waiting')
    steps.move(ticket, 'Admitted', 'Admitted', 'kube-scheduler places it');
}

/** The record stays for people to read; with it, unless the ticket is Restored, its state (`retention.ts`). */
function stepFinal(world: World, ticket: Ticket, steps: Steps): void {
  const forgetAtMs = ticket.phaseMs + world.settings.ticketRetentionMs;
  if (world.nowMs < forgetAtMs) steps.lookAgainAt(forgetAtMs);
  else steps.do({ kind: 'DeleteTicket', ticket, because: 'kept long enough', whileStands: null });
}
