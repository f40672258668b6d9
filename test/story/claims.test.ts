import { afterEach, expect, it } from 'vitest';
import { podOf } from '../../src/kube/project/pod.ts';
import { ticketOf } from '../../src/kube/project/ticket.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import { Story } from '../../src/sim/story.ts';
import { create, PRIORITY_CLASSES, savesBatch } from '../support/scenario-actions.ts';

const SECOND = 1000;
const labels = { app: 'work' };
// The simulated disk writes 500 MiB/s: the dump takes four seconds.
const annotations = { 'sim.reprieve.dev/memory': '2000Mi', 'sim.reprieve.dev/termination-seconds': '2' };
const podSpec = (priorityClassName: string): object => ({
  priorityClassName,
  containers: [{ name: 'main', image: 'app:1', resources: { requests: { cpu: '5', memory: '1Gi' } } }],
});
const replicated = {
  selector: { matchLabels: labels },
  template: { metadata: { annotations, labels }, spec: podSpec('batch') },
};

let story: Story | undefined;
afterEach(() => story?.cluster.stop());

it('a pod that scales its Deployment up while another one is saved starts at once, and takes no ticket', async () => {
  story = new Story({
    seed: 1,
    withReprieve: true,
    scenario: {
      nodes: ['node-1', 'node-2'].map((name) => nodeSpec(name)),
      endMs: 900 * SECOND,
      actions: [
        ...PRIORITY_CLASSES,
        savesBatch(),
        create(0, RESOURCES.deployments, { metadata: { name: 'work' }, spec: { replicas: 1, ...replicated } }),
        create(5 * SECOND, RESOURCES.pods, { metadata: { name: 'filler' }, spec: podSpec('serving') }),
        create(60 * SECOND, RESOURCES.pods, { metadata: { name: 'high' }, spec: podSpec('serving') }),
      ],
    },
  });
  await story.start();
  const { cluster } = story;
  const work = () =>
    cluster.api
      .list(RESOURCES.pods)
      .map(podOf)
      .filter((pod) => pod.labels['app'] === 'work');
  const ticket = () => ticketOf(cluster.api.list(RESOURCES.reprieves)[0] as KubeObject);

  await story.play(61 * SECOND);
  const [victim] = work();
  expect(ticket().phase).toBe('Saving');
  await cluster.client.patch(RESOURCES.deployments, 'default', 'work', { spec: { replicas: 2 } }, { type: 'merge' });
  await story.play(70 * SECOND);
  const [scaledUp, replacement, ...others] = work().toSorted((a, b) => a.creationMs - b.creationMs);
  expect(others).toEqual([]);
  expect(scaledUp?.creationMs).toBeLessThan((ticket().evictedMs ?? 0) - 2 * SECOND);
  expect(scaledUp).toMatchObject({ gates: [], ticket: null });
  expect(ticket()).toMatchObject({ pod: { uid: victim?.uid }, claim: { uid: replacement?.uid } });

  for (const name of ['filler', 'high']) await cluster.client.delete(RESOURCES.pods, 'default', name);
  await story.play(120 * SECOND);
  expect(work().map(({ uid, phase, restored }) => [uid, phase, restored?.succeeded])).toEqual(
    expect.arrayContaining([
      [scaledUp?.uid, 'Running', undefined],
      [replacement?.uid, 'Running', true],
    ]),
  );
  expect(cluster.ledger.lost.discarded).toBe(0);
});
