import { afterEach, describe, expect, it } from 'vitest';
import { RESOURCES } from '../../src/kube/resources.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import type { Scenario, ScenarioAction } from '../../src/sim/scenario.ts';
import { Story } from '../../src/sim/story.ts';

const { deployments, events, pods, priorityClasses, reprieves, reprievePolicies } = RESOURCES;
const SECOND = 1000;

const create = (atMs: number, type: ScenarioAction['type'], object: object): ScenarioAction => ({
  atMs,
  kind: 'create',
  type,
  object,
});
const spec = (priorityClassName: string): object => ({
  priorityClassName,
  containers: [{ name: 'main', image: 'registry.example/worker:1', resources: { requests: { cpu: '5' } } }],
});
const labels = { app: 'worker' };

/** One node that the pod of a Deployment fills; `serving` comes for its room after three minutes. */
const scenario: Scenario = {
  nodes: [nodeSpec('node-1')],
  actions: [
    create(0, priorityClasses, { metadata: { name: 'batch' }, value: 10 }),
    create(0, priorityClasses, { metadata: { name: 'serving' }, value: 1000 }),
    create(0, reprievePolicies, {
      metadata: { name: 'batch' },
      spec: { match: { priorityClassNames: ['batch'] }, preemption: { decision: 'Always', onFailure: 'Refuse' } },
    }),
    create(0, deployments, {
      metadata: { name: 'worker', namespace: 'default' },
      spec: { replicas: 1, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: spec('batch') } },
    }),
    create(180 * SECOND, pods, { metadata: { name: 'serving', namespace: 'default' }, spec: spec('serving') }),
  ],
  endMs: 600 * SECOND,
};

const running: Story[] = [];
afterEach(async () => {
  for (const story of running.splice(0)) await story.cluster.stop();
});

async function begin(): Promise<Story> {
  const story = new Story({ seed: 1, withReprieve: true, scenario });
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
