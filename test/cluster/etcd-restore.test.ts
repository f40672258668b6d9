import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { KubeClient } from '../../src/kube/client.ts';
import { pathOf, RESOURCES } from '../../src/kube/resources.ts';
import { Lab, QUICK_LEASE } from './story/lab.ts';
import type { Replica } from './story/replica.ts';
import { bound, nodeOf, running, ticketIn, workLost, type RunningPod } from './story/seen.ts';
import { pod, policy } from './story/workloads.ts';

/** Two replicas run while etcd is restored from a backup: all resourceVersions go back by hundreds. */
let lab: Lab;

/** Of {@link QUICK_LEASE}. */
const LEASE_SECONDS = 3;
/** `/readyz` and the metric are asked for one after the other. */
const BETWEEN_SECONDS = 1;

beforeAll(async () => {
  lab = await Lab.start({ nodes: 3, replicas: 2, configuration: QUICK_LEASE });
  await lab.cluster.applyObjects(policy('batch', 'batch'));
});
afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

/** What a replica says of itself at one moment. */
interface Word {
  readonly isReady: boolean;
  readonly leaseSeconds: number;
}

async function leaders(): Promise<readonly Replica[]> {
  const leads = await Promise.all(lab.replicas.map((replica) => replica.metric('reprieve_leader')));
  return lab.replicas.filter((_, index) => leads[index] === 1);
}

async function until(what: string, seconds: number, holds: () => Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + seconds * 1000;
  while (!(await holds())) {
    if (Date.now() > deadlineMs) throw new Error(`not within ${seconds} s: ${what}`);
    await sleep(100);
  }
}

const oneLeads = (seconds: number): Promise<void> =>
  until('one replica leads, and both are ready', seconds, async () => {
    const ready = await Promise.all(lab.replicas.map((replica) => replica.isReady()));
    return ready.every(Boolean) && (await leaders()).length === 1;
  });

/** Listens to both replicas until `done`, and adds to `words` what they say. */
async function listen(words: Word[], done: AbortSignal): Promise<void> {
  while (!done.aborted) {
    for (const replica of lab.replicas) {
      // In this order: a Lease that is renewed in between does not make an old age stand beside a ready replica.
      const isReady = await replica.isReady();
      words.push({ isReady, leaseSeconds: (await replica.metric('reprieve_lease_age_seconds')) ?? Number.NaN });
    }
    await sleep(100);
  }
}

/** What replicas said whose Lease had run out. */
const adrift = (words: readonly Word[]): readonly Word[] =>
  words.filter(({ leaseSeconds }) => leaseSeconds > LEASE_SECONDS + BETWEEN_SECONDS);

/** A victim on its node, and a preemptor that needs the place. */
async function displace(name: string, node: string, pinned: boolean): Promise<RunningPod> {
  const shape = { priorityClassName: 'batch', cpu: '3', ...(pinned ? { node } : { prefers: node }) };
  await lab.cluster.applyObjects(pod(`victim-${name}`, shape));
  const victim = await running(lab, `victim-${name}`);
  await sleep(1_200);
  await lab.cluster.applyObjects(pod(`serving-${name}`, { priorityClassName: 'serving', cpu: '3', node: victim.node }));
  return victim;
}

async function version(): Promise<number> {
  const { body } = await lab.transport.request({
    method: 'GET',
    path: pathOf(RESOURCES.leases),
    query: { limit: '1' },
  });
  return Number((body as { readonly metadata: { readonly resourceVersion: string } }).metadata.resourceVersion);
}

it('after a restore of etcd one replica leads again, forgets the lost tickets, and preempts', async () => {
  const backup = await lab.cluster.backUpEtcd();
  await oneLeads(60);
  const atBackup = await version();

  // Its ticket waits for room that never comes, and the backup knows neither.
  const lost = await displace('lost', 'node-1', true);
  await ticketIn(lab, 'Waiting', lost.uid);
  const client = new KubeClient(lab.transport);
  for (let count = 0; count < 400; count++) {
    const patch = { metadata: { annotations: { count: String(count) } } };
    await client.patch(RESOURCES.nodes, null, 'node-3', patch, { type: 'merge' });
  }
  expect((await version()) - atBackup).toBeGreaterThan(400);
  const waiting = (): Promise<readonly (number | null)[]> =>
    Promise.all(lab.replicas.map((replica) => replica.metric('reprieve_tickets{phase="Waiting"}')));
  expect(await waiting()).toEqual([1, 1]);

  const done = new AbortController();
  const heard: Word[] = [];
  const listening = listen(heard, done.signal);
  const leasesRanOut = (): Promise<void> =>
    until('the Leases run out', 30, async () => adrift(heard).length >= lab.replicas.length);
  await lab.cluster.restoreEtcd(backup, leasesRanOut);
  lab.history.startOver();
  await oneLeads(60);
  done.abort();
  await listening;

  expect(adrift(heard).filter(({ isReady }) => isReady)).toEqual([]);
  for (const { leaseSeconds } of heard.slice(-lab.replicas.length)) expect(leaseSeconds).toBeLessThan(LEASE_SECONDS);

  await until('the lost ticket is forgotten', 30, async () => (await waiting()).every((count) => !count));
  expect(lab.history.of('Reprieve')).toEqual([]);

  const victim = await displace('after', 'node-2', false);
  expect(nodeOf((await bound(lab, 'serving-after')).object)).toBe(victim.node);
  expect(await workLost(lab, victim.uid)).toBe(0);
  // Nobody was restarted for it.
  expect(lab.replicas.every(({ isRunning }) => isRunning)).toBe(true);
}, 300_000);
