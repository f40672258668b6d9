import { isConflict, isNotFound } from '../../kube/api-error.ts';
import { RESOURCES, type ResourceType } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { controllerRefOf, isDeleting, isTerminalPod, keyOf, splitKey, uidOf, type WirePod } from './objects.ts';
import type { Controller, ControllerContext } from './pod-control.ts';
import { WorkQueue } from './work-queue.ts';

const OWNERS = {
  Job: { informer: 'jobs', type: RESOURCES.jobs },
  ReplicaSet: { informer: 'replicaSets', type: RESOURCES.replicaSets },
  ReplicationController: { informer: 'replicationControllers', type: RESOURCES.replicationControllers },
  StatefulSet: { informer: 'statefulSets', type: RESOURCES.statefulSets },
  Deployment: { informer: 'deployments', type: RESOURCES.deployments },
} as const;

const DEPENDENTS = [
  { informer: 'pods', type: RESOURCES.pods },
  { informer: 'replicaSets', type: RESOURCES.replicaSets },
] as const;

/**
 * Deletes what has lost its controller (background propagation), and writes off unscheduled pods that a finalizer keeps
 * after their deletion, as PodGC does: no kubelet would ever end them.
 */
export function startGarbageCollector(context: ControllerContext): Controller {
  const { client, informers } = context;

  const queues = DEPENDENTS.map(({ informer, type }) => {
    const queue = new WorkQueue(context, async (key) => {
      const { namespace, name } = splitKey(key);
      const object = informers[informer].byName(namespace, name);
      if (object === null) return;
      if (type === RESOURCES.pods && isLostPod(object)) await writeOff(object);
      if (!isDeleting(object) && (await isOrphan(object))) await remove(type, object);
    });
    informers[informer].onChange((before, after) => {
      if (after === null) return;
      if (before === null || isLostPod(after)) queue.add(keyOf(after));
    });
    return { queue, type };
  });

  for (const { informer } of Object.values(OWNERS)) {
    informers[informer].onChange((before, after) => {
      if (before === null || after !== null) return;
      for (const dependent of informers.dependentsOf(uidOf(before))) {
        const type = informers.pods.byUid(uidOf(dependent)) === null ? RESOURCES.replicaSets : RESOURCES.pods;
        queues.find((other) => other.type === type)?.queue.add(keyOf(dependent));
      }
    });
  }

  async function isOrphan(object: KubeObject): Promise<boolean> {
    const reference = controllerRefOf(object);
    const owner = OWNERS[reference?.kind as keyof typeof OWNERS] as (typeof OWNERS)[keyof typeof OWNERS] | undefined;
    if (reference === null || owner === undefined) return false;
    if (informers[owner.informer].byUid(reference.uid) !== null) return false;
    // The informer may be behind: an owner is gone when the API server says so.
    try {
      const live = await client.get(owner.type, object.metadata.namespace ?? null, reference.name);
      return uidOf(live) !== reference.uid;
    } catch (error) {
      if (isNotFound(error)) return true;
      throw error;
    }
  }

  async function remove(type: ResourceType, object: KubeObject): Promise<void> {
    const { namespace = null, name } = object.metadata;
    try {
      await client.delete(type, namespace, name, { uid: uidOf(object) });
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }

  async function writeOff(pod: KubeObject): Promise<void> {
    const { namespace = null, name, uid } = pod.metadata;
    const patch = { metadata: { uid }, status: { phase: 'Failed' } };
    try {
      await client.patch(RESOURCES.pods, namespace, name, patch, { type: 'merge', subresource: 'status' });
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }

  return {
    stop() {
      for (const { queue } of queues) queue.stop();
    },
  };
}

function isLostPod(object: KubeObject): boolean {
  const { spec } = object as WirePod;
  return isDeleting(object) && spec?.containers !== undefined && !spec?.nodeName && !isTerminalPod(object);
}
