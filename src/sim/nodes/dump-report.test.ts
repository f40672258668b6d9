import { describe, expect, it } from 'vitest';
import { frozenPods } from '../../engine/displace/frozen-pods.ts';
import { ClusterIndex } from '../../index/cluster-index.ts';
import { checkpointOf } from '../../kube/project/checkpoint.ts';
import { podOf } from '../../kube/project/pod.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { condition, MI, NODES_USER, setUp, type TestNodes } from './test-nodes.ts';
import type { NodeFaults } from './simulated-pods.ts';

/** A pod whose dump takes 30 s has just been frozen. */
async function frozen(faults: NodeFaults = {}): Promise<{ readonly world: TestNodes; readonly pod: KubeObject }> {
  const world = await setUp(faults);
  const pod = await world.pod('a', 'n1', { 'sim.reprieve.dev/memory': '3000Mi' });
  await world.clock.advance(6_000);
  await world.checkpoint(pod, 'c');
  return { world, pod };
}

const statusOf = async (world: TestNodes): Promise<Record<string, unknown>> =>
  ((await world.getCheckpoint('c'))['status'] ?? {}) as Record<string, unknown>;
const progressOf = async (world: TestNodes): Promise<unknown> => (await statusOf(world))['progress'];

describe('a frozen pod', () => {
  it('is said to be frozen at once, also to whoever asks the index', async () => {
    const { world, pod } = await frozen();
    const checkpoint = await world.getCheckpoint('c');
    expect(condition(checkpoint, 'Frozen')).toMatchObject({ status: 'True', reason: 'Saving' });
    expect(await statusOf(world)).toMatchObject({ takenAt: new Date(world.clock.now()).toISOString() });
    const index = new ClusterIndex();
    index.apply({ type: 'upsert', kind: 'pod', value: podOf(await world.get(pod.metadata.name)) });
    index.apply({ type: 'upsert', kind: 'checkpoint', value: checkpointOf(checkpoint) });
    expect([...frozenPods(index)]).toMatchObject([{ sinceMs: world.clock.now() }]);
  });

  it('says every five seconds how far its dump is, and no more when that has ended', async () => {
    const { world } = await frozen();
    await world.clock.advance(4_999);
    expect(await progressOf(world)).toBeUndefined();
    await world.clock.advance(1);
    const expectedBytes = 3000 * MI;
    const bytesPerSecond = 100 * MI;
    expect(await progressOf(world)).toEqual({ writtenBytes: 500 * MI, expectedBytes, bytesPerSecond, percent: 16 });
    await world.clock.advance(20_000);
    expect(await progressOf(world)).toMatchObject({ writtenBytes: 2500 * MI, percent: 83 });
    await world.clock.advance(10_000);
    expect(condition(await world.getCheckpoint('c'), 'Frozen')?.reason).toBe('Held');
    expect(await progressOf(world)).toBeUndefined();
  });

  it('does not wait for the API server with its dump, and what was not told in time is not told later', async () => {
    const { world } = await frozen();
    let writes = 0;
    world.api.hooks.intercept = async ({ user, method, path }) =>
      user === NODES_USER && method === 'PATCH' && path.includes('podcheckpoints') && ++writes > 0 ? 'reset' : null;
    await world.clock.advance(31_000);
    expect(world.ledger.count('saved')).toBe(1);
    delete world.api.hooks.intercept;
    await world.clock.advance(60_000);
    expect(condition(await world.getCheckpoint('c'), 'Frozen')?.reason).toBe('Held');
    expect(await progressOf(world)).toBeUndefined();
  });

  it('whose dump failed is said to be thawed', async () => {
    const { world } = await frozen({ dumpFails: () => 'disk full' });
    await world.clock.advance(31_000);
    const checkpoint = await world.getCheckpoint('c');
    expect(condition(checkpoint, 'Failed')?.reason).toBe('DumpFailed');
    expect(condition(checkpoint, 'Frozen')).toMatchObject({ status: 'False', reason: 'Thawed' });
    expect(await progressOf(world)).toBeUndefined();
  });

  it('whose agent died during the dump is said to be thawed until it is frozen again', async () => {
    const { world, pod } = await frozen();
    await world.clock.advance(6_000);
    world.nodes.crashAgent('n1');
    const reasons: (string | undefined)[] = [];
    world.api.hooks.written = ({ kind, object }) => {
      if (kind === RESOURCES.podCheckpoints) reasons.push(condition(object, 'Frozen')?.reason);
    };
    await world.done(world.nodes.restartAgent('n1'));
    await world.clock.advance(31_000);
    expect([...new Set(reasons)]).toEqual(['AgentRestarted', 'Saving', 'Held']);
    expect(world.nodes.progressOf(pod.metadata.uid as string)).toBe(5);
  });
});
