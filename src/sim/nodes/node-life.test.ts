import { describe, expect, it } from 'vitest';
import { RESTORED_CONDITION } from '../../domain/labels.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { nodeSpec } from './node-spec.ts';
import { condition, displaced, MI, NODES_USER, phase, progress, setUp } from './test-nodes.ts';

const FAST = { coldStartMs: 1000, freezeMs: 0, networkBytesPerSecond: 200 * MI, restoreBytesPerSecond: 400 * MI };

describe('nodes come and go', () => {
  it('says whether a node is ready', async () => {
    const { client, nodes, done } = await setUp();
    await done(nodes.setReady('n1', false));
    expect(condition(await client.get(RESOURCES.nodes, null, 'n1'), 'Ready')?.status).toBe('False');
    await done(nodes.setReady('n1', true));
    expect(condition(await client.get(RESOURCES.nodes, null, 'n1'), 'Ready')?.status).toBe('True');
  });

  it('runs on a new node what was assigned to it before it came', async () => {
    const world = await setUp();
    await world.pod('a', 'n3');
    await world.clock.advance(5_000);
    await world.done(world.nodes.addNode(nodeSpec('n3', FAST)));
    await world.clock.advance(1_000);
    expect(phase(await world.get('a'))).toBe('Running');
  });

  it('loses with a node what was saved there and nobody has continued', async () => {
    const world = await displaced();
    world.nodes.removeNode('n1');
    expect(world.ledger.lost.discarded).toBe(2.5);
    await world.continuing('b', 'n2');
    await world.clock.advance(1_000);
    expect(condition(await world.get('b'), RESTORED_CONDITION)).toMatchObject({
      status: 'Unknown',
      message: 'CheckpointMissing: node n1 does not hold it',
    });
  });

  it('does not mistake the death of a node for a displacement', async () => {
    const world = await setUp();
    const pod = await world.pod('a', 'n1');
    await world.clock.advance(6_000);
    await world.checkpoint(pod, 'c');
    await world.clock.advance(3_000);
    world.nodes.removeNode('n1');
    expect(world.ledger.lost.discarded).toBe(0);
    await world.clock.advance(60_000);
    expect(phase(await world.get('a'))).toBe('Running'); // nobody is left to say otherwise
  });

  it('starts the pods of a node that comes back from nothing, also one that was restored', async () => {
    const world = await displaced();
    await world.continuing('b', 'n2');
    await world.clock.advance(3_000);
    expect(progress(await world.get('b'))).toBe('5');
    world.nodes.removeNode('n2');
    await world.done(world.nodes.addNode(nodeSpec('n2', FAST)));
    await world.clock.advance(1_000);
    expect(progress(await world.get('b'))).toBe('0');
    expect(world.ledger.count('restored')).toBe(1);
  });

  it('is silent after stop', async () => {
    const world = await setUp();
    const pod = await world.pod('a', 'n1', { 'sim.reprieve.dev/work-seconds': '30' });
    await world.pod('b', 'n2');
    await world.clock.advance(6_000);
    await world.checkpoint(pod, 'c');
    await world.clock.advance(1_000);
    world.nodes.stop();
    let requests = 0;
    world.api.hooks.intercept = async ({ user }) => {
      if (user === NODES_USER) requests++;
      return null;
    };
    await world.clock.advance(600_000);
    expect(requests).toBe(0);
  });
});

describe('how pods end', () => {
  it('what has succeeded stays so when it is deleted', async () => {
    const world = await setUp();
    const pod = await world.pod('a', 'n1', { 'sim.reprieve.dev/work-seconds': '2' });
    const finalizers = { metadata: { finalizers: ['example.com/tracking'] } };
    await world.client.patch(RESOURCES.pods, 'default', 'a', finalizers, { type: 'merge' });
    await world.clock.advance(3_000);
    expect(phase(await world.get('a'))).toBe('Succeeded');
    await world.evict(pod);
    await world.clock.advance(1_000);
    expect(phase(await world.get('a'))).toBe('Succeeded');
    expect(world.ledger.lost).toEqual({ discarded: 0, held: 0, total: 0 });
  });

  it('writes the end after the beginning, though the beginning has to be tried again', async () => {
    const world = await setUp();
    let writes = 0;
    world.api.hooks.intercept = async ({ user, method }) =>
      user === NODES_USER && method === 'PATCH' && writes++ === 0 ? 'reset' : null;
    await world.pod('a', 'n1', { 'sim.reprieve.dev/work-seconds': '0.2' });
    await world.clock.advance(3_000);
    expect([phase(await world.get('a')), progress(await world.get('a'))]).toEqual(['Succeeded', '0.2']);
  });

  it('counts what a removal by force throws away', async () => {
    const world = await setUp();
    const pod = await world.pod('a', 'n1', { 'sim.reprieve.dev/termination-seconds': '20' });
    await world.clock.advance(11_000);
    await world.evict(pod);
    await world.clock.advance(4_000);
    await world.client.delete(RESOURCES.pods, 'default', 'a', { gracePeriodSeconds: 0 });
    await world.clock.advance(60_000);
    expect(world.ledger.lost).toEqual({ discarded: 5, held: 2, total: 7 });
    expect(world.ledger.count('killed')).toBe(1);
  });
});

describe('restores', () => {
  it('wait for an agent', async () => {
    const world = await displaced();
    world.nodes.crashAgent('n2');
    await world.continuing('b', 'n2');
    await world.clock.advance(10_000);
    expect(phase(await world.get('b'))).toBe('Pending');
    await world.done(world.nodes.restartAgent('n2'));
    await world.clock.advance(3_000);
    expect(progress(await world.get('b'))).toBe('5');
  });

  it('are refused on another class of nodes, and for other images', async () => {
    const world = await displaced();
    await world.done(world.nodes.addNode(nodeSpec('n3', { ...FAST, compatibility: 'other' })));
    await world.continuing('b', 'n3');
    await world.ticket('t2', 'c');
    await world.continuing('x', 'n2', { image: 'app:2', ticket: 't2' });
    await world.clock.advance(1_000);
    const failed = { status: 'Unknown', reason: 'NotRestoredHere' };
    expect(condition(await world.get('b'), RESTORED_CONDITION)).toMatchObject(failed);
    await world.clock.advance(61_000); // nobody decides what follows
    const reason = async (name: string) => condition(await world.get(name), RESTORED_CONDITION)?.reason;
    expect([await reason('b'), await reason('x')]).toEqual(['Incompatible', 'ImagesDiffer']);
    expect(world.ledger.count('coldStarted')).toBe(2);
    expect(world.ledger.lost.discarded).toBe(0); // the state is still there
  });

  it('start from nothing where the state goes while it is read', async () => {
    const world = await displaced();
    await world.continuing('b', 'n2');
    await world.clock.advance(1_000);
    await world.client.delete(RESOURCES.podCheckpoints, 'default', 'c');
    await world.clock.advance(63_000);
    expect(condition(await world.get('b'), RESTORED_CONDITION)?.reason).toBe('CheckpointMissing');
    expect(progress(await world.get('b'))).toBe('0');
    expect(world.ledger.lost.discarded).toBe(2.5);
  });
});

describe('saved states', () => {
  it('are no loss when their pod has completed, or its owner wanted it gone', async () => {
    const world = await setUp();
    const a = await world.pod('a', 'n1', { 'sim.reprieve.dev/work-seconds': '8' });
    const b = await world.pod('b', 'n1');
    await world.clock.advance(6_000);
    for (const [pod, name] of [
      [a, 'ca'],
      [b, 'cb'],
    ] as const)
      await world.checkpoint(pod, name, { hold: 'None' });
    await world.clock.advance(20_000);
    await world.client.delete(RESOURCES.pods, 'default', 'b');
    await world.clock.advance(2_000);
    for (const name of ['ca', 'cb']) await world.client.delete(RESOURCES.podCheckpoints, 'default', name);
    await world.clock.settle();
    expect(world.ledger.count('completed')).toBe(1);
    expect(world.ledger.lost.discarded).toBe(0);
  });

  it('count once, however many there are of a pod', async () => {
    const world = await setUp();
    const pod = await world.pod('a', 'n1');
    await world.clock.advance(6_000);
    await world.checkpoint(pod, 'early', { hold: 'None' }); // at 5 s
    await world.clock.advance(4_000); // two of them for the dump
    await world.checkpoint(pod, 'late', { hold: 'None' }); // at 7 s
    await world.clock.advance(3_000); // 8 s
    await world.evict(pod);
    await world.clock.advance(1_000);
    expect(world.ledger.lost.discarded).toBe(0.5);
    await world.client.delete(RESOURCES.podCheckpoints, 'default', 'late');
    await world.clock.settle();
    expect(world.ledger.lost.discarded).toBe(1.5);
    await world.client.delete(RESOURCES.podCheckpoints, 'default', 'early');
    await world.clock.settle();
    expect(world.ledger.lost.discarded).toBe(4);
  });
});
