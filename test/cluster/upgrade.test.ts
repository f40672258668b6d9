import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { messageOf } from '../../src/domain/message-of.ts';
import { KubeClient } from '../../src/kube/client.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { olderForms } from '../support/older-records.ts';
import { condition } from './story/history.ts';
import { Lab, QUICK_LEASE } from './story/lab.ts';
import { bound, eventsAbout, phaseOf, running, victimUidOf, workLost } from './story/seen.ts';
import { pod, policy } from './story/workloads.ts';

/**
 * A running cluster is upgraded: CRDs, admission policies, replicas and agents. A real kube-apiserver stores what the older CRDs
 * accept, and judges each later write by the rules of the new ones.
 */
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const deploy = (name: string): string => join(root, 'deploy', name);
/** As they were installed with the version before displacements had causes. */
const OLD_CRDS = join(root, 'test/fixtures/crds-revision-3');

interface Crd {
  spec: { versions: { schema: { openAPIV3Schema: { properties: { spec: Record<string, unknown> } } } }[] };
}

/** Without the rules about a whole spec: they let no request change, and the test writes each anew in the older form. */
async function oldCrds(): Promise<readonly Crd[]> {
  const texts = (await readdir(OLD_CRDS)).map((name) => readFile(join(OLD_CRDS, name), 'utf8'));
  const crds = (await Promise.all(texts)).map((text) => parse(text) as Crd);
  for (const { schema } of crds.flatMap(({ spec }) => spec.versions))
    delete schema.openAPIV3Schema.properties.spec['x-kubernetes-validations'];
  return crds;
}

let lab: Lab;
beforeAll(async () => {
  lab = await Lab.start({ nodes: 2, configuration: QUICK_LEASE });
});
afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

it('carries on what the version before had begun: one pod frozen, one in the queue', async () => {
  const { cluster } = lab;
  const client = new KubeClient(lab.transport);
  const phases = async (): Promise<readonly string[]> =>
    (await client.list(RESOURCES.reprieves)).map((ticket) => String(phaseOf(ticket))).sort();
  await cluster.applyObjects(
    policy('batch', 'batch', 'Refuse', '15m'), // an upgrade takes its time
    pod('queued', { priorityClassName: 'batch', cpu: '3', node: 'node-1' }),
    pod('frozen', { priorityClassName: 'batch', cpu: '3', node: 'node-2', state: '8Gi' }),
  );
  const queued = await running(lab, 'queued');
  const frozen = await running(lab, 'frozen');
  await cluster.applyObjects(pod('serving-1', { priorityClassName: 'serving', cpu: '3', node: 'node-1' }));
  await bound(lab, 'serving-1');
  await expect.poll(phases, { timeout: 60_000 }).toEqual(['Waiting']);
  await cluster.applyObjects(pod('serving-2', { priorityClassName: 'serving', cpu: '3', node: 'node-2' }));
  await expect.poll(() => lab.nodes.frozen(), { timeout: 60_000 }).toEqual([{ node: 'node-2', pod: 'frozen' }]);

  for (const replica of lab.replicas) await replica.stop();
  expect(await phases()).toEqual(['Saving', 'Waiting']);
  const isSaved = (object: KubeObject): boolean =>
    condition(object, 'Ready') === 'True' && victimUidOf(object) === frozen.uid;
  await lab.history.until('PodCheckpoint', 'saved by the agent alone', isSaved);
  const rewrite = await olderForms(client);
  await cluster.kubectl('delete', '-f', deploy('admission-policies.yaml'));
  await cluster.applyObjects(...(await oldCrds()));
  // kube-apiserver answers 429 while it takes over the changed schema.
  await expect.poll(() => phases().catch(messageOf), { timeout: 60_000 }).toEqual(['Saving', 'Waiting']);
  await rewrite();

  await cluster.applyFiles(deploy('crds'), deploy('admission-policies.yaml'));
  lab.nodes.crashAgent('node-2');
  await lab.nodes.restartAgent('node-2');
  expect(lab.nodes.frozen()).toEqual([{ node: 'node-2', pod: 'frozen' }]);
  for (const replica of lab.replicas) await replica.start();
  await bound(lab, 'serving-2');
  await cluster.kubectl('delete', 'pod', 'serving-1', 'serving-2', '--wait=false');

  for (const { name, uid } of [queued, frozen]) {
    expect(await workLost(lab, uid)).toBe(0);
    expect(await eventsAbout(lab, name)).not.toContain('RecordsConflict');
  }
  expect(lab.ledger.lost.discarded).toBe(0);
  expect(lab.nodes.frozen()).toEqual([]);
}, 180_000);
