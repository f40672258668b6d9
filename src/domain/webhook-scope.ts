import { DEFAULT_NAMESPACE, NAMESPACE_NAME_LABEL } from './labels.ts';
import type { Pod } from './pod.ts';
import { selects, type LabelSelector } from './selector.ts';

/**
 * Pods that kube-apiserver sends to the webhook, by the selectors of its configuration. No other pod of a controller is saved: its
 * replacement would not be gated. A bare pod needs no webhook: Reprieve itself creates it again, gated.
 */
export interface WebhookScope {
  readonly namespaceSelector: LabelSelector;
  /** Labels of the pod. */
  readonly objectSelector: LabelSelector;
}

/** A cluster must start, and Reprieve itself, while no webhook answers. */
export const SYSTEM_NAMESPACES: readonly string[] = ['kube-system', DEFAULT_NAMESPACE];

/** What deploy/webhook.yaml says. */
export const DEPLOYED_SCOPE: WebhookScope = {
  namespaceSelector: {
    requirements: [{ key: NAMESPACE_NAME_LABEL, operator: 'NotIn', values: SYSTEM_NAMESPACES }],
  },
  objectSelector: { requirements: [] },
};

export function isInScope(
  { namespaceSelector, objectSelector }: WebhookScope,
  pod: Pick<Pod, 'labels'>,
  namespaceLabels: Readonly<Record<string, string>>,
): boolean {
  return selects(namespaceSelector, namespaceLabels) && selects(objectSelector, pod.labels);
}

export function isSameScope(a: WebhookScope, b: WebhookScope): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
