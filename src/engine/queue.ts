import type { Checkpoint } from '../domain/checkpoint.ts';
import type { Node } from '../domain/node.ts';
import { isTerminal, type Pod } from '../domain/pod.ts';
import { dominantShare, fits, subtractResources, type Resources } from '../domain/resources.ts';
import { selects } from '../domain/selector.ts';
import { isFinal, type Ticket } from '../domain/ticket.ts';
import { objectKey, type NodeName } from '../domain/ids.ts';
import { whyUnfit } from '../domain/toleration.ts';
import type { ClusterView, NodeSnapshot } from '../index/types.ts';
import { isGated } from './claims.ts';
import { checkpointOf, restoreObstacle } from './saved-state.ts';
import { seesAll, type Steps, type World } from './steps.ts';

/** A ticket whose pod waits behind the gate. */
export interface Queued {
  readonly ticket: Ticket;
  readonly pod: Pod;
  readonly checkpoint: Checkpoint | undefined;
  /** The node that has the state on its disk. */
  readonly holder: NodeName | null;
}

/**
 * Lifts gates where there is room (design 5.3, 5.4): by priority, then age, with backfill. Room is what nobody stands on,
 * nobody is nominated for and no earlier ticket of this pass was given. kube-scheduler has the last word on the node.
 */
export function admissionSteps(world: World, steps: Steps): void {
  const { nowMs, settings } = world;
  const room = new Room(world.view, settings.maxConcurrentRestoresPerNode);
  const waiting: Queued[] = [];
  for (const entry of queueOf(world.view, steps)) {
    // Let go but not placed yet: its room is spoken for, wherever kube-scheduler will find it.
    if (!isGated(entry.pod)) room.take(entry, room.find(entry));
    else waiting.push(entry);
  }
  waiting.sort(byTurn);
  let isHead = true;
  for (const entry of waiting) {
    const { ticket, pod } = entry;
    if (isVictimLeft(world.view, entry)) {
      stepVictimLeft(world, entry, steps);
      continue;
    }
    // Its watch may be behind that of the ticket: without it, the pod would be let go towards nothing.
    if (entry.checkpoint === undefined && !seesAll(world, steps)) continue;
    if (isHolderGone(world.view, entry)) {
      stepHolderGone(world, entry, steps);
      continue;
    }
    const expiresMs = pod.creationMs + settings.maxGateMs;
    const node = room.find(entry);
    if (node !== null) {
      room.take(entry, node);
      ungate(steps, entry, 'Admitted');
    } else if (nowMs >= expiresMs) {
      ungate(steps, entry, 'GateExpired');
    } else {
      steps.lookAgainAt(expiresMs);
      const starvesAtMs = ticket.phaseMs + settings.starvationMs;
      if (isHead) {
        if (nowMs >= starvesAtMs) room.reserveBest(entry);
        else steps.lookAgainAt(starvesAtMs);
      }
    }
    isHead = false;
  }
}

/**
 * The displaced pod's object is not gone, or that of one that began to continue it before: whatever the ticket says, nobody
 * may continue it yet.
 */
function isVictimLeft(view: ClusterView, entry: Queued): boolean {
  const { ticket } = entry;
  return ticket.phase !== 'Waiting' || view.pod(ticket.pod.uid) !== undefined || hasFormerClaimant(view, entry);
}

/** Few tickets ever had an attempt that did not end them, so a look at every pod does no harm. */
function hasFormerClaimant(view: ClusterView, { ticket, pod }: Queued): boolean {
  if (ticket.attempts === 0) return false;
  for (const { pods } of view.nodes()) {
    for (const other of pods) {
      if (other.ticket === ticket.name && other.namespace === ticket.namespace && other.uid !== pod.uid) return true;
    }
  }
  return false;
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
 * comes back under its name with its disk. But every ticket ends (design 7.4), a held one after `maxWait`.
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

/** Open tickets whose claimed pod has no node yet. */
export function* queueOf(view: ClusterView, steps: Steps): Iterable<Queued> {
  for (const ticket of view.tickets()) {
    if (ticket.claim === null || ticket.deleting || steps.isContested(ticket)) continue;
    if (ticket.phase !== 'Waiting' && ticket.phase !== 'Admitted' && ticket.phase !== 'Displacing') continue;
    const pod = view.pod(ticket.claim.uid);
    if (pod === undefined || pod.nodeName !== null || pod.deletionMs !== null) continue;
    const checkpoint = checkpointOf(view, ticket);
    yield { ticket, pod, checkpoint, holder: checkpoint?.location?.node ?? null };
  }
}

/** Highest priority first, then oldest, then name: total. */
export function byTurn(a: Queued, b: Queued): number {
  return (
    b.ticket.priority - a.ticket.priority ||
    a.ticket.creationMs - b.ticket.creationMs ||
    (a.ticket.name < b.ticket.name ? -1 : 1)
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
      },
    },
    because,
  });
}

/** What is free on each node, less what this pass has promised. Computed on first use of a node. */
class Room {
  readonly #view: ClusterView;
  readonly #maxRestores: number;
  readonly #free = new Map<NodeName, Resources>(); // node -> free after nominations and promises
  readonly #restoring = new Map<NodeName, number>(); // node -> restores under way or promised
  readonly #reserved = new Set<NodeName>(); // kept clear for the head of the queue
  readonly #hopeless: Queued[] = []; // one for each sort of pod that found no room: there is only less from then on

  constructor(view: ClusterView, maxRestores: number) {
    this.#view = view;
    this.#maxRestores = maxRestores;
  }

  /** The node that holds the state where it has room, else the emptiest compatible one; null when there is none. */
  find(entry: Queued): NodeName | null {
    if (this.#hopeless.some((other) => needsTheSame(entry, other))) return null;
    let best: NodeName | null = null;
    let bestShare = Number.POSITIVE_INFINITY;
    for (const on of this.#view.nodes()) {
      const { node } = on;
      if (this.#reserved.has(node.name) || !suits(node, entry)) continue;
      const free = this.#freeOn(on);
      if (!fits(entry.pod.requests, free) || this.#restoresOn(on) >= this.#maxRestores) continue;
      if (node.name === entry.holder) return node.name;
      const share = dominantShare(subtractResources(node.allocatable, free), node.allocatable);
      if (share < bestShare || (share === bestShare && best !== null && node.name < best)) {
        best = node.name;
        bestShare = share;
      }
    }
    if (best === null) this.#hopeless.push(entry);
    return best;
  }

  take(entry: Queued, node: NodeName | null): void {
    const on = node === null ? undefined : this.#view.node(node);
    if (on === undefined || node === null) return;
    this.#free.set(node, subtractResources(this.#freeOn(on), entry.pod.requests));
    this.#restoring.set(node, this.#restoresOn(on) + 1);
  }

  /** Keeps the node that comes nearest to fitting `entry` clear of everybody behind it. */
  reserveBest(entry: Queued): void {
    let best: NodeName | null = null;
    let bestMissing = Number.POSITIVE_INFINITY;
    for (const on of this.#view.nodes()) {
      if (!suits(on.node, entry) || !fits(entry.pod.requests, on.node.allocatable)) continue;
      const missing = dominantShare(subtractResources(entry.pod.requests, this.#freeOn(on)), on.node.allocatable);
      if (missing < bestMissing) {
        best = on.node.name;
        bestMissing = missing;
      }
    }
    if (best !== null) this.#reserved.add(best);
  }

  #freeOn(on: NodeSnapshot): Resources {
    const known = this.#free.get(on.node.name);
    if (known !== undefined) return known;
    let free = on.free;
    for (const pod of on.nominated) free = subtractResources(free, pod.requests);
    this.#free.set(on.node.name, free);
    return free;
  }

  #restoresOn(on: NodeSnapshot): number {
    const known = this.#restoring.get(on.node.name);
    if (known !== undefined) return known;
    const count = restoresUnderWay(this.#view, on);
    this.#restoring.set(on.node.name, count);
    return count;
  }
}

/** What one finds no room for, the other finds none for either. Pods of one template have one object for what they have alike. */
function needsTheSame(a: Queued, b: Queued): boolean {
  return (
    a.pod.requests === b.pod.requests &&
    a.pod.tolerations === b.pod.tolerations &&
    a.pod.nodeSelector === null &&
    b.pod.nodeSelector === null &&
    a.checkpoint?.compatibility === b.checkpoint?.compatibility &&
    a.ticket.restore.nodes === 'Any' &&
    b.ticket.restore.nodes === 'Any'
  );
}

/** Pods on this node that continue an open ticket and have not reported yet. */
export function restoresUnderWay(view: ClusterView, on: NodeSnapshot): number {
  let count = 0;
  for (const pod of on.pods) {
    if (pod.ticket === null || pod.restored !== null || isTerminal(pod)) continue;
    // One that never reports does not take a place for ever: its ticket ends some time.
    const ticket = view.ticket(objectKey(pod.namespace, pod.ticket));
    if (ticket !== undefined && !isFinal(ticket.phase)) count++;
  }
  return count;
}

/** Whether `node` may take the pod at all, whatever room there is. */
export function suits(node: Node, { ticket, pod, checkpoint }: Queued): boolean {
  if (whyUnfit(node, pod.tolerations) !== null) return false;
  if (checkpoint !== undefined && restoreObstacle(node, { ticket, checkpoint }) !== null) return false;
  return pod.nodeSelector === null || selects(pod.nodeSelector, node.labels);
}
