import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { ROLE_LABEL } from '../../src/domain/labels.ts';
import { field } from './story/history.ts';
import { Lab, QUICK_LEASE } from './story/lab.ts';
import type { Replica } from './story/replica.ts';
import { bound, nodeOf, ordered, resumed, running, workLost } from './story/seen.ts';
import { pod, policy, statefulSet } from './story/workloads.ts';

/** Two replicas of `reprieve serve` under a real control plane: one leads, whatever happens to it. */
let lab: Lab;

beforeAll(async () => {
  lab = await Lab.start({ nodes: 4, replicas: 2, configuration: QUICK_LEASE });
  await lab.cluster.applyObjects(policy('batch', 'batch'));
});
afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

const otherThan = (replica: Replica): Replica => lab.replicas.find((other) => other !== replica) as Replica;
/** Writes of the engine, not those of the election itself. */
const engineWrites = ({ proxy }: Replica): string[] =>
  proxy.writes
    .filter(({ path }) => path.includes('/namespaces/default/'))
    .map(({ method, path }) => `${method} ${path}`);
const holders = (): unknown[] =>
  lab.history.of('Lease', 'reprieve').map(({ object }) => field(object, 'spec', 'holderIdentity'));

/** A victim with work behind it, and a preemptor that needs its place. */
async function displace(name: string, state = '100Mi'): Promise<{ uid: string; node: string }> {
  await lab.cluster.applyObjects(pod(`victim-${name}`, { priorityClassName: 'batch', cpu: '3', state }));
  const victim = await running(lab, `victim-${name}`);
  await sleep(1_200);
  await lab.cluster.applyObjects(pod(`serving-${name}`, { priorityClassName: 'serving', cpu: '3', node: victim.node }));
  return victim;
}

/** The victim goes on elsewhere with all it had done, and its preemptor has the node. */
async function expectGoodEnd(name: string, victim: { uid: string; node: string }): Promise<void> {
  expect(nodeOf((await bound(lab, `serving-${name}`)).object)).toBe(victim.node);
  expect(await workLost(lab, victim.uid)).toBe(0);
  expect(
    lab.history
      .of('Reprieve')
      .filter(({ type, object: ticket }) => type === 'ADDED' && field(ticket, 'spec', 'pod', 'uid') === victim.uid),
  ).toHaveLength(1);
  await lab.cluster.kubectl('delete', 'pod', `serving-${name}`, `victim-${name}`, '--wait=false');
}

describe('of two replicas', () => {
  it('one leads: its pod has the label, and the other writes nothing', async () => {
    const leader = await lab.leader();
    const follower = otherThan(leader);
    await expectGoodEnd('one', await displace('one'));
    expect(engineWrites(leader)).not.toEqual([]);
    expect(engineWrites(follower)).toEqual([]);
    const labelled = await lab.cluster.kubectl('get', 'pods', '-A', '-l', `${ROLE_LABEL}=leader`, '-o', 'name');
    expect(labelled.trim()).toBe(`pod/${leader.podName}`);
  });

  it('the follower gates the replacement of a pod whose ticket only the leader has written', async () => {
    const follower = otherThan(await lab.leader());
    await lab.cluster.applyObjects(statefulSet('notebook', { priorityClassName: 'batch', cpu: '3' }));
    const victim = await running(lab, 'notebook-0');
    await lab.cluster.applyObjects(pod('serving-sts', { priorityClassName: 'serving', cpu: '3', node: victim.node }));
    await resumed(lab, victim.uid);
    expect(await follower.log()).toMatch(/"verb":"admit-pod".*"gated":true/);
    await lab.cluster.kubectl('delete', 'statefulset/notebook', 'pod/serving-sts');
  });
});

describe('the leader ends', () => {
  it('on SIGTERM in the middle of a dump: the lease is given back, and the follower carries on', async () => {
    const leader = await lab.leader();
    const follower = otherThan(leader);
    const victim = await displace('term', '1Gi');
    await ordered(lab, victim.uid);
    const before = holders().length;
    onTestFinished(() => leader.start());
    await leader.stop();
    await expectGoodEnd('term', victim);
    // Given back by the one, then taken by the other: nobody had to wait for it to run out.
    const since = holders().slice(before);
    const releasedAt = since.indexOf(undefined);
    expect(releasedAt).toBeGreaterThanOrEqual(0);
    expect(since[releasedAt + 1]).not.toBe(since[releasedAt - 1] ?? holders()[before - 1]);
    expect(await lab.leader()).toBe(follower);
  });

  it('on SIGKILL in the middle of a dump: the follower takes over and carries on', async () => {
    const leader = await lab.leader();
    const victim = await displace('kill', '1Gi');
    await ordered(lab, victim.uid);
    onTestFinished(() => leader.start());
    await leader.kill();
    await expectGoodEnd('kill', victim);
    expect(await lab.leader()).toBe(otherThan(leader));
  });
});

describe('the leader is paused for longer than its lease', () => {
  it('another leads and is asked, and the old one writes nothing more when it wakes up', async () => {
    const paused = await lab.leader();
    const follower = otherThan(paused);
    // In the middle of its work, so that it has every reason to write when it wakes up.
    const victim = await displace('stop', '1Gi');
    await ordered(lab, victim.uid);
    await paused.pause();
    await expectGoodEnd('stop', victim);
    expect(await lab.leader()).toBe(follower);
    const before = paused.proxy.writes.length;
    paused.resume();
    // It is awake when it has learned who leads.
    await paused.logged(/"msg":"following"/);
    const next = await displace('after');
    await expectGoodEnd('after', next);
    const isOwnLease = (path: string): boolean => path.includes('/leases');
    expect(paused.proxy.writes.slice(before).filter(({ path }) => !isOwnLease(path))).toEqual([]);
    expect(await lab.leader()).toBe(follower);
  });
});
