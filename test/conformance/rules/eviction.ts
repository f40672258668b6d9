import { expect } from 'vitest';
import { RESOURCES } from '../../../src/kube/resources.ts';
import type { KubeResponse } from '../../../src/kube/transport.ts';
import type { Rule } from '../api-conformance.ts';
import { accepted, expectRefusal, type Item } from '../item.ts';

const { podDisruptionBudgets, pods } = RESOURCES;

export function evictionRules(rule: Rule): void {
  rule('an eviction says why, then deletes with grace', async (item) => {
    await runningPod(item);
    const response = await evict(item, {});
    expect(response.status).toBe(201);
    expect(response.body).toMatchObject({ kind: 'Status', status: 'Success' });
    expect(await item.get(pods, 'a')).toMatchObject({
      metadata: { deletionGracePeriodSeconds: 30 },
      status: { conditions: [{ type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI' }] },
    });
  });

  rule('an eviction takes the options of a delete', async (item) => {
    const uid = await runningPod(item);
    const other = { uid: 'a5fbb5a4-22c3-4b5f-8dba-15d1a5f02b2b' };
    expectRefusal(await evict(item, { preconditions: other }), 409, 'Conflict', /UID in the precondition/);
    const before = await item.get(pods, 'a');
    expect(before.metadata).not.toHaveProperty('deletionTimestamp');
    const preconditions = { uid, resourceVersion: before.metadata.resourceVersion };
    accepted(await evict(item, { preconditions, gracePeriodSeconds: 5 }));
    expect((await item.get(pods, 'a')).metadata.deletionGracePeriodSeconds).toBe(5);
  });

  rule('a disruption budget that is spent refuses an eviction with 429', async (item) => {
    await runningPod(item);
    await budgetOf(item);
    const response = await evict(item, {});
    expectRefusal(response, 429, 'TooManyRequests', /Cannot evict pod as it would violate the pod's disruption budget/);
    expect(response.body).toMatchObject({ details: { causes: [{ reason: 'DisruptionBudget' }] } });
    expect((await item.get(pods, 'a')).metadata).not.toHaveProperty('deletionTimestamp');
    // A delete does not ask the budget.
    accepted(await item.remove(pods, 'a', { gracePeriodSeconds: 0 }));
  });

  rule('a pending pod is evicted past its budget', async (item) => {
    await item.createPod({}, { name: 'a', labels: { app: 'a' } });
    await budgetOf(item);
    accepted(await evict(item, {}));
    expect((await item.send({ method: 'GET', path: item.path(pods, 'a') })).status).toBe(404);
  });

  rule('two budgets over one pod are an error', async (item) => {
    await runningPod(item);
    await budgetOf(item);
    const spec = { minAvailable: 1, selector: { matchExpressions: [{ key: 'app', operator: 'Exists' }] } };
    await item.create(podDisruptionBudgets, { metadata: { name: 'second' }, spec });
    const response = await evict(item, {});
    expect(response.status).toBe(500);
    expect(response.body).toMatchObject({
      message: expect.stringMatching(/more than one PodDisruptionBudget/) as string,
    });
  });
}

async function runningPod(item: Item): Promise<string | undefined> {
  const { metadata } = await item.createPod({ nodeName: 'n1' }, { name: 'a', labels: { app: 'a' } });
  accepted(await item.patch(pods, 'a', 'merge', { status: { phase: 'Running' } }, 'status'));
  return metadata.uid;
}

/** A budget that allows nothing, in the eyes of the disruption controller too: the one pod it covers is not ready. */
async function budgetOf(item: Item): Promise<void> {
  const spec = { minAvailable: 1, selector: { matchLabels: { app: 'a' } } };
  await item.create(podDisruptionBudgets, { metadata: { name: 'first' }, spec });
  const status = {
    observedGeneration: 1,
    disruptionsAllowed: 0,
    desiredHealthy: 1,
    currentHealthy: 0,
    expectedPods: 1,
  };
  accepted(await item.patch(podDisruptionBudgets, 'first', 'merge', { status }, 'status'));
}

function evict(item: Item, deleteOptions: object): Promise<KubeResponse> {
  const metadata = { name: 'a', namespace: item.namespace };
  const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata, deleteOptions };
  return item.send({ method: 'POST', path: item.path(pods, 'a', 'eviction'), body });
}
