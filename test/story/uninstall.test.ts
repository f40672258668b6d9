import { afterEach, describe, expect, it } from 'vitest';
import { uninstall, type Told, type UninstallEnd, type UninstallOptions } from '../../src/app/uninstall/uninstall.ts';
import { RESOURCES, type ResourceType } from '../../src/kube/resources.ts';
import type { KubeObject, KubeTransport } from '../../src/kube/transport.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import type { NodeFaults } from '../../src/sim/nodes/simulated-pods.ts';
import { Story } from '../../src/sim/story.ts';

const SECOND = 1000;
const AGENT_TIMEOUT_MS = 20 * SECOND;
const annotations = { 'sim.reprieve.dev/memory': '500Mi', 'sim.reprieve.dev/termination-seconds': '30' };

const template = (priorityClassName: string, app = priorityClassName): { metadata: object; spec: object } => ({
  metadata: { annotations, labels: { app } },
  spec: {
    priorityClassName,
    containers: [{ name: 'main', image: 'app:1', resources: { requests: { cpu: '5', memory: '1Gi' } } }],
  },
});

const policy = { match: { priorityClassNames: ['batch'] }, preemption: { decision: 'Always', onFailure: 'Refuse' } };
const notebook = {
  replicas: 1,
  serviceName: 'n',
  selector: { matchLabels: { app: 'notebook' } },
  template: template('batch', 'notebook'),
};

const running: Story[] = [];
afterEach(async () => {
  for (const story of running.splice(0)) await story.cluster.stop();
});

/** Two full nodes; two preemptors come after a minute, take the places of a bare pod and of a notebook, and stay until 300 s. */
async function begun(faults: NodeFaults = {}): Promise<Story> {
  const at = (atMs: number, type: ResourceType, name: string, object: object) => {
    return {
      atMs,
      kind: 'create' as const,
      type,
      object: { ...object, metadata: { ...object, name, ...metadataIn(object) } },
    };
  };
  const story = new Story({
    seed: 1,
    withReprieve: true,
    faults,
    scenario: {
      nodes: [nodeSpec('node-1'), nodeSpec('node-2')],
      endMs: 400 * SECOND,
      actions: [
        at(0, RESOURCES.priorityClasses, 'batch', { value: 10 }),
        at(0, RESOURCES.priorityClasses, 'serving', { value: 1000 }),
        at(0, RESOURCES.reprievePolicies, 'all', { spec: policy }),
        at(0, RESOURCES.statefulSets, 'notebook', { spec: notebook }),
        at(0, RESOURCES.pods, 'bare', template('batch')),
        at(60 * SECOND, RESOURCES.pods, 'high-1', template('serving')),
        at(60 * SECOND, RESOURCES.pods, 'high-2', template('serving')),
        { atMs: 300 * SECOND, kind: 'delete', type: RESOURCES.pods, name: 'high-1' },
        { atMs: 300 * SECOND, kind: 'delete', type: RESOURCES.pods, name: 'high-2' },
      ],
    },
  });
  running.push(story);
  await story.start();
  return story;
}

const metadataIn = (object: object): object => ('metadata' in object ? (object.metadata as object) : {});

/** Plays up to `atMs`, ends Reprieve there, and runs the command while the cluster goes on. */
async function uninstalled(
  story: Story,
  atMs: number,
  options: Partial<UninstallOptions> = {},
): Promise<UninstallEnd & { readonly told: readonly Told[] }> {
  const { cluster } = story;
  await story.play(atMs);
  await cluster.crashReprieve();
  const told: Told[] = [];
  let end: UninstallEnd | null = null;
  void uninstall({
    transport: cluster.api.transport('admin'),
    clock: cluster.clock,
    dryRun: false,
    discard: false,
    agentTimeoutMs: AGENT_TIMEOUT_MS,
    tell: (what) => void told.push(what),
    ...options,
  }).then((result) => {
    end = result;
  });
  await story.play(atMs + 60 * SECOND);
  if (end === null) throw new Error('it did not come to an end');
  return { ...(end as UninstallEnd), told };
}

/** Whatever says `reprieve.dev` on objects that are not ours, apart from what the simulation is told by. */
function marks({ cluster }: Story): readonly string[] {
  return [...cluster.api.list(RESOURCES.pods), ...cluster.api.list(RESOURCES.nodes)].flatMap((object) => {
    const { labels = {}, annotations: notes = {} } = object.metadata;
    const { schedulingGates = [] } = (object['spec'] ?? {}) as { schedulingGates?: { name: string }[] };
    const { conditions = [] } = (object['status'] ?? {}) as { conditions?: { type: string }[] };
    const names = [...Object.keys(labels), ...Object.keys(notes), ...schedulingGates.map(({ name }) => name)];
    return [...names, ...conditions.map(({ type }) => type)]
      .filter((name) => name.startsWith('reprieve.dev/'))
      .map((name) => `${object.metadata.name}: ${name}`);
  });
}

const phases = ({ cluster }: Story): Record<string, string> =>
  Object.fromEntries(cluster.api.list(RESOURCES.pods).map((pod) => [pod.metadata.name, phaseOf(pod)]));
const phaseOf = (object: KubeObject): string => (object['status'] as { phase: string }).phase;

/** Every record and pod, to see whether anything changed. */
const everything = ({ cluster }: Story): readonly (string | undefined)[] =>
  [RESOURCES.pods, RESOURCES.podCheckpoints, RESOURCES.reprieves, RESOURCES.nodes].flatMap((type) =>
    cluster.api.list(type).map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`),
  );

describe('reprieve uninstall', () => {
  it('changes nothing while saved work waits for room, and says which', async () => {
    const story = await begun();
    await story.play(150 * SECOND);
    await story.cluster.crashReprieve();
    const before = everything(story);
    const { saved, told } = await uninstalled(story, 150 * SECOND);
    expect(saved).toBe(2);
    expect(told.map(({ did, detail }) => `${did} ${detail.split(',')[0]}`).sort()).toEqual([
      'kept the only state of bare',
      'kept the only state of notebook-0',
    ]);
    expect(everything(story)).toEqual(before);
  });

  it('with --discard leaves nothing behind that waits for Reprieve: gated pods start where there is room', async () => {
    const story = await begun();
    const { saved, remains } = await uninstalled(story, 150 * SECOND, { discard: true });
    expect({ saved, remains }).toEqual({ saved: 0, remains: [] });
    expect(marks(story)).toEqual([]);
    expect(story.cluster.api.list(RESOURCES.podCheckpoints)).toEqual([]);
    await story.play();
    expect(phases(story)).toEqual({ bare: 'Running', 'notebook-0': 'Running' });
    expect(story.cluster.ledger.count('restored')).toBe(0);
    expect(marks(story)).toEqual([]);
  });

  it('says what it would do, and does not do it', async () => {
    const story = await begun();
    await story.play(150 * SECOND);
    await story.cluster.crashReprieve();
    const before = everything(story);
    const { told } = await uninstalled(story, 150 * SECOND, { discard: true, dryRun: true });
    expect(told.map(({ did, object }) => `${did} ${object.split('/')[0]}`)).toEqual([
      'ended reprieves',
      'ended reprieves',
      'removed pods',
      'removed pods',
      'deleted podcheckpoints',
      'deleted podcheckpoints',
      'removed nodes',
      'removed nodes',
      'kept pods',
      'kept pods',
    ]);
    expect(everything(story)).toEqual(before);
  });

  it('a second run has nothing to do', async () => {
    const story = await begun();
    await uninstalled(story, 150 * SECOND, { discard: true });
    const before = everything(story);
    const { told, remains } = await uninstalled(story, 210 * SECOND);
    expect(told.filter(({ did }) => did !== 'kept')).toEqual([]);
    expect(remains).toEqual([]);
    expect(everything(story)).toEqual(before);
  });

  it('in the middle of saving has the pods thawed: they lose nothing, and no displacement is left', async () => {
    const story = await begun({ dumpHangs: () => true });
    const { saved, remains, told } = await uninstalled(story, 62 * SECOND);
    expect({ saved, remains }).toEqual({ saved: 0, remains: [] });
    const records = told.filter(({ object }) => object.startsWith('podcheckpoints/')).map(({ did }) => did);
    expect(records).toEqual(['released', 'released', 'deleted', 'deleted']);
    expect(story.cluster.nodes.frozen()).toEqual([]);
    expect(story.cluster.api.list(RESOURCES.podCheckpoints)).toEqual([]);
    expect(marks(story)).toEqual([]);
    expect(phases(story)).toMatchObject({ bare: 'Running', 'notebook-0': 'Running' });
  });

  it('creates the bare pod again whose eviction had begun: nobody else would', async () => {
    const story = await begun();
    story.cluster.reprieve?.engine.events.on('command:done', ({ command }) => {
      if (command.kind === 'Evict' && command.victim.name === 'bare') void story.cluster.crashReprieve();
    });
    await story.play(90 * SECOND);
    expect(phases(story)).not.toHaveProperty('bare');
    const { remains } = await uninstalled(story, 90 * SECOND, { discard: true });
    expect(remains).toEqual([]);
    await story.play();
    expect(phases(story)).toMatchObject({ bare: 'Running' });
    expect(marks(story)).toEqual([]);
  });

  it('removes gates where the CRDs are gone already', async () => {
    const story = await begun();
    await story.play(150 * SECOND);
    await story.cluster.crashReprieve();
    const admin = story.cluster.api.transport('admin');
    const body = 'Not Found';
    const withoutCrds: KubeTransport = {
      request: async (request) =>
        request.path.startsWith('/apis/reprieve.dev/') ? { status: 404, headers: {}, body } : admin.request(request),
      watch: (request) => admin.watch(request),
    };
    const { remains } = await uninstalled(story, 150 * SECOND, { transport: withoutCrds });
    expect(remains).toEqual([]);
    expect(marks(story)).toEqual([]);
  });

  it('removes the finalizers of agents that are gone, after the time they have', async () => {
    const story = await begun();
    await story.play(150 * SECOND);
    for (const name of ['node-1', 'node-2']) story.cluster.nodes.crashAgent(name);
    const { remains, told } = await uninstalled(story, 150 * SECOND, { discard: true });
    expect(remains).toEqual([]);
    expect(told.filter(({ did, object }) => did === 'removed' && object.startsWith('podcheckpoints/'))).toHaveLength(2);
    expect(story.cluster.api.list(RESOURCES.podCheckpoints)).toEqual([]);
    expect(marks(story)).toEqual([]);
  });

  it('names the pods that stand frozen where no agent answers', async () => {
    const story = await begun();
    const frozen = (): boolean => story.cluster.nodes.frozen().length > 0;
    let atMs = 60 * SECOND;
    while (!frozen()) await story.play((atMs += 100));
    for (const name of ['node-1', 'node-2']) story.cluster.nodes.crashAgent(name);
    await story.play((atMs += 2 * SECOND));
    const { remains } = await uninstalled(story, atMs, { discard: true });
    const left = story.cluster.nodes.frozen().map(({ pod, node }) => `pods/default/${pod} may stand frozen on ${node}`);
    expect(left).not.toEqual([]);
    expect(new Set(remains.map((what) => what.split(':')[0]))).toEqual(new Set(left));
  });
});
