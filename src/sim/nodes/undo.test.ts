import { nodeSpec } from './node-spec.ts';
import { describe, expect, it } from 'vitest';
import { FROZEN_CONDITION } from '../../domain/labels.ts';
import { UNMARK_BEFORE_MS } from '../../domain/thaw-rule.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { condition, deleteAtTheFence, MI, NODES_USER, setUp, type TestNodes } from './test-nodes.ts';

const progressOf = (world: TestNodes, pod: KubeObject): number => world.nodes.progressOf(pod.metadata.uid as string);
const at = (world: TestNodes, seconds: number): string => new Date(world.clock.now() + seconds * 1000).toISOString();

/** A pod on n1 that has worked for five seconds. */
async function working(world: TestNodes, name: string, annotations: Record<string, string> = {}): Promise<KubeObject> {
  const pod = await world.pod(name, 'n1', annotations);
  await world.clock.advance(6_000);
  return pod;
}

describe('no container stays frozen without a cause', () => {
  it('a dump that hangs ends at the deadline: the pod goes on, unsaved, and the disk is free again', async () => {
    const world = await setUp({ dumpHangs: (pod) => pod.metadata.name === 'a' });
    const a = await working(world, 'a');
    const b = await working(world, 'b');
    await world.checkpoint(a, 'ca', { thawAt: at(world, 10) });
    await world.checkpoint(b, 'cb');
    await world.clock.advance(9_999);
    expect(world.nodes.frozen()).toEqual([{ node: 'n1', pod: 'a' }]);
    expect(progressOf(world, b)).toBeCloseTo(15, 2); // it runs until the disk is free
    await world.clock.advance(1);
    expect(world.nodes.frozen()).toEqual([{ node: 'n1', pod: 'b' }]);
    const checkpoint = await world.getCheckpoint('ca');
    expect(condition(checkpoint, 'Failed')).toMatchObject({ status: 'True', reason: 'DeadlineExceeded' });
    expect(condition(checkpoint, 'Ready')).toBeUndefined();
    expect(condition(await world.get('a'), FROZEN_CONDITION)).toBeUndefined(); // it was never marked
    await world.clock.advance(2_000);
    expect(condition(await world.getCheckpoint('cb'), 'Ready')?.status).toBe('True');
  });

  it('a dump that hangs ends also where its request names no deadline: by the memory of the pod', async () => {
    const world = await setUp({ dumpHangs: () => true });
    const memory = { 'reprieve.dev/state-bytes': String(320 * MI) };
    const pod = await working(world, 'a', memory);
    await world.checkpoint(pod, 'c', { hold: 'None', thawAt: undefined });
    await world.clock.advance(319_999);
    expect(world.nodes.frozen()).toHaveLength(1);
    await world.clock.advance(1);
    expect(world.nodes.frozen()).toEqual([]);
    const message = 'saving took too long for a request without spec.thawAt; one with it may take up to an hour';
    const failed = { status: 'True', reason: 'DeadlineExceeded', message };
    expect(condition(await world.getCheckpoint('c'), 'Failed')).toMatchObject(failed);
  });

  it('one that waits behind a dump that hangs goes on at once when it is taken back', async () => {
    const world = await setUp({ dumpHangs: (pod) => pod.metadata.name === 'a' });
    const a = await working(world, 'a');
    const b = await working(world, 'b');
    await world.checkpoint(a, 'ca');
    await world.checkpoint(b, 'cb');
    await world.client.delete(RESOURCES.podCheckpoints, 'default', 'cb');
    await world.clock.settle();
    expect(world.nodes.frozen()).toEqual([{ node: 'n1', pod: 'a' }]);
    await expect(world.getCheckpoint('cb')).rejects.toMatchObject({ status: 404 });
  });

  it('goes on when its PodCheckpoint is torn away without waiting for the agent', async () => {
    const world = await setUp();
    const pod = await working(world, 'a');
    await world.checkpoint(pod, 'c');
    await world.clock.advance(2_000);
    world.api.closeWatches(); // when the agent looks again, it is gone
    await world.client.delete(RESOURCES.podCheckpoints, 'default', 'c');
    const patch = { metadata: { finalizers: [] } };
    await world.client.patch(RESOURCES.podCheckpoints, 'default', 'c', patch, { type: 'merge' });
    await world.clock.advance(1_000);
    expect(world.nodes.frozen()).toEqual([]);
    expect(condition(await world.get('a'), FROZEN_CONDITION)?.status).toBe('False');
  });

  it('keeps the state of a PodCheckpoint that a restore of etcd lost, and lets the pod go on', async () => {
    const world = await setUp();
    const pod = await working(world, 'a');
    const backup = world.api.backup();
    await world.checkpoint(pod, 'c');
    await world.clock.advance(2_000);
    expect(world.nodes.frozen()).toHaveLength(1);
    world.api.restore(backup);
    await world.clock.advance(10_000);
    expect(world.nodes.frozen()).toEqual([]);
    expect(world.nodes.node('n1')?.store.references()).toHaveLength(1);
    await world.clock.advance(25 * 3_600_000);
    expect(world.nodes.node('n1')?.store.references()).toEqual([]);
  });

  it('counts on from where it stood, also when deadline and deletion come at once', async () => {
    const world = await setUp();
    const pod = await working(world, 'a', { 'sim.reprieve.dev/work-seconds': '8' });
    await world.checkpoint(pod, 'c', { thawAt: at(world, 10) });
    const ms = 10_000 - UNMARK_BEFORE_MS;
    world.clock.setTimer(ms, () => void world.client.delete(RESOURCES.podCheckpoints, 'default', 'c'));
    await world.clock.advance(ms);
    expect(world.ledger.count('thawed')).toBe(1);
    await world.clock.advance(2_999);
    expect(world.ledger.count('completed')).toBe(0);
    await world.clock.advance(1);
    expect(world.ledger.count('completed')).toBe(1);
    expect(progressOf(world, pod)).toBe(8);
  });

  it('does not keep a pod frozen that is saved on the run', async () => {
    const world = await setUp();
    const pod = await working(world, 'a');
    await world.checkpoint(pod, 'c', { hold: 'None', thawAt: undefined });
    await world.clock.advance(2_000);
    expect(world.nodes.frozen()).toEqual([]);
    const checkpoint = await world.getCheckpoint('c');
    expect(condition(checkpoint, 'Ready')?.status).toBe('True');
    expect(condition(checkpoint, 'Frozen')).toMatchObject({ status: 'False', reason: 'Thawed' });
    expect(condition(await world.get('a'), FROZEN_CONDITION)?.status).not.toBe('True');
    await world.clock.advance(3_000);
    expect(progressOf(world, pod)).toBe(8);
    // Deleted unsaved since: what was done after the checkpoint is lost, and what the checkpoint holds only with it.
    await world.evict(pod);
    await world.clock.advance(1_000);
    expect(world.ledger.lost.discarded).toBe(1.5);
    await world.client.delete(RESOURCES.podCheckpoints, 'default', 'c');
    await world.clock.settle();
    expect(world.ledger.lost.discarded).toBe(4);
  });
});

it('takes the mark from a pod that its node started anew', async () => {
  const world = await setUp();
  const pod = await working(world, 'a');
  await world.checkpoint(pod, 'c');
  await world.clock.advance(3_000);
  expect(condition(await world.get('a'), FROZEN_CONDITION)?.status).toBe('True');
  world.nodes.removeNode('n1');
  void world.nodes.addNode(nodeSpec('n1'));
  await world.clock.advance(5_000);
  expect(condition(await world.get('a'), FROZEN_CONDITION)?.status).toBe('False');
  expect(condition(await world.getCheckpoint('c'), 'Frozen')).toMatchObject({ status: 'False', reason: 'Thawed' });
});

it('takes that mark also when the checkpoint goes', async () => {
  const world = await setUp();
  const pod = await working(world, 'a');
  await world.checkpoint(pod, 'c');
  await world.clock.advance(3_000);
  world.nodes.removeNode('n1');
  await world.client.delete(RESOURCES.podCheckpoints, 'default', 'c');
  void world.nodes.addNode(nodeSpec('n1'));
  await world.clock.advance(5_000);
  expect(condition(await world.get('a'), FROZEN_CONDITION)?.status).toBe('False');
});

describe('the fence', () => {
  it('does not let a pod go on whose deletion came first', async () => {
    const world = await setUp();
    const pod = await working(world, 'a');
    await world.checkpoint(pod, 'c');
    await world.clock.advance(3_000);
    const fences = deleteAtTheFence(world);
    await world.client.delete(RESOURCES.podCheckpoints, 'default', 'c');
    await world.clock.settle();
    expect(fences()).toBeGreaterThan(0);
    expect(world.events.map(({ kind }) => kind)).toEqual(['started', 'frozen', 'saved', 'killed']);
    expect(world.events.at(-1)?.progressSeconds).toBe(5);
    await expect(world.get('a')).rejects.toMatchObject({ status: 404 });
  });

  for (const effect of ['reset', 'reset-after'] as const) {
    it(`a mark on its way does not land on a pod that goes on (${effect})`, async () => {
      const world = await setUp();
      const pod = await working(world, 'a');
      let marks = 0;
      world.api.hooks.intercept = async ({ user, method, path }) => {
        if (user !== NODES_USER || method !== 'PATCH' || !path.endsWith('/pods/a/status')) return null;
        return marks++ === 0 ? effect : null;
      };
      await world.checkpoint(pod, 'c');
      await world.clock.advance(2_000); // the mark is being tried again in half a second
      await world.client.delete(RESOURCES.podCheckpoints, 'default', 'c');
      await world.clock.advance(5_000);
      expect(condition(await world.get('a'), FROZEN_CONDITION)?.status).toBe('False');
      expect(world.nodes.frozen()).toEqual([]);
      await expect(world.getCheckpoint('c')).rejects.toMatchObject({ status: 404 });
    });
  }
});

describe('while the API server is away', () => {
  /** From now on, until the result is called, nothing of the nodes reaches it. */
  function away(world: TestNodes): () => void {
    world.api.hooks.intercept = ({ user }) => Promise.resolve(user === NODES_USER ? 'reset' : null);
    return () => delete world.api.hooks.intercept;
  }

  it.each([
    ['fails', { dumpFails: () => 'disk full' }, {}],
    ['is done, and the pod was to run on', {}, { hold: 'None' }],
  ])('a pod is thawed at once whose dump %s: it was never marked', async (_, faults, spec) => {
    const world = await setUp(faults);
    const pod = await working(world, 'a');
    await world.checkpoint(pod, 'c', spec);
    expect(world.nodes.frozen()).toHaveLength(1);
    away(world);
    await world.clock.advance(2_000);
    expect(world.nodes.frozen()).toEqual([]);
  });

  it('a pod is thawed when it is not marked at its bound', async () => {
    const world = await setUp();
    const pod = await working(world, 'a');
    await world.checkpoint(pod, 'c', { thawAt: at(world, 30) });
    away(world);
    await world.clock.advance(29_999);
    expect(world.nodes.frozen()).toHaveLength(1);
    await world.clock.advance(1);
    expect(world.nodes.frozen()).toEqual([]);
  });

  it('a marked pod is thawed at its bound, nobody can restore its state, and all is told later', async () => {
    const world = await setUp();
    const pod = await working(world, 'a');
    await world.checkpoint(pod, 'c', { thawAt: at(world, 30) });
    await world.clock.advance(3_000);
    expect((await world.getCheckpoint('c'))['status']).toMatchObject({ thawAt: at(world, 27) });
    const back = away(world);
    await world.clock.advance(26_999);
    expect(world.nodes.frozen()).toHaveLength(1);
    await world.clock.advance(1);
    expect(world.nodes.frozen()).toEqual([]);
    expect(world.nodes.node('n1')?.store.references()).toEqual([]);
    expect(condition(await world.get('a'), FROZEN_CONDITION)?.status).toBe('True');
    back();
    await world.clock.advance(2_000);
    expect(condition(await world.get('a'), FROZEN_CONDITION)?.status).toBe('False');
    const checkpoint = await world.getCheckpoint('c');
    expect(condition(checkpoint, 'Frozen')).toMatchObject({ status: 'False', reason: 'DeadlineExceeded' });
  });

  it('a pod that went on and was deleted then was not killed for its state', async () => {
    const world = await setUp();
    const pod = await working(world, 'a');
    await world.checkpoint(pod, 'c', { thawAt: at(world, 30) });
    await world.clock.advance(3_000);
    const back = away(world);
    await world.clock.advance(30_000);
    world.nodes.crashAgent('n1');
    back();
    await world.evict(pod);
    await world.clock.advance(40_000);
    await world.done(world.nodes.restartAgent('n1'));
    await world.clock.advance(1_000);
    expect(condition(await world.getCheckpoint('c'), 'Frozen')).toMatchObject({ status: 'False', reason: 'Thawed' });
  });

  it('an agent that was started again thaws at the bound as well', async () => {
    const world = await setUp();
    const pod = await working(world, 'a');
    await world.checkpoint(pod, 'c', { thawAt: at(world, 30) });
    await world.clock.advance(3_000);
    away(world);
    world.nodes.crashAgent('n1');
    await world.clock.advance(10_000);
    void world.nodes.restartAgent('n1');
    await world.clock.advance(16_999);
    expect(world.nodes.frozen()).toHaveLength(1);
    await world.clock.advance(1);
    expect(world.nodes.frozen()).toEqual([]);
  });
});

it('a thaw that fails is tried again until it succeeds', async () => {
  let failures = 20;
  const world = await setUp({ dumpFails: () => 'disk full', thawFails: () => (failures-- > 0 ? 'EIO' : null) });
  const pod = await working(world, 'a');
  await world.checkpoint(pod, 'c');
  await world.clock.advance(60_000);
  expect(world.nodes.frozen()).toHaveLength(1);
  await world.clock.advance(200_000);
  expect(world.nodes.frozen()).toEqual([]);
  expect(condition(await world.getCheckpoint('c'), 'Failed')?.reason).toBe('DumpFailed');
});

it('a thaw that fails thaws a pod only once, also where the order is begun anew', async () => {
  let failures = 3;
  const world = await setUp({ thawFails: () => (failures-- > 0 ? 'EIO' : null) });
  const pod = await working(world, 'a');
  await world.checkpoint(pod, 'c');
  await world.clock.advance(1_000);
  world.nodes.crashAgent('n1');
  const restarted = world.nodes.restartAgent('n1');
  await world.clock.advance(5_000);
  await restarted;
  expect(world.events.map(({ kind }) => kind)).toEqual(['started', 'frozen', 'thawed', 'frozen', 'saved']);
  expect(world.nodes.frozen()).toEqual([{ node: 'n1', pod: 'a' }]);
});

describe('an agent that dies', () => {
  it('writes nothing any more, and its successor knows no mark of it', async () => {
    const world = await setUp();
    const pod = await working(world, 'a');
    let writes = 0;
    world.api.hooks.intercept = async ({ user, method, path }) =>
      user === NODES_USER && method !== 'GET' && path.includes('/pods/') && writes++ >= 0 ? 'reset' : null;
    await world.checkpoint(pod, 'c');
    await world.clock.advance(2_000);
    expect(writes).toBe(1);
    world.nodes.crashAgent('n1');
    await world.clock.advance(10_000);
    expect(writes).toBe(1);
    delete world.api.hooks.intercept;
    await world.done(world.nodes.restartAgent('n1'));
    expect(world.nodes.frozen()).toEqual([]);
    await world.clock.advance(2_000);
    expect(condition(await world.get('a'), FROZEN_CONDITION)).toMatchObject({ status: 'True', message: 'c' });
    expect(condition(await world.getCheckpoint('c'), 'Ready')?.status).toBe('True');
  });

  it('leaves it to its successor to say that a pod was killed', async () => {
    const world = await setUp();
    const pod = await working(world, 'a');
    await world.checkpoint(pod, 'c');
    await world.clock.advance(3_000);
    world.nodes.crashAgent('n1');
    await world.evict(pod);
    await expect(world.get('a')).rejects.toMatchObject({ status: 404 });
    expect(condition(await world.getCheckpoint('c'), 'Frozen')?.status).toBe('True');
    await world.done(world.nodes.restartAgent('n1'));
    const checkpoint = await world.getCheckpoint('c');
    expect(condition(checkpoint, 'Frozen')).toMatchObject({ status: 'False', reason: 'PodKilled' });
    expect(condition(checkpoint, 'Ready')?.status).toBe('True');
  });

  it('has thawed a pod at its deadline, and its successor does not take the pod for killed that was deleted since', async () => {
    const world = await setUp();
    const pod = await working(world, 'a');
    await world.checkpoint(pod, 'c', { thawAt: at(world, 10) });
    await world.clock.advance(3_000);
    world.api.hooks.intercept = ({ user, path }) =>
      Promise.resolve(user === NODES_USER && path.includes('/podcheckpoints/') ? 'reset' : null);
    await world.clock.advance(5_000);
    expect(world.nodes.frozen()).toEqual([]);
    world.nodes.crashAgent('n1');
    delete world.api.hooks.intercept;
    await world.evict(pod);
    await world.clock.advance(60_000);
    await world.done(world.nodes.restartAgent('n1'));
    expect(condition(await world.getCheckpoint('c'), 'Frozen')).toMatchObject({ status: 'False', reason: 'Thawed' });
  });

  it('is late for a deadline, not too late', async () => {
    const world = await setUp();
    const pod = await working(world, 'a');
    await world.checkpoint(pod, 'c', { thawAt: at(world, 10) });
    await world.clock.advance(3_000);
    world.nodes.crashAgent('n1');
    await world.clock.advance(30_000);
    expect(world.nodes.frozen()).toHaveLength(1);
    await world.done(world.nodes.restartAgent('n1'));
    await world.clock.advance(0);
    expect(world.nodes.frozen()).toEqual([]);
    expect(condition(await world.getCheckpoint('c'), 'Frozen')?.reason).toBe('DeadlineExceeded');
  });

  it('saves again what was ordered while it was away', async () => {
    const world = await setUp();
    const pod = await working(world, 'a');
    world.nodes.crashAgent('n1');
    await world.checkpoint(pod, 'c');
    await world.clock.advance(5_000);
    expect(world.nodes.frozen()).toEqual([]);
    await world.done(world.nodes.restartAgent('n1'));
    await world.clock.advance(2_000);
    expect((await world.getCheckpoint('c'))['status']).toMatchObject({ bytes: 200 * MI });
  });
});
