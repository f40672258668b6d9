import { afterEach, expect, it } from 'vitest';
import { RESOURCES } from '../../src/kube/resources.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import { Story } from '../../src/sim/story.ts';
import { PRIORITY_CLASSES, savesBatch } from '../support/scenario-actions.ts';

const SECOND = 1000;
const annotations = { 'sim.reprieve.dev/memory': '500Mi' };
const spec = (priorityClassName: string, cpu: string): object => ({
  priorityClassName,
  containers: [{ name: 'main', image: 'app:1', resources: { requests: { cpu, memory: '1Gi' } } }],
});

const running: Story[] = [];
afterEach(async () => {
  for (const story of running.splice(0)) await story.cluster.stop();
});

/** A node on which `payments/db` runs, and a tenant that may write what it likes in its own namespace. */
async function cluster() {
  const story = new Story({
    seed: 1,
    withReprieve: true,
    scenario: { nodes: [nodeSpec('node-1')], endMs: 300 * SECOND, actions: [...PRIORITY_CLASSES, savesBatch()] },
  });
  running.push(story);
  await story.start();
  await story.play(SECOND);
  const { client, api, nodes } = story.cluster;
  for (const name of ['payments', 'tenant']) await client.create(RESOURCES.namespaces, null, { metadata: { name } });
  await client.create(RESOURCES.pods, 'payments', { metadata: { name: 'db', annotations }, spec: spec('batch', '2') });
  await story.play(20 * SECOND);
  const [db] = api.list(RESOURCES.pods);
  return { story, client, api, nodes, db: db! };
}

it('a PodCheckpoint of another namespace neither freezes a pod nor keeps it from being saved', async () => {
  const { story, client, api, nodes, db } = await cluster();
  await client.create(RESOURCES.podCheckpoints, 'tenant', {
    metadata: { name: 'forged' },
    spec: {
      pod: { name: 'db', uid: db.metadata.uid },
      node: 'node-1',
      reason: 'Manual',
      hold: 'UntilDeleted',
      thawAt: '2199-01-01T00:00:00Z',
      sockets: 'Close',
      volumes: 'EmptyDir',
      maxBytes: '0',
    },
  });
  await story.play(30 * SECOND);
  expect(nodes.frozen()).toEqual([]);
  const [forged] = api.list(RESOURCES.podCheckpoints);
  expect(forged).toMatchObject({ status: { conditions: [{ type: 'Failed', reason: 'PodGone' }] } });
});
