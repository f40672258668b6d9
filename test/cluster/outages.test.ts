import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { field } from './story/history.ts';
import { Lab, QUICK_LEASE, type LabOptions } from './story/lab.ts';
import { bound, nodeOf, ordered, resumed, running, ticketIn, wasEvicted, wasMarked } from './story/seen.ts';
import { pod, policy } from './story/workloads.ts';

/** Parts of the control plane go away in the middle of the story, and come back. */
let lab: Lab;
let reviving: NodeJS.Timeout | undefined;

afterEach(async () => {
  clearInterval(reviving);
  await lab?.[Symbol.asyncDispose]();
});

async function start(options: Partial<LabOptions> = {}): Promise<void> {
  lab = await Lab.start({ nodes: 3, configuration: QUICK_LEASE, ...options });
  await lab.cluster.applyObjects(policy('batch', 'batch'));
}

async function victim(name: string, state = '1Gi'): Promise<{ uid: string; node: string }> {
  await lab.cluster.applyObjects(pod(name, { priorityClassName: 'batch', cpu: '3', state }));
  const found = await running(lab, name);
  await sleep(1_100);
  return found;
}

/**
 * kube-scheduler ends itself ("Scheduler cache is corrupted") when it lists pods after an outage and finds one on another node
 * under the name of one whose end it missed; it relies on being restarted.
 */
function reviveScheduler(): void {
  reviving = setInterval(() => void lab.cluster.reviveScheduler().catch(() => undefined), 1_000);
}

const askFor = (name: string, node: string): Promise<void> =>
  lab.cluster.applyObjects(pod(name, { priorityClassName: 'serving', cpu: '3', node }));

/** How it ended: where the preemptor is, and what the victim lost, once both run. */
async function outcome(
  serving: string,
  uid: string,
): Promise<{ readonly node: string | undefined; readonly lost: number }> {
  const node = nodeOf((await bound(lab, serving)).object);
  await resumed(lab, uid);
  return { node, lost: lab.ledger.lost.discarded };
}

describe('in the middle of the story', () => {
  it('kube-scheduler is killed and restarted', async () => {
    await start();
    const low = await victim('low');
    await askFor('high', low.node);
    await ordered(lab, low.uid);
    await lab.cluster.restartScheduler('SIGKILL');
    expect(await outcome('high', low.uid)).toEqual({ node: low.node, lost: 0 });
  });

  it('kube-scheduler is away until after the eviction', async () => {
    await start();
    const low = await victim('low', '100Mi');
    await askFor('high', low.node);
    await ordered(lab, low.uid);
    await lab.cluster.stopScheduler('SIGKILL');
    await ticketIn(lab, 'Waiting', low.uid);
    await lab.cluster.startScheduler();
    expect(await outcome('high', low.uid)).toEqual({ node: low.node, lost: 0 });
  });

  it('kube-apiserver is restarted, longer than the lease', async () => {
    await start();
    const low = await victim('low', '2Gi');
    await askFor('high', low.node);
    await ordered(lab, low.uid);
    await lab.cluster.stopApiServer('SIGKILL');
    await sleep(4_000);
    await lab.cluster.startApiServer();
    reviveScheduler();
    expect(await outcome('high', low.uid)).toEqual({ node: low.node, lost: 0 });
  });

  it('the watches are down while the past is compacted away: everything is listed again', async () => {
    await start();
    const low = await victim('low', '100Mi');
    const [replica] = lab.replicas;
    replica?.proxy.cutWatches();
    await askFor('high', low.node);
    await lab.cluster.applyObjects(pod('other', { priorityClassName: 'scratch', cpu: '1' }));
    await sleep(1_000);
    await lab.cluster.compact();
    // Its cache still had the past; a new one begins with the present.
    await lab.cluster.restartApiServer('SIGKILL');
    reviveScheduler();
    replica?.proxy.allowWatches();
    expect(await outcome('high', low.uid)).toEqual({ node: low.node, lost: 0 });
    expect(await lab.reprieveLog()).toMatch(/"kind":"expired"/);
  });
});

describe('Reprieve is away', () => {
  it('with ignorable: false nobody is preempted, and it goes on when it is back', async () => {
    await start();
    const low = await victim('low', '100Mi');
    const [replica] = lab.replicas;
    await replica?.kill();
    await askFor('high', low.node);
    const parked = await lab.history.until(
      'Pod',
      'a failed attempt to preempt',
      (object) =>
        object.metadata.name === 'high' &&
        /preemption/.test(JSON.stringify(field(object, 'status', 'conditions') ?? [])),
    );
    expect(JSON.stringify(field(parked.object, 'status', 'conditions'))).toMatch(/Post .*\/v1\/preempt/);
    await sleep(3_000);
    expect(wasMarked(lab, low.uid) || wasEvicted(lab, low.uid)).toBe(false);
    await replica?.start();
    expect(await outcome('high', low.uid)).toEqual({ node: low.node, lost: 0 });
  });

  it('with ignorable: true kube-scheduler preempts by itself', async () => {
    await start({ preemptIgnorable: true });
    const low = await victim('low', '100Mi');
    await lab.replicas[0]?.kill();
    await askFor('high', low.node);
    expect(nodeOf((await bound(lab, 'high')).object)).toBe(low.node);
    expect(wasEvicted(lab, low.uid)).toBe(true);
    expect(lab.history.of('Reprieve')).toEqual([]);
    expect(await lab.cluster.schedulerLog()).toMatch(/Skipping extender|ignorable/i);
  });
});
