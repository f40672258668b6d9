import { describe, expect, it } from 'vitest';
import { FROZEN_CONDITION, RESTORED_CONDITION } from '../../domain/labels.ts';
import { UNMARK_BEFORE_MS } from '../../domain/thaw-rule.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { condition, displaced, MI, phase, progress, setUp } from './test-nodes.ts';

describe('kubelet', () => {
  it('registers nodes that say what their agent can', async () => {
    const { client } = await setUp();
    const node = await client.get(RESOURCES.nodes, null, 'n1');
    expect(node.metadata.labels).toMatchObject({
      'reprieve.dev/checkpoint': 'true',
      'reprieve.dev/compatibility': 'simulated-v1',
    });
    expect(condition(node, 'Ready')?.status).toBe('True');
  });

  it('runs a pod to the end of its work', async () => {
    const world = await setUp();
    await world.pod('a', 'n1', { 'sim.reprieve.dev/work-seconds': '10' });
    expect(phase(await world.get('a'))).toBe('Pending');
    await world.clock.advance(1_000);
    expect(phase(await world.get('a'))).toBe('Running');
    await world.clock.advance(9_999);
    expect(phase(await world.get('a'))).toBe('Running');
    await world.clock.advance(1);
    const done = await world.get('a');
    expect([phase(done), progress(done)]).toEqual(['Succeeded', '10']);
    expect(world.ledger.lost.total).toBe(0);
  });

  it('gives a pod its time after SIGTERM, within its grace period', async () => {
    const world = await setUp();
    const pod = await world.pod('a', 'n1', { 'sim.reprieve.dev/termination-seconds': '20' });
    await world.clock.advance(11_000);
    await world.evict(pod);
    await world.clock.advance(19_999);
    expect(phase(await world.get('a'))).toBe('Running');
    await world.clock.advance(1);
    await expect(world.get('a')).rejects.toMatchObject({ status: 404 });
    // Half a node: ten seconds of work thrown away, twenty of waiting for it to go.
    expect(world.ledger.lost).toEqual({ discarded: 5, held: 10, total: 15 });
  });

  it('does not call it a loss when the owner wants a pod gone', async () => {
    const world = await setUp();
    await world.pod('a', 'n1');
    await world.clock.advance(11_000);
    await world.client.delete(RESOURCES.pods, 'default', 'a');
    await world.clock.advance(2_000);
    expect(world.ledger.lost.total).toBe(0);
  });
});

describe('agent', () => {
  it('freezes, dumps at the speed of the disk, marks the pod and reports', async () => {
    const world = await setUp();
    const pod = await world.pod('a', 'n1');
    await world.clock.advance(6_000);
    await world.checkpoint(pod, 'c');
    expect(world.nodes.frozen()).toEqual([{ node: 'n1', pod: 'a' }]);
    await world.clock.advance(1_999);
    expect(condition(await world.getCheckpoint('c'), 'Ready')).toBeUndefined();
    await world.clock.advance(1);
    expect(condition(await world.get('a'), FROZEN_CONDITION)).toMatchObject({ status: 'True', message: 'c' });
    expect(progress(await world.get('a'))).toBe('5');
    const checkpoint = await world.getCheckpoint('c');
    expect(condition(checkpoint, 'Ready')?.status).toBe('True');
    expect(condition(checkpoint, 'Frozen')?.status).toBe('True');
    expect(checkpoint['status']).toMatchObject({
      bytes: 200 * MI,
      location: { node: 'n1' },
      compatibility: 'simulated-v1',
    });
    await world.clock.advance(60_000);
    expect(world.nodes.progressOf(pod.metadata.uid as string)).toBe(5);
  });

  it('kills a frozen pod at once when it is deleted, and keeps its state', async () => {
    const world = await setUp();
    const pod = await world.pod('a', 'n1', { 'sim.reprieve.dev/termination-seconds': '30' });
    await world.clock.advance(6_000);
    await world.checkpoint(pod, 'c');
    await world.clock.advance(3_000);
    await world.evict(pod);
    await expect(world.get('a')).rejects.toMatchObject({ status: 404 });
    const checkpoint = await world.getCheckpoint('c');
    expect(condition(checkpoint, 'Ready')?.status).toBe('True');
    expect(condition(checkpoint, 'Frozen')).toMatchObject({ status: 'False', reason: 'PodKilled' });
    // Nothing of its work is lost; it stood still for three seconds on half a node.
    expect(world.ledger.lost).toEqual({ discarded: 0, held: 1.5, total: 1.5 });
  });

  it('restores on another node: fetch, restore, and on where it stopped', async () => {
    const world = await displaced();
    const pod = await world.continuing('b', 'n2');
    await world.clock.advance(1_599); // 1 s over the network, 0.5 s from disk, 0.1 s overhead
    expect(phase(await world.get('b'))).toBe('Pending');
    await world.clock.advance(1);
    const restored = await world.get('b');
    expect([phase(restored), progress(restored)]).toEqual(['Running', '5']);
    expect(condition(restored, RESTORED_CONDITION)).toMatchObject({ status: 'True', reason: 'Restored' });
    await world.clock.advance(2_000);
    expect(world.nodes.progressOf(pod.metadata.uid as string)).toBe(7);
    expect(world.ledger.lost).toEqual({ discarded: 0, held: 1 + 0.8, total: 1.8 });
  });

  it('does not fetch what it holds itself', async () => {
    const world = await displaced();
    await world.continuing('b', 'n1');
    await world.clock.advance(600);
    expect(phase(await world.get('b'))).toBe('Running');
  });

  it('starts cold and says why when the state is gone, other or broken', async () => {
    const gone = await displaced();
    await gone.client.delete(RESOURCES.podCheckpoints, 'default', 'c');
    await gone.clock.settle();
    await gone.continuing('b', 'n2');
    await gone.clock.advance(61_000);
    expect(condition(await gone.get('b'), RESTORED_CONDITION)).toMatchObject({
      status: 'False',
      reason: 'CheckpointMissing',
    });
    expect(progress(await gone.get('b'))).toBe('0');
    expect(gone.ledger.lost.discarded).toBe(2.5);

    const broken = await displaced({ restoreFails: () => 'criu said no' });
    await broken.continuing('b', 'n2');
    await broken.clock.advance(63_000);
    expect(condition(await broken.get('b'), RESTORED_CONDITION)).toMatchObject({
      status: 'False',
      reason: 'RestoreFailed',
      message: 'criu said no',
    });
  });

  it('lets the pod go on when the order is taken back, mark first', async () => {
    const world = await setUp();
    const pod = await world.pod('a', 'n1');
    await world.clock.advance(6_000);
    await world.checkpoint(pod, 'c');
    await world.clock.advance(3_000);
    await world.client.delete(RESOURCES.podCheckpoints, 'default', 'c');
    await world.clock.settle();
    await expect(world.getCheckpoint('c')).rejects.toMatchObject({ status: 404 });
    expect(condition(await world.get('a'), FROZEN_CONDITION)?.status).toBe('False');
    expect(world.nodes.frozen()).toEqual([]);
    await world.clock.advance(4_000);
    expect(world.nodes.progressOf(pod.metadata.uid as string)).toBe(9);
    expect(world.ledger.lost).toEqual({ discarded: 0, held: 1.5, total: 1.5 });
  });

  it('takes back an order in the middle of the dump', async () => {
    const world = await setUp();
    const pod = await world.pod('a', 'n1');
    await world.clock.advance(6_000);
    await world.checkpoint(pod, 'c');
    await world.clock.advance(1_000);
    await world.client.delete(RESOURCES.podCheckpoints, 'default', 'c');
    await world.clock.advance(5_000);
    await expect(world.getCheckpoint('c')).rejects.toMatchObject({ status: 404 });
    expect(world.nodes.progressOf(pod.metadata.uid as string)).toBe(10);
  });

  it('lets the pod go on at the deadline, though nobody asks', async () => {
    const world = await setUp();
    const pod = await world.pod('a', 'n1');
    await world.clock.advance(6_000);
    await world.checkpoint(pod, 'c', { thawAt: new Date(world.clock.now() + 10_000).toISOString() });
    await world.clock.advance(9_999 - UNMARK_BEFORE_MS);
    expect(world.nodes.frozen()).toHaveLength(1);
    await world.clock.advance(1);
    expect(world.nodes.frozen()).toEqual([]);
    expect(condition(await world.getCheckpoint('c'), 'Frozen')).toMatchObject({
      status: 'False',
      reason: 'DeadlineExceeded',
    });
  });

  it('dates what it saved by the time of the API server, though somebody has set the clock of its node', async () => {
    let skewMs = 0;
    const world = await setUp({}, () => skewMs);
    const pod = await world.pod('a', 'n1');
    await world.clock.advance(6_000);
    skewMs = 600_000;
    const savedMs = world.clock.now();
    await world.checkpoint(pod, 'c', { hold: 'None', thawAt: undefined });
    await world.clock.advance(3_000);
    const { startedAt, takenAt, completedAt } = (await world.getCheckpoint('c'))['status'] as Record<string, string>;
    const passed = [startedAt, takenAt, completedAt].map((time) => Date.parse(time as string) - savedMs);
    expect(passed).toEqual([0, 0, 2_000]);
  });

  it('reports a dump that fails, and lets the pod go on', async () => {
    const world = await setUp({ dumpFails: () => 'disk full' });
    const pod = await world.pod('a', 'n1');
    await world.clock.advance(6_000);
    await world.checkpoint(pod, 'c');
    await world.clock.advance(3_000);
    expect(condition(await world.getCheckpoint('c'), 'Failed')).toMatchObject({
      status: 'True',
      reason: 'DumpFailed',
      message: 'disk full',
    });
    expect(world.nodes.frozen()).toEqual([]);
    expect(world.nodes.progressOf(pod.metadata.uid as string)).toBe(6);
    // The object is kept for people to read; what was written of the state is not.
    expect(world.nodes.node('n1')?.store.references()).toEqual([]);
  });

  it('keeps the rules of the PodCheckpoint', async () => {
    const world = await setUp();
    const volumes = { 'sim.reprieve.dev/volumes': '150Mi' };
    const [plain, connected] = [
      await world.pod('a', 'n1', volumes),
      await world.pod('b', 'n1', { 'sim.reprieve.dev/connections': '1' }),
    ];
    await world.clock.advance(6_000);
    const rules = { hold: 'None', maxBytes: '100Mi' };
    await world.checkpoint(plain, 'large', rules);
    await world.checkpoint(plain, 'memory', { ...rules, volumes: 'None' });
    await world.checkpoint(connected, 'open', { hold: 'None', sockets: 'Refuse' });
    await world.checkpoint(connected, 'closed', { hold: 'None' });
    await world.clock.advance(5_000);
    const outcome = async (name: string) => {
      const checkpoint = await world.getCheckpoint(name);
      return condition(checkpoint, 'Failed')?.reason ?? (checkpoint['status'] as { bytes: number }).bytes;
    };
    expect([await outcome('large'), await outcome('memory')]).toEqual(['TooLarge', 50 * MI]);
    expect([await outcome('open'), await outcome('closed')]).toEqual(['TcpEstablished', 200 * MI]);
    expect(world.nodes.frozen()).toEqual([]);
  });

  it('refuses what does not run here', async () => {
    const world = await setUp();
    const pod = await world.pod('a', 'n1');
    await world.checkpoint({ ...pod, metadata: { ...pod.metadata, uid: 'other' } }, 'c');
    expect(condition(await world.getCheckpoint('c'), 'Failed')?.reason).toBe('PodGone');
    await world.checkpoint(pod, 'd'); // not started yet
    expect(condition(await world.getCheckpoint('d'), 'Failed')?.reason).toBe('NotRunning');
  });

  it('writes one dump at a time on a disk', async () => {
    const world = await setUp();
    const [a, b] = [await world.pod('a', 'n1'), await world.pod('b', 'n1')];
    await world.clock.advance(6_000);
    await world.checkpoint(a, 'ca');
    await world.checkpoint(b, 'cb');
    await world.clock.advance(3_999);
    expect(condition(await world.getCheckpoint('ca'), 'Ready')?.status).toBe('True');
    expect(condition(await world.getCheckpoint('cb'), 'Ready')).toBeUndefined();
    await world.clock.advance(1);
    expect(condition(await world.getCheckpoint('cb'), 'Ready')?.status).toBe('True');
  });

  it('finds after a crash who is still wanted frozen, and lets the others go on', async () => {
    const world = await setUp();
    const [a, b] = [await world.pod('a', 'n1'), await world.pod('b', 'n1')];
    await world.clock.advance(6_000);
    await world.checkpoint(a, 'ca');
    await world.checkpoint(b, 'cb');
    await world.clock.advance(10_000);
    world.nodes.crashAgent('n1');
    await world.client.delete(RESOURCES.podCheckpoints, 'default', 'cb');
    await world.clock.advance(10_000);
    expect(world.nodes.frozen()).toHaveLength(2);
    const restarted = world.nodes.restartAgent('n1');
    await world.clock.settle();
    await restarted;
    expect(world.nodes.frozen()).toEqual([{ node: 'n1', pod: 'a' }]);
    await expect(world.getCheckpoint('cb')).rejects.toMatchObject({ status: 404 });
    expect(condition(await world.get('b'), FROZEN_CONDITION)?.status).toBe('False');
  });

  it('begins a dump again that a crash cut off', async () => {
    const world = await setUp();
    const pod = await world.pod('a', 'n1');
    await world.clock.advance(6_000);
    await world.checkpoint(pod, 'c');
    await world.clock.advance(1_000);
    world.nodes.crashAgent('n1');
    const restarted = world.nodes.restartAgent('n1');
    await world.clock.settle();
    await restarted;
    await world.clock.advance(2_000);
    expect(condition(await world.getCheckpoint('c'), 'Ready')?.status).toBe('True');
    expect(condition(await world.get('a'), FROZEN_CONDITION)?.status).toBe('True');
  });
});
