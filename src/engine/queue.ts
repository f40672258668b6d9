import type { Checkpoint } from '../domain/checkpoint.ts';
import type { Pod } from '../domain/pod.ts';
import type { Ticket } from '../domain/ticket.ts';
import { objectKey, type NodeName } from '../domain/ids.ts';
import type { ClusterView } from '../index/types.ts';
import { isGated } from './claims.ts';
import { fits } from '../domain/resources.ts';
import { sortOf, suits, type Room, type Sort } from './room.ts';
import { checkpointOf } from './saved-state.ts';
import type { Steps, World } from './steps.ts';

/** A ticket whose pod waits behind the gate, or was let go and has no node yet. */
export interface Queued {
  readonly ticket: Ticket;
  readonly pod: Pod;
  readonly checkpoint: Checkpoint | undefined;
  /** The node that has the state on its disk. */
  readonly holder: NodeName | null;
  readonly sort: Sort;
}

/** Puts a ticket into the queue, unless something other than capacity keeps its pod behind the gate. */
export function stepQueued(world: World, ticket: Ticket, steps: Steps): void {
  const entry = queuedOf(world.view, ticket, steps);
  if (entry === null) return;
  if (!isGated(entry.pod)) {
    // Let go but not placed yet: its room is spoken for, wherever kube-scheduler will find it.
    if (!isOverdue(world, ticket, steps)) steps.queue.push(entry);
  } else if (isVictimLeft(world.view, entry)) stepVictimLeft(world, entry, steps);
  // Its watch may be behind that of the ticket; or it is gone, and the ticket ends (`return.ts`).
  else if (entry.checkpoint === undefined || entry.checkpoint.deleting) return;
  else if (isHolderGone(world.view, entry)) stepHolderGone(world, entry, steps);
  else if (ticket.failedNodes.length > 0 && !hasOtherNode(world.view, ticket, entry.pod)) stepStranded(entry, steps);
  else steps.queue.push(entry);
}

/**
 * Lifts gates where there is room: by priority, then age, with backfill. Room is what nobody stands on,
 * nobody is nominated for and no earlier ticket of this pass was given. kube-scheduler has the last word on the node. `queue`
 * is in order ({@link byTurn}). Other work may run where it yields, as long as that changes neither `queue` nor `room`.
 */
export function* admit(
  { nowMs, settings }: World,
  queue: readonly Queued[],
  room: Room,
  steps: Steps,
): Generator<void, void> {
  let looked = 0;
  try {
    for (const entry of queue) {
      if (isGated(entry.pod)) continue;
      const node = room.find(entry);
      if (node !== null) room.take(entry, node);
      if (++looked % LOOKS_OF_A_SLICE === 0) yield;
    }
    let head: Queued | null = null; // while it starves: the first that finds no room
    let isFirst = true;
    for (const entry of queue) {
      if (!isGated(entry.pod)) continue;
      if (++looked % LOOKS_OF_A_SLICE === 0) yield;
      let node = room.find(entry);
      if (node !== null && head !== null) {
        // Only now, because a search through all nodes is in vain while nothing fits anywhere.
        room.reserveBest(head);
        head = null;
        node = room.find(entry);
      }
      const expiresMs = entry.pod.creationMs + settings.maxGateMs;
      if (node !== null) {
        room.take(entry, node);
        ungate(steps, entry, 'Admitted');
      } else if (nowMs >= expiresMs) {
        ungate(steps, entry, 'GateExpired');
      } else {
        steps.lookAgainAt(expiresMs);
        const starvesAtMs = entry.ticket.phaseMs + settings.starvationMs;
        if (isFirst && nowMs < starvesAtMs) steps.lookAgainAt(starvesAtMs);
        else if (isFirst) head = entry;
      }
      isFirst = false;
    }
  } finally {
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
  return ticket.phase !== 'Waiting' || view.pod(ticket.pod.uid) !== undefined || hasFormerClaimant(view, entry);
}

/** A pod that began to continue it before still holds room on a node. */
function hasFormerClaimant(view: ClusterView, { ticket, pod }: Queued): boolean {
  if (ticket.attempts === 0 && ticket.failedNodes.length === 0) return false;
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
  for (const node of view.bareNodes()) {
    if (suits(node, entry) && fits(pod.requests, node.allocatable)) return true;
  }
  return false;
}

/** The nodes that could take it next have failed, or went: all attempts are used. */
function stepStranded({ ticket }: Queued, steps: Steps): void {
  const failed = ticket.failedNodes.map(({ node, reason }) => `${node} (${reason})`).join(', ');
  const what = `no node is left to try after ${failed}`;
  if (ticket.restore.onFailure === 'Hold') {
    steps.move(ticket, 'Held', 'Held', `${what}: held until reprieve.dev/decide says retry, cold or abandon`);
  } else steps.move(ticket, 'ColdStarted', 'RestoreFailed', what);
}

/**
 * kube-scheduler has not placed an admitted pod within the bound: no room is kept for it any more. A gate cannot be put back
 * (KEP-3521), and a Job would count a deletion; the pod stands in kube-scheduler's queue and is restored where it lands.
 */
function isOverdue({ nowMs }: World, ticket: Ticket, steps: Steps): boolean {
  if (ticket.phase !== 'Admitted') return false;
  const overdueMs = ticket.phaseMs + PLACED_WITHIN_MS;
  if (nowMs < overdueMs) steps.lookAgainAt(overdueMs);
  return nowMs >= overdueMs;
}

/** kube-scheduler flushes its unschedulable pods every five minutes: by then it has tried an admitted one again. */
const PLACED_WITHIN_MS = 300_000;

/** Its place in the queue, where it is open and its claimed pod has no node yet; else null. */
export function queuedOf(view: ClusterView, ticket: Ticket, steps: Steps): Queued | null {
  if (ticket.claim === null || ticket.deleting || steps.isContested(ticket)) return null;
  if (ticket.phase !== 'Waiting' && ticket.phase !== 'Admitted' && ticket.phase !== 'Displacing') return null;
  const pod = view.pod(ticket.claim.uid);
  if (pod === undefined || pod.nodeName !== null || pod.deletionMs !== null) return null;
  const checkpoint = checkpointOf(view, ticket);
  const candidate = { ticket, pod, checkpoint };
  return { ...candidate, holder: checkpoint?.location?.node ?? null, sort: sortOf(candidate) };
}

/** Highest priority first, then oldest, then name, then UID: total. */
export function byTurn(a: Queued, b: Queued): number {
  return (
    b.ticket.priority - a.ticket.priority ||
    a.ticket.creationMs - b.ticket.creationMs ||
    compareStrings(a.ticket.name, b.ticket.name) ||
    compareStrings(a.ticket.uid, b.ticket.uid)
  );
}

function ungate(steps: Steps, { ticket, pod, checkpoint, holder }: Queued, because: 'Admitted' | 'GateExpired'): void {
  steps.do({
    kind: 'Ungate',
    pod,
    as: {
      ticket,
      placement: {
        preferredNode: holder,
        requiredNode: ticket.restore.nodes === 'Same' ? holder : null,
        compatibility: checkpoint?.compatibility ?? null,
        excludedNodes: ticket.failedNodes.map(({ node }) => node),
      },
    },
    because,
  });
}

function compareStrings(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
