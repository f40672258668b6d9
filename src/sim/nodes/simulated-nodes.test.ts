import { describe, expect, it } from 'vitest';
import { AGENT_FINALIZER, FROZEN_CONDITION, RESTORED_CONDITION, TICKET_ANNOTATION } from '../../domain/labels.ts';
import { KubeClient } from '../../kube/client.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { ApiServer } from '../api-server/api-server.ts';
import { VirtualClock } from '../virtual-clock.ts';
import type { NodeFaults } from './agent.ts';
import { nodeSpec } from './node-spec.ts';
import { SimulatedNodes } from './simulated-nodes.ts';
import { WorkLedger, type WorkEvent } from './work-ledger.ts';

const MI = 2 ** 20;

/** Two nodes with a disk of 100 MiB/s, a network of 200 and restores at 400; starts take a second, freezing none. */
async function setUp(faults: NodeFaults = {}) {
  const clock = new VirtualClock();
  const api = new ApiServer({ clock });
  const client = new KubeClient(api);
  const ledger = new WorkLedger();
  const events: WorkEvent[] = [];
  ledger.subscribe((event) => events.push(event));
  const speed = { dumpBytesPerSecond: 100 * MI, networkBytesPerSecond: 200 * MI, restoreBytesPerSecond: 400 * MI };
  const specs = ['n1', 'n2'].map((name) => nodeSpec(name, { ...speed, coldStartMs: 1000, freezeMs: 0 }));
  const nodes = new SimulatedNodes({ transport: api, clock, ledger, faults, nodes: specs });
  const started = nodes.start();
  await clock.settle();
  await started;
  const world = {
    clock,
    client,
    nodes,
    ledger,
    events,
    /** A pod of half a node on `node`, with 200 MiB of state. */
    async pod(name: string, node: string, annotations: Record<string, string> = {}): Promise<KubeObject> {
      const pod = await client.create(RESOURCES.pods, 'default', {
        metadata: { name, namespace: 'default', annotations: { 'sim.reprieve.dev/memory': '200Mi', ...annotations } },
        spec: { nodeName: node, containers: [{ name: 'main', image: 'app:1', resources: { requests: { cpu: '4' } } }] },
      });
      await clock.settle();
      return pod;
    },
    async checkpoint(pod: KubeObject, name: string, spec: object = {}): Promise<void> {
      await client.create(RESOURCES.podCheckpoints, 'default', {
        metadata: { name, namespace: 'default', finalizers: [AGENT_FINALIZER] },
        spec: {
          pod: { name: pod.metadata.name, uid: pod.metadata.uid },
          nodeName: (pod['spec'] as { nodeName: string }).nodeName,
          reason: 'Preemption',
          keepFrozen: true,
          deadline: new Date(clock.now() + 600_000).toISOString(),
          ...spec,
        },
      });
      await clock.advance(0); // freezing takes no time here, but not none
    },
    async evict(pod: KubeObject): Promise<void> {
      const condition = {
        type: 'DisruptionTarget',
        status: 'True',
        reason: 'PreemptionByScheduler',
        lastTransitionTime: '2026-01-01T00:00:00Z',
      };
      await client.patch(
        RESOURCES.pods,
        'default',
        pod.metadata.name,
        { status: { conditions: [condition] } },
        { type: 'strategic', subresource: 'status' },
      );
      await client.delete(RESOURCES.pods, 'default', pod.metadata.name);
      await clock.settle();
    },
    get: (name: string) => client.get(RESOURCES.pods, 'default', name),
    getCheckpoint: (name: string) => client.get(RESOURCES.podCheckpoints, 'default', name),
  };
  return world;
}

function condition(object: KubeObject, type: string): { status: string; reason: string; message: string } | undefined {
  const status = object['status'] as
    { conditions?: { type: string; status: string; reason: string; message: string }[] } | undefined;
  return status?.conditions?.find((candidate) => candidate.type === type);
}
const phase = (object: KubeObject): unknown => (object['status'] as { phase: string }).phase;
const progress = (object: KubeObject): string | undefined => object.metadata.annotations?.['sim.reprieve.dev/progress'];

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

  /** A pod that was saved on n1 after five seconds of work and evicted, and its ticket. */
  async function displaced(faults: NodeFaults = {}) {
    const world = await setUp(faults);
    const pod = await world.pod('a', 'n1');
    await world.clock.advance(6_000);
    await world.checkpoint(pod, 'c');
    await world.clock.advance(2_000);
    await world.evict(pod);
    await world.client.create(RESOURCES.reprieves, 'default', {
      metadata: { name: 't', namespace: 'default' },
      spec: { checkpoint: 'c' },
    });
    return world;
  }

  it('restores on another node: fetch, restore, and on where it stopped', async () => {
    const world = await displaced();
    const pod = await world.pod('b', 'n2', { [TICKET_ANNOTATION]: 't' });
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
    await world.pod('b', 'n1', { [TICKET_ANNOTATION]: 't' });
    await world.clock.advance(600);
    expect(phase(await world.get('b'))).toBe('Running');
  });

  it('starts cold and says why when the state is gone, other or broken', async () => {
    const gone = await displaced();
    await gone.client.delete(RESOURCES.podCheckpoints, 'default', 'c');
    await gone.clock.settle();
    await gone.pod('b', 'n2', { [TICKET_ANNOTATION]: 't' });
    await gone.clock.advance(1_000);
    expect(condition(await gone.get('b'), RESTORED_CONDITION)).toMatchObject({
      status: 'False',
      reason: 'CheckpointMissing',
    });
    expect(progress(await gone.get('b'))).toBe('0');
    expect(gone.ledger.lost.discarded).toBe(2.5);

    const broken = await displaced({ restoreFails: () => 'criu said no' });
    await broken.pod('b', 'n2', { [TICKET_ANNOTATION]: 't' });
    await broken.clock.advance(3_000);
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
    await world.checkpoint(pod, 'c', { deadline: new Date(world.clock.now() + 10_000).toISOString() });
    await world.clock.advance(9_999);
    expect(world.nodes.frozen()).toHaveLength(1);
    await world.clock.advance(1);
    expect(world.nodes.frozen()).toEqual([]);
    expect(condition(await world.getCheckpoint('c'), 'Frozen')).toMatchObject({
      status: 'False',
      reason: 'DeadlineExceeded',
    });
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
