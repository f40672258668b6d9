import type { V1Node, V1Taint, V1Toleration } from '@kubernetes/client-node';
import { isConflict, isNotFound } from '../../kube/api-error.ts';
import { wireOf, type Wire } from '../../kube/project/wire.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { isDeleting, keyOf, splitKey, timestampOf, uidOf, type WirePod } from './objects.ts';
import type { Controller, ControllerContext } from './pod-control.ts';
import { WorkQueue } from './work-queue.ts';

const CONDITION = {
  type: 'DisruptionTarget',
  status: 'True',
  reason: 'DeletionByTaintManager',
  message: 'Taint manager: deleting due to NoExecute taint',
} as const;

/**
 * Deletes pods from nodes whose NoExecute taints they do not tolerate: at once, or when the shortest `tolerationSeconds` are over, as
 * the taint-eviction-controller does.
 */
export function startTaintEviction(context: ControllerContext): Controller {
  const { client, clock, informers } = context;
  const dueMs = new Map<string, number>(); // pod uid -> time
  const queue = new WorkQueue(context, async (key) => {
    const { namespace, name } = splitKey(key);
    const pod = informers.pods.byName(namespace, name);
    if (pod === null || isDeleting(pod)) return;
    const { spec } = pod as WirePod;
    const node = informers.nodes.byName('', spec?.nodeName ?? '');
    const afterMs = node === null ? Infinity : toleratedMs(taintsOf(node), spec?.tolerations ?? []);
    if (afterMs === Infinity) {
      dueMs.delete(uidOf(pod));
      return;
    }
    const leftMs = (dueMs.get(uidOf(pod)) ?? clock.monotonic() + afterMs) - clock.monotonic();
    if (afterMs > 0 && leftMs > 0) {
      dueMs.set(uidOf(pod), clock.monotonic() + leftMs);
      queue.addAfter(key, leftMs);
    } else await evict(pod);
  });

  async function evict(pod: KubeObject): Promise<void> {
    const { namespace = null, name } = pod.metadata;
    const condition = { ...CONDITION, lastTransitionTime: timestampOf(clock.now()) };
    const patch = { metadata: { uid: uidOf(pod) }, status: { conditions: [condition] } };
    try {
      await client.patch(RESOURCES.pods, namespace, name, patch, { type: 'strategic', subresource: 'status' });
      await client.delete(RESOURCES.pods, namespace, name, { uid: uidOf(pod) });
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }

  informers.nodes.onChange((before, after) => {
    if (after === null) return;
    const taints = taintsOf(after);
    const isSame = before !== null && JSON.stringify(taintsOf(before)) === JSON.stringify(taints);
    if (isSame || (taints.length === 0 && dueMs.size === 0)) return;
    for (const pod of informers.pods.list())
      if ((pod as WirePod).spec?.nodeName === after.metadata.name) queue.add(keyOf(pod));
  });
  informers.pods.onChange((before, after) => {
    if (after === null) dueMs.delete(uidOf(before as KubeObject));
    else if ((after as WirePod).spec?.nodeName !== (before as WirePod | null)?.spec?.nodeName) queue.add(keyOf(after));
  });
  return queue;
}

type Taint = Wire<V1Taint>;

function taintsOf(node: KubeObject): readonly Taint[] {
  return (wireOf<V1Node>(node).spec?.taints ?? []).filter(({ effect }) => effect === 'NoExecute');
}

/** How long a pod may stay: 0 where a taint is not tolerated, Infinity where all are for ever. */
function toleratedMs(taints: readonly Taint[], tolerations: readonly Wire<V1Toleration>[]): number {
  const used = taints.map((taint) => tolerations.filter((toleration) => tolerates(toleration, taint)));
  if (used.some((ones) => ones.length === 0)) return 0;
  const seconds = used.flat().map(({ tolerationSeconds }) => tolerationSeconds ?? Infinity);
  return Math.max(0, Math.min(Infinity, ...seconds)) * 1000;
}

function tolerates({ key, operator, value, effect }: Wire<V1Toleration>, taint: Taint): boolean {
  if ((effect ?? '') !== '' && effect !== taint.effect) return false;
  if ((key ?? '') !== '' && key !== taint.key) return false;
  return operator === 'Exists' || (value ?? '') === (taint.value ?? '');
}
