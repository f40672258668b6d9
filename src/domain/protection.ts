import type { Node } from './node.ts';
import { isTerminal, isTerminating, type Pod } from './pod.ts';
import type { Policy } from './policy.ts';
import { selects } from './selector.ts';

/** Whether a victim is saved before it is evicted, and if not, why. */
export type Protection =
  | { readonly protected: true; readonly policy: Policy }
  | { readonly protected: false; readonly reason: UnprotectedReason; readonly message: string };

type UnprotectedReason =
  /** No policy selects it. */
  | 'NoPolicy'
  /** It stands in kube-system, and no policy names that namespace. */
  | 'SystemNamespace'
  /** Its policy says `decision: Never`. */
  | 'DecisionNever'
  /** Its container does not run: there is no state to save. */
  | 'NotRunning'
  /** Made by a DaemonSet or by the node itself: it comes back on the same node, in the same moment. */
  | 'UnsupportedOwner'
  /** Something in its spec cannot be saved. */
  | 'NotCheckpointable'
  /** No agent saves pods on its node. */
  | 'NodeCannotCheckpoint';

const SYSTEM_NAMESPACE = 'kube-system';
const NAMESPACE_NAME_LABEL = 'kubernetes.io/metadata.name';

/** `policies` in the order of {@link comparePolicies}: the first that selects the pod is its policy, also where it says no. */
export function protectionOf(
  pod: Pod,
  node: Node | undefined,
  policies: readonly Policy[],
  namespaceLabels: Readonly<Record<string, string>>,
): Protection {
  const policy = rulingPolicy(pod, policies, namespaceLabels);
  if (policy === undefined) {
    return pod.namespace === SYSTEM_NAMESPACE
      ? no('SystemNamespace', 'pods of kube-system are protected only by a policy that names the namespace')
      : no('NoPolicy', 'no ReprievePolicy selects it');
  }
  if (policy.preemption.decision === 'Never') return no('DecisionNever', `policy ${policy.name} says Never`);
  if (pod.phase !== 'Running' || isTerminal(pod) || isTerminating(pod)) return no('NotRunning', 'it is not running');
  if (pod.owner?.kind === 'DaemonSet' || pod.owner?.kind === 'Node') {
    return no('UnsupportedOwner', `pods of a ${pod.owner.kind} come back on the same node at once`);
  }
  if (pod.notCheckpointable !== null) return no('NotCheckpointable', pod.notCheckpointable);
  if (node === undefined || !node.canCheckpoint) return no('NodeCannotCheckpoint', 'no agent saves pods on its node');
  return { protected: true, policy };
}

/** The policy of a pod, whether or not it protects it: the first of `policies` that selects it. */
export function rulingPolicy(
  pod: Pod,
  policies: readonly Policy[],
  namespaceLabels: Readonly<Record<string, string>>,
): Policy | undefined {
  return policies.find((candidate) => selectsPod(candidate, pod, namespaceLabels));
}

/** Which of two policies rules a pod that both select: higher precedence, then the older one, then the name. Total. */
export function comparePolicies(a: Policy, b: Policy): number {
  return b.precedence - a.precedence || a.creationMs - b.creationMs || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}

/** Whether the pod is among those the policy is about. */
export function selectsPod({ match }: Policy, pod: Pod, namespaceLabels: Readonly<Record<string, string>>): boolean {
  if (pod.namespace === SYSTEM_NAMESPACE && !namesSystemNamespace(match)) return false;
  if (match.priorityClassNames !== null && !match.priorityClassNames.includes(pod.priorityClassName)) return false;
  if (match.podSelector !== null && !selects(match.podSelector, pod.labels)) return false;
  return match.namespaceSelector === null || selects(match.namespaceSelector, namespaceLabels);
}

/** A selector that merely fails to exclude kube-system does not name it. */
function namesSystemNamespace(match: Policy['match']): boolean {
  return (
    match.namespaceSelector?.requirements.some(
      ({ key, operator, values }) =>
        key === NAMESPACE_NAME_LABEL && operator === 'In' && values.includes(SYSTEM_NAMESPACE),
    ) ?? false
  );
}

function no(reason: UnprotectedReason, message: string): Protection {
  return { protected: false, reason, message };
}
