/**
 * What holds for an open displacement when policies change under it.
 *
 * A displacement is carried out as it was made: its tickets repeat what the policies said then, and a policy that is deleted,
 * selects other pods now, or says Never, takes nothing back from a victim that is being saved. What a change forbids, though,
 * holds at once:
 *
 * 1. `onFailure: Refuse`: from then on nobody goes without the state that was to be saved. A plan that said Refuse stays with
 *    it too: what a change newly allows is for displacements made later.
 * 2. A shorter `maxDelay`: the preemptor waits that long and no longer. A longer one changes nothing: the node thaws the pod
 *    at a deadline that was written down.
 *    Pods of the system are an exception: for a beneficiary of at least their priority a victim goes unsaved in the end. Else a program
 *    that cannot be dumped, and a label that any tenant may set, would keep them off a node for good.
 * 3. `decision: Always` for a victim that was to go unsaved: the displacement is off, and the next one saves it.
 */
import type { Policy } from '../../domain/policy.ts';
import type { Pod } from '../../domain/pod.ts';
import { rulingPolicy } from '../../domain/protection.ts';
import { beneficiaryOf, type Displacement, type DisplacedPod } from '../../domain/displacement.ts';
import type { ClusterView } from '../../index/types.ts';
import { protectionIn } from '../policies/protection-in.ts';

/** When saving must be done: the planned deadline, or an earlier one by rule 2. */
export function deadlineOf(view: ClusterView, displacement: Displacement): number {
  let plannedMs = Number.POSITIVE_INFINITY;
  let presentMs = Number.POSITIVE_INFINITY;
  for (const { plan, terms, uid } of displacement.pods) {
    if (plan !== 'Save' || terms === null) continue;
    const pod = view.pod(uid);
    const policy = pod && presentPolicy(view, pod);
    plannedMs = Math.min(plannedMs, terms.maxDelayMs);
    presentMs = Math.min(presentMs, terms.maxDelayMs, policy?.preemption.maxDelayMs ?? terms.maxDelayMs);
  }
  return plannedMs === Number.POSITIVE_INFINITY
    ? displacement.deadlineMs
    : displacement.deadlineMs - (plannedMs - presentMs);
}

/** Whether a victim that could not be saved may be evicted all the same: rule 1. */
export function mayGoUnsaved(
  view: ClusterView,
  pod: Pod,
  { onFailure }: DisplacedPod,
  displacement: Displacement,
): boolean {
  if (isForSystem(view, displacement)) return true;
  if (onFailure === 'Refuse') return false;
  return !refusesUnsaved(view, pod);
}

/** `system-cluster-critical` and above; the priority is that of the index. */
function isForSystem(view: ClusterView, displacement: Displacement): boolean {
  const beneficiary = beneficiaryOf(displacement);
  const pod = beneficiary === null ? undefined : view.pod(beneficiary.uid);
  return pod !== undefined && pod.priority >= SYSTEM_PRIORITY;
}

/**
 * The same for the deletion of a pod by somebody else, whose request names no beneficiary: a pod that kube-scheduler makes room for is
 * nominated for the node.
 */
export function isInWayOfSystem(view: ClusterView, { nodeName, priority }: Pod): boolean {
  const nominated = nodeName === null ? [] : (view.node(nodeName)?.nominated ?? []);
  return nominated.some((pod) => pod.priority >= SYSTEM_PRIORITY && pod.priority > priority);
}

/** Of `system-cluster-critical` (Kubernetes, pkg/apis/scheduling). No user may give a PriorityClass as much. */
const SYSTEM_PRIORITY = 2_000_000_000;

/** Whether the policy of a pod, as it is now, refuses to let it go unsaved. */
export function refusesUnsaved(view: ClusterView, pod: Pod): boolean {
  const policy = presentPolicy(view, pod);
  // One that says Never has no failures to refuse: its pods are evicted unsaved anyway.
  return policy?.preemption.onFailure === 'Refuse' && policy.preemption.decision !== 'Never';
}

/** The policy that now demands that a victim be saved which was to go unsaved: rule 3. Null: none does. */
export function demandsSaving(view: ClusterView, pod: Pod, { node: name }: DisplacedPod): Policy | null {
  const protection = protectionIn(view, pod, view.node(name)?.node);
  return protection.protected && protection.policy.preemption.decision === 'Always' ? protection.policy : null;
}

function presentPolicy(view: ClusterView, pod: Pod): Policy | undefined {
  return rulingPolicy(pod, view.policies(), view.namespaceLabels(pod.namespace));
}
