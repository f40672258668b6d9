import type { Node } from '../../domain/node.ts';
import { whyExcluded } from '../../domain/node-fit.ts';
import { selectsNode } from '../../domain/node-selector.ts';
import { restoreObstacle } from '../checkpoints/saved-state.ts';
import type { Queued } from './queue.ts';

/** Pods that need the same: a search that failed for one of them fails for all. */
export interface Sort {
  readonly example: Candidate;
}

/** What decides which nodes may take the pod of a ticket. */
export type Candidate = Pick<Queued, 'ticket' | 'pod' | 'checkpoint' | 'requests'>;

type Parts = WeakMap<object, Parts | Map<string, Sort>>;
const SORTS: Parts = new WeakMap();
const NO_SELECTOR = {};

/** Pods of one template have one object for what they have alike (kube/project/part-pool.ts). */
export function sortOf(entry: Candidate): Sort {
  if (entry.ticket.restore.nodes === 'Same' || entry.ticket.failedNodes.length > 0) return { example: entry };
  const { requests } = entry;
  const { tolerations, nodeSelector } = entry.pod;
  const alike = partOf(partOf(SORTS, requests), tolerations);
  let sorts = alike.get(nodeSelector ?? NO_SELECTOR) as Map<string, Sort> | undefined;
  if (sorts === undefined) alike.set(nodeSelector ?? NO_SELECTOR, (sorts = new Map()));
  const key = entry.checkpoint === undefined ? 'none' : `class ${entry.checkpoint.compatibility ?? ''}`;
  let sort = sorts.get(key);
  if (sort === undefined) sorts.set(key, (sort = { example: entry }));
  return sort;
}

function partOf(parts: Parts, key: object): Parts {
  let part = parts.get(key) as Parts | undefined;
  if (part === undefined) parts.set(key, (part = new WeakMap()));
  return part;
}

/** Whether `node` may take the pod at all, whatever room there is. */
export function suits(node: Node, candidate: Omit<Candidate, 'requests'>): boolean {
  const { ticket, pod, checkpoint } = candidate;
  if (checkpoint !== undefined && restoreObstacle(node, { ticket, checkpoint }) !== null) return false;
  return whyExcluded(node, pod) === null;
}

/** Whether the affinity that the pod has when its gate is removed selects the node, be it ready or not. */
export function mayRestore(node: Node, { ticket, pod, checkpoint }: Omit<Candidate, 'requests'>): boolean {
  if (pod.nodeSelector !== null && !selectsNode(pod.nodeSelector, node)) return false;
  const obstacle = checkpoint === undefined ? null : restoreObstacle(node, { ticket, checkpoint });
  return obstacle === null || obstacle === 'AgentSilent';
}
