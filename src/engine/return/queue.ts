import type { Checkpoint } from '../../domain/checkpoint.ts';
import type { Pod } from '../../domain/pod.ts';
import { podsMakingWay, wasReplaced, type Ticket } from '../../domain/ticket.ts';
import { objectKey, type NodeName } from '../../domain/ids.ts';
import type { ClusterView } from '../../index/types.ts';
import type { Placement } from '../../ports/cluster-writer.ts';
import { isGated } from './claims.ts';
import { isHeldByOthers, isKept, isResting, isTooLarge, stepTooLarge } from './hindrances.ts';
import { fits, type Resources } from '../../domain/resources.ts';
import { countedRequests } from '../fit/counted-requests.ts';
import { startColdOrHold } from './outcomes.ts';
import { keepForBeneficiaries, NewcomersOfPass } from './newcomers.ts';
import { byTurn, type RestoreQueue } from './restore-queue.ts';
import type { Room } from './room.ts';
import { inTurn } from './shares.ts';
import { sortOf, suits, type Sort } from './sorts.ts';
import { Starving } from './starving.ts';
import { isExpected, isPlacedSoon } from './unplaced.ts';
import { checkpointOf, isCalledOff } from '../checkpoints/saved-state.ts';
import { WATCH_LAG_MS, type Steps, type World } from '../core/steps.ts';

/** A ticket whose pod waits behind the gate, or was let go and has no node yet. */
export interface Queued {
  readonly ticket: Ticket;
  readonly pod: Pod;
  readonly checkpoint: Checkpoint | undefined;
  /** The node that has the state on its disk. */
  readonly holder: NodeName | null;
  /** What the pod requests of a node, without resources that kube-scheduler does not count. */
  readonly requests: Resources;
  readonly sort: Sort;
}

/** Puts a ticket into the queue, unless something other than capacity keeps its pod behind the gate. */
export function stepQueued(world: World, ticket: Ticket, steps: Steps): void {
  const entry = queuedOf(world.view, ticket, steps);
  if (entry === null) return;
  if (!isGated(entry.pod)) {
    // Not placed yet: its room is spoken for, wherever kube-scheduler will find it.
    if (isExpected(world, entry, steps) && !isHeldByOthers(entry.pod)) steps.queue.push(entry);
  } else if (isVictimLeft(world.view, entry)) stepVictimLeft(world, entry, steps);
  // Its watch may be behind that of the ticket; or it is gone, and the ticket ends (`return.ts`).
  else if (entry.checkpoint === undefined || isCalledOff(entry.checkpoint)) return;
  else if (isHolderGone(world.view, entry)) stepHolderGone(world, entry, steps);
  else if (ticket.failedNodes.length > 0 && !hasOtherNode(world.view, ticket, entry.pod)) stepStranded(entry, steps);
  else if (isTooLarge(entry)) stepTooLarge(entry, steps);
  // kube-scheduler does not look at it, and no autoscaler does: neither room nor `maxGate` is for it yet.
  else if (!isKept(entry) && !isHeldByOthers(entry.pod) && !isResting(world, entry, steps)) steps.queue.push(entry);
}

/**
 * Removes gates where there is room: by priority, then age, with shares for namespaces ({@link inTurn}) and backfill ({@link Starving}).
 * Room is what no pod has, no pod is nominated for, no more important pod is about to take ({@link NewcomersOfPass}), and no earlier
 * ticket of this pass was given. kube-scheduler has the last word on the node. Looks only at tickets that may find room
 * ({@link Room.isHopeless}), and those whose gate has expired. Other work may run where it yields, as long as that changes neither
 * `queue` nor `room`.
 */
export function* admit(world: World, queue: RestoreQueue, room: Room, steps: Steps): Generator<void, void> {
  const { nowMs, settings, roomMemory } = world;
  const { until: expired, next } = queue.createdUntil(nowMs - settings.maxGateMs);
  if (next !== undefined) steps.lookAgainAt(next.pod.creationMs + settings.maxGateMs);
  const hopeful = queue.gatedOf((sort) => !room.isHopeless(sort));
  const looked = [...new Set([...expired, ...hopeful])].sort(byTurn);
  const starving = new Starving(world, queue, room, steps);
  if (looked.length === 0 && !starving.isAnybody) {
    roomMemory.keepPromises();
    return;
  }
  const newcomers = new NewcomersOfPass(world, room, hopeful, steps);
  const leaves = new Set<Queued>();
  let looks = 0;
  try {
    keepForBeneficiaries(world, room);
    for (const entry of queue.ungated()) {
      starving.reserveBefore(entry, leaves);
      const former = roomMemory.promises.get(entry.pod.uid);
      room.expect(entry, { former, mayMove: hopeful.length > 0, isSoon: isPlacedSoon(world, entry, steps) });
      if (++looks % LOOKS_OF_A_SLICE === 0 || entry.pod.constraints !== null) yield;
    }
    // The last pass has admitted these, and the index does not show it yet: kube-scheduler may be placing them already.
    const admitted = new Set<Queued>();
    for (const entry of looked) {
      const promise = roomMemory.justPromised(entry.pod.uid, world.steadyMs);
      if (promise === undefined) continue;
      steps.lookAgainAt(nowMs + Math.ceil(promise.leftMs));
      if (room.expect(entry, { former: promise.node, mayMove: false, isSoon: true })) admitted.add(entry);
    }
    const { namespaces } = queue;
    for (const entry of inTurn(looked, (waiting) => room.isOverShare(waiting, namespaces))) {
      yield* newcomers.expectAbove(entry.ticket.priority);
      if (++looks % LOOKS_OF_A_SLICE === 0 || entry.pod.constraints !== null) yield;
      let node = admitted.has(entry) ? null : room.find(entry);
      if (node !== null && starving.reserveBefore(entry, leaves)) node = room.find(entry);
      if (node !== null) {
        room.take(entry, node);
        steps.lookAgainAt(nowMs + WATCH_LAG_MS);
      }
      if (node !== null || admitted.has(entry)) ungate(steps, entry, 'Admitted');
      else if (nowMs >= entry.pod.creationMs + settings.maxGateMs) expire(steps, entry);
      else continue;
      leaves.add(entry);
    }
  } finally {
    newcomers.end();
    roomMemory.reservation = room.reservation;
    roomMemory.setPromises(room.promises, world.steadyMs);
    room.giveBack();
  }
}

/** Searches between two looks at the clock. */
const LOOKS_OF_A_SLICE = 16;

/**
 * The displaced pod's object is not gone, or that of one that began to continue it before: whatever the ticket says, nobody
 * may continue it yet.
 */
function isVictimLeft(view: ClusterView, entry: Queued): boolean {
  const { ticket } = entry;
  return (
    ticket.phase !== 'Waiting' ||
    view.podOf({ namespace: ticket.namespace, uid: ticket.pod.uid }) !== undefined ||
    hasFormerClaimant(view, entry)
  );
}

/** A pod that began to continue it before still holds room on a node. */
function hasFormerClaimant(view: ClusterView, { ticket, pod }: Queued): boolean {
  if (ticket.attempts === 0 && podsMakingWay(ticket).length === 0) return false;
  return view.podsOfTicket(objectKey(ticket.namespace, ticket.name)).some(({ uid }) => uid !== pod.uid);
}

/**
 * A pod on a dead node, or one that ended and that nobody removes, may stay for ever. Its replacement does not: after
 * `maxGate` the ticket ends, and so does the gate, as for everybody whose ticket has ended.
 */
function stepVictimLeft({ nowMs, settings }: World, { ticket, pod }: Queued, steps: Steps): void {
  const expiresMs = pod.creationMs + settings.maxGateMs;
  if (nowMs < expiresMs) steps.lookAgainAt(expiresMs);
  else steps.move(ticket, 'ColdStarted', 'VictimRemains', 'the displaced pod was not gone within maxGate');
}

/** It may continue only where its state lies, and there is no such place. */
function isHolderGone(view: ClusterView, { ticket, holder }: Queued): boolean {
  return ticket.restore.nodes === 'Same' && (holder === null || view.node(holder) === undefined);
}

/**
 * Let go with its ticket, it would be bound to a node that does not exist and be pending for ever; so it starts cold. Not
 * at once where the policy says `onFailure: Hold`: somebody rather waits than loses the work, and a node that was stopped
 * comes back under its name with its disk. But every ticket ends (invariant 4 in ARCHITECTURE.md), a held one after
 * `maxWait`.
 */
function stepHolderGone({ nowMs }: World, { ticket, holder }: Queued, steps: Steps): void {
  const heldUntilMs = ticket.restore.onFailure === 'Hold' ? ticket.phaseMs + ticket.restore.maxWaitMs : nowMs;
  if (nowMs < heldUntilMs) steps.lookAgainAt(heldUntilMs);
  else
    steps.move(
      ticket,
      'ColdStarted',
      'HolderGone',
      holder === null ? 'its state is gone' : `node ${holder} that held its state is gone`,
    );
}

/** A node that has not failed could restore it, once it has room. */
export function hasOtherNode(view: ClusterView, ticket: Ticket, pod: Pod): boolean {
  const entry = { ticket, pod, checkpoint: checkpointOf(view, ticket) };
  const requests = countedRequests(view, pod);
  for (const node of view.bareNodes()) {
    if (suits(node, entry) && fits(requests, node.allocatable)) return true;
  }
  return false;
}

/** The nodes that could take it next have failed, or went: all attempts are used. */
function stepStranded({ ticket }: Queued, steps: Steps): void {
  const failed = ticket.failedNodes.map(({ node, reason }) => `${node} (${reason})`).join(', ');
  startColdOrHold(ticket, 'RestoreFailed', `no node is left to try after ${failed}`, steps);
}

/** Its place in the queue, where it is open and its claimed pod has no node yet; else null. */
export function queuedOf(view: ClusterView, ticket: Ticket, steps: Steps): Queued | null {
  if (ticket.claim === null || ticket.deleting || steps.isContested(ticket)) return null;
  if (ticket.phase !== 'Waiting' && ticket.phase !== 'Admitted' && ticket.phase !== 'Displacing') return null;
  const pod = view.podOf({ namespace: ticket.namespace, ...ticket.claim });
  if (pod === undefined || pod.nodeName !== null || pod.deletionMs !== null) return null;
  const checkpoint = checkpointOf(view, ticket);
  const candidate = { ticket, pod, checkpoint, requests: countedRequests(view, pod) };
  return { ...candidate, holder: checkpoint?.location?.node ?? null, sort: sortOf(candidate) };
}

/**
 * Its state cannot be restored where agents do not answer, and a pod that names a ticket does not start without its agent. So the
 * ticket of a pod that was replaced for that ends, and the next pod starts cold like any other.
 */
function expire(steps: Steps, entry: Queued): void {
  const { ticket } = entry;
  if (wasReplaced(ticket, 'AgentSilent') && ticket.restore.onFailure === 'ColdStart')
    steps.move(
      ticket,
      'ColdStarted',
      'RestoreFailed',
      'the agent of its node did not answer, and no other node has room',
    );
  else ungate(steps, entry, 'GateExpired');
}

function ungate(steps: Steps, entry: Queued, because: 'Admitted' | 'GateExpired'): void {
  const { ticket, pod } = entry;
  // A pod that was placed nowhere, with our requirements, is admitted a second time without any.
  const isFree = because === 'GateExpired' || wasReplaced(ticket, 'NotPlaced');
  const anywhere = isFree && ticket.restore.onFailure === 'ColdStart';
  const placement = anywhere ? ANYWHERE : whereRestorable(entry);
  steps.do({ kind: 'Ungate', pod, as: { ticket, placement }, because });
}

/**
 * Autoscalers know nothing of compatibility classes, so they would add no node for a pod that requires one. Several versions of
 * Karpenter refuse a pod with any affinity to the name of a node (`validateNodeSelectorTerm`), so the source node is not even
 * preferred; `prioritize` prefers it. Under `onFailure: Hold` the pod must not start cold, so a node that cannot restore it is of
 * no use: its requirements stay.
 */
const ANYWHERE: Placement = {
  preferredNode: null,
  requiredNode: null,
  compatibility: null,
  excludedNodes: [],
  anywhere: true,
};

function whereRestorable({ ticket, checkpoint, holder }: Queued): Placement {
  return {
    preferredNode: holder,
    requiredNode: ticket.restore.nodes === 'Same' ? holder : null,
    compatibility: checkpoint?.compatibility ?? null,
    excludedNodes: ticket.failedNodes.map(({ node }) => node),
    anywhere: false,
  };
}
