import type { V1Deployment, V1ReplicaSet } from '@kubernetes/client-node';
import { wireOf } from '../../kube/project/wire.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { isDeleting, ownedBy, splitKey, uidOf } from './objects.ts';
import { enqueueOwner, enqueueSelf, updateStatus, type Controller, type ControllerContext } from './pod-control.ts';
import { nextReplicas, type Replicas } from './rolling-update.ts';
import { templateHash } from './template-hash.ts';
import { WorkQueue } from './work-queue.ts';

const HASH_LABEL = 'pod-template-hash';

interface NewReplicaSet {
  readonly name: string;
  readonly hash: string;
  readonly replicas: number;
}

/** One ReplicaSet for each template that still has pods; `rolling-update.ts` says how many each wants. */
export function startDeploymentController(context: ControllerContext): Controller {
  const { client, informers } = context;
  const queue = new WorkQueue(context, async (key) => {
    const { namespace, name } = splitKey(key);
    const deployment = informers.deployments.byName(namespace, name);
    if (deployment === null || isDeleting(deployment)) return;
    const { spec } = wireOf<V1Deployment>(deployment);
    const hash = templateHash(spec?.template);
    const current = `${name}-${hash}`;
    const owned = informers.dependentsOf(uidOf(deployment));
    const sets = owned.map(replicasOf);
    const [next = null, others] = [
      sets.find((set) => set.name === current),
      sets.filter((set) => set.name !== current),
    ];
    const wanted = nextReplicas({ replicas: spec?.replicas ?? 1, strategy: spec?.strategy, current: next, others });
    for (const replicaSet of owned) {
      const replicas =
        replicaSet.metadata.name === current ? wanted.current : wanted.others.get(replicaSet.metadata.name);
      if (replicas !== undefined && replicas !== replicasOf(replicaSet).replicas) await scale(replicaSet, replicas);
    }
    if (next === null) {
      // The name makes it safe to do twice: the second attempt ends in AlreadyExists and a retry.
      const replicaSet = replicaSetOf(deployment, { name: current, hash, replicas: wanted.current });
      await client.create(RESOURCES.replicaSets, namespace, replicaSet);
    }
    await reportStatus(deployment, owned, current);
  });

  const scale = (replicaSet: KubeObject, replicas: number): Promise<KubeObject> => {
    const { namespace = null, name, resourceVersion } = replicaSet.metadata;
    // How many are available was read from this version.
    const patch = { metadata: { resourceVersion }, spec: { replicas } };
    return client.patch(RESOURCES.replicaSets, namespace, name, patch, { type: 'merge' });
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

function replicasOf(replicaSet: KubeObject): Replicas {
  const { spec, status } = wireOf<V1ReplicaSet>(replicaSet);
  return {
    name: replicaSet.metadata.name,
    replicas: spec?.replicas ?? 1,
    available: status?.availableReplicas ?? 0,
  };
}

function replicaSetOf(deployment: KubeObject, { name, hash, replicas }: NewReplicaSet): object {
  const { spec } = wireOf<V1Deployment>(deployment);
  const labels = { ...spec?.template?.metadata?.labels, [HASH_LABEL]: hash };
  return {
    metadata: { name, labels, ownerReferences: ownedBy(RESOURCES.deployments, deployment) },
    spec: {
      replicas,
      selector: { ...spec?.selector, matchLabels: { ...spec?.selector?.matchLabels, [HASH_LABEL]: hash } },
      template: { ...spec?.template, metadata: { ...spec?.template?.metadata, labels } },
    },
  };
}
