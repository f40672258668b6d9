import { describe, expect, it } from 'vitest';
import { FROZEN_CONDITION } from '../../domain/labels.ts';
import { checkpointOf } from '../../kube/project/checkpoint.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { NodeFaults } from './simulated-pods.ts';
import { condition, deleteAtTheFence, NODES_USER, setUp, type TestNodes } from './test-nodes.ts';

/** A pod on n1 that has worked for five seconds, and the request `c` to save it, which takes two. */
async function requested(faults: NodeFaults = {}, spec: object = {}) {
  const world = await setUp(faults);
  const pod = await world.pod('a', 'n1');
  await world.clock.advance(6_000);
  await world.checkpoint(pod, 'c', spec);
  return { world, pod };
}

const release = (world: TestNodes): Promise<KubeObject> =>
  world.client.patch(
    RESOURCES.podCheckpoints,
    'default',
    'c',
    { spec: { release: { message: 'it is off' } } },
    { type: 'merge' },
  );
const released = async (world: TestNodes) => condition(await world.getCheckpoint('c'), 'Released')?.reason;
const frozen = async (world: TestNodes) => condition(await world.getCheckpoint('c'), 'Frozen')?.reason;
const states = (world: TestNodes) => world.nodes.node('n1')?.store.references();
const progressOf = (world: TestNodes, pod: KubeObject): number => world.nodes.progressOf(pod.metadata.uid as string);

describe('a request that is released', () => {
  it('thaws the pod that it holds: the mark goes first, the state is void, and the object stays', async () => {
    const { world, pod } = await requested();
    await world.clock.advance(3_000);
    expect(world.nodes.frozen()).toHaveLength(1);
    await release(world);
    await world.clock.settle();
    expect(world.nodes.frozen()).toEqual([]);
    expect([await released(world), await frozen(world), states(world)]).toEqual(['Thawed', 'Thawed', []]);
    expect(condition(await world.get('a'), FROZEN_CONDITION)?.status).toBe('False');
    expect(checkpointOf(await world.getCheckpoint('c'))).toMatchObject({ thawed: true, deleting: false });
    await world.clock.advance(2_000);
    expect(progressOf(world, pod)).toBeCloseTo(7, 1);
  });

  it('ends a dump, and leaves nothing of it', async () => {
    const { world } = await requested({ dumpHangs: () => true });
    await world.clock.advance(1_000);
    expect(world.nodes.frozen()).toHaveLength(1);
    await release(world);
    await world.clock.settle();
    expect([world.nodes.frozen(), states(world)]).toEqual([[], []]);
    expect([await released(world), await frozen(world)]).toEqual(['Thawed', 'Thawed']);
    expect(condition(await world.getCheckpoint('c'), 'Ready')).toBeUndefined();
    expect(condition(await world.get('a'), FROZEN_CONDITION)).toBeUndefined(); // it was never marked
  });

  it('does not begin to save a pod that waits for its turn', async () => {
    const { world } = await requested({ dumpHangs: ({ metadata }) => metadata.name === 'a' });
    const other = await world.pod('b', 'n1');
    await world.checkpoint(other, 'd');
    const patch = { spec: { release: { message: 'it is off' } } };
    await world.client.patch(RESOURCES.podCheckpoints, 'default', 'd', patch, { type: 'merge' });
    await world.clock.advance(10_000);
    expect(condition(await world.getCheckpoint('d'), 'Released')?.reason).toBe('NotFrozen');
    expect(world.nodes.frozen()).toEqual([{ node: 'n1', pod: 'a' }]);
  });

  it('keeps the state of a pod whose deletion came first', async () => {
    const { world } = await requested();
    await world.clock.advance(3_000);
    deleteAtTheFence(world);
    await release(world);
    await world.clock.settle();
    expect(world.events.map(({ kind }) => kind)).toEqual(['started', 'frozen', 'saved', 'killed']);
    expect([await released(world), await frozen(world)]).toEqual(['PodKilled', 'PodKilled']);
    expect(states(world)).toHaveLength(1);
  });

  it('leaves a state alone whose pod has run on since it was saved', async () => {
    const { world } = await requested({}, { hold: 'None', thawAt: undefined });
    await world.clock.advance(3_000);
    await release(world);
    await world.clock.settle();
    expect([await released(world), states(world)?.length]).toEqual(['NotFrozen', 1]);
  });

  it('can be deleted by hand, before its agent has carried the release out', async () => {
    const { world } = await requested();
    await world.clock.advance(3_000);
    await release(world);
    await world.client.delete(RESOURCES.podCheckpoints, 'default', 'c');
    await world.clock.settle();
    expect([world.nodes.frozen(), states(world)]).toEqual([[], []]);
    await expect(world.getCheckpoint('c')).rejects.toMatchObject({ status: 404 });
  });
});

describe('a request that is released while its agent is dead', () => {
  for (const [sentence, savingMs] of Object.entries({ saved: 3_000, 'being dumped': 1_000 })) {
    it(`has the next agent thaw a pod that is ${sentence}`, async () => {
      const { world } = await requested();
      await world.clock.advance(savingMs);
      world.nodes.crashAgent('n1');
      await release(world);
      await world.clock.advance(5_000);
      expect(world.nodes.frozen()).toHaveLength(1);
      await world.done(world.nodes.restartAgent('n1'));
      await world.clock.advance(5_000);
      expect(world.nodes.frozen()).toEqual([]);
      expect([await released(world), await frozen(world), states(world)]).toEqual(['Thawed', 'Thawed', []]);
    });
  }

  it('keeps the state of a pod that was killed meanwhile', async () => {
    const { world, pod } = await requested();
    await world.clock.advance(3_000);
    world.nodes.crashAgent('n1');
    await release(world);
    await world.evict(pod);
    await world.done(world.nodes.restartAgent('n1'));
    expect([await released(world), states(world)?.length]).toEqual(['PodKilled', 1]);
  });

  it('is not taken for killed when the pod was thawed, and was deleted before the next agent began', async () => {
    const { world, pod } = await requested();
    await world.clock.advance(3_000);
    world.api.hooks.intercept = ({ user, path }) =>
      Promise.resolve(user === NODES_USER && path.includes('/podcheckpoints/') ? 'reset' : null);
    await release(world);
    await world.clock.settle();
    expect(world.nodes.frozen()).toEqual([]);
    world.nodes.crashAgent('n1');
    delete world.api.hooks.intercept;
    await world.evict(pod);
    await world.clock.advance(60_000);
    await world.done(world.nodes.restartAgent('n1'));
    expect([await released(world), await frozen(world)]).toEqual(['Thawed', 'Thawed']);
  });
});
