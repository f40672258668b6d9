import { preemptionIn } from '../support/preemption.ts';
import { afterEach, describe, expect, it } from 'vitest';
import { RESOURCES, type ResourceType } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import type { NodeFaults } from '../../src/sim/nodes/simulated-pods.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import { Story } from '../../src/sim/story.ts';
import { create, PRIORITY_CLASSES } from '../support/scenario-actions.ts';

const SECOND = 1000;
const annotations = { 'sim.reprieve.dev/memory': '500Mi', 'sim.reprieve.dev/termination-seconds': '30' };

function podTemplate(priorityClassName: string): { metadata: object; spec: object } {
  return {
    metadata: { annotations },
    spec: {
      priorityClassName,
      containers: [{ name: 'main', image: 'app:1', resources: { requests: { cpu: '5', memory: '1Gi' } } }],
    },
  };
}

const { spec: serving } = podTemplate('serving');
const nodeSelectorTerms = [{ matchExpressions: [{ key: 'spoiled', operator: 'DoesNotExist' }] }];
const high = {
  metadata: { name: 'high', annotations },
  spec: {
    ...serving,
    affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } },
  },
};

const policy = {
  metadata: { name: 'all' },
  spec: { match: { priorityClassNames: ['batch'] }, preemption: { decision: 'Always', onFailure: 'Refuse' } },
};

const running: Story[] = [];
afterEach(async () => {
  for (const story of running.splice(0)) await story.cluster.stop();
});

/** `nodes` full nodes, each with one batch pod; a preemptor comes after a minute, and stays. */
async function begun(nodes: number, batch: readonly [ResourceType, object][], faults: NodeFaults = {}): Promise<Story> {
  const story = new Story({
    seed: 1,
    withReprieve: true,
    faults,
    scenario: {
      nodes: Array.from({ length: nodes }, (_, index) => nodeSpec(`node-${index + 1}`)),
      endMs: 600 * SECOND,
      actions: [
        ...PRIORITY_CLASSES,
        create(0, RESOURCES.reprievePolicies, policy),
        ...batch.map(([type, object]) => create(0, type, object)),
        create(60 * SECOND, RESOURCES.pods, high),
      ],
    },
  });
  running.push(story);
  await story.start();
  return story;
}

const bare = (name: string): [ResourceType, object] => [
  RESOURCES.pods,
  { ...podTemplate('batch'), metadata: { name, annotations } },
];

const podsOf = ({ cluster }: Story): Map<string, KubeObject> =>
  new Map(cluster.api.list(RESOURCES.pods).map((pod) => [pod.metadata.name, pod]));

const nodeOf = (pod: KubeObject | undefined): string | undefined =>
  (pod?.['spec'] as { nodeName?: string } | undefined)?.nodeName;

describe('a node that takes no pod any more while its pods are being saved', () => {
  const disturbances: Record<string, (story: Story, node: string) => Promise<unknown>> = {
    'is cordoned': ({ cluster }, node) =>
      cluster.client.patch(RESOURCES.nodes, null, node, { spec: { unschedulable: true } }, { type: 'merge' }),
    'is not ready': ({ cluster }, node) => cluster.nodes.setReady(node, false),
    'gets a label that the preemptor excludes': ({ cluster }, node) =>
      cluster.client.patch(RESOURCES.nodes, null, node, { metadata: { labels: { spoiled: '' } } }, { type: 'merge' }),
  };
  for (const [sentence, disturb] of Object.entries(disturbances)) {
    it(`(it ${sentence}) loses nobody, and the preemptor goes elsewhere`, async () => {
      const story = await begun(2, [bare('a'), bare('b')]);
      const chosen: string[] = [];
      story.cluster.reprieve?.engine.events.on('displacement:opened', ({ displacement }) => {
        chosen.push(preemptionIn(displacement).node);
        if (chosen.length === 1)
          story.cluster.clock.setTimer(500, () => void disturb(story, preemptionIn(displacement).node));
      });
      await story.play(59 * SECOND);
      const [first, second] = [podsOf(story).get('a'), podsOf(story).get('b')];
      await story.play(90 * SECOND);
      expect(new Set(chosen).size).toBe(2);
      const after = podsOf(story);
      expect(nodeOf(after.get('high'))).toBe(chosen[1]);
      const spared = nodeOf(first) === chosen[0] ? first : second;
      expect(after.get(spared?.metadata.name ?? '')?.metadata).toMatchObject({ uid: spared?.metadata.uid });
      expect(after.get(spared?.metadata.name ?? '')?.metadata.deletionTimestamp).toBeUndefined();
      expect(story.cluster.nodes.frozen()).toEqual([]);
      expect(story.cluster.ledger.lost.discarded).toBe(0);
    });
  }
});

it('lets the replacement of a pod that never goes start cold after maxGate', async () => {
  const template = podTemplate('batch');
  const job = {
    metadata: { name: 'train' },
    spec: { template: { ...template, spec: { ...template.spec, restartPolicy: 'Never' } } },
  };
  const story = await begun(1, [[RESOURCES.jobs, job]]);
  await story.play(59 * SECOND);
  const { client, reprieve } = story.cluster;
  const [victim = ''] = podsOf(story).keys();
  const finalizers = ['test.example/hold', 'batch.kubernetes.io/job-tracking'];
  await client.patch(RESOURCES.pods, 'default', victim, { metadata: { finalizers } }, { type: 'merge' });
  await story.play(70 * SECOND);
  await client.delete(RESOURCES.pods, 'default', 'high');
  await story.play();
  const [ticket] = reprieve?.index.tickets() ?? [];
  expect(ticket).toMatchObject({ phase: 'ColdStarted', pod: { name: victim } });
  expect(new Set(podsOf(story).keys())).toEqual(new Set([victim, ticket?.claim?.name]));
  expect(podsOf(story).get(ticket?.claim?.name ?? '')?.['status']).toMatchObject({ phase: 'Running' });
});

it('lets a pod go on whose ticket was edited to say that it is gone, and says so', async () => {
  const story = await begun(1, [bare('a')], { dumpHangs: () => true });
  await story.play(62 * SECOND);
  const { client, reprieve, nodes, api } = story.cluster;
  expect(nodes.frozen()).toHaveLength(1);
  const [ticket] = reprieve?.index.tickets() ?? [];
  const before = podsOf(story).get('a');
  await client.patch(
    RESOURCES.reprieves,
    'default',
    ticket?.name ?? '',
    { status: { phase: 'Waiting' } },
    { type: 'merge', subresource: 'status' },
  );
  await client.delete(RESOURCES.pods, 'default', 'high');
  await story.play(90 * SECOND);
  expect(nodes.frozen()).toEqual([]);
  expect([...(reprieve?.index.tickets() ?? [])]).toEqual([]);
  expect(api.list(RESOURCES.podCheckpoints)).toEqual([]);
  expect(podsOf(story).get('a')?.metadata.uid).toBe(before?.metadata.uid);
  const events = api.list(RESOURCES.events).map((event) => event['reason']);
  expect(events.filter((reason) => reason === 'RecordsConflict')).toHaveLength(1);
});

describe('a pod that is preempted again while it is being restored', () => {
  it('continues later where it was saved first', async () => {
    const memory = { ...annotations, 'sim.reprieve.dev/memory': '20Gi' };
    const low = { ...podTemplate('batch'), metadata: { name: 'low', annotations: memory } };
    const story = await begun(2, [[RESOURCES.pods, low]]);
    const { cluster } = story;
    const { api, clock, client, ledger } = cluster;
    const phases = (): string[] => [...(cluster.reprieve?.index.tickets() ?? [])].map(({ phase }) => phase);
    const pinned = (name: string, node: string): object => {
      const { spec } = podTemplate('serving');
      return { metadata: { name }, spec: { ...spec, nodeSelector: { 'kubernetes.io/hostname': node } } };
    };
    // The story's own preemptor finds an empty node; the one that needs the victim's comes now.
    await clock.runUntil(clock.now() + 70 * SECOND);
    const first = nodeOf(podsOf(story).get('low')) as string;
    await client.create(RESOURCES.pods, 'default', pinned('first', first));
    await client.delete(RESOURCES.pods, 'default', 'high');
    const isRestoring = (): boolean => phases().includes('Restoring');
    await clock.runUntil(clock.now() + 200 * SECOND, isRestoring);
    expect(phases()).toEqual(['Restoring']);
    const second = nodeOf(podsOf(story).get('low')) as string;
    expect(second).not.toBe(first);
    await client.create(RESOURCES.pods, 'default', pinned('second', second));
    await clock.advance(30 * SECOND);
    expect(nodeOf(podsOf(story).get('second'))).toBe(second);
    expect(phases()).toEqual(['Waiting']);
    await client.delete(RESOURCES.pods, 'default', 'second');
    await clock.advance(200 * SECOND);
    expect(phases()).toEqual(['Restored']);
    expect(ledger.count('restored')).toBe(1);
    expect(ledger.lost.discarded).toBe(0);
    expect(api.list(RESOURCES.podCheckpoints)).toEqual([]);
  });
});
