import { afterEach, describe, expect, it } from 'vitest';
import { checkpointOf } from '../../src/kube/project/checkpoint.ts';
import { RESOURCES, type ResourceType } from '../../src/kube/resources.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import { Story } from '../../src/sim/story.ts';
import { create, PRIORITY_CLASSES } from '../support/scenario-actions.ts';

const SECOND = 1000;
const { pods, podCheckpoints, reprieves } = RESOURCES;

const running: Story[] = [];
afterEach(async () => {
  for (const story of running.splice(0)) await story.cluster.stop();
});

const podOf = (name: string, priorityClassName: string): object => ({
  metadata: { name, annotations: { 'sim.reprieve.dev/memory': '20Gi' } },
  spec: {
    priorityClassName,
    containers: [{ name: 'main', image: 'app:1', resources: { requests: { cpu: '5', memory: '20Gi' } } }],
  },
});

/** `low` runs from the start, its user saves it at 60 s (41 s of dump, in which it stands still), and `high` comes at `atMs`. */
async function begun(atMs: number, freshFor: string): Promise<Story> {
  const story = new Story({
    seed: 1,
    withReprieve: true,
    scenario: {
      nodes: [nodeSpec('node-1')],
      endMs: 600 * SECOND,
      actions: [
        ...PRIORITY_CLASSES,
        create(0, RESOURCES.reprievePolicies, {
          metadata: { name: 'all' },
          spec: {
            match: { priorityClassNames: ['batch'] },
            preemption: { decision: 'Always', onFailure: 'Refuse', freshFor },
          },
        }),
        create(0, pods, podOf('low', 'batch')),
        create(atMs, pods, podOf('high', 'serving')),
      ],
    },
  });
  running.push(story);
  await story.start();
  await story.play(60 * SECOND);
  const { api, client } = story.cluster;
  const low = api.list(pods).find(({ metadata }) => metadata.name === 'low');
  await client.create(podCheckpoints, 'default', {
    metadata: { name: 'mine' },
    spec: { pod: { name: 'low', uid: low?.metadata.uid }, node: 'node-1', reason: 'Manual', hold: 'None' },
  });
  await story.play(110 * SECOND);
  return story;
}

const namesOf = ({ cluster }: Story, type: ResourceType): readonly string[] =>
  cluster.api.list(type).map(({ metadata }) => metadata.name);
const mine = ({ cluster }: Story) => cluster.api.list(podCheckpoints).map(checkpointOf);

describe('a checkpoint that a user made', () => {
  it('that is fresh serves a preemption: nothing is dumped again, and the pod comes back from it', async () => {
    const story = await begun(120 * SECOND, '5m');
    const { ledger, reprieve, client } = story.cluster;
    expect(mine(story)).toMatchObject([{ name: 'mine', ready: true, frozen: false }]);
    await story.play(180 * SECOND);
    expect([ledger.count('saved'), ledger.count('killed'), namesOf(story, pods)]).toEqual([1, 1, ['high', 'low']]);
    const [ticket] = reprieve?.index.tickets() ?? [];
    expect(ticket).toMatchObject({
      checkpoint: 'mine',
      phase: 'Waiting',
      displacement: { pods: [{ plan: 'Reuse' }] },
    });
    await client.delete(pods, 'default', 'high');
    await story.play(300 * SECOND);
    expect([...(reprieve?.index.tickets() ?? [])].map(({ phase }) => phase)).toEqual(['Restored']);
    expect([ledger.count('saved'), ledger.count('restored')]).toEqual([1, 1]);
    // What it did since the checkpoint is lost, and no more.
    expect(ledger.lost.discarded).toBeGreaterThan(0);
    expect(ledger.lost.discarded).toBeLessThan(25);
    await story.cluster.clock.advance(2 * 3_600 * SECOND);
    expect([namesOf(story, reprieves), namesOf(story, podCheckpoints)]).toEqual([[], ['mine']]);
  });

  it('that is too old does not: the pod is saved anew, and the old state stays', async () => {
    const story = await begun(120 * SECOND, '5s');
    const { ledger, reprieve } = story.cluster;
    await story.play(300 * SECOND);
    const [ticket] = reprieve?.index.tickets() ?? [];
    expect(ticket).toMatchObject({ phase: 'Waiting', displacement: { pods: [{ plan: 'Save' }] } });
    expect(ledger.count('saved')).toBe(2);
    expect(new Set(namesOf(story, podCheckpoints))).toEqual(new Set([ticket?.checkpoint, 'mine']));
  });

  it('that its user deletes meanwhile brings nobody back, and nobody is evicted for it', async () => {
    const story = await begun(120 * SECOND, '5m');
    const { client, ledger, reprieve } = story.cluster;
    const stop = reprieve?.engine.events.on('displacement:opened', () => {
      stop?.();
      void client.delete(podCheckpoints, 'default', 'mine');
    });
    await story.play(122 * SECOND);
    expect(ledger.count('killed')).toBe(0);
    await story.play(500 * SECOND);
    // Refuse: it goes only once it was saved.
    expect(ledger.lost.discarded).toBe(0);
  });
});
