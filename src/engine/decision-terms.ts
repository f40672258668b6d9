/**
 * What holds for an open decision when policies change under it.
 *
 * A decision is carried out as it was made: its tickets repeat what the policies said then, and a policy that is deleted,
 * selects other pods now, or says Never, takes nothing back from a victim that is being saved. What a change forbids, though,
 * holds at once:
 *
 * 1. `onFailure: Refuse`: from then on nobody goes without the state that was to be saved. A plan that said Refuse stays with
 *    it too: what a change newly allows is for decisions made later.
 * 2. A shorter `maxDelay`: the preemptor waits that long and no longer. A longer one changes nothing: the node thaws the pod
 *    at a deadline that was written down.
 * 3. `decision: Always` for a victim that was to go unsaved: the decision is off, and the next one saves it.
 */
import type { Policy } from '../domain/policy.ts';
import type { Pod } from '../domain/pod.ts';
import { protectionOf, rulingPolicy } from '../domain/protection.ts';
import type { Decision, PlannedVictim } from '../domain/ticket.ts';
import type { ClusterView } from '../index/types.ts';

/** When saving must be done: the planned deadline, or an earlier one by rule 2. */
export function deadlineOf(view: ClusterView, decision: Decision): number {
  let plannedMs = Number.POSITIVE_INFINITY;
  let presentMs = Number.POSITIVE_INFINITY;
  for (const { action, terms, uid } of decision.victims) {
    if (action !== 'checkpoint' || terms === null) continue;
    const pod = view.pod(uid);
    const policy = pod && presentPolicy(view, pod);
    plannedMs = Math.min(plannedMs, terms.maxDelayMs);
    presentMs = Math.min(presentMs, terms.maxDelayMs, policy?.preemption.maxDelayMs ?? terms.maxDelayMs);
  }
  return plannedMs === Number.POSITIVE_INFINITY ? decision.deadlineMs : decision.deadlineMs - (plannedMs - presentMs);
}

/** Whether a victim that could not be saved may be evicted all the same: rule 1. */
export function mayGoUnsaved(view: ClusterView, pod: Pod, { onFailure }: PlannedVictim): boolean {
  if (onFailure === 'Refuse') return false;
  return !refusesUnsaved(view, pod);
}

/** Whether the policy of a pod, as it is now, refuses to let it go unsaved. */
export function refusesUnsaved(view: ClusterView, pod: Pod): boolean {
  const policy = presentPolicy(view, pod);
  // One that says Never has no failures to refuse: its pods are evicted unsaved anyway.
  return policy?.preemption.onFailure === 'Refuse' && policy.preemption.decision !== 'Never';
}

/** The policy that now demands that a victim be saved which was to go unsaved: rule 3. Null: none does. */
export function demandsSaving(view: ClusterView, pod: Pod, decision: Decision): Policy | null {
  const node = view.node(decision.node)?.node;
  const labels = view.namespaceLabels(pod.namespace);
  const protection = protectionOf(pod, node, view.policies(), labels, view.webhookReach());
  return protection.protected && protection.policy.preemption.decision === 'Always' ? protection.policy : null;
}

function presentPolicy(view: ClusterView, pod: Pod): Policy | undefined {
  return rulingPolicy(pod, view.policies(), view.namespaceLabels(pod.namespace));
}
