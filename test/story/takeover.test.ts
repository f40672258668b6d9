import { preemptionIn } from '../support/preemption.ts';
import { afterEach, expect, it } from 'vitest';
import { RESOURCES } from '../../src/kube/resources.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import { Story } from '../../src/sim/story.ts';
import { create, PRIORITY_CLASSES, savesBatch } from '../support/scenario-actions.ts';

const SECOND = 1000;
const annotations = { 'sim.reprieve.dev/memory': '1Gi', 'sim.reprieve.dev/termination-seconds': '30' };

const running: Story[] = [];
afterEach(async () => {
  for (const story of running.splice(0)) await story.cluster.stop();
});

const podOf = (name: string, priorityClassName: string, cpu: string): object => ({
  metadata: { name, annotations },
  spec: {
    priorityClassName,
    containers: [{ name: 'main', image: 'app:1', resources: { requests: { cpu, memory: '1Gi' } } }],
  },
});

/** One full node with two batch pods; `high` needs the room of both, and `higher` comes later, for one or for both. */
async function played(higherCpu: string, higherAtMs: number): Promise<Story> {
  const story = new Story({
    seed: 1,
    withReprieve: true,
    scenario: {
      nodes: [nodeSpec('node-1', { dumpBytesPerSecond: 200 * 2 ** 20 })],
      endMs: 300 * SECOND,
      actions: [
        ...PRIORITY_CLASSES,
        create(0, RESOURCES.priorityClasses, { metadata: { name: 'urgent' }, value: 2000 }),
        savesBatch({ onFailure: 'Refuse' }),
        create(0, RESOURCES.pods, podOf('a', 'batch', '4')),
        create(SECOND, RESOURCES.pods, podOf('b', 'batch', '4')),
        create(60 * SECOND, RESOURCES.pods, podOf('high', 'serving', '8')),
        create(60 * SECOND + higherAtMs, RESOURCES.pods, podOf('higher', 'urgent', higherCpu)),
      ],
    },
  });
  running.push(story);
  await story.start();
  await story.play();
  return story;
}

function nodeOf({ cluster }: Story, name: string): string | undefined {
  const pod = cluster.api.list(RESOURCES.pods).find(({ metadata }) => metadata.name === name);
  return (pod?.['spec'] as { nodeName?: string } | undefined)?.nodeName;
}

for (const [sentence, atMs] of [
  ['while the first victim is being saved', 3 * SECOND],
  ['when one victim is saved and the other is not', 7 * SECOND],
] as const) {
  it(`dumps nothing twice for a higher preemptor that comes ${sentence}`, async () => {
    const story = await played('8', atMs);
    const { ledger, reprieve } = story.cluster;
    expect(nodeOf(story, 'higher')).toBe('node-1');
    expect(nodeOf(story, 'high')).toBeUndefined();
    expect([ledger.count('frozen'), ledger.count('saved'), ledger.count('thawed')]).toEqual([2, 2, 0]);
    expect(
      [...(reprieve?.index.tickets() ?? [])].map(({ phase, displacement }) => [
        phase,
        preemptionIn(displacement).preemptor.name,
      ]),
    ).toEqual([
      ['Waiting', 'higher'],
      ['Waiting', 'higher'],
    ]);
    expect(ledger.lost.discarded).toBe(0);
  });
}

it('lets the victim run on that only the lower preemptor needed', async () => {
  const story = await played('4', 7 * SECOND);
  const { ledger, nodes } = story.cluster;
  expect(nodeOf(story, 'higher')).toBe('node-1');
  expect(nodes.frozen()).toEqual([]);
  expect([ledger.count('frozen'), ledger.count('thawed'), ledger.count('killed')]).toEqual([2, 1, 1]);
  expect(ledger.lost.discarded).toBe(0);
});
