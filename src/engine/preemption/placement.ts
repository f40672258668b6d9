import { beneficiaryOf } from '../../domain/displacement.ts';
import { objectKey, type NodeName } from '../../domain/ids.ts';
import type { Pod } from '../../domain/pod.ts';
import { addResources, fits, subtractResources } from '../../domain/resources.ts';
import { isFinal, type Ticket } from '../../domain/ticket.ts';
import type { ClusterView, NodeSnapshot } from '../../index/types.ts';
import type { FilterRequest, FilterVerdict, PrioritizeVerdict } from './callbacks.ts';
import type { DisplacementBook } from '../displace/displacement-book.ts';
import { wasAdmitted } from '../return/failed-restore.ts';
import { restoresUnderWay } from '../return/place.ts';
import { byTicket } from '../return/restore-queue.ts';
import type { Reservation, RoomMemory } from '../return/room-memory.ts';
import { restoreObstacle, savedStateOf, type SavedState } from '../checkpoints/saved-state.ts';

const REFUSES_NOBODY: FilterVerdict = { refused: new Map() };
const PREFERS_NOBODY: PrioritizeVerdict = { scores: new Map() };

const ZONE_LABEL = 'topology.kubernetes.io/zone';

// kube-scheduler writes these into pod conditions: a message that changed would wake the pod at once, so no numbers in them.
const RESERVED = 'reserved for a pod whose victims are being saved';
const KEPT_CLEAR = 'is kept clear for a pod that has waited for room longer than this one may delay it';
const SATURATED = 'is restoring as many pods as it may';
const PROMISED = 'has room that was promised to another pod';
const OBSTACLES = {
  OtherClass: 'cannot restore the checkpoint of this pod',
  DoesNotHoldIt: 'does not hold the checkpoint of this pod',
  AgentSilent: 'has an agent that does not answer',
  FailedThere: 'could not restore the checkpoint of this pod before',
};

/** What keeps restored pods off nodes beside the nodes themselves. */
export interface FilterLimits {
  readonly maxRestores: number;
  /** What the queue has promised. */
  readonly room: Pick<RoomMemory, 'reservation' | 'promises'>;
}

/**
 * `filter`: keeps pods off nodes that are being emptied for others, and restored pods off nodes that cannot restore them.
 * Everybody else passes unchanged, which costs one look at the nodes of open displacements. Nodes may be refused that were not
 * asked for.
 */
export function filter(
  view: ClusterView,
  book: DisplacementBook,
  { maxRestores, room: { reservation, promises } }: FilterLimits,
  request: FilterRequest,
): FilterVerdict {
  const { pod } = request;
  if (book.size === 0 && pod.ticket === null) return REFUSES_NOBODY;
  const state = pod.gateExpired ? null : restorableState(view, pod);
  const refused = new Map<NodeName, string>();
  if (state !== null) {
    const expected = expectedBeside(view, pod, promises);
    for (const name of request.nodeNames) {
      const on = view.node(name);
      const why = on && (obstacleOf(on, state) ?? whyFull(view, on, expected, maxRestores));
      if (why) refused.set(name, why);
    }
    if (reservation !== null && isBehind(view, state.ticket, reservation)) refused.set(reservation.node, KEPT_CLEAR);
  }
  for (const node of book.nodes()) {
    const on = view.node(node);
    if (on !== undefined && isReservedFor(view, book, on, pod)) refused.set(node, RESERVED);
  }
  return { refused };
}

/**
 * The state that `pod` will continue; null where it continues none, or where its ticket has ended, so that it starts cold on any
 * node. A pod whose gate a person removed may land where the restore failed before: the person may have fixed the node.
 */
function restorableState(view: ClusterView, pod: Pod): SavedState | null {
  const state = savedStateOf(view, pod);
  if (state === null || isFinal(state.ticket.phase)) return null;
  if (state.ticket.failedNodes.length === 0 || wasAdmitted(state.ticket, pod)) return state;
  return { ...state, ticket: { ...state.ticket, failedNodes: [] } };
}

/** The node is reserved for a ticket before this one, which still waits for room. */
function isBehind(view: ClusterView, ticket: Ticket, { head }: Reservation): boolean {
  const waiting = view.ticket(objectKey(head.namespace, head.name));
  return waiting?.uid === head.uid && waiting.phase === 'Waiting' && byTicket(head, ticket) < 0;
}

/**
 * Whether taking this node would take what a preemptor of higher or equal priority is having made free: `pod` must fit into
 * what will be left once the victims are gone and the preemptor stands there.
 */
function isReservedFor(view: ClusterView, book: DisplacementBook, on: NodeSnapshot, pod: Pod): boolean {
  for (const displacement of book.on(on.node.name, pod.uid)) {
    const beneficiary = beneficiaryOf(displacement);
    if (beneficiary === null || beneficiary.priority < pod.priority) continue;
    const pending = view.pod(beneficiary.uid);
    if (pending === undefined || pending.nodeName !== null) continue;
    let left = subtractResources(on.free, pending.requests);
    for (const { uid } of displacement.pods) {
      const victim = view.pod(uid);
      if (victim !== undefined && on.pods.includes(victim)) left = addResources(left, victim.requests);
    }
    if (!fits(pod.requests, left)) return true;
  }
  return false;
}

function obstacleOf({ node }: NodeSnapshot, state: SavedState): string | null {
  const obstacle = restoreObstacle(node, state);
  return obstacle === null ? null : OBSTACLES[obstacle];
}

/** Admitted pods that have no node yet, beside the one that is asked about. */
interface Expected {
  /** The node that was promised to the pod that is asked about. */
  readonly own: NodeName | undefined;
  /** Nodes that were promised to the others. */
  readonly nodes: ReadonlySet<NodeName>;
  /** How many others kube-scheduler may just be placing on a node that was not promised to them. */
  readonly strays: number;
}

function expectedBeside(view: ClusterView, { uid, unschedulable }: Pod, promises: RoomMemory['promises']): Expected {
  const nodes = new Set<NodeName>();
  let others = 0;
  for (const [other, node] of promises) {
    if (other === uid || view.pod(other)?.nodeName !== null) continue;
    nodes.add(node);
    others++;
  }
  // A pod that kube-scheduler could not place where it was promised room must not wait until no other pod is on its way.
  return { own: promises.get(uid), nodes, strays: unschedulable ? 0 : others };
}

/**
 * kube-scheduler scores nodes by its own rules, and binds a pod while it tries the next ones, so the index sees late where a pod went.
 * While several restored pods are on their way, each takes the node that it was promised: else it would find that another pod has
 * taken its only node, or a node would restore more pods than it may.
 */
function whyFull(
  view: ClusterView,
  on: NodeSnapshot,
  { own, nodes, strays }: Expected,
  maxRestores: number,
): string | null {
  const { name } = on.node;
  const restores = restoresUnderWay(view, on);
  if (restores >= maxRestores) return SATURATED;
  return name !== own && (nodes.has(name) || restores + strays >= maxRestores) ? PROMISED : null;
}

/** `prioritize`: a restored pod is best where its state lies, then in the same zone, where the way is short. */
export function prioritize(view: ClusterView, request: FilterRequest): PrioritizeVerdict {
  const holder = restorableState(view, request.pod)?.checkpoint.location?.node;
  if (holder === undefined) return PREFERS_NOBODY;
  const zone = view.node(holder)?.node.labels[ZONE_LABEL];
  const scores = new Map<NodeName, number>();
  for (const name of request.nodeNames) {
    if (name === holder) scores.set(name, 10);
    else if (zone !== undefined && view.node(name)?.node.labels[ZONE_LABEL] === zone) scores.set(name, 5);
  }
  return { scores };
}
