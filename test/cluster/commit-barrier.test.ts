import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TICKETS_SEEN_ANNOTATION } from '../../src/domain/labels.ts';
import { Lab, QUICK_LEASE } from './story/lab.ts';
import { REPRIEVE_USER, type Replica } from './story/replica.ts';
import { resumed, running } from './story/seen.ts';
import { deployment, pod, policy } from './story/workloads.ts';

/**
 * Two replicas under a real control plane, whose webhook Service leads to the follower first: it gates the replacements of pods
 * that the leader has evicted a moment ago, and reads no tickets from kube-apiserver for that.
 */
let lab: Lab;
let auditLog: string;

beforeAll(async () => {
  const folder = await mkdtemp(join(process.env['REPRIEVE_CLUSTER_DIR'] ?? tmpdir(), 'audit-'));
  auditLog = join(folder, 'audit.log');
  const auditPolicy = join(folder, 'policy.json');
  const rules = [{ level: 'Metadata', users: [REPRIEVE_USER] }, { level: 'None' }];
  const omitStages = ['RequestReceived'];
  await writeFile(auditPolicy, JSON.stringify({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages, rules }));
  lab = await Lab.start({
    nodes: 4,
    replicas: 2,
    configuration: QUICK_LEASE,
    apiServerFlags: [`--audit-policy-file=${auditPolicy}`, `--audit-log-path=${auditLog}`],
  });
  await lab.cluster.applyObjects(policy('batch', 'batch'));
});
afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

const otherThan = (replica: Replica): Replica => lab.replicas.find((other) => other !== replica) as Replica;

/** LISTs of Reprieves; watches that begin with all there is are none. */
async function ticketLists(): Promise<number> {
  const requests = (await readFile(auditLog, 'utf8')).split('\n').filter((line) => line !== '');
  return requests
    .map((line) => JSON.parse(line) as { readonly verb: string; readonly objectRef?: { readonly resource?: string } })
    .filter(({ verb, objectRef }) => verb === 'list' && objectRef?.resource === 'reprieves').length;
}

/** Leases by which replicas say that displacements wait for them. */
async function members(): Promise<readonly string[]> {
  const { items } = JSON.parse(await lab.cluster.kubectl('get', 'leases', '-n', 'reprieve-system', '-o', 'json')) as {
    readonly items: readonly {
      readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
    }[];
  };
  return items
    .filter(({ metadata }) => metadata.annotations?.[TICKETS_SEEN_ANNOTATION] !== undefined)
    .map(({ metadata }) => metadata.name);
}

/** The victim continues in a pod that its ReplicaSet made. */
async function expectRestored(name: string): Promise<void> {
  await lab.cluster.applyObjects(deployment(name, { priorityClassName: 'batch', cpu: '3', state: '100Mi' }));
  const victim = await running(lab, name, ({ metadata }) => metadata.name.startsWith(`${name}-`));
  await sleep(1_200);
  const serving = pod(`serving-${name}`, { priorityClassName: 'serving', cpu: '3', node: victim.node });
  await lab.cluster.applyObjects(serving);
  await resumed(lab, victim.uid);
  await lab.cluster.kubectl('delete', `deployment/${name}`, `pod/serving-${name}`, '--wait=true');
}

it('a follower gates the replacement of a pod that was evicted a moment ago, without a LIST of tickets', async () => {
  await expect.poll(members, { timeout: 20_000 }).toHaveLength(2);
  await sleep(2_000); // both have listed the tickets after that
  const follower = otherThan(await lab.leader());
  const before = await ticketLists();
  for (const name of ['first', 'second', 'third']) await expectRestored(name);
  const gated = (await follower.log()).match(/"verb":"admit-pod".*"gated":true/g) ?? [];
  expect(gated.length).toBeGreaterThanOrEqual(3);
  expect(await ticketLists()).toBe(before);
});

it('a follower that was killed is not waited for, and its Lease goes', async () => {
  const leader = await lab.leader();
  const follower = otherThan(leader);
  const before = await members();
  await follower.kill();
  await expectRestored('killed');
  await expect.poll(members, { timeout: 30_000 }).toHaveLength(1);
  await follower.start();
  await expect.poll(members, { timeout: 20_000 }).toHaveLength(2);
  expect(await members()).not.toEqual(before);
});

it('a follower that stops removes its Lease', async () => {
  const follower = otherThan(await lab.leader());
  await follower.stop();
  expect(await members()).toHaveLength(1);
});
