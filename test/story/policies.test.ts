import { afterEach, describe, expect, it } from 'vitest';
import { DEFAULT_ENGINE_SETTINGS } from '../../src/engine/core/steps.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import type { NodeFaults } from '../../src/sim/nodes/simulated-pods.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import type { Scenario } from '../../src/sim/scenario.ts';
import { Story } from '../../src/sim/story.ts';
import { create, PRIORITY_CLASSES } from '../support/scenario-actions.ts';

const { pods, reprieves, reprievePolicies } = RESOURCES;
const SECOND = 1000;
/** The preemptor comes at 60 s; the dump of 5 GiB goes on from then to 71 s. */
const IN_THE_MIDDLE_MS = 65 * SECOND;
const LATER_MS = 80 * SECOND;

const pod = (name: string, priorityClassName: string, memory: string, requests: object = {}): object => ({
  metadata: { name, namespace: 'default', annotations: { 'sim.reprieve.dev/memory': memory } },
  spec: {
    priorityClassName,
    terminationGracePeriodSeconds: 30,
    containers: [
      { name: 'main', image: 'registry.example/worker:1', resources: { requests: { cpu: '5', ...requests } } },
    ],
  },
});

/** One node that `victim` fills; `serving` comes for its room after a minute. */
function scenario(preemption: object): Scenario {
  return {
    nodes: [nodeSpec('node-1')],
    actions: [
      ...PRIORITY_CLASSES,
      create(0, reprievePolicies, {
        metadata: { name: 'batch' },
        spec: {
          match: { priorityClassNames: ['batch'] },
          preemption: { decision: 'Always', ...preemption },
          restore: { nodes: 'Same', attempts: 7 },
        },
      }),
      create(0, pods, pod('victim', 'batch', '5Gi')),
      create(60 * SECOND, pods, pod('serving', 'serving', '1Gi')),
    ],
    endMs: 600 * SECOND,
  };
}

const running: Story[] = [];
afterEach(async () => {
  for (const story of running.splice(0)) await story.cluster.stop();
});

/** A story in the middle of the victim's dump. */
async function midDump(preemption: object, faults: NodeFaults = {}): Promise<Story> {
  const story = new Story({ seed: 1, withReprieve: true, scenario: scenario(preemption), faults });
  running.push(story);
  await story.start();
  await story.play(IN_THE_MIDDLE_MS);
  expect(story.cluster.nodes.frozen()).toEqual([{ node: 'node-1', pod: 'victim' }]);
  return story;
}

const say = (story: Story, preemption: object): Promise<unknown> =>
  story.cluster.client.patch(reprievePolicies, null, 'batch', { spec: { preemption } }, { type: 'merge' });

/** Who runs on the node, how many dumps were completed, and whether any work was thrown away. */
function seen(story: Story): { readonly running: readonly string[]; readonly saved: number; readonly lost: boolean } {
  const { api, ledger } = story.cluster;
  return {
    running: api
      .list(pods)
      .filter(({ status }) => (status as { phase?: string } | undefined)?.phase === 'Running')
      .map(({ metadata }) => metadata.name)
      .sort(),
    saved: ledger.count('saved'),
    lost: ledger.lost.discarded > 0,
  };
}

const saved = { running: ['serving'], saved: 1, lost: false };
const stayed = { running: ['victim'], saved: 0, lost: false };
const unsaved = { running: ['serving'], saved: 0, lost: true };

describe('a policy that changes in the middle of a dump', () => {
  it('deleted: the victim is saved, and comes back on the terms that it was promised', async () => {
    const story = await midDump({ onFailure: 'Refuse' });
    const { client, api } = story.cluster;
    await client.delete(reprievePolicies, null, 'batch');
    await story.play(LATER_MS);
    expect(seen(story)).toEqual(saved);
    const [ticket] = api.list(reprieves);
    expect(ticket?.['spec']).toMatchObject({ policy: 'batch', restore: { nodes: 'Same', attempts: 7 } });
    await client.delete(pods, 'default', 'serving');
    await story.play();
    expect(seen(story).running).toEqual(['victim']);
    expect(story.cluster.ledger.count('restored')).toBe(1);
  });

  it('turned Never: this victim is saved, the next is evicted at once', async () => {
    const story = await midDump({});
    await say(story, { decision: 'Never' });
    await story.play(LATER_MS);
    expect(seen(story)).toEqual(saved);
    await story.cluster.client.delete(pods, 'default', 'serving');
    await story.play(LATER_MS + 60 * SECOND);
    expect(seen(story).running).toEqual(['victim']);
    story.plan(create(LATER_MS + 61 * SECOND, pods, pod('second', 'serving', '1Gi')));
    await story.play(LATER_MS + 120 * SECOND);
    expect(seen(story)).toMatchObject({ running: ['second'], saved: 1, lost: true });
  });

  it('turned from Evict to Refuse: a victim whose dump fails then goes on', async () => {
    const story = await midDump({ onFailure: 'Evict' }, { dumpFails: () => 'disk full' });
    await say(story, { onFailure: 'Refuse' });
    await story.play(LATER_MS);
    expect(seen(story)).toEqual(stayed);
  });

  it('left at Evict: the same victim goes without its state', async () => {
    const story = await midDump({ onFailure: 'Evict' }, { dumpFails: () => 'disk full' });
    await story.play(LATER_MS);
    expect(seen(story)).toEqual(unsaved);
  });

  it('turned from Refuse to Evict: this attempt still spares the victim, a later one does not', async () => {
    const story = await midDump({ onFailure: 'Refuse' }, { dumpFails: () => 'disk full' });
    await say(story, { onFailure: 'Evict' });
    await story.play(LATER_MS);
    expect(seen(story)).toEqual(stayed);
    await story.play();
    expect(seen(story)).toEqual(unsaved);
  });

  it('with a shorter maxDelay: a preemptor waits no longer than that for a dump that hangs', async () => {
    const story = await midDump({ maxDelay: '1h', onFailure: 'Evict' }, { dumpHangs: () => true });
    await say(story, { maxDelay: '1s' });
    await story.play(LATER_MS + 40 * SECOND);
    expect(seen(story)).toEqual(unsaved);
    expect(story.cluster.nodes.frozen()).toEqual([]);
  });

  it('with a longer maxDelay: the wait is over when it was to be', async () => {
    const story = await midDump({ maxDelay: '10s', onFailure: 'Evict' }, { dumpHangs: () => true });
    await say(story, { maxDelay: '1h' });
    await story.play(LATER_MS + 60 * SECOND);
    expect(seen(story)).toEqual(unsaved);
  });
});

describe('a victim that goes without its state', () => {
  const told = (story: Story, reason: string): readonly string[] =>
    story.cluster.api
      .list(RESOURCES.events)
      .filter((event) => event['reason'] === reason)
      .map((event) => `${(event['involvedObject'] as { name: string }).name}: ${event['message'] as string}`);

  it('because saving it costs more: its Event names both costs', async () => {
    const story = await midDump({});
    await say(story, { decision: 'Adaptive' });
    const { client } = story.cluster;
    await client.delete(pods, 'default', 'serving');
    await client.create(pods, 'default', pod('young', 'batch', '20Gi', { memory: '20Gi' }));
    await story.play(IN_THE_MIDDLE_MS + 10 * SECOND);
    await client.delete(pods, 'default', 'victim');
    await story.play(IN_THE_MIDDLE_MS + 50 * SECOND);
    expect(seen(story).running).toEqual(['young']);
    await client.create(pods, 'default', pod('urgent', 'serving', '1Gi'));
    await story.play(IN_THE_MIDDLE_MS + 100 * SECOND);
    expect(seen(story).running).toEqual(['urgent']);
    const costs = String.raw`eviction costs [\d.]+ node-seconds, saving [\d.]+ node-seconds`;
    expect(told(story, 'SavingCostsMore')).toEqual([
      expect.stringMatching(
        `^young: evicted for default/urgent without its state: ${costs} \\(policy batch: Adaptive\\)$`,
      ),
    ]);
  });

  it('because it could not be saved: its PodCheckpoint can be read afterwards', async () => {
    const story = await midDump({ onFailure: 'Evict' }, { dumpFails: () => 'disk full' });
    await story.play(LATER_MS);
    expect(told(story, 'EvictedUnsaved')).toHaveLength(2);
    const [failed] = story.cluster.api.list(RESOURCES.podCheckpoints);
    expect((failed?.['status'] as { conditions: object[] } | undefined)?.conditions).toContainEqual(
      expect.objectContaining({ type: 'Failed', status: 'True', message: 'disk full' }),
    );
  });

  it('and one that could not be saved and runs on leaves its PodCheckpoint for as long as tickets are kept', async () => {
    const story = await midDump({ onFailure: 'Refuse' }, { dumpFails: () => 'disk full' });
    await story.play(LATER_MS);
    await story.cluster.client.delete(pods, 'default', 'serving');
    await story.play(LATER_MS + 5 * SECOND);
    expect(seen(story)).toEqual(stayed);
    expect(story.cluster.api.list(reprieves)).toEqual([]);
    expect(story.cluster.api.list(RESOURCES.podCheckpoints)).toHaveLength(1);
    await story.cluster.clock.advance(DEFAULT_ENGINE_SETTINGS.ticketRetentionMs);
    expect(story.cluster.api.list(RESOURCES.podCheckpoints)).toEqual([]);
  });
});

describe('the status of policies', () => {
  it('follows what happens, and is written only when it changes', async () => {
    const story = await midDump({});
    const statusOf = (name: string): unknown =>
      story.cluster.api.list(reprievePolicies).find(({ metadata }) => metadata.name === name)?.['status'];
    expect(statusOf('batch')).toMatchObject({
      observedGeneration: 1,
      selectedPods: 1,
      rulingPods: 1,
      protectedPods: 1,
      conditions: [
        { type: 'Accepted', status: 'True' },
        { type: 'Conflicted', status: 'False' },
        { type: 'Restorable', status: 'True', reason: 'WebhookCalled' },
      ],
    });
    const { client } = story.cluster;
    await client.create(reprievePolicies, null, { metadata: { name: 'all' }, spec: { precedence: 1 } });
    await story.play(IN_THE_MIDDLE_MS + 10 * SECOND);
    expect(statusOf('batch')).toMatchObject({
      rulingPods: 0,
      conditions: [{}, { type: 'Conflicted', status: 'True', reason: 'Shadowed' }, {}],
    });
    expect(statusOf('all')).toMatchObject({ selectedPods: 2, rulingPods: 2 });

    await story.play(300 * SECOND);
    const version = (): string =>
      story.cluster.api
        .list(reprievePolicies)
        .map(({ metadata }) => metadata.resourceVersion)
        .join();
    const before = version();
    await story.play();
    expect(version()).toBe(before);
  });
});
