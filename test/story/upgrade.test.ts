import { afterEach, expect, it } from 'vitest';
import { RESOURCES } from '../../src/kube/resources.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import { Story } from '../../src/sim/story.ts';
import { olderForms } from '../support/older-records.ts';
import { create, PRIORITY_CLASSES, savesBatch } from '../support/scenario-actions.ts';

const SECOND = 1000;
const annotations = { 'sim.reprieve.dev/memory': '1Gi', 'sim.reprieve.dev/termination-seconds': '30' };

const podOf = (name: string, priorityClassName: string): object => ({
  metadata: { name, annotations },
  spec: {
    priorityClassName,
    containers: [{ name: 'main', image: 'app:1', resources: { requests: { cpu: '5', memory: '1Gi' } } }],
  },
});

/** Two full nodes: `high-1` displaces one batch pod, and `high-2` the other one half a minute later. */
const story = new Story({
  seed: 1,
  withReprieve: true,
  scenario: {
    nodes: [
      nodeSpec('node-1', { dumpBytesPerSecond: 200 * 2 ** 20 }),
      nodeSpec('node-2', { dumpBytesPerSecond: 200 * 2 ** 20 }),
    ],
    endMs: 400 * SECOND,
    actions: [
      ...PRIORITY_CLASSES,
      savesBatch({ onFailure: 'Refuse' }),
      create(0, RESOURCES.pods, podOf('a', 'batch')),
      create(0, RESOURCES.pods, podOf('b', 'batch')),
      create(60 * SECOND, RESOURCES.pods, podOf('high-1', 'serving')),
      create(90 * SECOND, RESOURCES.pods, podOf('high-2', 'serving')),
      { atMs: 150 * SECOND, kind: 'delete', type: RESOURCES.pods, name: 'high-1' },
      { atMs: 150 * SECOND, kind: 'delete', type: RESOURCES.pods, name: 'high-2' },
    ],
  },
});
afterEach(() => story.cluster.stop());

it('carries on what the version before had begun: one pod frozen, one in the queue', async () => {
  const { cluster } = story;
  await story.start();
  await story.play(90 * SECOND);
  const phases = (): string[] =>
    cluster.api
      .list(RESOURCES.reprieves)
      .map((ticket) => (ticket['status'] as { phase: string }).phase)
      .sort();
  let atMs = 90 * SECOND;
  for (; cluster.nodes.frozen().length === 0; atMs += 100) await story.play(atMs);
  expect(phases()).toEqual(['Saving', 'Waiting']);

  await cluster.crashReprieve();
  await story.play(atMs + 10 * SECOND); // the agent saves the pod meanwhile
  const rewrite = await olderForms(cluster.client);
  await rewrite();
  const [frozen] = cluster.nodes.frozen();
  if (frozen === undefined) throw new Error('no pod is frozen');
  cluster.nodes.crashAgent(frozen.node);
  await cluster.nodes.restartAgent(frozen.node);
  expect(cluster.nodes.frozen()).toEqual([frozen]);
  await cluster.restartReprieve();
  await story.play();

  expect(phases()).toEqual(['Restored', 'Restored']);
  const { ledger } = cluster;
  expect([ledger.count('saved'), ledger.count('restored'), ledger.count('coldStarted')]).toEqual([2, 2, 0]);
  expect(ledger.lost.discarded).toBe(0);
  expect(cluster.nodes.frozen()).toEqual([]);
  expect(cluster.api.list(RESOURCES.events).filter((event) => event['reason'] === 'RecordsConflict')).toEqual([]);
});
