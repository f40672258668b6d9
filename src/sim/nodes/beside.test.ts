import { describe, expect, it } from 'vitest';
import { FROZEN_CONDITION } from '../../domain/labels.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { condition, NODES_USER, setUp, type TestNodes } from './test-nodes.ts';

/** Leaves the pod running. */
const MANUAL = { reason: 'Manual', hold: 'None', thawAt: undefined };
const ready = async (world: TestNodes, name: string): Promise<string | undefined> =>
  condition(await world.getCheckpoint(name), 'Ready')?.status;
const failure = async (world: TestNodes, name: string): Promise<string | undefined> =>
  condition(await world.getCheckpoint(name), 'Failed')?.reason;
const remove = (world: TestNodes, name: string): Promise<KubeObject> =>
  world.client.delete(RESOURCES.podCheckpoints, 'default', name);

/** A pod that has worked for five seconds; a dump of it takes two. */
async function working(): Promise<{ readonly world: TestNodes; readonly pod: KubeObject }> {
  const world = await setUp();
  const pod = await world.pod('a', 'n1');
  await world.clock.advance(6_000);
  return { world, pod };
}

describe('two checkpoint requests for one pod', () => {
  it('saves for a preemption after a manual one', async () => {
    const { world, pod } = await working();
    await world.checkpoint(pod, 'manual', MANUAL);
    await world.checkpoint(pod, 'preemption');
    await world.clock.advance(1_000);
    expect(await failure(world, 'preemption')).toBeUndefined();
    await world.clock.advance(3_000);
    expect([await ready(world, 'manual'), await ready(world, 'preemption')]).toEqual(['True', 'True']);
    expect(condition(await world.get('a'), FROZEN_CONDITION)).toMatchObject({ status: 'True', message: 'preemption' });
    expect(world.nodes.frozen()).toHaveLength(1);
  });

  it('lets a manual one wait until the pod is no longer held for a preemption', async () => {
    const { world, pod } = await working();
    await world.checkpoint(pod, 'preemption');
    await world.checkpoint(pod, 'manual', MANUAL);
    await world.clock.advance(10_000);
    expect([await ready(world, 'preemption'), await ready(world, 'manual')]).toEqual(['True', undefined]);
    expect(await failure(world, 'manual')).toBeUndefined();
    await remove(world, 'preemption');
    await world.clock.advance(2_000);
    expect(await ready(world, 'manual')).toBe('True');
    expect(world.nodes.frozen()).toEqual([]);
  });

  it('tells a manual one that the pod was killed before its turn', async () => {
    const { world, pod } = await working();
    await world.checkpoint(pod, 'preemption');
    await world.checkpoint(pod, 'manual', MANUAL);
    await world.clock.advance(3_000);
    await world.evict(pod);
    expect(await failure(world, 'manual')).toBe('PodGone');
    expect(await ready(world, 'preemption')).toBe('True');
  });

  it.each([
    ['preemption', 'manual'],
    ['manual', 'preemption'],
  ])('begins the second at once when the first is deleted in the middle of its dump: %s', async (first, second) => {
    const { world, pod } = await working();
    const spec = (name: string): object => (name === 'manual' ? MANUAL : {});
    await world.checkpoint(pod, first, spec(first));
    await world.checkpoint(pod, second, spec(second));
    await world.clock.advance(1_000);
    await remove(world, first);
    await world.clock.advance(1_999);
    expect(await ready(world, second)).toBeUndefined();
    await world.clock.advance(1);
    expect(await ready(world, second)).toBe('True');
  });

  it.each([
    ['preemption', 'manual'],
    ['manual', 'preemption'],
  ])('goes on with the first when the second is deleted while it waits: %s', async (first, second) => {
    const { world, pod } = await working();
    const spec = (name: string): object => (name === 'manual' ? MANUAL : {});
    await world.checkpoint(pod, first, spec(first));
    await world.checkpoint(pod, second, spec(second));
    await world.clock.advance(1_000);
    await remove(world, second);
    await world.clock.advance(1_000);
    await expect(world.getCheckpoint(second)).rejects.toMatchObject({ status: 404 });
    expect(await ready(world, first)).toBe('True');
    expect(world.nodes.frozen()).toHaveLength(first === 'preemption' ? 1 : 0);
  });

  it('ends one that waits at its own deadline, and leaves the pod to the one that holds it', async () => {
    const { world, pod } = await working();
    await world.checkpoint(pod, 'preemption');
    const deadline = new Date(world.clock.now() + 5_000).toISOString();
    await world.checkpoint(pod, 'manual', { ...MANUAL, deadline });
    await world.clock.advance(5_000);
    expect(await failure(world, 'manual')).toBe('DeadlineExceeded');
    expect(world.nodes.frozen()).toHaveLength(1);
  });

  it('begins the second when the first is thawed because its pod could not be marked', async () => {
    const { world, pod } = await working();
    let refused = 0;
    world.api.hooks.intercept = ({ user, method, path }) => {
      const isMark = user === NODES_USER && method === 'PATCH' && path.endsWith('/pods/a/status');
      const body = { kind: 'Status', status: 'Failure', reason: 'BadRequest', message: 'no', code: 400 };
      return Promise.resolve(isMark && refused++ === 0 ? { status: 400, headers: {}, body } : null);
    };
    await world.checkpoint(pod, 'preemption');
    await world.checkpoint(pod, 'manual', MANUAL);
    await world.clock.advance(2_000);
    expect(await failure(world, 'preemption')).toBe('DumpFailed');
    await world.clock.advance(2_000);
    expect(await ready(world, 'manual')).toBe('True');
    expect(world.nodes.frozen()).toEqual([]);
  });

  it('lets a preemption go before manual ones that wait', async () => {
    const { world, pod } = await working();
    await world.checkpoint(pod, 'm1', MANUAL);
    await world.checkpoint(pod, 'm2', MANUAL);
    await world.checkpoint(pod, 'preemption');
    await world.clock.advance(4_000);
    expect([await ready(world, 'm2'), await ready(world, 'preemption')]).toEqual([undefined, 'True']);
  });

  it('still knows who holds the pod when the agent starts again', async () => {
    const { world, pod } = await working();
    await world.checkpoint(pod, 'preemption');
    await world.checkpoint(pod, 'manual', MANUAL); // listed before the other one
    await world.clock.advance(3_000);
    world.nodes.crashAgent('n1');
    await world.done(world.nodes.restartAgent('n1'));
    await world.clock.advance(3_000);
    expect(await failure(world, 'manual')).toBeUndefined();
    expect(world.nodes.frozen()).toHaveLength(1);
    await remove(world, 'preemption');
    await world.clock.advance(2_000);
    expect(await ready(world, 'manual')).toBe('True');
  });
});

it('freezes a pod when the disk is free, not while it waits for it', async () => {
  const world = await setUp();
  const pods = [await world.pod('a', 'n1'), await world.pod('b', 'n1')];
  await world.clock.advance(6_000);
  for (const pod of pods) await world.checkpoint(pod, `c${pod.metadata.name}`);
  await world.clock.advance(1_999);
  expect(world.nodes.frozen()).toEqual([{ node: 'n1', pod: 'a' }]);
  await world.clock.advance(2_001);
  expect(world.nodes.frozen()).toHaveLength(2);
  const [a, b] = pods.map((pod) => world.nodes.progressOf(pod.metadata.uid as string));
  expect([a, b]).toEqual([5, 7]);
});
