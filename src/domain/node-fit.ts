import type { Node } from './node.ts';
import { selectsNode } from './node-selector.ts';
import type { Pod } from './pod.ts';
import { whyUnfit } from './toleration.ts';

/** What a pod says of the nodes on which it may run. */
export type NodeWishes = Pick<Pod, 'tolerations' | 'nodeSelector'>;

/** Why `node` takes no such pod, however much room it has, as the end of a sentence about the node; null when it may. */
export function whyExcluded(node: Node, { tolerations, nodeSelector }: NodeWishes): string | null {
  const unfit = whyUnfit(node, tolerations);
  if (unfit !== null) return unfit;
  if (nodeSelector === null || selectsNode(nodeSelector, node)) return null;
  return 'does not match the node selector or the node affinity of the pod';
}
