import { afterEach, expect, it } from 'vitest';
import { podOf } from '../../src/kube/project/pod.ts';
import { ticketOf } from '../../src/kube/project/ticket.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import type { AdmissionReview } from '../../src/sim/api-server/admission.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import { Story } from '../../src/sim/story.ts';
import { create, PRIORITY_CLASSES, savesBatch } from '../support/scenario-actions.ts';

const SECOND = 1000;
const podSpec = (priorityClassName: string): object => ({
  priorityClassName,
  containers: [{ name: 'main', image: 'app:1', resources: { requests: { cpu: '5', memory: '1Gi' } } }],
});
const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'session', uid: 'uid-session' }];
const work = {
  metadata: {
    name: 'work',
    labels: { app: 'work' },
    annotations: { 'sim.reprieve.dev/memory': '500Mi' },
    ownerReferences,
  },
  spec: podSpec('batch'),
};

let story: Story;
afterEach(() => story.cluster.stop());

/** One node, on which `work` makes way for `high` after a minute. */
function played(): Story {
  story = new Story({
    seed: 1,
    withReprieve: true,
    scenario: {
      nodes: [nodeSpec('node-1')],
      endMs: 900 * SECOND,
      actions: [
        ...PRIORITY_CLASSES,
        savesBatch(),
        create(0, RESOURCES.pods, work),
        create(60 * SECOND, RESOURCES.pods, { metadata: { name: 'high' }, spec: podSpec('serving') }),
      ],
    },
  });
  return story;
}

const podNow = (): Promise<KubeObject> => story.cluster.client.get(RESOURCES.pods, 'default', 'work');
const ticketNow = () => ticketOf(story.cluster.api.list(RESOURCES.reprieves)[0] as KubeObject);

async function restored(): Promise<KubeObject> {
  await story.cluster.client.delete(RESOURCES.pods, 'default', 'high');
  await story.play(200 * SECOND);
  expect(ticketNow().phase).toBe('Restored');
  expect(story.cluster.ledger.lost.discarded).toBe(0);
  return podNow();
}

it('a bare pod is made of what its creator gave: injected once, without the marks of its node, with its owner', async () => {
  const { cluster } = played();
  await story.start();
  const { admitPod } = cluster.api.hooks;
  cluster.api.hooks.admitPod = async (review) => {
    const answer = (await admitPod?.(review)) as AdmissionReview;
    const { patch } = answer.response ?? {};
    const operations = patch ? (JSON.parse(Buffer.from(patch, 'base64').toString()) as object[]) : [];
    operations.push({ op: 'add', path: '/spec/containers/-', value: { name: 'proxy', image: 'proxy:1' } });
    const injected = Buffer.from(JSON.stringify(operations)).toString('base64');
    return { ...answer, response: { ...answer.response, patchType: 'JSONPatch', patch: injected } } as AdmissionReview;
  };
  await story.play(30 * SECOND);
  const annotations = { 'cni.projectcalico.org/podIP': '10.244.1.7/32' };
  await cluster.api.transport('system:serviceaccount:kube-system:cni').request({
    method: 'PATCH',
    path: '/api/v1/namespaces/default/pods/work',
    patchType: 'merge',
    body: { metadata: { annotations } },
  });
  const before = await podNow();
  await story.play(90 * SECOND);
  expect(ticketNow()).toMatchObject({ phase: 'Waiting', claim: { name: 'work' } });
  const after = await restored();
  expect(after.metadata.uid).not.toBe(before.metadata.uid);
  expect(after.metadata.ownerReferences).toEqual(ownerReferences);
  expect(before.metadata.annotations).toMatchObject(annotations);
  for (const key of Object.keys(annotations)) expect(after.metadata.annotations).not.toHaveProperty([key]);
  const { containers } = after['spec'] as { containers: { name: string }[] };
  expect(containers.map(({ name }) => name)).toEqual(['main', 'proxy']);
  const creatorOf = ({ metadata }: KubeObject): unknown =>
    metadata.managedFields?.find(({ fieldsV1 }) => JSON.stringify(fieldsV1).includes('f:image'))?.manager;
  expect(creatorOf(after)).toBe(creatorOf(before));
});

it('a bare pod that an operator makes again continues the state', async () => {
  const { cluster } = played();
  const operator = cluster.api.transport('system:serviceaccount:kafka:operator');
  cluster.api.hooks.written = ({ type, object, kind }) => {
    if (type !== 'DELETED' || kind !== RESOURCES.pods || object.metadata.name !== 'work') return;
    void operator.request({ method: 'POST', path: '/api/v1/namespaces/default/pods', body: work });
  };
  await story.start();
  await story.play(90 * SECOND);
  expect(ticketNow()).toMatchObject({ phase: 'Waiting', claim: { name: 'work', uid: podOf(await podNow()).uid } });
  const pod = await restored();
  expect(pod.metadata.managedFields?.map(({ manager }) => manager)).toContain('operator');
  expect(podOf(pod)).toMatchObject({ restored: { succeeded: true } });
});
