import { expect } from 'vitest';
import { RESOURCES } from '../../../src/kube/resources.ts';
import { nameOf, type RunningPod } from '../story/seen.ts';
import { deployment } from '../story/workloads.ts';
import { imageOf, isOther, otherTemplate, replicas, ticketNameOf, withSpec, type Rows } from './objects.ts';
import { continued, ends, isWhole, settles } from './judge.ts';
import type { OwnerRow } from './row.ts';

const { deployments } = RESOURCES;

export const REPLICATED: Rows = {
  'a Deployment that replaces its pods first': (row) => rolledOut(row, { maxSurge: 0, maxUnavailable: 1 }, '1'),
  // The new pod is smaller, so there is room for it while the old one waits.
  'a Deployment that adds pods first': (row) => rolledOut(row, { maxSurge: 1, maxUnavailable: 0 }, '500m'),
  'a Deployment that is scaled down': async (row) => {
    await row.create(withSpec(deployment(row.name, row.shape()), { replicas: 2 }));
    const pods = await row.started(2);
    const victims = await row.displaced(pods, 3);
    expect(victims).toHaveLength(1);
    await row.waitsFor(victims[0] as RunningPod);
    await row.patch(deployments, replicas(1));
    await ends(row, victims, 'Abandoned', 'OwnerWantsFewer');
    await row.leaves();
    await row.patch(deployments, replicas(2));
    await isWhole(row, deployments, 2);
    const alive = await settles(row, 2);
    expect(alive.map(ticketNameOf)).toEqual([undefined, undefined]);
    expect(pods.filter(({ uid }) => alive.some(({ metadata }) => metadata.uid === uid))).toHaveLength(1);
  },
  'a Deployment that is scaled up': async (row) => {
    await row.create(withSpec(deployment(row.name, row.shape()), { replicas: 1 }));
    const victims = await row.displaced(await row.started(1));
    const claimant = await row.waitsFor(victims[0] as RunningPod);
    await row.patch(deployments, replicas(3));
    await row.seen('another', isOther([victims[0]?.uid, claimant.metadata.uid]));
    await row.leaves();
    expect((await continued(row, victims)).map(nameOf)).toEqual([nameOf(claimant)]);
    await isWhole(row, deployments, 3);
    const alive = await settles(row, 3);
    expect(alive.filter((object) => ticketNameOf(object) === undefined)).toHaveLength(2);
  },
  'a ReplicationController': async (row) => {
    const { spec } = deployment(row.name, row.shape()) as { readonly spec: object };
    const own = { ...spec, replicas: 2, selector: { app: row.name } };
    await row.create({ apiVersion: 'v1', kind: 'ReplicationController', metadata: { name: row.name }, spec: own });
    const victims = await row.displaced(await row.started(2));
    await row.leaves();
    await continued(row, victims);
    await isWhole(row, RESOURCES.replicationControllers, 2);
    await settles(row, 2);
  },
};

async function rolledOut(row: OwnerRow, rollingUpdate: object, cpu: string): Promise<void> {
  const strategy = { type: 'RollingUpdate', rollingUpdate };
  await row.create(withSpec(deployment(row.name, row.shape()), { strategy }));
  const victims = await row.displaced(await row.started(1), cpu === '1' ? 4 : 3.5);
  const claimant = await row.waitsFor(victims[0] as RunningPod);
  await row.patch(deployments, { spec: otherTemplate(cpu) });
  await row.goes(claimant.metadata.uid);
  await ends(row, victims, 'Abandoned', 'OwnerWantsFewer');
  await row.leaves();
  await isWhole(row, deployments, 1);
  const alive = await settles(row, 1);
  expect(alive.map((object) => [imageOf(object), ticketNameOf(object)])).toEqual([
    ['registry.example/worker:2', undefined],
  ]);
}
