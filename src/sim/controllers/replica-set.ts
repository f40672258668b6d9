import type { V1ReplicaSet } from '@kubernetes/client-node';
import { wireOf } from '../../kube/project/wire.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import {
  isActivePod,
  isDeleting,
  isReadyPod,
  ownedBy,
  phaseOf,
  podFromTemplate,
  splitKey,
  uidOf,
  type WirePod,
} from './objects.ts';
import { enqueueOwner, enqueueSelf, updateStatus, type Controller, type ControllerContext } from './pod-control.ts';
import { WorkQueue } from './work-queue.ts';

/** Also for ReplicationControllers, which upstream runs by the same code. */
type ReplicaKind = 'replicaSets' | 'replicationControllers';

export function startReplicaSetController(context: ControllerContext): Controller {
  return startReplicas(context, 'replicaSets');
}

export function startReplicationController(context: ControllerContext): Controller {
  return startReplicas(context, 'replicationControllers');
}

/**
 * Keeps `spec.replicas` pods. A pod that is terminating does not count any more: its replacement is created while it
 * still holds its room.
 */
function startReplicas(context: ControllerContext, of: ReplicaKind): Controller {
  const { client, informers, podControl } = context;
  const type = RESOURCES[of];
  const queue = new WorkQueue(context, async (key) => {
    const { namespace, name } = splitKey(key);
    const replicaSet = informers[of].byName(namespace, name);
    if (replicaSet === null) return;
    const uid = uidOf(replicaSet);
    const pods = informers.dependentsOf(uid);
    const active = pods.filter(isActivePod);
    if (!isDeleting(replicaSet) && podControl.isUpToDate(uid)) await scale(replicaSet, active);
    const ready = active.filter(isReadyPod).length;
    await updateStatus(client, type, replicaSet, {
      replicas: active.length,
      fullyLabeledReplicas: active.length,
      readyReplicas: ready,
      availableReplicas: ready,
      terminatingReplicas: pods.filter((pod) => isDeleting(pod) && !isActivePod(pod)).length,
      observedGeneration: replicaSet.metadata.generation ?? 0,
    });
  });

  async function scale(replicaSet: KubeObject, active: readonly KubeObject[]): Promise<void> {
    const { spec } = wireOf<V1ReplicaSet>(replicaSet);
    const { namespace = '', name } = replicaSet.metadata;
    const missing = (spec?.replicas ?? 1) - active.length;
    for (let count = 0; count < missing; count++) {
      const owner = ownedBy(type, replicaSet);
      await podControl.create(
        replicaSet,
        podFromTemplate(spec?.template, { namespace, generateName: `${name}-`, owner }),
      );
    }
    if (missing >= 0) return;
    for (const pod of [...active].sort(compareForDeletion).slice(0, -missing)) await podControl.delete(replicaSet, pod);
  }

  const add = (key: string): void => queue.add(key);
  informers[of].onChange(enqueueSelf(add));
  informers.pods.onChange(enqueueOwner(type.kind, add));
  return queue;
}

/**
 * Which pod to give up first: 1. not assigned, 2. not running, 3. not ready, 4. newer, 5. name. The part of
 * `ActivePodsWithRanks` that the simulation can tell apart.
 */
export function compareForDeletion(a: KubeObject, b: KubeObject): number {
  const [first, second] = [rankOf(a), rankOf(b)];
  if (first !== second) return first - second;
  const [created, otherCreated] = [a.metadata.creationTimestamp ?? '', b.metadata.creationTimestamp ?? ''];
  if (created !== otherCreated) return created < otherCreated ? 1 : -1;
  return a.metadata.name < b.metadata.name ? -1 : 1;
}

function rankOf(pod: KubeObject): number {
  if (!(pod as WirePod).spec?.nodeName) return 0;
  if (phaseOf(pod) !== 'Running') return 1;
  return isReadyPod(pod) ? 3 : 2;
}
