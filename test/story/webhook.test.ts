import { afterEach, describe, expect, it } from 'vitest';
import { RESOURCES } from '../../src/kube/resources.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import type { Scenario } from '../../src/sim/scenario.ts';
import { Story } from '../../src/sim/story.ts';
import { create, PRIORITY_CLASSES } from '../support/scenario-actions.ts';

const { deployments, events, pods, reprieves, reprievePolicies } = RESOURCES;
const SECOND = 1000;

const spec = (priorityClassName: string): object => ({
  priorityClassName,
  containers: [{ name: 'main', image: 'registry.example/worker:1', resources: { requests: { cpu: '5' } } }],
});
const labels = { app: 'worker' };
const replicated = {
  replicas: 1,
  selector: { matchLabels: labels },
  template: { metadata: { labels }, spec: spec('batch') },
};

/** One node that the pod of a Deployment fills; `serving` comes for its room after three minutes. */
const scenario: Scenario = {
  nodes: [nodeSpec('node-1')],
  actions: [
    ...PRIORITY_CLASSES,
    create(0, reprievePolicies, {
      metadata: { name: 'batch' },
      spec: { match: { priorityClassNames: ['batch'] }, preemption: { decision: 'Always', onFailure: 'Refuse' } },
    }),
    create(0, deployments, {
      metadata: { name: 'worker', namespace: 'default' },
      spec: replicated,
    }),
    create(180 * SECOND, pods, { metadata: { name: 'serving', namespace: 'default' }, spec: spec('serving') }),
  ],
  endMs: 600 * SECOND,
};

const running: Story[] = [];
afterEach(async () => {
  for (const story of running.splice(0)) await story.cluster.stop();
});

async function begin(played = scenario): Promise<Story> {
  const story = new Story({ seed: 1, withReprieve: true, scenario: played });
  running.push(story);
  await story.start();
  return story;
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
}

const restorable = ({ cluster }: Story): string | undefined => {
  const [policy] = cluster.api.list(reprievePolicies);
  const { conditions = [] } = (policy?.['status'] ?? {}) as { readonly conditions?: readonly Condition[] };
  const found = conditions.find(({ type }) => type === 'Restorable');
  return found && `${found.status} ${found.reason}`;
};
const told = ({ cluster }: Story): number =>
  cluster.api.list(events).filter(({ reason }) => reason === 'WebhookNotCalled').length;
const nodeOf = ({ cluster }: Story, name: string): unknown =>
  (cluster.api.list(pods).find(({ metadata }) => metadata.name === name)?.['spec'] as { nodeName?: string } | undefined)
    ?.nodeName;

it('what the webhook does not review is not saved, though a policy names its namespace, and the policy says so', async () => {
  const others = scenario.actions.filter(({ atMs }) => atMs > 0);
  const story = await begin({ ...scenario, actions: [...PRIORITY_CLASSES, ...others] });
  const { client, api } = story.cluster;
  const namespaceSelector = { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } };
  await story.play(SECOND);
  await client.create(reprievePolicies, null, {
    metadata: { name: 'system' },
    spec: { match: { namespaceSelector }, preemption: { decision: 'Always', onFailure: 'Refuse' } },
  });
  await client.create(deployments, 'kube-system', { metadata: { name: 'worker' }, spec: replicated });
  await story.play(60 * SECOND);
  expect(restorable(story)).toBe('False OutOfScope');
  await story.play();
  expect(nodeOf(story, 'serving')).toBe('node-1');
  expect(api.list(reprieves)).toEqual([]);
  const said = api.list(events).filter(({ reason }) => reason === 'NotRestorable');
  expect(said).toMatchObject([{ involvedObject: { kind: 'ReprievePolicy', name: 'system' } }]);
});

describe('while the webhook is away', () => {
  it('no pod of a controller is saved, and the policy says so; one Event is written', async () => {
    const story = await begin();
    await story.play(60 * SECOND);
    expect(restorable(story)).toBe('True WebhookCalled');
    delete story.cluster.api.hooks.admitPod;
    await story.play(170 * SECOND);
    expect(restorable(story)).toBe('False WebhookNotCalled');
    await story.play();
    expect(told(story)).toBe(1);
    // Evicted as without Reprieve: no ticket waits for a replacement that started cold.
    expect(nodeOf(story, 'serving')).toBe('node-1');
    expect(story.cluster.api.list(reprieves)).toEqual([]);
  });

  it('and once it is back: protection returns within a minute', async () => {
    const story = await begin();
    await story.play(SECOND);
    const { admitPod } = story.cluster.api.hooks;
    delete story.cluster.api.hooks.admitPod;
    await story.play(120 * SECOND);
    expect(restorable(story)).toBe('False WebhookNotCalled');
    if (admitPod) story.cluster.api.hooks.admitPod = admitPod;
    await story.play(170 * SECOND);
    expect(restorable(story)).toBe('True WebhookCalled');
    await story.play(240 * SECOND);
    expect(nodeOf(story, 'serving')).toBe('node-1');
    expect(story.cluster.api.list(reprieves)).toMatchObject([{ status: { phase: 'Waiting' } }]);
  });
});
