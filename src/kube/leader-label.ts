import { ROLE_LABEL } from '../domain/labels.ts';
import { isNotFound } from './api-error.ts';
import type { KubeClient } from './client.ts';
import { RESOURCES } from './resources.ts';

const LEADER = 'leader';

/**
 * Puts the label that the extender Service selects on the pod of the leader, and takes it off all others: a former leader
 * may be paused or cut off, so it is not asked to do that itself. The others first, so that kube-scheduler is never sent to two.
 */
export async function takeLeaderLabel(client: KubeClient, namespace: string, podName: string): Promise<void> {
  const labelled = await client.list(RESOURCES.pods, { namespace, labelSelector: `${ROLE_LABEL}=${LEADER}` });
  for (const { metadata } of labelled) {
    if (metadata.name !== podName) await setRole(client, namespace, metadata.name, null);
  }
  if (!labelled.some(({ metadata }) => metadata.name === podName)) await setRole(client, namespace, podName, LEADER);
}

async function setRole(client: KubeClient, namespace: string, name: string, role: string | null): Promise<void> {
  try {
    await client.patch(
      RESOURCES.pods,
      namespace,
      name,
      { metadata: { labels: { [ROLE_LABEL]: role } } },
      { type: 'merge' },
    );
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
