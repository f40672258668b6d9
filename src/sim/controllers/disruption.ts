import type { V1PodDisruptionBudget, V1ReplicaSet } from '@kubernetes/client-node';
import { selectorOf, selects } from '../../domain/selector.ts';
import { wireOf } from '../../kube/project/wire.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { ClusterInformers } from './cluster-informers.ts';
import { controllerRefOf, isDeleting, isReadyPod, isTerminalPod, keyOf, splitKey } from './objects.ts';
import { enqueueSelf, updateStatus, type Controller, type ControllerContext } from './pod-control.ts';
import { countOf } from './share.ts';
import { WorkQueue } from './work-queue.ts';

/** How long an approved eviction is believed to be on its way (`DeletionTimeout`). */
const EVICTION_TIMEOUT_MS = 2 * 60_000;

/** Keeps `status.disruptionsAllowed` of PodDisruptionBudgets: what evictions and the scheduler's choice of victims go by. */
export function startDisruptionController(context: ControllerContext): Controller {
  const { client, clock, informers } = context;
  const queue = new WorkQueue(context, async (key) => {
    const { namespace, name } = splitKey(key);
    const budget = informers.podDisruptionBudgets.byName(namespace, name);
    if (budget === null) return;
    const { spec, status } = wireOf<V1PodDisruptionBudget>(budget);
    const pods = selectedPods(budget, informers);
    const disrupted: Record<string, string | null> = {};
    for (const [pod, since] of Object.entries(status?.disruptedPods ?? {})) {
      const leftMs = Date.parse(since ?? '') + EVICTION_TIMEOUT_MS - clock.now();
      const stillThere = pods.some(({ metadata }) => metadata.name === pod && metadata.deletionTimestamp === undefined);
      disrupted[pod] = stillThere && leftMs > 0 ? (since ?? null) : null;
      if (disrupted[pod] !== null) queue.addAfter(key, leftMs);
    }
    const healthy = pods.filter(
      (pod) => isReadyPod(pod) && !isDeleting(pod) && (disrupted[pod.metadata.name] ?? null) === null,
    );
    const expected = expectedCount(spec, pods, informers);
    const desired =
      spec?.maxUnavailable == null
        ? countOf(spec?.minAvailable ?? 1, expected, 'up')
        : Math.max(0, expected - countOf(spec.maxUnavailable, expected, 'up'));
    await updateStatus(client, RESOURCES.podDisruptionBudgets, budget, {
      disruptionsAllowed: expected > 0 ? Math.max(0, healthy.length - desired) : 0,
      currentHealthy: healthy.length,
      desiredHealthy: desired,
      expectedPods: expected,
      observedGeneration: budget.metadata.generation ?? 0,
      ...(Object.keys(disrupted).length > 0 && { disruptedPods: disrupted }),
    });
  });

  informers.podDisruptionBudgets.onChange(enqueueSelf((key) => queue.add(key)));
  informers.pods.onChange((before, after) => {
    for (const budget of informers.podDisruptionBudgets.list()) {
      if ([before, after].some((pod) => pod !== null && isSelected(budget, pod))) queue.add(keyOf(budget));
    }
  });
  return queue;
}

function isSelected(budget: KubeObject, pod: KubeObject): boolean {
  const { spec } = wireOf<V1PodDisruptionBudget>(budget);
  if (!spec?.selector || budget.metadata.namespace !== pod.metadata.namespace) return false;
  return selects(selectorOf(spec.selector), pod.metadata.labels ?? {});
}

function selectedPods(budget: KubeObject, informers: ClusterInformers): readonly KubeObject[] {
  return informers.pods.list().filter((pod) => isSelected(budget, pod) && !isTerminalPod(pod));
}

/**
 * A whole `minAvailable` is about the pods there are; a share of it and every `maxUnavailable` are about the pods there
 * should be, which their controllers know. Pods of other controllers count for themselves.
 */
function expectedCount(
  spec: ReturnType<typeof wireOf<V1PodDisruptionBudget>>['spec'],
  pods: readonly KubeObject[],
  informers: ClusterInformers,
): number {
  if (spec?.maxUnavailable == null && typeof spec?.minAvailable !== 'string') return pods.length;
  const owners = new Map<string, number>();
  let others = 0;
  for (const pod of pods) {
    const uid = controllerRefOf(pod)?.uid ?? '';
    const owner =
      informers.replicaSets.byUid(uid) ??
      informers.replicationControllers.byUid(uid) ??
      informers.statefulSets.byUid(uid);
    if (owner === null) others++;
    else owners.set(uid, wireOf<V1ReplicaSet>(owner).spec?.replicas ?? 1);
  }
  return [...owners.values()].reduce((sum, replicas) => sum + replicas, others);
}
