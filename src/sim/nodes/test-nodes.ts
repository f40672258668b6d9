import { AGENT_FINALIZER, TICKET_ANNOTATION } from '../../domain/labels.ts';
import { ifFound } from '../../kube/api-error.ts';
import { KubeClient } from '../../kube/client.ts';
import type { PodCheckpointStatus } from '../../kube/crd/pod-checkpoint.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { Clock } from '../../ports/clock.ts';
import { ApiServer } from '../api-server/api-server.ts';
import { PodWrites } from '../scheduler/pod-writes.ts';
import { VirtualClock } from '../virtual-clock.ts';
import type { NodeFaults } from './simulated-pods.ts';
import { nodeSpec } from './node-spec.ts';
import { SimulatedNodes } from './simulated-nodes.ts';
import { WorkLedger, type WorkEvent } from './work-ledger.ts';

export const MI = 2 ** 20;
/** Who writes for the nodes: hooks of the API server look at it. */
export const NODES_USER = 'system:nodes';

/** What the tests of this folder play in. */
export type TestNodes = Awaited<ReturnType<typeof setUp>>;

/**
 * Two nodes with a disk of 100 MiB/s, a network of 200 and restores at 400; starts take a second, freezing none. `skewMs`: how far the
 * clock of the agents was set from that of the API server.
 */
export async function setUp(faults: NodeFaults = {}, skewMs: () => number = () => 0) {
  const clock = new VirtualClock();
  const api = new ApiServer({ clock });
  const client = new KubeClient(api);
  const ledger = new WorkLedger();
  const events: WorkEvent[] = [];
  ledger.subscribe((event) => events.push(event));
  const speed = { dumpBytesPerSecond: 100 * MI, networkBytesPerSecond: 200 * MI, restoreBytesPerSecond: 400 * MI };
  const specs = ['n1', 'n2'].map((name) => nodeSpec(name, { ...speed, coldStartMs: 1000, freezeMs: 0 }));
  const agentClock: Clock = {
    now: () => clock.now() + skewMs(),
    monotonic: () => clock.monotonic(),
    setTimer: (delayMs, run) => clock.setTimer(delayMs, run),
  };
  const transport = api.transport(NODES_USER);
  const nodes = new SimulatedNodes({ transport, clock, agentClock, ledger, faults, nodes: specs });
  const started = nodes.start();
  await clock.settle();
  await started;
  return {
    api,
    clock,
    client,
    nodes,
    ledger,
    events,
    /** Waits for what needs the clock to have settled meanwhile. */
    done: async <T>(work: Promise<T>): Promise<T> => {
      await clock.settle();
      return work;
    },
    /** A pod of half a node on `node`, with 200 MiB of state. */
    async pod(name: string, node: string, annotations: Record<string, string> = {}): Promise<KubeObject> {
      const pod = await client.create(RESOURCES.pods, 'default', {
        metadata: { name, namespace: 'default', annotations: { 'sim.reprieve.dev/memory': '200Mi', ...annotations } },
        spec: { nodeName: node, containers: [{ name: 'main', image: 'app:1', resources: { requests: { cpu: '4' } } }] },
      });
      await clock.settle();
      return pod;
    },
    /** A pod that claims the ticket `t`, and then gets its node. */
    async continuing(name: string, node: string, { image = 'app:1', ticket = 't' } = {}): Promise<KubeObject> {
      const annotations = { 'sim.reprieve.dev/memory': '200Mi', [TICKET_ANNOTATION]: ticket };
      const pod = await client.create(RESOURCES.pods, 'default', {
        metadata: { name, namespace: 'default', annotations },
        spec: { containers: [{ name: 'main', image, resources: { requests: { cpu: '4' } } }] },
      });
      const claim = { name, uid: pod.metadata.uid };
      const status = { phase: 'Restoring', claim, ...(await this.stateOf(ticket)) };
      const options = { type: 'merge', subresource: 'status' } as const;
      await client.patch(RESOURCES.reprieves, 'default', ticket, { status }, options);
      await new PodWrites(client, api.transport('scheduler')).bind(pod, node);
      await clock.settle();
      return pod;
    },
    /** As Reprieve copies it into a ticket; empty where nothing is saved. */
    async stateOf(ticket: string): Promise<object> {
      const { spec } = (await client.get(RESOURCES.reprieves, 'default', ticket)) as unknown as {
        readonly spec: { readonly checkpoint: string };
      };
      const saved = await ifFound(client.get(RESOURCES.podCheckpoints, 'default', spec.checkpoint));
      const { location, manifestDigest, compatibility } = (saved?.['status'] ?? {}) as PodCheckpointStatus;
      return location ? { state: { ...location, manifestDigest, compatibility } } : {};
    },
    async checkpoint(pod: KubeObject, name: string, spec: object = {}): Promise<void> {
      await client.create(RESOURCES.podCheckpoints, 'default', {
        metadata: { name, namespace: 'default', finalizers: [AGENT_FINALIZER] },
        spec: {
          pod: { name: pod.metadata.name, uid: pod.metadata.uid },
          node: (pod['spec'] as { nodeName: string }).nodeName,
          reason: 'Preemption',
          hold: 'UntilDeleted',
          thawAt: new Date(clock.now() + 600_000).toISOString(),
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
    /** A ticket for a checkpoint, as a restore reads it. */
    async ticket(name: string, checkpoint: string): Promise<void> {
      await client.create(RESOURCES.reprieves, 'default', {
        metadata: { name, namespace: 'default' },
        spec: { checkpoint },
      });
    },
    get: (name: string) => client.get(RESOURCES.pods, 'default', name),
    getCheckpoint: (name: string) => client.get(RESOURCES.podCheckpoints, 'default', name),
  };
}

/** A condition of a pod, node or PodCheckpoint. */
export function condition(
  object: KubeObject,
  type: string,
): { status: string; reason: string; message: string } | undefined {
  const status = object['status'] as
    { conditions?: { type: string; status: string; reason: string; message: string }[] } | undefined;
  return status?.conditions?.find((candidate) => candidate.type === type);
}
export const phase = (object: KubeObject): unknown => (object['status'] as { phase: string }).phase;
export const progress = (object: KubeObject): string | undefined =>
  object.metadata.annotations?.['sim.reprieve.dev/progress'];

/** A pod that was saved on n1 after five seconds of work and evicted, and its ticket `t`. */
export async function displaced(faults: NodeFaults = {}): Promise<TestNodes> {
  const world = await setUp(faults);
  const pod = await world.pod('a', 'n1');
  await world.clock.advance(6_000);
  await world.checkpoint(pod, 'c');
  await world.clock.advance(2_000);
  await world.evict(pod);
  await world.ticket('t', 'c');
  return world;
}

/** Deletes pod `a` between its agent's read and the write by which the agent removes the Frozen mark; answers how many such writes came. */
export function deleteAtTheFence(world: TestNodes): () => number {
  let fences = 0;
  world.api.hooks.intercept = async ({ user, method, path }) => {
    if (user !== NODES_USER || method !== 'PATCH' || !path.endsWith('/pods/a/status')) return null;
    if (fences++ === 0) await world.client.delete(RESOURCES.pods, 'default', 'a');
    return null;
  };
  return () => fences;
}
