import { afterEach, describe, expect, it } from 'vitest';
import { COMPATIBILITY_LABEL } from '../../src/domain/labels.ts';
import { podOf } from '../../src/kube/project/pod.ts';
import { ticketOf } from '../../src/kube/project/ticket.ts';
import { RESOURCES, type ResourceType } from '../../src/kube/resources.ts';
import type { Pod } from '../../src/domain/pod.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import { Story } from '../../src/sim/story.ts';
import { create, PRIORITY_CLASSES } from '../support/scenario-actions.ts';

const SECOND = 1000;
/** 20 s to dump, 20 s to fetch, 20 s to read. */
const annotations = { 'sim.reprieve.dev/memory': '10Gi', 'sim.reprieve.dev/termination-seconds': '2' };
const labels = { app: 'work' };
const podSpec = (priorityClassName: string): object => ({
  priorityClassName,
  containers: [{ name: 'main', image: 'app:1', resources: { requests: { cpu: '5', memory: '1Gi' } } }],
});
const template = { metadata: { annotations, labels }, spec: podSpec('batch') };
const bare: readonly [ResourceType, object] = [
  RESOURCES.pods,
  { ...template, metadata: { name: 'work', annotations, labels } },
];
const deployment: readonly [ResourceType, object] = [
  RESOURCES.deployments,
  { metadata: { name: 'work' }, spec: { replicas: 1, selector: { matchLabels: labels }, template } },
];

const running: Story[] = [];
afterEach(async () => {
  for (const story of running.splice(0)) await story.cluster.stop();
});

/** Three full nodes; at 60 s a preemptor takes the room of the work. */
async function displaced([type, object]: readonly [ResourceType, object]): Promise<Story> {
  const serving = (name: string): object => ({ metadata: { name }, spec: podSpec('serving') });
  const policy = { match: { priorityClassNames: ['batch'] }, preemption: { decision: 'Always' } };
  const story = new Story({
    seed: 1,
    withReprieve: true,
    scenario: {
      nodes: ['node-1', 'node-2', 'node-3'].map((name) =>
        nodeSpec(name, { networkBytesPerSecond: 2 ** 29, restoreBytesPerSecond: 2 ** 29 }),
      ),
      endMs: 900 * SECOND,
      actions: [
        ...PRIORITY_CLASSES,
        create(0, RESOURCES.reprievePolicies, { metadata: { name: 'all' }, spec: policy }),
        create(0, type, object),
        create(5 * SECOND, RESOURCES.pods, serving('filler-1')),
        create(5 * SECOND, RESOURCES.pods, serving('filler-2')),
        create(60 * SECOND, RESOURCES.pods, serving('high')),
      ],
    },
  });
  running.push(story);
  await story.start();
  await story.play(100 * SECOND);
  return story;
}

const ticketIn = ({ cluster }: Story) => ticketOf(cluster.api.list(RESOURCES.reprieves)[0] as never);
const workIn = ({ cluster }: Story): readonly Pod[] =>
  cluster.api
    .list(RESOURCES.pods)
    .map(podOf)
    .filter((pod) => pod.labels['app'] === 'work');
const free = ({ cluster }: Story, name: string) => cluster.client.delete(RESOURCES.pods, 'default', name);

async function setStatus({ cluster }: Story, { name }: Pod, status: object): Promise<void> {
  await cluster.client.patch(RESOURCES.pods, 'default', name, { status }, { type: 'strategic', subresource: 'status' });
}

const disrupted = (reason: string): object => ({ conditions: [{ type: 'DisruptionTarget', status: 'True', reason }] });

/** How others end a pod that is being restored. */
const ENDS: Readonly<Record<string, (story: Story, pod: Pod) => Promise<unknown>>> = {
  'a drain': ({ cluster }, { name }) =>
    cluster.api.request({
      method: 'POST',
      path: `/api/v1/namespaces/default/pods/${name}/eviction`,
      body: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace: 'default' } },
    }),
  'a taint': async (story, pod) => {
    await setStatus(story, pod, disrupted('DeletionByTaintManager'));
    await story.cluster.client.delete(RESOURCES.pods, 'default', pod.name);
  },
  'the shutdown of its node': (story, pod) =>
    setStatus(story, pod, { phase: 'Failed', reason: 'Terminated', ...disrupted('TerminationByKubelet') }),
  'a kubelet that refuses it': (story, pod) => setStatus(story, pod, { phase: 'Failed', reason: 'OutOfcpu' }),
};

describe.each(Object.entries(ENDS))('%s, while the pod is being restored', (_, end) => {
  it.each([
    ['a bare pod', bare],
    ['a Deployment', deployment],
  ])('gives the ticket of %s back to the queue, and the state is restored', async (_owner, owner) => {
    const story = await displaced(owner);
    await free(story, 'filler-1');
    await story.play(115 * SECOND);
    const [pod] = workIn(story) as [Pod];
    expect(ticketIn(story)).toMatchObject({ phase: 'Restoring', claim: { uid: pod.uid } });
    await end(story, pod);
    await free(story, 'filler-2');
    await story.play(240 * SECOND);
    const restored = workIn(story).filter(({ phase }) => phase === 'Running');
    expect(restored).toMatchObject([{ restored: { succeeded: true } }]);
    expect(restored[0]?.uid).not.toBe(pod.uid);
    expect(ticketIn(story).phase).toBe('Restored');
    expect(story.cluster.ledger.lost.discarded).toBe(0);
  });
});

it('a bare pod that its user deletes while it is being restored does not come back', async () => {
  const story = await displaced(bare);
  await free(story, 'filler-1');
  await story.play(115 * SECOND);
  await free(story, 'work');
  await story.play(240 * SECOND);
  expect(workIn(story)).toEqual([]);
  expect(ticketIn(story)).toMatchObject({ phase: 'Abandoned', said: { reason: 'PodDeleted' } });
  expect(story.cluster.api.list(RESOURCES.podCheckpoints)).toHaveLength(1);
});

describe('an admitted pod whose compatibility class vanishes before kube-scheduler places it', () => {
  it.each([
    ['a bare pod', bare],
    ['a Deployment', deployment],
  ])('is replaced, and %s starts cold after maxGate', async (_owner, owner) => {
    const story = await displaced(owner);
    const { client } = story.cluster;
    const label = (name: string, value: string) =>
      client.patch(
        RESOURCES.nodes,
        null,
        name,
        { metadata: { labels: { [COMPATIBILITY_LABEL]: value } } },
        { type: 'merge' },
      );
    story.cluster.scheduler.stop();
    await free(story, 'filler-1');
    await story.play(110 * SECOND);
    const [pod] = workIn(story) as [Pod];
    expect(ticketIn(story)).toMatchObject({ phase: 'Admitted', claim: { uid: pod.uid } });
    for (const name of ['node-1', 'node-2', 'node-3']) await label(name, 'simulated-v2');
    await story.play(150 * SECOND);
    const [successor, ...others] = workIn(story) as [Pod];
    expect(others).toEqual([]);
    expect(successor).toMatchObject({ gates: ['reprieve.dev/restore'], nodeName: null });
    expect(successor.uid).not.toBe(pod.uid);
    expect(ticketIn(story)).toMatchObject({ phase: 'Waiting', replacedPods: [{ pod: pod.uid, reason: 'NodesGone' }] });
    await story.play(470 * SECOND);
    expect(workIn(story)).toMatchObject([{ uid: successor.uid, gates: [], gateExpired: true, nodeSelector: null }]);
  });
});
