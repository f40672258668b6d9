import type { V1PodDisruptionBudget } from '@kubernetes/client-node';
import { subtractResources, withReturned } from '../../domain/resources.ts';
import { selectorOf, selects } from '../../domain/selector.ts';
import { wireOf } from '../../kube/project/wire.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { Victims } from './extender.ts';
import { filterWithNominated } from './filters.ts';
import type { Nominator } from './nominator.ts';
import type { NodeInfo, PodInfo } from './pod-info.ts';

/** What a dry run of one node says: the victims, or why not. `isError`: the node should not have been tried at all. */
export type DryRun =
  | { readonly victims: Victims }
  | { readonly victims: null; readonly reasons: readonly string[]; readonly isError: boolean };

/**
 * `SelectVictimsOnNode`: takes all pods of lower priority away, and gives back as many as there is room for, those
 * first whose eviction would break a budget, and within that the more important ones first.
 */
export function selectVictimsOn(
  info: PodInfo,
  node: NodeInfo,
  context: { readonly nominator: Nominator; readonly budgets: readonly KubeObject[]; readonly nowMs: number },
): DryRun {
  const { nominator, budgets, nowMs } = context;
  const potential = node.pods.filter(({ pod }) => pod.priority < info.pod.priority);
  if (potential.length === 0) {
    return { victims: null, reasons: ['No preemption victims found for incoming pod'], isError: false };
  }
  let free = withReturned(
    node.free,
    potential.map(({ pod }) => pod),
  );
  const rejection = filterWithNominated(info, node, nominator, free);
  if (rejection !== null) return { victims: null, reasons: rejection.reasons, isError: false };

  const byImportance = (a: PodInfo, b: PodInfo): number => compareImportance(a, b, nowMs);
  potential.sort(byImportance);
  const violating = violatingPods(potential, budgets);
  const pods: PodInfo[] = [];
  let numPdbViolations = 0;
  for (const pass of [true, false]) {
    for (const victim of potential) {
      if (violating.has(victim) !== pass) continue;
      const left = subtractResources(free, victim.pod.requests);
      if (filterWithNominated(info, node, nominator, left) === null) free = left;
      else {
        pods.push(victim);
        if (pass) numPdbViolations++;
      }
    }
  }
  if (pods.length > 0) return { victims: { pods: pods.sort(byImportance), numPdbViolations } };
  // An extender filter had refused the node, and the dry run does not ask extenders.
  return { victims: null, reasons: [`expected at least one victim pod on node "${node.node.name}"`], isError: true };
}

/** Higher priority first, then longer running; the name makes it total. A pod that has not started counts from now. */
function compareImportance(a: PodInfo, b: PodInfo, nowMs: number): number {
  if (a.pod.priority !== b.pod.priority) return b.pod.priority - a.pod.priority;
  const [start, otherStart] = [a.pod.startMs ?? nowMs, b.pod.startMs ?? nowMs];
  if (start !== otherStart) return start - otherStart;
  const [name, otherName] = [`${a.pod.namespace}/${a.pod.name}`, `${b.pod.namespace}/${b.pod.name}`];
  return name < otherName ? -1 : name > otherName ? 1 : 0;
}

/** `FilterVictimsWithPDBViolation`: budgets are used up in the order of the pods; an empty selector selects nothing here. */
function violatingPods(pods: readonly PodInfo[], budgets: readonly KubeObject[]): ReadonlySet<PodInfo> {
  const left = budgets.map((budget) => wireOf<V1PodDisruptionBudget>(budget).status?.disruptionsAllowed ?? 0);
  const violates = ({ pod }: PodInfo): boolean => {
    if (Object.keys(pod.labels).length === 0) return false;
    for (const [at, budget] of budgets.entries()) {
      const { spec, status } = wireOf<V1PodDisruptionBudget>(budget);
      if (budget.metadata.namespace !== pod.namespace) continue;
      const selector = selectorOf(spec?.selector);
      if (selector.requirements.length === 0 || !selects(selector, pod.labels)) continue;
      if (status?.disruptedPods?.[pod.name] !== undefined) continue; // its eviction is paid for
      left[at] = (left[at] ?? 0) - 1;
      if (left[at] < 0) return true;
    }
    return false;
  };
  return new Set(pods.filter(violates));
}
