import type { Displacement } from '../../domain/displacement.ts';
import { isAbout } from '../../domain/disruption-budget.ts';
import type { Pod } from '../../domain/pod.ts';
import type { Policy } from '../../domain/policy.ts';
import { serviceOf } from '../../domain/service.ts';
import type { ClusterView } from '../../index/types.ts';

/** Pods of one node that are saved for evictions at the same time: a drain asks for all at once, and the disk saves one after the other. */
const MOST_AT_A_TIME = 4;

/** Whether as many pods of the node are being saved for evictions as may be: the others wait, and run meanwhile. */
export function isNodeBusy(view: Pick<ClusterView, 'pod'>, open: Iterable<Displacement>): boolean {
  let saving = 0;
  for (const { cause, pods } of open) {
    if (cause.kind !== 'Eviction' || cause.by !== 'Eviction') continue;
    saving += pods.filter(({ uid }) => view.pod(uid)?.deletionMs === null).length;
  }
  return saving >= MOST_AT_A_TIME;
}

interface BudgetRefusal {
  /** Until somebody changes the budgets. */
  readonly isFinal: boolean;
  /** The end of a sentence about the pod. */
  readonly message: string;
}

/** Why kube-apiserver itself would refuse the eviction, by the budgets as they are; null: it would not. */
export function budgetRefusal(view: Pick<ClusterView, 'budgets'>, pod: Pod): BudgetRefusal | null {
  const [budget, another] = view.budgets(pod.namespace).filter((one) => isAbout(one, pod));
  if (budget === undefined) return null;
  if (another !== undefined)
    return { isFinal: true, message: `it has more than one PodDisruptionBudget: ${budget.name}, ${another.name}` };
  const isAllowed = budget.disruptionsAllowed > 0 || budget.disruptedPods.includes(pod.name);
  if (isAllowed || (!pod.ready && (budget.ignoresUnhealthy || budget.isMet))) return null;
  return { isFinal: false, message: `PodDisruptionBudget ${budget.name} allows no disruption now` };
}

/** Why a pod is not frozen though its policy protects it: clients would talk to it in vain. Null: nobody talks to it, or its policy says Save. */
export function whyServing(view: Pick<ClusterView, 'services'>, pod: Pod, { displacement }: Policy): string | null {
  if (displacement.servingPods === 'Save') return null;
  const service = serviceOf(pod, view.services(pod.namespace));
  return service === undefined
    ? null
    : `Service ${service.name} sends it traffic (displacement.servingPods of its policy)`;
}
