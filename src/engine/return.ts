import { isTerminal } from '../domain/pod.ts';
import { isFailedPod, isFinal, type Ticket } from '../domain/ticket.ts';
import { isGated } from './claims.ts';
import { afterFailedRestore, endFailedPods } from './failed-restore.ts';
import { stepHandDecision } from './hand-decision.ts';
import { placeTakenBy } from './replaced.ts';
import { checkpointOf, isSaved } from './saved-state.ts';
import { isGone, seesAll, type Steps, type World } from './steps.ts';

/** A pod that runs and whose node never said how the restore went: the ticket does not wait for ever. */
const RESTORE_REPORT_MS = 600_000;

/** A pod on a node is restored within this, plus the time its state takes to come over a slow network; else that is a failed attempt. */
const RESTORED_WITHIN_MS = 600_000;
const SLOW_FETCH_BYTES_PER_MS = 20_000; // 20 MB/s: a gigabit link that six fetches share

/** A replacement that came without the gate is observed for this long before its ticket ends. */
const REPLACED_MS = 10_000;

/**
 * Moves a ticket along its phases by what is seen (`TicketPhase` says what each means):
 *
 *     Saving ─> Displacing ─> Waiting ─> Admitted ─> Restoring ─> Restored | ColdStarted
 *        └────────┴──────────────┴─────────> Abandoned  │
 *                                └<───────────── Held <─┘
 *
 * A step backwards happens from Admitted or Restoring to Waiting when the pod that claimed the ticket is gone or its restore
 * failed (`failed-restore.ts`), and by a person's decision from Held, ColdStarted or Abandoned to Waiting (`hand-decision.ts`).
 */
export function stepReturn(world: World, ticket: Ticket, steps: Steps): void {
  if (ticket.deleting || steps.isContested(ticket)) return;
  if (stepHandDecision(world, ticket, steps)) return;
  if (isFinal(ticket.phase)) {
    stepFinal(world, ticket, steps);
    return;
  }
  endFailedPods(world, ticket, steps);
  if (ticket.phase === 'Saving' || ticket.phase === 'Displacing') stepDisplaced(world, ticket, steps);
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
  if (ticket.phase !== 'Waiting' && ticket.phase !== 'Held') {
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
    if (isStateGone(world, ticket, steps)) {
      steps.move(ticket, 'Abandoned', 'CheckpointMissing', 'its PodCheckpoint was deleted');
      return;
    }
    // Its controller makes the replacement. Where the name shows that it came past our webhook, nothing is left to wait for.
    const isReplacement = ticket.owner.kind === 'StatefulSet' && other !== undefined && other.uid !== ticket.pod.uid;
    if (isReplacement && !isGated(other) && !isFailedPod(ticket, other.uid)) {
      steps.move(ticket, 'ColdStarted', 'NotGated', 'its replacement was created while the webhook was away');
      return;
    }
    const taker = placeTakenBy(world, ticket);
    if (taker === null || view.gatedPodsOfOwner(ticket.owner.uid).length > 0) return;
    const endsMs = Math.max(taker.creationMs, ticket.phaseMs) + REPLACED_MS;
    const message = `its controller created ${taker.name} in its place, without a review of the webhook`;
    if (nowMs < endsMs) steps.lookAgainAt(endsMs);
    else steps.move(ticket, 'ColdStarted', 'NotGated', message);
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
  if (pod.restoreFailure !== null && pod.nodeName !== null && pod.deletionMs === null) {
    afterFailedRestore(world, ticket, pod, pod.restoreFailure, steps);
    return;
  }
  if (isTerminal(pod)) {
    steps.move(ticket, 'ColdStarted', 'EndedUnreported', 'the pod ended, and its node never said that it was restored');
    return;
  }
  if (isGated(pod)) {
    if (isStateGone(world, ticket, steps))
      steps.move(ticket, 'ColdStarted', 'CheckpointMissing', 'its PodCheckpoint was deleted');
    else if (ticket.phase === 'Held' && !pod.toldHeld) steps.do({ kind: 'TellHeld', ticket, pod });
    return;
  }
  if (pod.ticket !== ticket.name) {
    steps.move(ticket, 'ColdStarted', 'GateRemoved', 'the scheduling gate of the claiming pod was removed by hand');
    return;
  }
  if (pod.nodeName !== null) {
    if (ticket.phase !== 'Restoring') steps.move(ticket, 'Restoring', 'Placed', `on ${pod.nodeName}`);
    else if (pod.phase === 'Running') {
      if (nowMs < ticket.phaseMs + RESTORE_REPORT_MS) steps.lookAgainAt(ticket.phaseMs + RESTORE_REPORT_MS);
      else
        steps.move(ticket, 'ColdStarted', 'NotReported', 'the pod runs, and its node never said that it was restored');
    } else {
      const bytes = checkpointOf(view, ticket)?.bytes ?? 0;
      const overdueMs = ticket.phaseMs + RESTORED_WITHIN_MS + Math.ceil(bytes / SLOW_FETCH_BYTES_PER_MS);
      const message = 'the pod was not restored within the bound, and its node did not say why';
      if (nowMs < overdueMs) steps.lookAgainAt(overdueMs);
      else afterFailedRestore(world, ticket, pod, { reason: 'RestoreFailed', message }, steps);
    }
    return;
  }
  if (ticket.phase === 'Waiting' || ticket.phase === 'Held')
    steps.move(ticket, 'Admitted', 'Admitted', 'kube-scheduler places it');
}

/** Nothing is left to wait for: the state of a ticket was deleted, or is being deleted. */
function isStateGone(world: World, ticket: Ticket, steps: Steps): boolean {
  if (ticket.phase !== 'Waiting' && ticket.phase !== 'Held') return false;
  const checkpoint = checkpointOf(world.view, ticket);
  return checkpoint === undefined ? seesAll(world, steps) : checkpoint.deleting;
}

/** The record stays for people to read; with it, unless the ticket is Restored, its state (`retention.ts`). */
function stepFinal(world: World, ticket: Ticket, steps: Steps): void {
  const forgetAtMs = ticket.phaseMs + world.settings.ticketRetentionMs;
  if (world.nowMs < forgetAtMs) steps.lookAgainAt(forgetAtMs);
  else steps.do({ kind: 'DeleteTicket', ticket, because: 'kept long enough', whileStands: null });
}
