import type { V1MutatingWebhookConfiguration } from '@kubernetes/client-node';
import { selectorOf } from '../domain/selector.ts';
import type { WebhookScope } from '../domain/webhook-scope.ts';
import { ifFound } from './api-error.ts';
import type { KubeClient } from './client.ts';
import { wireOf } from './project/wire.ts';
import { RESOURCES } from './resources.ts';
import type { KubeObject } from './transport.ts';

/** Of the webhook in deploy/webhook.yaml. */
const WEBHOOK_NAME = 'pods.reprieve.dev';

/** What the selectors of a stored MutatingWebhookConfiguration say; null where there is none. */
export async function readWebhookScope(client: KubeClient, configuration: string): Promise<WebhookScope | null> {
  const stored = await ifFound(client.get(RESOURCES.mutatingWebhooks, null, configuration));
  return stored === null ? null : webhookScopeOf(stored);
}

/** Null where none of its webhooks is ours. */
export function webhookScopeOf(configuration: KubeObject): WebhookScope | null {
  const { webhooks } = wireOf<V1MutatingWebhookConfiguration>(configuration);
  const webhook = webhooks?.find(({ name }) => name === WEBHOOK_NAME);
  if (!webhook) return null;
  const { namespaceSelector, objectSelector } = webhook;
  return { namespaceSelector: selectorOf(namespaceSelector ?? {}), objectSelector: selectorOf(objectSelector ?? {}) };
}
