import { afterEach, describe, expect, it } from 'vitest';
import { RESOURCES } from '../../src/kube/resources.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import { Story } from '../../src/sim/story.ts';
import { create, PRIORITY_CLASSES } from '../support/scenario-actions.ts';

const SECOND = 1000;
/** The preemptor comes then; the dump of 5 GiB would take 11 s. */
const COMES_MS = 60 * SECOND;

const pod = (name: string, priorityClassName: string): object => ({
  metadata: { name, namespace: 'default', annotations: { 'sim.reprieve.dev/memory': '5Gi' } },
  spec: {
    priorityClassName,
    containers: [{ name: 'main', image: 'registry.example/worker:1', resources: { requests: { cpu: '5' } } }],
  },
});

let story: Story;
afterEach(() => story.cluster.stop());

/** One node that `victim` fills, and a policy under which `serving` may wait ten minutes for it. */
async function begin(onFailure: 'Evict' | 'Refuse', comesMs = COMES_MS): Promise<void> {
  const actions = [
    ...PRIORITY_CLASSES,
    create(0, RESOURCES.reprievePolicies, {
      metadata: { name: 'batch' },
      spec: {
        match: { priorityClassNames: ['batch'] },
        preemption: { decision: 'Always', onFailure, maxDelay: '10m' },
      },
    }),
    create(0, RESOURCES.pods, pod('victim', 'batch')),
    create(comesMs, RESOURCES.pods, pod('serving', 'serving')),
  ];
  story = new Story({
    seed: 1,
    withReprieve: true,
    scenario: { nodes: [nodeSpec('node-1')], actions, endMs: 900 * SECOND },
  });
  await story.start();
}

/** Whom the node runs, by what its containers do. */
const running = (): readonly string[] =>
  [...(story.cluster.nodes.node('node-1')?.containers.values() ?? [])].map(({ pod: { metadata } }) => metadata.name);

describe('a preemption on the node of a dead agent', () => {
  it('is not held up: before 40 s nobody is taken for dead, and then the victim goes as its policy says', async () => {
    await begin('Evict');
    await story.play(COMES_MS - SECOND);
    story.cluster.nodes.crashAgent('node-1');
    await story.play(COMES_MS + 28 * SECOND); // the last renewal is ten seconds older than the crash at most
    expect(running()).toEqual(['victim']);
    await story.play(COMES_MS + 60 * SECOND);
    expect(running()).toEqual(['serving']);
  });

  it('does not begin with a wait where the agent has been dead for long', async () => {
    await begin('Evict', 200 * SECOND);
    await story.play(100 * SECOND);
    story.cluster.nodes.crashAgent('node-1');
    await story.play(210 * SECOND);
    expect(running()).toEqual(['serving']);
  });

  it('takes nobody whose policy refuses that, and saves again when the agent is back', async () => {
    await begin('Refuse');
    await story.play(COMES_MS - SECOND);
    story.cluster.nodes.crashAgent('node-1');
    await story.play(COMES_MS + 120 * SECOND);
    expect(running()).toEqual(['victim']);
    void story.cluster.nodes.restartAgent('node-1');
    await story.play(COMES_MS + 300 * SECOND);
    expect(running()).toEqual(['serving']);
    expect(story.cluster.ledger.count('saved')).toBe(1);
  });
});
