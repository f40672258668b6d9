import { afterEach, describe, expect, it } from 'vitest';
import { checkpointOf } from '../../src/kube/project/checkpoint.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import { Story } from '../../src/sim/story.ts';
import { create, PRIORITY_CLASSES, savesBatch } from '../support/scenario-actions.ts';

const SECOND = 1000;
const annotations = { 'sim.reprieve.dev/memory': '500Mi', 'sim.reprieve.dev/termination-seconds': '30' };
const spec = (priorityClassName: string, cpu = '5'): object => ({
  priorityClassName,
  containers: [{ name: 'main', image: 'app:1', resources: { requests: { cpu, memory: '1Gi' } } }],
});

const running: Story[] = [];
afterEach(async () => {
  for (const story of running.splice(0)) await story.cluster.stop();
});

/**
 * A node with two batch pods, for which `high` needs the room of both. `web-0` is saved and stands frozen when `high` is deleted,
 * while the dump of the other one hangs. The writes to PodCheckpoints are told in their order.
 */
async function calledOff(onRelease: (story: Story) => Promise<unknown> = () => Promise.resolve()) {
  const template = { metadata: { labels: { app: 'web' }, annotations }, spec: spec('batch', '4') };
  const selector = { matchLabels: { app: 'web' } };
  const story = new Story({
    seed: 1,
    withReprieve: true,
    faults: { dumpHangs: ({ metadata }) => metadata.name === 'other' },
    scenario: {
      nodes: [nodeSpec('node-1')],
      endMs: 300 * SECOND,
      actions: [
        ...PRIORITY_CLASSES,
        savesBatch({ onFailure: 'Refuse' }),
        create(0, RESOURCES.statefulSets, {
          metadata: { name: 'web' },
          spec: { replicas: 1, serviceName: 'web', selector, template },
        }),
        create(1 * SECOND, RESOURCES.pods, { metadata: { name: 'other', annotations }, spec: spec('batch', '4') }),
        create(60 * SECOND, RESOURCES.pods, { metadata: { name: 'high' }, spec: spec('serving', '8') }),
        { atMs: 75 * SECOND, kind: 'delete', type: RESOURCES.pods, name: 'high' },
      ],
    },
  });
  running.push(story);
  const told: string[] = [];
  const { api } = story.cluster;
  api.hooks.written = ({ kind, type, object, previous }) => {
    if (kind !== RESOURCES.podCheckpoints) return;
    const { podName, release, released, deleting } = checkpointOf(object);
    const before = previous === null ? null : checkpointOf(previous);
    if (release !== null && before?.release === null) {
      told.push(`${podName}: release`);
      if (podName === 'web-0') void onRelease(story);
    } else if (released && before?.released === false) told.push(`${podName}: released`);
    else if (deleting && before?.deleting === false) told.push(`${podName}: deleted`);
    else if (type === 'DELETED') told.push(`${podName}: gone`);
  };
  await story.start();
  await story.play(74 * SECOND);
  expect(story.cluster.nodes.frozen()).toHaveLength(2);
  await story.play();
  return { story, told };
}

describe('a displacement that is called off', () => {
  it('releases its pods: each runs on, and its checkpoint is deleted when the agent has said so', async () => {
    const { story, told } = await calledOff();
    for (const pod of ['web-0', 'other']) {
      const want = ['release', 'released', 'deleted', 'gone'].map((what) => `${pod}: ${what}`);
      expect(told.filter((line) => line.startsWith(`${pod}:`))).toEqual(want);
    }
    const { api, ledger, nodes } = story.cluster;
    expect([api.list(RESOURCES.podCheckpoints), api.list(RESOURCES.reprieves), nodes.frozen()]).toEqual([[], [], []]);
    expect([ledger.count('killed'), ledger.lost.discarded]).toEqual([0, 0]);
  });

  it('loses nothing of a pod that is deleted at that moment: its replacement continues the state', async () => {
    const { story } = await calledOff(({ cluster }) => cluster.client.delete(RESOURCES.pods, 'default', 'web-0'));
    const { api, ledger, nodes } = story.cluster;
    expect(api.list(RESOURCES.reprieves).map(({ status }) => (status as { phase: string }).phase)).toEqual([
      'Restored',
    ]);
    expect([ledger.count('restored'), ledger.count('coldStarted'), nodes.frozen()]).toEqual([1, 0, []]);
  });
});
