import { subtractResources } from '../../domain/resources.ts';
import { preferenceFor } from './node-affinity.ts';
import type { NodeInfo, PodInfo } from './pod-info.ts';

/** Weights of the default profile. */
const FIT_WEIGHT = 1;
const AFFINITY_WEIGHT = 2;

/** The scores of the built-in plugins, 0 to 300, by node. */
export function scoreNodes(info: PodInfo, nodes: readonly NodeInfo[]): Map<string, number> {
  const preferences = nodes.map((node) => preferenceFor(info, node.raw));
  const highest = Math.max(...preferences);
  return new Map(
    nodes.map((node, at) => {
      const preference = highest > 0 ? Math.trunc(((preferences[at] ?? 0) * 100) / highest) : 0;
      return [node.node.name, FIT_WEIGHT * leastAllocated(info, node) + AFFINITY_WEIGHT * preference];
    }),
  );
}

/** The node with the highest score; the name decides between equals. */
export function bestNode(scores: ReadonlyMap<string, number>): string {
  let best = '';
  let bestScore = -Infinity;
  for (const [name, score] of scores) {
    if (score > bestScore || (score === bestScore && name < best)) [best, bestScore] = [name, score];
  }
  return best;
}

/** The mean share of cpu and memory that stays free, 0 to 100 (`leastResourceScorer`). */
function leastAllocated({ pod }: PodInfo, { node, free }: NodeInfo): number {
  const left = subtractResources(free, pod.requests);
  const share = (free: number, total: number): number =>
    total > 0 ? Math.max(0, Math.trunc((free * 100) / total)) : 0;
  return Math.trunc(
    (share(left.cpuMilli, node.allocatable.cpuMilli) + share(left.memoryBytes, node.allocatable.memoryBytes)) / 2,
  );
}
