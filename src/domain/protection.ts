import { NAMESPACE_NAME_LABEL, RUNTIME_CLASS } from './labels.ts';
import type { Node } from './node.ts';
import { hasKnownSuccessor, returnsToItsNode } from './owner-kinds.ts';
import { isTerminal, isTerminating, type Pod } from './pod.ts';
import type { Policy } from './policy.ts';
import { selects } from './selector.ts';
import { ASSUMED_REACH, comesBack, type WebhookReach } from './webhook-reach.ts';
import { isInScope, SYSTEM_NAMESPACES } from './webhook-scope.ts';

/** Whether a victim is saved before it is evicted, and if not, why. */
export type Protection =
  | { readonly protected: true; readonly policy: Policy }
  | { readonly protected: false; readonly reason: UnprotectedReason; readonly message: string };

export type UnprotectedReason =
  /** No policy selects it. */
  | 'NoPolicy'
  /** It stands in kube-system or in Reprieve's own namespace, and no policy names that namespace. */
  | 'SystemNamespace'
  /** Its policy says `decision: Never`. */
  | 'DecisionNever'
  /** Operators have paused Reprieve. A pod that must not go unsaved stays protected, and stays where it is. */
  | 'Paused'
  /** Its container does not run: there is no state to save. */
  | 'NotRunning'
  /** Made by a DaemonSet or by the node itself: it comes back on the same node, in the same moment. */
  | 'UnsupportedOwner'
  /** Nothing would tell which pod of its controller continues it. */
  | 'SuccessorUnknown'
  /** Something in its spec cannot be saved. */
  | 'NotCheckpointable'
  /** No agent saves pods on its node. */
  | 'NodeCannotCheckpoint'
  /** The agent of its node is silent. */
  | 'AgentSilent'
  /** Our RuntimeClass does not exist, so no pod may name it: the replacement would start cold. */
  | 'NoRuntimeClass'
  /** The selectors of the webhook leave it out: the replacement would start cold. */
  | 'OutOfScope'
  /** kube-apiserver is not known to call the webhook: the same. */
  | 'NotRestorable';

/** What else than the pod, its node and the policies decides. */
export interface Circumstances {
  readonly reach: WebhookReach;
  readonly isPaused: boolean;
  /** Pods may name our RuntimeClass. */
  readonly hasRuntimeClass: boolean;
}

/** Of a cluster in which all is well. */
export const ASSUMED_CIRCUMSTANCES: Circumstances = { reach: ASSUMED_REACH, isPaused: false, hasRuntimeClass: true };

/** The end of a sentence. */
export const PAUSED = 'operators have paused Reprieve (kubectl get namespace shows the annotation reprieve.dev/pause)';

/** The end of a sentence. */
export const NO_RUNTIME_CLASS = `RuntimeClass ${RUNTIME_CLASS}, which restores pods, does not exist (deploy/runtimeclass.yaml)`;

/** `policies` in the order of {@link comparePolicies}: the first that selects the pod is its policy, also where it says no. */
export function protectionOf(
  pod: Pod,
  node: Node | undefined,
  policies: readonly Policy[],
  namespaceLabels: Readonly<Record<string, string>>,
  circumstances: Circumstances = ASSUMED_CIRCUMSTANCES,
): Protection {
  const policy = rulingPolicy(pod, policies, namespaceLabels);
  const reason = whyUnprotected(pod, node, policy, namespaceLabels, circumstances);
  if (reason === null) return { protected: true, policy: policy as Policy };
  return { protected: false, reason, message: MESSAGES[reason](pod, policy?.name ?? '') };
}

/** The same for who does not ask why not: `preempt` asks about tens of thousands of pods at once. */
export function protectingPolicy(
  pod: Pod,
  node: Node | undefined,
  policies: readonly Policy[],
  namespaceLabels: Readonly<Record<string, string>>,
  circumstances: Circumstances = ASSUMED_CIRCUMSTANCES,
): Policy | null {
  const policy = rulingPolicy(pod, policies, namespaceLabels);
  return policy !== undefined && whyUnprotected(pod, node, policy, namespaceLabels, circumstances) === null
    ? policy
    : null;
}

function whyUnprotected(
  pod: Pod,
  node: Node | undefined,
  policy: Policy | undefined,
  namespaceLabels: Readonly<Record<string, string>>,
  { reach, isPaused, hasRuntimeClass }: Circumstances,
): UnprotectedReason | null {
  if (policy === undefined) return SYSTEM_NAMESPACES.includes(pod.namespace) ? 'SystemNamespace' : 'NoPolicy';
  if (policy.preemption.decision === 'Never') return 'DecisionNever';
  if (isPaused && policy.preemption.onFailure !== 'Refuse') return 'Paused';
  if (pod.phase !== 'Running' || isTerminal(pod) || isTerminating(pod)) return 'NotRunning';
  if (pod.owner !== null && returnsToItsNode(pod.owner)) return 'UnsupportedOwner';
  if (!hasKnownSuccessor(pod.owner, pod, policy.restore.identityLabels)) return 'SuccessorUnknown';
  if (pod.notCheckpointable !== null) return 'NotCheckpointable';
  if (node === undefined || !node.canCheckpoint) return 'NodeCannotCheckpoint';
  // A policy that refuses to let its pods go unsaved refuses that here too: their decision fails, and another node is tried.
  if (node.agentSilent && policy.preemption.onFailure !== 'Refuse') return 'AgentSilent';
  // A bare pod is made again by Reprieve, which waits for the class where it must not start cold.
  if (!hasRuntimeClass && (pod.owner !== null || policy.restore.onFailure === 'ColdStart')) return 'NoRuntimeClass';
  if (pod.owner !== null && !isInScope(reach.scope, pod, namespaceLabels)) return 'OutOfScope';
  return comesBack(pod, reach) ? null : 'NotRestorable';
}

const MESSAGES: Readonly<Record<UnprotectedReason, (pod: Pod, policy: string) => string>> = {
  NoPolicy: () => 'no ReprievePolicy selects it',
  SystemNamespace: ({ namespace }) => `pods of ${namespace} are selected only by a policy that names the namespace`,
  DecisionNever: (_pod, policy) => `policy ${policy} says Never`,
  Paused: () => PAUSED,
  OutOfScope: ({ namespace }) =>
    `the webhook configuration leaves out namespace ${namespace} or the labels of the pod: its replacement would start cold`,
  NotRunning: () => 'it is not running',
  UnsupportedOwner: ({ owner }) => `pods of a ${owner?.kind ?? ''} come back on the same node at once`,
  SuccessorUnknown: ({ owner }) => successorUnknown(owner?.kind ?? ''),
  NotCheckpointable: ({ notCheckpointable }) => notCheckpointable?.message ?? '',
  NodeCannotCheckpoint: () => 'no agent saves pods on its node',
  AgentSilent: () => 'the agent of its node does not answer',
  NoRuntimeClass: () => `${NO_RUNTIME_CLASS}: its replacement would start cold`,
  NotRestorable: () => 'kube-apiserver does not call the webhook: its replacement would start cold',
};

/** Why a pod with a generated name is not saved, and what its policy may say so that it is. */
export function successorUnknown(ownerKind: string): string {
  return (
    `${ownerKind} generates the names of its pods, so nothing tells which pod continues which; ` +
    'name labels that do in restore.identityLabels of the policy'
  );
}

/** The policy of a pod, whether or not it protects it: the first of `policies` that selects it. */
export function rulingPolicy(
  pod: Pod,
  policies: readonly Policy[],
  namespaceLabels: Readonly<Record<string, string>>,
): Policy | undefined {
  for (const candidate of policies) if (selectsPod(candidate, pod, namespaceLabels)) return candidate;
  return undefined;
}

/** Which of two policies rules a pod that both select: higher precedence, then the older one, then the name. Total. */
export function comparePolicies(a: Policy, b: Policy): number {
  return b.precedence - a.precedence || a.creationMs - b.creationMs || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}

/** Whether the pod is among those the policy is about. */
export function selectsPod(
  policy: Policy,
  pod: Pick<Pod, 'namespace' | 'labels' | 'priorityClassName'>,
  namespaceLabels: Readonly<Record<string, string>>,
): boolean {
  const { match } = policy;
  if (match.priorityClassNames !== null && !match.priorityClassNames.includes(pod.priorityClassName)) return false;
  if (match.podSelector !== null && !selects(match.podSelector, pod.labels)) return false;
  return selectsNamespace(policy, pod.namespace, namespaceLabels);
}

/** Whether pods of the namespace can be among those the policy is about. */
export function selectsNamespace(
  { match }: Policy,
  namespace: string,
  namespaceLabels: Readonly<Record<string, string>>,
): boolean {
  if (SYSTEM_NAMESPACES.includes(namespace) && !namesNamespace(match, namespace)) return false;
  return match.namespaceSelector === null || selects(match.namespaceSelector, namespaceLabels);
}

/** A selector that merely fails to exclude a namespace does not name it. */
function namesNamespace(match: Policy['match'], namespace: string): boolean {
  return (
    match.namespaceSelector?.requirements.some(
      ({ key, operator, values }) => key === NAMESPACE_NAME_LABEL && operator === 'In' && values.includes(namespace),
    ) ?? false
  );
}
