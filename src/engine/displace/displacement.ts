/**
 * Displacing pods: from an open displacement to victims that are saved and evicted, or thawed as if nothing had been. Begin with this
 * file, then `victim-state.ts`.
 *
 *     DisplacementBook ──> stepDisplacement ─┬─ unfinished victims: ticket, then PodCheckpoint
 *                                            ├─ all ready: barrier.ts ──> Evict
 *                                            └─ over: closed ──> stepLeftover, for each ticket whose victim still runs
 *
 * - `displacement-book.ts`: the open displacements, by id, node and beneficiary.
 * - `victim-state.ts`: where one victim stands, and the write that it lacks.
 * - `barrier.ts`, `barrier-waits.ts`: replicas that have not seen the tickets yet.
 * - `displacement-terms.ts`: what holds when policies change meanwhile; `adoption.ts`: what a higher displacement takes over.
 * - `contradictions.ts`: records that cannot all be true; `evidence.ts`: what the index must show of a displacement.
 * - `close-reasons.ts`, `frozen-pods.ts`, `unprotected-eviction.ts`: what is told.
 *
 * Invariants:
 * 1. Ticket, then PodCheckpoint, then eviction: a victim that is to be saved is evicted only with a ticket that names its state.
 * 2. A victim is evicted only if it is saved, frozen and marked, covered by a fresh checkpoint, never protected, or if its policy lets
 *    it go unsaved. The delete carries the resourceVersion in which that was seen.
 * 3. No eviction before everything that speaks for it is in the index: every victim, the tickets, and the replicas behind the barrier.
 * 4. Undo is no path of its own. A displacement that is closed leaves tickets whose victims run; the checkpoints are released, so
 *    that the nodes thaw the pods, and each ticket goes when the agent has said so.
 * 5. No deadline is moved: a hold that is taken over ends when it would have ended.
 */
import type { Checkpoint } from '../../domain/checkpoint.ts';
import { isTerminal, standsOn, wantsRoom, type Pod } from '../../domain/pod.ts';
import { beneficiaryOf, nodesOf, type DisplacedPod, type Displacement } from '../../domain/displacement.ts';
import { isBeforeEviction, type Ticket } from '../../domain/ticket.ts';
import type { Ending } from '../causes/cause-rules.ts';
import { isEvictedByOthers, outranks, rulesOf, subjectOf } from '../causes/causes.ts';
import { isAdopted, isTakenOver } from './adoption.ts';
import { whyContradicted } from './evidence.ts';
import { stepBarrier } from './barrier.ts';
import type { CloseReason } from './close-reasons.ts';
import { deadlineOf, demandsSaving, mayGoUnsaved } from './displacement-terms.ts';
import { checkpointOf, isSaved } from '../checkpoints/saved-state.ts';
import { isGone, seesAll, type Steps, type World } from '../core/steps.ts';
import { victimState, type VictimState } from './victim-state.ts';

/**
 * Prepare, commit, evict, undo ("The life of one preempt call" in ARCHITECTURE.md, steps 5 to 7), for an open displacement;
 * {@link stepLeftover} is for what a closed one left behind.
 *
 * Prepare: tickets, then checkpoints, one write a victim at a time; the preemptor is nominated meanwhile. Commit is the
 * moment no victim is unfinished; from then on each pass evicts whoever still stands. Undo is no path of its own: when a
 * displacement is closed, its tickets whose victims still run are leftovers, and leftovers are removed.
 */
export function stepDisplacement(world: World, displacement: Displacement, steps: Steps): void {
  const { view } = world;
  const rules = rulesOf(displacement);
  const over =
    rules.ending(world, displacement, steps) ??
    whyContradicted(world, displacement) ??
    whyPaused(world) ??
    whyNotItsTurn(world, displacement, steps);
  if (over !== null) {
    steps.close(displacement, over.because, over.message);
    return;
  }

  // Nothing is written before the index shows that the pod waits: kube-scheduler's watch may be ahead of ours, and a record may be forged.
  const beneficiary = beneficiaryOf(displacement);
  const waiting = beneficiary === null ? null : view.pod(beneficiary.uid);
  if (waiting !== null && (waiting === undefined || !wantsRoom(waiting))) return;

  const deadlineMs = deadlineOf(view, displacement);
  const states = displacement.pods.map((victim) => {
    return { victim, state: victimState(world, displacement, victim, { deadlineMs, steps }) };
  });
  for (const { victim, state } of states) {
    const obstacle = obstacleTo(world, displacement, { victim, state });
    if (obstacle === null) continue;
    steps.close(displacement, obstacle.because, `${victim.namespace}/${victim.name}: ${obstacle.message}`);
    return;
  }

  rules.whileOpen(world, displacement, steps);
  const unfinished = states.filter(({ state }) => state.kind === 'unfinished');
  if (unfinished.length > 0) {
    for (const { state } of unfinished) if (state.kind === 'unfinished' && state.next !== null) steps.do(state.next);
    steps.lookAgainAt(deadlineMs);
    if (displacement.commit === 'AllSaved') return;
  }
  // An eviction cannot be taken back: no pod is evicted before all that speaks for it is in the index.
  if (displacement.pods.some(({ uid }) => view.pod(uid) === undefined && !isGone(world, uid, steps))) return;
  if (!stepEvictions(world, displacement, states, { deadlineMs, steps })) return;
  if (states.every(({ state }) => state.kind === 'gone')) rules.afterGone(world, displacement, steps);
}

interface VictimInState {
  readonly victim: DisplacedPod;
  readonly state: VictimState;
}

/** Evicts who is ready, or may go unsaved, where that is ours to do. False: nobody yet, or the displacement is over. */
function stepEvictions(
  world: World,
  displacement: Displacement,
  states: readonly VictimInState[],
  { deadlineMs, steps }: { readonly deadlineMs: number; readonly steps: Steps },
): boolean {
  const { inVain, disruption } = rulesOf(displacement);
  if (disruption === null) return true;
  const isToEvict = states.some(({ state }) => state.kind === 'ready' || state.kind === 'failed');
  const vain = isToEvict ? inVain(world, displacement) : null;
  if (vain !== null) {
    steps.close(displacement, vain.because, vain.message);
    return false;
  }
  const barrier = stepBarrier(world, displacement, states, { deadlineMs, steps });
  if (barrier === 'waits') return false;
  if (barrier !== 'passed') {
    steps.close(displacement, 'DeadlineExceeded', barrier.message);
    return false;
  }
  for (const { victim, state } of states) {
    if (state.kind !== 'ready' && state.kind !== 'failed') continue;
    steps.do({
      kind: 'Evict',
      order: {
        victim: { namespace: victim.namespace, name: victim.name, uid: victim.uid },
        frozenBy: state.kind === 'ready' ? state.frozenBy : null,
        thawAtMs: state.kind === 'ready' ? state.thawAtMs : null,
        disruption: disruption(displacement),
      },
      victim,
      displacement,
      unsaved: state.kind === 'failed' ? `${state.reason}: ${state.message}` : null,
    });
  }
  return true;
}

/** Why a victim may not be evicted as things stand, so that its displacement is off; null where it may, or where that is still open. */
function obstacleTo(
  { view, book, steadyMs }: World,
  displacement: Displacement,
  { victim, state }: VictimInState,
): { readonly because: CloseReason; readonly message: string } | null {
  // What was refused to us is nothing to whoever else deletes the pod.
  const refusal = isEvictedByOthers(displacement) ? undefined : book.refusalOf(victim.uid);
  if (refusal?.act === 'evict' && steadyMs < refusal.untilMs && (state.kind === 'ready' || state.kind === 'failed'))
    return { because: 'EvictionRefused', message: `${refusal.reason}: ${refusal.message}` };
  if (state.kind === 'failed' && !mayGoUnsaved(view, state.pod, victim, displacement)) {
    const because = state.reason === 'DeadlineExceeded' ? 'DeadlineExceeded' : 'CheckpointFailed';
    return { because, message: state.message };
  }
  if (state.kind === 'ready' && victim.plan === 'Evict') {
    const policy = demandsSaving(view, state.pod, victim);
    if (policy !== null) return { because: 'PolicyChanged', message: `policy ${policy.name} now wants it saved first` };
  }
  return null;
}

/** What is frozen is thawed; a pod whose deletion has begun comes back by its ticket. */
function whyPaused({ view }: World): Ending | null {
  const why = view.pausedFor();
  return why === null ? null : { because: 'Paused', message: `operators have paused Reprieve: ${why}` };
}

/** Another displacement has the node, or what this one was to take over is gone. */
function whyNotItsTurn(world: World, displacement: Displacement, steps: Steps): Ending | null {
  const { view, book } = world;
  for (const node of nodesOf(displacement)) {
    for (const other of book.on(node)) {
      // One that a predecessor had closed, and could not undo any more.
      if (other.id !== displacement.id && outranks(view, other, displacement))
        return { because: 'Superseded', message: `${subjectOf(other)} takes node ${node}` };
    }
  }
  for (const victim of displacement.pods) {
    if (!isTakenOver(displacement, victim) || view.ticketOfVictim(victim) !== undefined) continue;
    if (standsOn(view.pod(victim.uid), victim.node) && seesAll(world, steps))
      return { because: 'HoldLost', message: `the ticket of ${victim.namespace}/${victim.name} was removed` };
  }
  return null;
}

/** A ticket whose displacement is over and whose victim was not evicted: the pod goes on as if nothing had been. */
export function stepLeftover(world: World, ticket: Ticket, steps: Steps): void {
  if (!isBeforeEviction(ticket.phase) || ticket.deleting) return;
  if (world.book.get(ticket.displacement.id) !== undefined || isAdopted(world.book, ticket)) return;
  const { view } = world;
  const victim = view.podOf({ namespace: ticket.namespace, uid: ticket.pod.uid });
  if (victim === undefined || victim.deletionMs !== null) return; // its eviction was on the way: the ticket stands
  if (isTerminal(victim) && isSaved(view, ticket)) return; // others ended it while it was held: it comes back as if evicted
  const because = `${subjectOf(ticket.displacement)} is off`;
  withdraw(world, ticket, victim, because, steps);
}

/** Undoes a ticket whose victim runs on: its PodCheckpoint is released first, so that the agent thaws the pod; then the ticket is deleted. */
export function withdraw({ view }: World, ticket: Ticket, victim: Pod, because: string, steps: Steps): void {
  const checkpoint = checkpointOf(view, ticket);
  // What holds no pod frozen is left to retention: a failed checkpoint for people to read, a reused one to its maker.
  if (
    checkpoint?.keepFrozen === true &&
    checkpoint.owner !== null &&
    checkpoint.failure === null &&
    !checkpoint.released
  ) {
    if (checkpoint.release === null && !checkpoint.deleting)
      steps.do({ kind: 'ReleaseCheckpoint', checkpoint, victim, because });
    return; // the ticket stays until the node has thawed the pod: a witness that something is still frozen
  }
  steps.do({ kind: 'DeleteTicket', ticket, because, whileStands: victim });
}

/**
 * How long a deleted checkpoint waits for an agent that is silent. Far longer than an agent needs to start again, which then
 * thaws the pod and removes the files itself; and the end of the wait for whoever deletes a namespace or the CRDs.
 */
export const SILENT_AGENT_MS = 600_000;

/**
 * The same where the node does not carry the agent's label either: an agent that is stopped takes the label off, and one that is upgraded
 * puts it back within this.
 */
export const REMOVED_AGENT_MS = 30_000;

/** A deleted checkpoint whose agent does not remove its finalizer: the node is gone, or the agent was removed or is silent for too long. */
export function stepDeletedCheckpoint({ view, nowMs }: World, checkpoint: Checkpoint, steps: Steps): void {
  if (!checkpoint.deleting) return;
  const on = view.node(checkpoint.nodeName);
  if (on !== undefined && !on.node.agentSilent) return;
  const waitMs = on?.node.canCheckpoint === false ? REMOVED_AGENT_MS : SILENT_AGENT_MS;
  const releaseMs = on === undefined ? nowMs : (checkpoint.deletionMs ?? nowMs) + waitMs;
  if (nowMs < releaseMs) steps.lookAgainAt(releaseMs);
  else steps.do({ kind: 'RemoveFinalizer', checkpoint });
}
