import { afterEach, describe, expect, it } from 'vitest';
import { AGENT_FINALIZER } from '../../src/domain/labels.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../src/engine/core/steps.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import type { NodeFaults } from '../../src/sim/nodes/simulated-pods.ts';
import { Story } from '../../src/sim/story.ts';
import { create, PRIORITY_CLASSES, savesBatch } from '../support/scenario-actions.ts';

/** How long states are kept, by every part of Reprieve together: engine, agents, and the garbage collector of the cluster. */
const SECOND = 1000;
const running: Story[] = [];
afterEach(async () => {
  for (const story of running.splice(0)) await story.cluster.stop();
});

function pod(name: string, priorityClassName: string, state = '500Mi'): { metadata: object; spec: object } {
  const resources = { requests: { cpu: '5', memory: '1Gi' } };
  return {
    metadata: { name, annotations: { 'sim.reprieve.dev/memory': state } },
    spec: { priorityClassName, containers: [{ name: 'main', image: 'app:1', resources }] },
  };
}

/** A node that is full with the pod `low`; `high` needs its room after a minute, for a minute. */
async function begun(spec: object, faults: NodeFaults = {}, state?: string): Promise<Story> {
  const story = new Story({
    seed: 1,
    withReprieve: true,
    faults,
    scenario: {
      nodes: [nodeSpec('node-1')],
      endMs: 600 * SECOND,
      actions: [
        ...PRIORITY_CLASSES,
        savesBatch({}, spec),
        create(0, RESOURCES.pods, pod('low', 'batch', state)),
        create(60 * SECOND, RESOURCES.pods, pod('high', 'serving')),
      ],
    },
  });
  running.push(story);
  await story.start();
  return story;
}

const tickets = ({ cluster }: Story): readonly string[] =>
  [...(cluster.reprieve?.index.tickets() ?? [])].map(({ phase }) => phase);
const checkpoints = ({ cluster }: Story): readonly string[] =>
  cluster.api.list(RESOURCES.podCheckpoints).map(({ metadata }) => metadata.name);
const onDisk = ({ cluster }: Story): number => cluster.nodes.node('node-1')?.store.references().length ?? -1;

describe('the state of a pod that started cold', () => {
  it('is kept as long as its ticket, and goes with it', async () => {
    const story = await begun({ restore: { attempts: 1 } }, { restoreFails: () => 'out of memory' });
    const { clock, client } = story.cluster;
    await story.play(90 * SECOND);
    await client.delete(RESOURCES.pods, 'default', 'high');
    await clock.runUntil(clock.now() + 300 * SECOND, () => tickets(story).includes('ColdStarted'));
    await clock.advance(DEFAULT_ENGINE_SETTINGS.ticketRetentionMs - 10 * SECOND);
    expect([tickets(story), checkpoints(story).length, onDisk(story)]).toEqual([['ColdStarted'], 1, 1]);
    await clock.advance(20 * SECOND);
    expect([tickets(story), checkpoints(story), onDisk(story)]).toEqual([[], [], 0]);
  });

  it('goes when somebody deletes its ticket', async () => {
    const story = await begun({ restore: { attempts: 1 } }, { restoreFails: () => 'out of memory' });
    const { clock, client, reprieve } = story.cluster;
    await story.play(90 * SECOND);
    await client.delete(RESOURCES.pods, 'default', 'high');
    await clock.runUntil(clock.now() + 300 * SECOND, () => tickets(story).includes('ColdStarted'));
    for (const { name } of reprieve?.index.tickets() ?? []) await client.delete(RESOURCES.reprieves, 'default', name);
    await clock.advance(10 * SECOND);
    expect([checkpoints(story), onDisk(story)]).toEqual([[], 0]);
  });
});

describe('a checkpoint that a user made', () => {
  it('outlives the ticket that reused it, and goes after store.ttl', async () => {
    // To save it again would take 40 s.
    const policy = { preemption: { decision: 'Always', freshFor: '10m' }, store: { ttl: '20m' } };
    const story = await begun(policy, {}, '20Gi');
    const { clock, client } = story.cluster;
    await clock.advance(15 * SECOND);
    const { metadata } = await client.get(RESOURCES.pods, 'default', 'low');
    await client.create(RESOURCES.podCheckpoints, 'default', {
      metadata: { name: 'mine', finalizers: [AGENT_FINALIZER] },
      spec: { pod: { name: 'low', uid: metadata.uid }, node: 'node-1', reason: 'Manual' },
    });
    await clock.advance(75 * SECOND);
    await client.delete(RESOURCES.pods, 'default', 'high');
    await clock.advance(120 * SECOND);
    const [ticket] = story.cluster.reprieve?.index.tickets() ?? [];
    expect(ticket?.displacement.pods).toMatchObject([{ plan: 'Reuse', checkpoint: 'mine' }]);
    expect([tickets(story), checkpoints(story)]).toEqual([['Restored'], ['mine']]);
    await clock.advance(15 * 60 * SECOND);
    expect(checkpoints(story)).toEqual(['mine']);
    await clock.advance(5 * 60 * SECOND);
    expect([checkpoints(story), onDisk(story)]).toEqual([[], 0]);
  });
});

describe('a checkpoint that failed', () => {
  it('can be read after its displacement is off, and its files are gone', async () => {
    const story = await begun(
      { preemption: { decision: 'Always', onFailure: 'Refuse' } },
      { dumpFails: () => 'the disk is broken' },
    );
    const { clock, client } = story.cluster;
    await story.play(90 * SECOND);
    await client.delete(RESOURCES.pods, 'default', 'high');
    await clock.advance(30 * SECOND);
    expect([tickets(story), onDisk(story)]).toEqual([[], 0]);
    const kept = story.cluster.api.list(RESOURCES.podCheckpoints);
    expect(kept.length).toBeGreaterThan(0);
    expect(JSON.stringify(kept[0]?.['status'])).toContain('the disk is broken');
    await clock.advance(DEFAULT_ENGINE_SETTINGS.ticketRetentionMs);
    expect(checkpoints(story)).toEqual([]);
  });
});
