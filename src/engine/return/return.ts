/**
 * Coming back: from a ticket whose pod is gone to a pod that is restored, starts cold, or is given up. Begin with this file.
 *
 *     webhook ──> admission.ts: gate ──> claims.ts: ticket <─> pod ──> queue.ts: capacity ──> gate removed ──> node ──> return.ts
 *
 * - `return.ts`: the phases of a ticket. `ended-claimant.ts`, `failed-restore.ts`, `hand-decision.ts`, `replaced.ts`,
 *   `silent-agent.ts`, `unmade.ts`, `unplaced.ts`: what else moves it.
 * - `awaited.ts`: whether a pod may still come for a ticket.
 * - `admission.ts`, `gated-creations.ts`: whether a new pod gets the gate; answered from the index.
 * - `claims.ts`: which gated pod continues which ticket.
 * - `queue.ts`: who is admitted, and why a pod that could be is not. `restore-queue.ts`: the order. `sorts.ts`: pods that one search
 *   answers for. `room.ts`: the search, over the `place.ts` of each node (`slots.ts`); what a node can take is counted in
 *   `src/index/node-capacity.ts`. `newcomers.ts`: room for pods that kube-scheduler places; `coming.ts`: pods on their way, for which
 *   related ones wait; `starving.ts`: a node for the head.
 * - `queue-reporter.ts`, `blockers.ts`, `waiting-cause.ts`: what waiting pods and tickets are told.
 *
 * Invariants:
 * 1. No pod continues a ticket before the displaced pod's object is gone, and no two pods continue one ticket.
 * 2. A gate is removed when its pod is admitted, when no ticket is for it, or at `maxGate`; only the pod of a Held ticket waits longer,
 *    for a person.
 * 3. Backfill never takes the node that is reserved for the head of the queue.
 * 4. Each node tries a ticket once, and at most `restore.attempts` nodes try it, until a person decides: by `retry`, or by removing
 *    the gate of its pod, which then is tried once where kube-scheduler places it.
 * 5. Every open phase ends by what is seen or at a time; the exceptions are invariant 4 in ARCHITECTURE.md.
 */
import { ownerKey } from '../../domain/ids.ts';
import { keepsName } from '../../domain/owner-kinds.ts';
import { hasOurClass, isTerminal } from '../../domain/pod.ts';
import { restoredWithinMs } from '../../domain/restore-time.ts';
import { makesWay, isFinal, type Ticket } from '../../domain/ticket.ts';
import type { ClusterView } from '../../index/types.ts';
import type { PhaseChange } from '../../ports/cluster-writer.ts';
import { unclaimedPods, whyNotAwaited } from './awaited.ts';
import { endOfOtherClass, isGated } from './claims.ts';
import { endsUnrestored, startedCold, stepEnded } from './ended-claimant.ts';
import { afterFailedRestore, endFailedPods, endWithRestored } from './failed-restore.ts';
import { stepHandDecision } from './hand-decision.ts';
import { continuesIn, stepFinal, WAITS_FOR_CAPACITY } from './outcomes.ts';
import { placeTakenBy } from './replaced.ts';
import { stepSilentAgent } from './silent-agent.ts';
import { stepUnmade } from './unmade.ts';
import { checkpointOf, isSaved, isUndecided, stateFor } from '../checkpoints/saved-state.ts';
import { isGone, seesAll, type Steps, type World } from '../core/steps.ts';

/** A pod that runs and whose node never said how the restore went: the ticket does not wait for ever. */
const RESTORE_REPORT_MS = 600_000;

/** A replacement that came without the gate is observed for this long before its ticket ends. */
const REPLACED_MS = 10_000;

/**
 * Moves a ticket along its phases by what is seen (`TicketPhase` says what each means):
 *
 *     Saving ─> Displacing ─> Waiting ─> Admitted ─> Restoring ─> Restored | ColdStarted
 *        └────────┴──────────────┴─────────> Abandoned  │
 *                                └<───────────── Held <─┘
 *
 * A step backwards happens from Admitted or Restoring to Waiting when the pod that claimed the ticket is gone, ended before its
 * node reported, found no node in time (`unplaced.ts`), or its restore failed (`failed-restore.ts`), and by a person's decision from
 * Held, ColdStarted or Abandoned to Waiting (`hand-decision.ts`).
 */
export function stepReturn(world: World, ticket: Ticket, steps: Steps): void {
  if (ticket.deleting || steps.isContested(ticket)) return;
  if (stepHandDecision(world, ticket, steps)) return;
  if (isFinal(ticket.phase)) {
    stepFinal(world, ticket, steps);
    return;
  }
  if (endWithRestored(world, ticket, steps)) return;
  endFailedPods(world, ticket, steps);
  if (ticket.phase === 'Saving' || ticket.phase === 'Displacing') stepDisplaced(world, ticket, steps);
  else if (ticket.claim === null) stepUnclaimed(world, ticket, steps);
  else stepClaimed(world, ticket, ticket.claim, steps);
}

/** Until the victim's object is gone: two pods must never continue one process. */
function stepDisplaced(world: World, ticket: Ticket, steps: Steps): void {
  const { view, nowMs } = world;
  const victim = view.podOf({ namespace: ticket.namespace, uid: ticket.pod.uid });
  if (victim !== undefined && victim.phase === 'Succeeded') {
    steps.do({ kind: 'DeleteTicket', ticket, because: 'the pod completed by itself', whileStands: null });
    return;
  }
  if (victim !== undefined && victim.deletionMs === null && !isTerminal(victim)) return; // it still runs
  if (ticket.phase === 'Saving' && world.unwanted.has(ticket.pod.uid) && !world.asked.mayGo(ticket.pod.uid)) {
    steps.move(ticket, 'Abandoned', 'PodDeleted', 'its user deleted the pod before it was evicted');
    return;
  }
  const saved = isSaved(view, ticket);
  if (victim !== undefined) {
    // The ticket of a pod that somebody deleted may have been Saving for long.
    const sinceMs = ticket.phase === 'Saving' ? (victim.deletionMs ?? ticket.phaseMs) : ticket.phaseMs;
    const abandonAtMs = sinceMs + ticket.restore.maxWaitMs;
    if (saved && ticket.phase === 'Saving') {
      const message = 'its state is saved; the pod is going';
      moveSaved(view, ticket, { phase: 'Displacing', reason: 'Evicted', message, ...evictionOf(world, ticket) }, steps);
    } else if (nowMs < abandonAtMs) steps.lookAgainAt(abandonAtMs);
    else steps.move(ticket, 'Abandoned', 'VictimRemains', 'the displaced pod was not gone within maxWait');
    return;
  }
  if (saved && isGone(world, ticket.pod.uid, steps)) {
    const queued = { phase: 'Waiting', reason: 'Queued', message: WAITS_FOR_CAPACITY } as const;
    moveSaved(view, ticket, { ...queued, ...evictionOf(world, ticket) }, steps);
  } else if (!saved && !isUndecided(world, ticket, steps) && seesAll(world, steps))
    steps.move(ticket, 'Abandoned', 'NotSaved', 'the pod went before its state was saved');
}

function evictionOf({ evicted }: World, { pod }: Ticket): { readonly evictedMs?: number } {
  const evictedMs = evicted.get(pod.uid);
  return evictedMs === undefined ? {} : { evictedMs };
}

function stepUnclaimed(world: World, ticket: Ticket, steps: Steps): void {
  const { view, nowMs } = world;
  if (ticket.phase !== 'Waiting' && ticket.phase !== 'Held') {
    steps.move(ticket, 'Waiting', 'Queued', 'the pod that was to continue it is gone');
    return;
  }
  const taker = placeTakenBy(world, ticket);
  const notAwaited = whyNotAwaited(view, ticket, taker);
  if (notAwaited !== null) {
    steps.move(ticket, 'Abandoned', notAwaited.reason, notAwaited.message);
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
    const isReplacement = keepsName(ticket.owner, ticket.pod) && other !== undefined && other.uid !== ticket.pod.uid;
    const isKnown =
      isReplacement && (makesWay(ticket, other.uid) || endsUnrestored(ticket, other) || startedCold(ticket, other));
    if (isReplacement && !isKnown && !isGated(other)) {
      steps.move(ticket, 'ColdStarted', 'NotGated', 'its replacement was created while the webhook was away');
      return;
    }
    if (taker === null || unclaimedPods(view, ownerKey(ticket.namespace, ticket.owner)).length > 0) return;
    const endsMs = Math.max(taker.creationMs, ticket.phaseMs) + REPLACED_MS;
    const message = `its controller created ${taker.name} in its place, without a review of the webhook`;
    if (nowMs < endsMs) steps.lookAgainAt(endsMs);
    else steps.move(ticket, 'ColdStarted', 'NotGated', message);
    return;
  }
  // Somebody else may be faster: an operator that watches its pods, a person. Such a pod is gated, and the step of claims decides.
  if (other === undefined) stepUnmade(world, ticket, steps);
  else if (other.ticket === ticket.name && !isGated(other) && !hasOurClass(other))
    endOfOtherClass(ticket, other, steps);
  else if (other.ticket !== ticket.name && other.uid !== ticket.pod.uid && !isGated(other)) {
    const message = `pod ${other.name} was created in its place, without a review of the webhook`;
    steps.move(ticket, 'Abandoned', 'NameTaken', message);
  }
}

function stepClaimed(world: World, ticket: Ticket, claim: NonNullable<Ticket['claim']>, steps: Steps): void {
  const { view, nowMs } = world;
  const pod = view.podOf({ namespace: ticket.namespace, uid: claim.uid });
  if (pod === undefined && !isGone(world, claim.uid, steps)) return;
  // Without a node it will never have one: what still holds the object is no process.
  if (pod === undefined || (pod.deletionMs !== null && pod.nodeName === null)) {
    // Asked once more where it is known: after this nobody comes back to what was saved.
    const whileGone = { namespace: ticket.namespace, ...claim };
    if (ticket.owner !== null || world.disrupted.has(claim.uid)) {
      steps.do({ kind: 'Claim', ticket, pod: null, whileGone });
    } else {
      const message = 'the pod was deleted before it was restored';
      steps.do({ kind: 'SetTicketPhase', ticket, phase: 'Abandoned', reason: 'PodDeleted', message, whileGone });
    }
    return;
  }
  if (pod.restored === null && (pod.deletionMs !== null || isTerminal(pod))) {
    stepEnded(ticket, pod, steps);
    return;
  }
  if (pod.restored !== null) {
    const { succeeded, reason, message } = pod.restored;
    if (succeeded) steps.move(ticket, 'Restored', 'Restored', continuesIn(pod));
    else steps.move(ticket, 'ColdStarted', reason, message);
    return;
  }
  if (pod.restoreFailure !== null && pod.nodeName !== null && pod.deletionMs === null) {
    afterFailedRestore(world, ticket, pod, pod.restoreFailure, steps);
    return;
  }
  if (!hasOurClass(pod) && (isGated(pod) || pod.ticket === ticket.name)) {
    endOfOtherClass(ticket, pod, steps);
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
    const failed = pod.gateExpired ? ticket.failedNodes.find(({ node }) => node === pod.nodeName) : undefined;
    if (failed !== undefined)
      steps.move(ticket, 'ColdStarted', 'RestoreFailed', `waited maxGate for a node other than ${failed.node}`);
    else if (ticket.phase !== 'Restoring' || stateFor(view, ticket).state !== undefined)
      moveSaved(view, ticket, { phase: 'Restoring', reason: 'Placed', message: `on ${pod.nodeName}` }, steps);
    else if (pod.phase === 'Running') {
      if (nowMs < ticket.phaseMs + RESTORE_REPORT_MS) steps.lookAgainAt(ticket.phaseMs + RESTORE_REPORT_MS);
      else
        steps.move(ticket, 'ColdStarted', 'NotReported', 'the pod runs, and its node never said that it was restored');
    } else if (!stepSilentAgent(world, ticket, pod, steps)) {
      const bytes = checkpointOf(view, ticket)?.bytes ?? 0;
      const overdueMs = ticket.phaseMs + restoredWithinMs(bytes);
      const message = 'the pod was not restored within the bound, and its node did not say why';
      if (nowMs < overdueMs) steps.lookAgainAt(overdueMs);
      else afterFailedRestore(world, ticket, pod, { reason: 'RestoreFailed', message }, steps);
    }
    return;
  }
  if (ticket.phase === 'Waiting' || ticket.phase === 'Held')
    moveSaved(view, ticket, { phase: 'Admitted', reason: 'Admitted', message: 'kube-scheduler places it' }, steps);
}

/** Says as well where the state lies, for a ticket that does not yet: this one is new, or of a version before. */
function moveSaved(view: ClusterView, ticket: Ticket, change: PhaseChange, steps: Steps): void {
  steps.do({ kind: 'SetTicketPhase', ticket, ...change, ...stateFor(view, ticket) });
}

/** Nothing is left to wait for: the state of a ticket was deleted, or is being deleted. */
function isStateGone(world: World, ticket: Ticket, steps: Steps): boolean {
  if (ticket.phase !== 'Waiting' && ticket.phase !== 'Held') return false;
  const checkpoint = checkpointOf(world.view, ticket);
  return checkpoint === undefined ? seesAll(world, steps) : checkpoint.deleting;
}
