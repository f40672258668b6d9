import type { V1Deployment, V1ReplicaSet } from '@kubernetes/client-node';
import { wireOf } from '../../kube/project/wire.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { isDeleting, ownedBy, splitKey, uidOf } from './objects.ts';
import { enqueueOwner, enqueueSelf, updateStatus, type Controller, type ControllerContext } from './pod-control.ts';
import { WorkQueue } from './work-queue.ts';

const HASH_LABEL = 'pod-template-hash';

/**
 * One ReplicaSet for the current template, scaled to `spec.replicas`; those of former templates are scaled to nothing at
 * once. Rolling updates are not what the simulation is about.
 */
export function startDeploymentController(context: ControllerContext): Controller {
  const { client, informers } = context;
  const queue = new WorkQueue(context, async (key) => {
    const { namespace, name } = splitKey(key);
    const deployment = informers.deployments.byName(namespace, name);
    if (deployment === null || isDeleting(deployment)) return;
    const { spec } = wireOf<V1Deployment>(deployment);
    const replicas = spec?.replicas ?? 1;
    const hash = hashOf(JSON.stringify(spec?.template ?? null));
    const current = `${name}-${hash}`;
    const owned = informers.dependentsOf(uidOf(deployment));
    for (const replicaSet of owned) {
      const wanted = replicaSet.metadata.name === current ? replicas : 0;
      if (wireOf<V1ReplicaSet>(replicaSet).spec?.replicas !== wanted) await scale(replicaSet, wanted);
    }
    if (!owned.some(({ metadata }) => metadata.name === current)) {
      // The name makes it safe to do twice: the second attempt ends in AlreadyExists and a retry.
      await client.create(RESOURCES.replicaSets, namespace, replicaSetOf(deployment, current, hash));
    }
    await reportStatus(deployment, owned, current);
  });

  const scale = (replicaSet: KubeObject, replicas: number): Promise<KubeObject> => {
    const { namespace = null, name } = replicaSet.metadata;
    return client.patch(RESOURCES.replicaSets, namespace, name, { spec: { replicas } }, { type: 'merge' });
  };

  const reportStatus = (deployment: KubeObject, owned: readonly KubeObject[], current: string): Promise<void> => {
    const sum = (pick: 'replicas' | 'readyReplicas' | 'availableReplicas', of: readonly KubeObject[]): number =>
      of.reduce((total, replicaSet) => total + (wireOf<V1ReplicaSet>(replicaSet).status?.[pick] ?? 0), 0);
    const updated = owned.filter(({ metadata }) => metadata.name === current);
    return updateStatus(client, RESOURCES.deployments, deployment, {
      replicas: sum('replicas', owned),
      updatedReplicas: sum('replicas', updated),
      readyReplicas: sum('readyReplicas', owned),
      availableReplicas: sum('availableReplicas', owned),
      observedGeneration: deployment.metadata.generation ?? 0,
    });
  };

  const add = (key: string): void => queue.add(key);
  informers.deployments.onChange(enqueueSelf(add));
  informers.replicaSets.onChange(enqueueOwner('Deployment', add));
  return queue;
}

function replicaSetOf(deployment: KubeObject, name: string, hash: string): object {
  const { spec } = wireOf<V1Deployment>(deployment);
  const labels = { ...spec?.template?.metadata?.labels, [HASH_LABEL]: hash };
  return {
    metadata: { name, labels, ownerReferences: ownedBy(RESOURCES.deployments, deployment) },
    spec: {
      replicas: spec?.replicas ?? 1,
      selector: { ...spec?.selector, matchLabels: { ...spec?.selector?.matchLabels, [HASH_LABEL]: hash } },
      template: { ...spec?.template, metadata: { ...spec?.template?.metadata, labels } },
    },
  };
}

/** No vowels and nothing that looks like another character, as `rand.SafeEncodeString`. */
const SAFE = 'bcdfghjklmnpqrstvwxz2456789';

function hashOf(text: string): string {
  let hash = 0x811c9dc5; // FNV-1a, as the real one
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193) >>> 0;
  return String(hash)
    .split('')
    .map((digit) => SAFE[digit.charCodeAt(0) % SAFE.length])
    .join('');
}
