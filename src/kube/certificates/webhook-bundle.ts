import { ifFound, isConflict } from '../api-error.ts';
import type { KubeClient } from '../client.ts';
import type { ResourceType } from '../resources.ts';
import { holdsAll } from './serving-files.ts';

/** As for the Secret: replicas, and who applies the manifest, may come in between. */
const ATTEMPTS = 5;

interface Webhook {
  readonly name: string;
  readonly clientConfig?: { readonly caBundle?: string };
}

/**
 * Gives `bundle` (PEM) to each webhook of a configuration of webhooks that lacks one of its certificates; other fields
 * stay as they are. Says whether all had it, it was given now, or there is no such configuration.
 */
export async function publishBundle(
  client: KubeClient,
  type: ResourceType,
  configuration: string,
  bundle: string,
): Promise<'held' | 'given' | 'missing'> {
  for (let attempt = 1; ; attempt++) {
    const stored = await ifFound(client.get(type, null, configuration));
    if (stored === null) return 'missing';
    const lacking = ((stored['webhooks'] as readonly Webhook[] | undefined) ?? []).filter(
      ({ clientConfig }) => !holdsAll(Buffer.from(clientConfig?.caBundle ?? '', 'base64').toString(), bundle),
    );
    if (lacking.length === 0) return 'held';
    const caBundle = Buffer.from(bundle).toString('base64');
    const patch = {
      metadata: { resourceVersion: stored.metadata.resourceVersion },
      webhooks: lacking.map(({ name }) => ({ name, clientConfig: { caBundle } })), // told apart by their names
    };
    try {
      await client.patch(type, null, configuration, patch, { type: 'strategic' });
      return 'given';
    } catch (error) {
      if (!isConflict(error) || attempt === ATTEMPTS) throw error;
    }
  }
}
