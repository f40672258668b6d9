import { fits, type Resources } from '../../domain/resources.ts';
import { selectsNode } from '../../domain/node-selector.ts';
import { isCordonedFor, whyUntolerated } from '../../domain/toleration.ts';
import type { TicketBlocker } from '../../ports/cluster-writer.ts';
import { unclaimedOn } from '../../index/node-capacity.ts';
import type { ClusterView, NodeSnapshot } from '../../index/types.ts';
import { restoreObstacle } from '../checkpoints/saved-state.ts';
import { FIT_OBSTACLES, podFitOf, type FitObstacle, type PodFit } from '../fit/pod-fit.ts';
import { restoresUnderWay } from './place.ts';
import type { Queued } from './queue.ts';
import { mayRestore } from './sorts.ts';

/** Why a node does not take the pod of a ticket, and what `kubectl describe` says of such nodes; in the order in which they are asked. */
const WORDS = {
  OtherClass: 'of another compatibility class',
  DoesNotHoldIt: 'that do not hold the state',
  FailedThere: 'that could not restore it before',
  AgentSilent: 'with an agent that does not answer',
  NotReady: 'not ready',
  Cordoned: 'cordoned',
  Tainted: 'with a taint that the pod does not tolerate',
  NotSelected: 'that the pod does not select',
  Saturated: 'that restore as many pods as they may',
  InsufficientCpu: 'with too little cpu',
  InsufficientMemory: 'with too little memory',
  InsufficientStorage: 'with too little ephemeral storage',
  InsufficientPods: 'with as many pods as they may have',
  InsufficientExtended: 'with too little of another resource',
  Promised: 'promised to earlier pods',
} as const;

export type Blocker = keyof typeof WORDS | FitObstacle;

export function wordsOf(blocker: Blocker): string {
  return isFitObstacle(blocker) ? `where ${FIT_OBSTACLES[blocker]}` : WORDS[blocker];
}

function isFitObstacle(blocker: Blocker): blocker is FitObstacle {
  return Object.hasOwn(FIT_OBSTACLES, blocker);
}

/** How many nodes there are for each first reason, the most frequent first. Looks at every node. */
export function blockersOf(view: ClusterView, maxRestores: number, entry: Queued): readonly TicketBlocker<Blocker>[] {
  const counts = new Map<Blocker, number>();
  const fit = podFitOf({ view, pod: entry.pod, mayTake: (node) => mayRestore(node, entry) });
  for (const on of view.nodes()) {
    const reason = blockerOn(view, on, { maxRestores, entry, fit });
    counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  return [...counts]
    .map(([reason, nodes]) => ({ reason, nodes }))
    .sort((a, b) => b.nodes - a.nodes || (a.reason < b.reason ? -1 : 1));
}

function blockerOn(
  view: ClusterView,
  on: NodeSnapshot,
  { maxRestores, entry, fit }: { readonly maxRestores: number; readonly entry: Queued; readonly fit: PodFit | null },
): Blocker {
  const { ticket, checkpoint, pod } = entry;
  const { node } = on;
  const obstacle = checkpoint === undefined ? null : restoreObstacle(node, { ticket, checkpoint });
  if (obstacle !== null) return obstacle;
  if (!node.ready) return 'NotReady';
  if (isCordonedFor(node, pod.tolerations)) return 'Cordoned';
  if (whyUntolerated(node, pod.tolerations) !== null) return 'Tainted';
  if (pod.nodeSelector !== null && !selectsNode(pod.nodeSelector, node)) return 'NotSelected';
  if (restoresUnderWay(view, on) >= maxRestores) return 'Saturated';
  const free = unclaimedOn(on);
  if (!fits(entry.requests, free)) return scarceOf(entry.requests, free);
  return fit?.(on) ?? 'Promised';
}

function scarceOf(requests: Resources, free: Resources): Blocker {
  if (requests.cpuMilli > 0 && requests.cpuMilli > free.cpuMilli) return 'InsufficientCpu';
  if (requests.memoryBytes > 0 && requests.memoryBytes > free.memoryBytes) return 'InsufficientMemory';
  if (requests.ephemeralBytes > 0 && requests.ephemeralBytes > free.ephemeralBytes) return 'InsufficientStorage';
  return requests.pods > 0 && requests.pods > free.pods ? 'InsufficientPods' : 'InsufficientExtended';
}
