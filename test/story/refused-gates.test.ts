import { afterEach, expect, it } from 'vitest';
import { podOf } from '../../src/kube/project/pod.ts';
import { ticketOf } from '../../src/kube/project/ticket.ts';
import { RESOURCES, type ResourceType } from '../../src/kube/resources.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import { Story } from '../../src/sim/story.ts';
import { create, PRIORITY_CLASSES } from '../support/scenario-actions.ts';

const { deployments, events, jobs, pods, reprieves, reprievePolicies } = RESOURCES;
const SECOND = 1000;
const labels = { app: 'work' };
const spec = (priorityClassName: string, cpu: string): object => ({
  priorityClassName,
  containers: [{ name: 'main', image: 'worker:1', resources: { requests: { cpu } } }],
});
const template = { metadata: { labels }, spec: spec('batch', '5') };
const ignored = { rules: [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget' }] }] };
const OWNERS: Readonly<Record<string, readonly [ResourceType, object]>> = {
  'a Deployment': [deployments, { replicas: 1, selector: { matchLabels: labels }, template }],
  'a Job': [
    jobs,
    { podFailurePolicy: ignored, template: { ...template, spec: { ...template.spec, restartPolicy: 'Never' } } },
  ],
};

const running: Story[] = [];
afterEach(async () => {
  for (const story of running.splice(0)) await story.cluster.stop();
});

/** Two nodes, and one of them is free when a preemptor takes the room of the work at 60 s. */
async function begun([type, ownerSpec]: readonly [ResourceType, object]): Promise<Story> {
  const policy = { match: { priorityClassNames: ['batch'] }, preemption: { decision: 'Always' } };
  const story = new Story({
    seed: 1,
    withReprieve: true,
    scenario: {
      nodes: ['node-1', 'node-2'].map((name) => nodeSpec(name)),
      endMs: 300 * SECOND,
      actions: [
        ...PRIORITY_CLASSES,
        create(0, reprievePolicies, { metadata: { name: 'batch' }, spec: policy }),
        create(0, type, { metadata: { name: 'work' }, spec: ownerSpec }),
        create(5 * SECOND, pods, { metadata: { name: 'filler' }, spec: spec('serving', '6') }),
        create(60 * SECOND, pods, { metadata: { name: 'high' }, spec: spec('serving', '6') }),
      ],
    },
  });
  running.push(story);
  await story.start();
  return story;
}

/** A validating webhook that is called after ours. */
function deny({ cluster }: Story, isDenied: (isGated: boolean) => boolean, message: string): void {
  const { admitPod } = cluster.api.hooks;
  cluster.api.hooks.admitPod = async (review) => {
    const answer = await admitPod!(review);
    const { uid = '', object } = review.request ?? {};
    const isGated = answer.response?.patch !== undefined || JSON.stringify(object).includes('"runtimeClassName"');
    const isOurs = podOf(object as never).labels['app'] === 'work';
    return isOurs && isDenied(isGated)
      ? { ...answer, response: { uid, allowed: false, status: { code: 403, message } } }
      : answer;
  };
}

const workIn = ({ cluster }: Story) =>
  cluster.api
    .list(pods)
    .map(podOf)
    .filter((pod) => pod.labels['app'] === 'work');

it.each(Object.entries(OWNERS))(
  'the pod of %s that a policy of the cluster refuses with the gate is made without it',
  async (_, owner) => {
    const story = await begun(owner);
    await story.play(50 * SECOND);
    deny(story, (isGated) => isGated, 'no such RuntimeClass is allowed');
    await story.play(65 * SECOND);
    await story.cluster.client.delete(pods, 'default', 'filler');
    await story.play(110 * SECOND);
    const [pod, ...others] = workIn(story).filter(({ deletionMs, phase }) => deletionMs === null && phase !== 'Failed');
    expect(others).toEqual([]);
    expect(pod).toMatchObject({ phase: 'Running', gates: [], runtimeClassName: null });
    expect(ticketOf(story.cluster.api.list(reprieves)[0] as never)).toMatchObject({ phase: 'ColdStarted' });
    const told = story.cluster.api.list(events).filter((event) => event['reason'] === 'WriteRefused');
    expect(JSON.stringify(told)).toMatch(/no such RuntimeClass is allowed/);
  },
);

it('a pod that would be refused without the gate as well keeps it, and is restored when it is accepted', async () => {
  const story = await begun(OWNERS['a Deployment']!);
  await story.play(50 * SECOND);
  deny(story, () => story.elapsedMs < 120 * SECOND, 'exceeded quota');
  await story.play(65 * SECOND);
  await story.cluster.client.delete(pods, 'default', 'filler');
  await story.play(250 * SECOND);
  expect(workIn(story)).toMatchObject([{ phase: 'Running', restored: { succeeded: true } }]);
  expect(ticketOf(story.cluster.api.list(reprieves)[0] as never).phase).toBe('Restored');
});
