import type { ConditionReason } from './condition-reasons.ts';
import type { Pod } from './pod.ts';
import { DEPLOYED_SCOPE, type WebhookScope } from './webhook-scope.ts';

/**
 * What is known about whether kube-apiserver calls the webhook. The webhook gates the replacement of a displaced pod; a
 * replacement without the gate starts cold, so its predecessor would be saved for nothing.
 */
export interface WebhookReach {
  /** True if the last canary shows that kube-apiserver calls the webhook. */
  readonly isCalled: boolean;
  readonly reason: ConditionReason<'ReprievePolicy', 'Restorable'>;
  /** What the last canary showed. */
  readonly message: string;
  /** Namespaces in which a replacement came without a review, until a canary there is reviewed. */
  readonly missedIn: ReadonlySet<string>;
  /** By the selectors of its configuration, or of that in deploy/ where it could not be read. */
  readonly scope: WebhookScope;
}

/** For a view without a webhook of its own to watch, as in tests of displacements. */
export const ASSUMED_REACH: WebhookReach = {
  isCalled: true,
  reason: 'WebhookCalled',
  message: 'assumed',
  missedIn: new Set(),
  scope: DEPLOYED_SCOPE,
};

/** True if a pod would be restored after its eviction. A bare pod needs no webhook: Reprieve itself creates it again, gated. */
export function comesBack(pod: Pod, reach: WebhookReach): boolean {
  return pod.owner === null || (reach.isCalled && !reach.missedIn.has(pod.namespace));
}
