import { afterAll, beforeAll, expect, it } from 'vitest';
import { compareVersions } from '../../src/index/object-table.ts';
import { condition } from './story/history.ts';
import { Lab } from './story/lab.ts';
import { ordered, running, ticketIn, victimUidOf, wasEvicted, workLost, type RunningPod } from './story/seen.ts';
import { deployment, pod, policy, statefulSet } from './story/workloads.ts';

/** `kubectl drain`: the guard saves the pods in admission of their evictions. */
let lab: Lab;

beforeAll(async () => {
  lab = await Lab.start({
    nodes: 3,
    guardOnly: true,
    faults: { dumpFails: ({ metadata }) => (metadata.name.startsWith('stubborn') ? 'the disk is full' : null) },
  });
  await lab.cluster.applyObjects(policy('batch', 'batch', 'Evict'));
});
afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

const SHAPE = { priorityClassName: 'batch', cpu: '500m' };

const budget = (name: string, minAvailable: number, app: string): object => ({
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: { name },
  spec: { minAvailable, selector: { matchLabels: { app } } },
});

/** Bare pods with one label, on node-1. */
async function started(app: string, ...names: readonly string[]): Promise<readonly RunningPod[]> {
  const shape = { ...SHAPE, prefers: 'node-1', labels: { app } };
  await lab.cluster.applyObjects(...names.map((name) => pod(name, shape)));
  return Promise.all(names.map((name) => running(lab, name)));
}

const drain = (...flags: readonly string[]): Promise<string> =>
  lab.cluster.kubectl('drain', 'node-1', '--force', '--delete-emptydir-data', ...flags);

/** Budgets are counted by the controller manager. */
async function allows(name: string, disruptions: number): Promise<void> {
  const allowed = (): Promise<string> =>
    lab.cluster.kubectl('get', 'pdb', name, '-o', 'jsonpath={.status.disruptionsAllowed}');
  await expect.poll(allowed, { timeout: 30_000, interval: 200 }).toBe(String(disruptions));
}

it('moves every pod with its work, and those of one budget one after the other', async () => {
  const pair = await started('pair', 'one', 'two');
  await lab.cluster.applyObjects(
    budget('pair', 1, 'pair'),
    deployment('web', { ...SHAPE, prefers: 'node-1' }),
    statefulSet('db', { ...SHAPE, prefers: 'node-1' }),
  );
  const web = await running(lab, 'web', ({ metadata }) => metadata.name.startsWith('web-'));
  const moved = [...pair, web, await running(lab, 'db-0')];
  expect(moved.map(({ node }) => node)).toEqual(Array(4).fill('node-1'));
  await allows('pair', 1);

  await drain('--timeout=50s');
  for (const { uid } of moved) {
    await ticketIn(lab, 'Restored', uid);
    expect(await workLost(lab, uid)).toBe(0);
  }
  const orders = await Promise.all(pair.map(async ({ uid }) => ({ uid, at: (await ordered(lab, uid)).at })));
  const [first, second] = orders.sort((a, b) => compareVersions(a.at, b.at)) as [
    (typeof orders)[0],
    (typeof orders)[0],
  ];
  const gone = await lab.history.until(
    'Pod',
    'the eviction of the first one',
    ({ metadata }) => metadata.uid === first.uid && metadata.deletionTimestamp !== undefined,
  );
  expect(condition(gone.object, 'DisruptionTarget')).toBe('True');
  expect(compareVersions(gone.at, second.at)).toBeLessThan(0);
  await lab.cluster.kubectl('uncordon', 'node-1');
  await lab.cluster.kubectl('delete', 'pod', 'one', 'two');
  await lab.cluster.kubectl('delete', 'deployment/web', 'statefulset/db', 'pdb/pair');
});

it('freezes no pod that its budgets keep', async () => {
  const kept = [...(await started('kept', 'kept')), ...(await started('twice', 'twice'))];
  await lab.cluster.applyObjects(budget('kept', 1, 'kept'), budget('once', 0, 'twice'), budget('again', 0, 'twice'));
  await allows('again', 1);
  await expect(drain('--timeout=8s')).rejects.toThrow(/more than one PodDisruptionBudget|global timeout/);
  for (const { uid } of kept) {
    expect(wasEvicted(lab, uid)).toBe(false);
    expect(lab.history.of('PodCheckpoint').filter(({ object }) => victimUidOf(object) === uid)).toEqual([]);
  }
  await lab.cluster.kubectl('delete', 'pdb', '--all');
  await lab.cluster.kubectl('delete', 'pod', 'kept', 'twice');
});

it('goes on as without Reprieve where saving fails, and an Event says so', async () => {
  await lab.cluster.kubectl('uncordon', 'node-1');
  const [stubborn] = (await started('stubborn', 'stubborn')) as [RunningPod];
  await drain('--timeout=40s');
  expect(wasEvicted(lab, stubborn.uid)).toBe(true);
  const told = (): Promise<string> =>
    lab.cluster.kubectl(
      'get',
      'events',
      '--field-selector=reason=EvictedUnsaved',
      '-o',
      'jsonpath={.items[*].note}{.items[*].message}',
    );
  await expect.poll(told, { timeout: 10_000, interval: 500 }).toContain('it could not be saved in time');
});
