import { RESOURCES } from '../../kube/resources.ts';
import { timestampOf, type StoredObject } from './api-object.ts';
import { checkPreconditions, deleteObject, deleteOptionsOf } from './deletion.ts';
import { isRecord, listAt, recordAt, textAt } from './json.ts';
import type { ObjectStore } from './object-store.ts';
import { withPodCondition } from './pod-defaults.ts';
import { matchesLabels, requirementsOf } from './selector.ts';
import { badRequest, forbidden, StatusError, unclassified } from './status-error.ts';
import { overwrite } from './writes.ts';

/** `MaxDisruptedPodSize` of the eviction storage. */
const DISRUPTED_PODS_LIMIT = 2000;

/** POST to `pods/<name>/eviction`: a delete that asks the disruption budgets first and says on the pod why it went. */
export function evictPod(store: ObjectStore, pod: StoredObject, eviction: unknown, nowMs: number): void {
  const type = RESOURCES.pods;
  const { name } = pod.metadata;
  if (textAt(recordAt(eviction, 'metadata'), 'name') !== name) {
    throw badRequest('name in URL does not match name in Eviction object');
  }
  const options = deleteOptionsOf(recordAt(eviction, 'deleteOptions'));
  if (!mayIgnoreBudgets(pod)) spendBudget(store, pod, nowMs);
  checkPreconditions(type, pod, options);
  const status = withPodCondition(
    recordAt(pod, 'status'),
    {
      type: 'DisruptionTarget',
      status: 'True',
      reason: 'EvictionByEvictionAPI',
      message: 'Eviction API: evicting',
    },
    nowMs,
  );
  const marked = overwrite({ store, type, hooks: {}, nowMs }, pod, { status });
  // The version asked for was that of the pod before the server itself wrote the condition.
  deleteObject(store, type, marked, { ...options, resourceVersion: null }, nowMs);
}

/** A pod that does not serve, or no longer will, disrupts nobody. */
function mayIgnoreBudgets(pod: StoredObject): boolean {
  const phase = textAt(recordAt(pod, 'status'), 'phase');
  return ['Succeeded', 'Failed', 'Pending'].includes(phase) || pod.metadata.deletionTimestamp !== undefined;
}

function spendBudget(store: ObjectStore, pod: StoredObject, nowMs: number): void {
  const type = RESOURCES.podDisruptionBudgets;
  const budgets = store
    .collection(type)
    .list(pod.metadata.namespace ?? '')
    .filter((budget) => {
      const requirements = requirementsOf(recordAt(budget, 'spec')['selector']);
      return requirements !== null && matchesLabels(requirements, pod.metadata.labels);
    });
  const [budget, another] = budgets;
  if (budget === undefined) return;
  if (another !== undefined) {
    const message = 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.';
    throw unclassified(message);
  }
  const status = recordAt(budget, 'status');
  const number = (field: string): number => Number(status[field] ?? 0);
  if (!isReady(pod)) {
    const policy = textAt(recordAt(budget, 'spec'), 'unhealthyPodEvictionPolicy');
    const isCovered = number('currentHealthy') >= number('desiredHealthy') && number('desiredHealthy') > 0;
    if (policy === 'AlwaysAllow' || isCovered) return;
  }
  const { name } = budget.metadata;
  if (number('observedGeneration') < (budget.metadata.generation ?? 0)) {
    throw tooMany(`The disruption budget ${name} is still being processed by the server.`, 10);
  }
  if (Object.keys(recordAt(status, 'disruptedPods')).length > DISRUPTED_PODS_LIMIT) {
    const why = 'DisruptedPods map too big - too many evictions not confirmed by PDB controller';
    throw forbidden({ ...type, plural: 'poddisruptionbudget' }, name, why);
  }
  const allowed = number('disruptionsAllowed');
  if (allowed <= 0) {
    const [needed, current] = [number('desiredHealthy'), number('currentHealthy')];
    throw tooMany(
      current <= needed
        ? `The disruption budget ${name} needs ${needed} healthy pods and has ${current} currently`
        : `The disruption budget ${name} does not allow evicting pods currently`,
      0,
    );
  }
  const disruptedPods = { ...recordAt(status, 'disruptedPods'), [pod.metadata.name]: timestampOf(nowMs) };
  overwrite({ store, type, hooks: {}, nowMs }, budget, {
    status: { ...status, disruptionsAllowed: allowed - 1, disruptedPods },
  });
}

function tooMany(cause: string, retryAfterSeconds: number): StatusError {
  return new StatusError({
    code: 429,
    reason: 'TooManyRequests',
    message: "Cannot evict pod as it would violate the pod's disruption budget.",
    details: {
      causes: [{ reason: 'DisruptionBudget', message: cause }],
      ...(retryAfterSeconds > 0 && { retryAfterSeconds }),
    },
  });
}

function isReady(pod: StoredObject): boolean {
  return listAt(pod['status'], 'conditions').some(
    (condition) => isRecord(condition) && condition['type'] === 'Ready' && condition['status'] === 'True',
  );
}
