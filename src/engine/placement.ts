import type { NodeName } from '../domain/ids.ts';
import type { Pod } from '../domain/pod.ts';
import { addResources, fits, subtractResources } from '../domain/resources.ts';
import type { ClusterView, NodeSnapshot } from '../index/types.ts';
import type { FilterRequest, FilterVerdict, PrioritizeVerdict } from './callbacks.ts';
import type { DecisionBook } from './decision-book.ts';
import { wasAdmitted } from './failed-restore.ts';
import { restoresUnderWay } from './room.ts';
import { restoreObstacle, savedStateOf, type SavedState } from './saved-state.ts';

const REFUSES_NOBODY: FilterVerdict = { refused: new Map() };
const PREFERS_NOBODY: PrioritizeVerdict = { scores: new Map() };

const ZONE_LABEL = 'topology.kubernetes.io/zone';

// kube-scheduler writes these into pod conditions: a message that changed would wake the pod at once, so no numbers in them.
const RESERVED = 'reserved for a pod whose victims are being saved';
const SATURATED = 'is restoring as many pods as it may';
const OBSTACLES = {
  OtherClass: 'cannot restore the checkpoint of this pod',
  DoesNotHoldIt: 'does not hold the checkpoint of this pod',
  AgentSilent: 'has an agent that does not answer',
  FailedThere: 'could not restore the checkpoint of this pod before',
};

/**
 * `filter`: keeps pods off nodes that are being emptied for others, and restored pods off nodes that cannot restore them.
 * Everybody else passes unchanged, which costs one look at the nodes of open decisions. Nodes may be refused that were not
 * asked for.
 */
export function filter(
  view: ClusterView,
  book: DecisionBook,
  maxRestores: number,
  request: FilterRequest,
): FilterVerdict {
  const { pod } = request;
  if (book.size === 0 && pod.ticket === null) return REFUSES_NOBODY;
  const state = restorableState(view, pod);
  const refused = new Map<NodeName, string>();
  if (state !== null) {
    for (const name of request.nodeNames) {
      const on = view.node(name);
      const why = on && whyNotHere(view, on, state, maxRestores);
      if (why) refused.set(name, why);
    }
  }
  for (const { node } of book.all()) {
    const on = view.node(node);
    if (on !== undefined && isReservedFor(view, book, on, pod)) refused.set(node, RESERVED);
  }
  return { refused };
}

/** One whose gate a person removed may land where the restore failed before: the person may have fixed the node. */
function restorableState(view: ClusterView, pod: Pod): SavedState | null {
  const state = savedStateOf(view, pod);
  if (state === null || state.ticket.failedNodes.length === 0 || wasAdmitted(state.ticket, pod)) return state;
  return { ...state, ticket: { ...state.ticket, failedNodes: [] } };
}

/**
 * Whether taking this node would take what a preemptor of higher or equal priority is having made free: `pod` must fit into
 * what will be left once the victims are gone and the preemptor stands there.
 */
function isReservedFor(view: ClusterView, book: DecisionBook, on: NodeSnapshot, pod: Pod): boolean {
  for (const decision of book.on(on.node.name, pod.uid)) {
    if (decision.preemptor.priority < pod.priority) continue;
    const preemptor = view.pod(decision.preemptor.uid);
    if (preemptor === undefined || preemptor.nodeName !== null) continue;
    let left = subtractResources(on.free, preemptor.requests);
    for (const { uid } of decision.victims) {
      const victim = view.pod(uid);
      if (victim !== undefined && on.pods.includes(victim)) left = addResources(left, victim.requests);
    }
    if (!fits(pod.requests, left)) return true;
  }
  return false;
}

function whyNotHere(view: ClusterView, on: NodeSnapshot, state: SavedState, maxRestores: number): string | null {
  const obstacle = restoreObstacle(on.node, state);
  if (obstacle !== null) return OBSTACLES[obstacle];
  return restoresUnderWay(view, on) >= maxRestores ? SATURATED : null;
}

/** `prioritize`: a restored pod is best where its state lies, then in the same zone, where the way is short. */
export function prioritize(view: ClusterView, request: FilterRequest): PrioritizeVerdict {
  const holder = savedStateOf(view, request.pod)?.checkpoint.location?.node;
  if (holder === undefined) return PREFERS_NOBODY;
  const zone = view.node(holder)?.node.labels[ZONE_LABEL];
  const scores = new Map<NodeName, number>();
  for (const name of request.nodeNames) {
    if (name === holder) scores.set(name, 10);
    else if (zone !== undefined && view.node(name)?.node.labels[ZONE_LABEL] === zone) scores.set(name, 5);
  }
  return { scores };
}
