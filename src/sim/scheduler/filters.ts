import { fits, remainder, type Resources } from '../../domain/resources.ts';
import type { Taint } from '../../domain/node.ts';
import type { Toleration } from '../../domain/pod.ts';
import type { Nominator } from './nominator.ts';
import { matchesRequired } from './node-affinity.ts';
import type { NodeInfo, PodInfo } from './pod-info.ts';

/** The plugins that reject; what they care about decides what wakes a pod. */
export type Rejector = 'NodeUnschedulable' | 'TaintToleration' | 'NodeAffinity' | 'NodeResourcesFit' | 'Extender';

/** Why a pod does not fit on a node. `unresolvable`: no preemption changes it. */
export interface Rejection {
  readonly rejector: Rejector;
  readonly unresolvable: boolean;
  readonly reasons: readonly string[];
}

const UNSCHEDULABLE: Taint = { key: 'node.kubernetes.io/unschedulable', value: '', effect: 'NoSchedule' };
/** Set by kube-controller-manager in a real cluster; here the condition speaks for itself. */
const NOT_READY: Taint = { key: 'node.kubernetes.io/not-ready', value: '', effect: 'NoSchedule' };

/** Runs the filters in the order of the default profile; the first that rejects ends it. Null: it fits. */
function filterNode(info: PodInfo, { node, raw }: NodeInfo, free: Resources): Rejection | null {
  const { tolerations } = info.pod;
  const rejects = (rejector: Rejector, reason: string): Rejection => ({
    rejector,
    unresolvable: true,
    reasons: [reason],
  });
  if (node.unschedulable && !isTolerated(UNSCHEDULABLE, tolerations)) {
    return rejects('NodeUnschedulable', 'node(s) were unschedulable');
  }
  const taints = node.ready ? node.taints : [NOT_READY, ...node.taints];
  for (const taint of taints) {
    if (taint.effect === 'PreferNoSchedule' || isTolerated(taint, tolerations)) continue;
    return rejects('TaintToleration', `node(s) had untolerated taint {${taint.key}: ${taint.value}}`);
  }
  if (!matchesRequired(info, raw)) {
    return rejects('NodeAffinity', "node(s) didn't match Pod's node affinity/selector");
  }
  const { requests } = info.pod;
  if (fits(requests, free)) return null;
  const reasons = insufficient(requests, free);
  return { rejector: 'NodeResourcesFit', unresolvable: !fits(requests, node.allocatable), reasons };
}

/**
 * `RunFilterPluginsWithNominatedPods`: pods of at least the same priority that are nominated to the node count as if they
 * ran there. `freed` is what a dry run has removed.
 */
export function filterWithNominated(
  info: PodInfo,
  node: NodeInfo,
  nominator: Nominator,
  free: Resources = node.free,
): Rejection | null {
  const rivals = nominator.rivalsOf(info, node.node.name).map(({ pod }) => pod);
  return filterNode(info, node, remainder(free, rivals));
}

function isTolerated(taint: Taint, tolerations: readonly Toleration[]): boolean {
  return tolerations.some(
    ({ key, operator, value, effect }) =>
      (effect === null || effect === taint.effect) &&
      (key === null ? operator === 'Exists' : key === taint.key) &&
      (operator === 'Exists' || value === taint.value),
  );
}

function insufficient(requests: Resources, free: Resources): readonly string[] {
  const reasons: string[] = [];
  if (requests.pods > free.pods) reasons.push('Too many pods');
  if (requests.cpuMilli > 0 && requests.cpuMilli > free.cpuMilli) reasons.push('Insufficient cpu');
  if (requests.memoryBytes > 0 && requests.memoryBytes > free.memoryBytes) reasons.push('Insufficient memory');
  if (requests.ephemeralBytes > 0 && requests.ephemeralBytes > free.ephemeralBytes) {
    reasons.push('Insufficient ephemeral-storage');
  }
  for (const name in requests.extended) {
    const amount = requests.extended[name] ?? 0;
    if (amount > 0 && amount > (free.extended?.[name] ?? 0)) reasons.push(`Insufficient ${name}`);
  }
  return reasons;
}
