import type { Node, Taint } from './node.ts';
import type { Toleration } from './pod.ts';

/** What `kubectl cordon` stands for, as kube-scheduler's NodeUnschedulable plugin reads it. */
const CORDONED: Taint = { key: 'node.kubernetes.io/unschedulable', value: '', effect: 'NoSchedule' };

export function isTolerated(taint: Taint, tolerations: readonly Toleration[]): boolean {
  return tolerations.some(
    ({ key, operator, value, effect }) =>
      (effect === null || effect === taint.effect) &&
      (key === null || key === taint.key) &&
      (operator === 'Exists' || value === taint.value),
  );
}

/** It is cordoned, and the pod does not tolerate that. */
export function isCordonedFor({ unschedulable }: Node, tolerations: readonly Toleration[]): boolean {
  return unschedulable && !isTolerated(CORDONED, tolerations);
}

/**
 * Why `node` takes no new pod with these tolerations, as the end of a sentence about the node; null when it may. A node
 * that is not ready takes none, tolerated or not: nobody there saves, kills or starts a pod.
 */
export function whyUnfit(node: Node, tolerations: readonly Toleration[]): string | null {
  return node.ready ? whyUntolerated(node, tolerations) : 'is not ready';
}

/** The same for a node that is ready. */
export function whyUntolerated(node: Node, tolerations: readonly Toleration[]): string | null {
  if (isCordonedFor(node, tolerations)) return 'is cordoned';
  for (const taint of node.taints) {
    if (taint.effect === 'PreferNoSchedule' || isTolerated(taint, tolerations)) continue;
    return `has the taint ${taint.key}${taint.value === '' ? '' : `=${taint.value}`}:${taint.effect}, which is not tolerated`;
  }
  return null;
}
