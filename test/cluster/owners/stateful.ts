import { expect } from 'vitest';
import { RESOURCES } from '../../../src/kube/resources.ts';
import type { KubeObject } from '../../../src/kube/transport.ts';
import { nameOf, type RunningPod } from '../story/seen.ts';
import { statefulSet } from '../story/workloads.ts';
import { imageOf, otherTemplate, withSpec, type Rows } from './objects.ts';
import { continued, ends, isWhole, settles } from './judge.ts';
import type { OwnerRow } from './row.ts';

const { statefulSets } = RESOURCES;

export const STATEFUL: Rows = {
  'one after the other': (row) => byName(row, 'OrderedReady'),
  'in parallel': (row) => byName(row, 'Parallel'),
  // Kubernetes waits for the pod of the old template to be ready, and then replaces it.
  'one after the other, with another template': async (row) => {
    const { victims } = await templateChanged(row, 'OrderedReady');
    await row.leaves();
    await continued(row, victims);
    await isOfNewTemplate(row);
  },
  'in parallel, with another template': async (row) => {
    const { victims, gated } = await templateChanged(row, 'Parallel');
    await row.goes(gated.metadata.uid);
    await ends(row, victims, 'ColdStarted', 'TemplateDiffers');
    await row.leaves();
    await isOfNewTemplate(row);
  },
};

async function byName(row: OwnerRow, podManagementPolicy: string): Promise<void> {
  await row.create(withSpec(statefulSet(row.name, row.shape()), { replicas: 3, podManagementPolicy }));
  const victims = await row.displaced(await row.started(3));
  expect(victims).toHaveLength(3);
  await row.leaves();
  expect((await continued(row, victims)).map(nameOf)).toEqual(victims.map(({ name }) => name));
  await isWhole(row, statefulSets, 3);
  await settles(row, 3);
}

async function templateChanged(
  row: OwnerRow,
  podManagementPolicy: string,
): Promise<{ readonly victims: readonly RunningPod[]; readonly gated: KubeObject }> {
  await row.create(withSpec(statefulSet(row.name, row.shape()), { podManagementPolicy }));
  const victims = await row.displaced(await row.started(1));
  const gated = await row.waitsFor(victims[0] as RunningPod);
  await row.patch(statefulSets, { spec: otherTemplate() });
  return { victims, gated };
}

async function isOfNewTemplate(row: OwnerRow): Promise<void> {
  await row.runs((object) => imageOf(object) === 'registry.example/worker:2');
  await isWhole(row, statefulSets, 1);
  expect((await settles(row, 1)).map(imageOf)).toEqual(['registry.example/worker:2']);
}
