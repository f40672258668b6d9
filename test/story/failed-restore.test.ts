import { afterEach, describe, expect, it } from 'vitest';
import { DECIDE_ANNOTATION, RESTORE_GATE } from '../../src/domain/labels.ts';
import { podOf } from '../../src/kube/project/pod.ts';
import { ticketOf } from '../../src/kube/project/ticket.ts';
import { RESOURCES, type ResourceType } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import { Story } from '../../src/sim/story.ts';
import { create, PRIORITY_CLASSES, savesBatch } from '../support/scenario-actions.ts';

const SECOND = 1000;
const annotations = { 'sim.reprieve.dev/memory': '500Mi', 'sim.reprieve.dev/termination-seconds': '2' };
const labels = { app: 'work' };

function podSpec(priorityClassName: string): object {
  return {
    priorityClassName,
    containers: [{ name: 'main', image: 'app:1', resources: { requests: { cpu: '5', memory: '1Gi' } } }],
  };
}

const template = { metadata: { annotations, labels }, spec: podSpec('batch') };
const replicated = { replicas: 1, serviceName: 'work', selector: { matchLabels: labels }, template };
const metadata = { name: 'work' };
const OWNERS: Readonly<Record<string, readonly [ResourceType, object]>> = {
  'a bare pod': [RESOURCES.pods, { ...template, metadata: { name: 'work', annotations, labels } }],
  'a Deployment': [RESOURCES.deployments, { metadata, spec: replicated }],
  'a StatefulSet': [RESOURCES.statefulSets, { metadata, spec: replicated }],
  'a Job with backoffLimit 0': [
    RESOURCES.jobs,
    {
      metadata,
      spec: {
        backoffLimit: 0,
        podFailurePolicy: { rules: [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget' }] }] },
        template: { ...template, spec: { ...template.spec, restartPolicy: 'Never' } },
      },
    },
  ],
};

const running: Story[] = [];
afterEach(async () => {
  for (const story of running.splice(0)) await story.cluster.stop();
});

/** Two full nodes. After a minute a preemptor takes the room of the work, later the other node is free, and cannot restore it. */
async function begun([type, object]: readonly [ResourceType, object], restore: object): Promise<Story> {
  const broken = new Set<string>();
  const story = new Story({
    seed: 1,
    withReprieve: true,
    faults: { restoreFails: (pod) => (broken.has(podOf(pod).nodeName ?? '') ? 'criu said no' : null) },
    scenario: {
      nodes: ['node-1', 'node-2'].map((name) => nodeSpec(name)),
      endMs: 900 * SECOND,
      actions: [
        ...PRIORITY_CLASSES,
        savesBatch({}, { restore }),
        create(0, type, object),
        create(5 * SECOND, RESOURCES.pods, { metadata: { name: 'filler' }, spec: podSpec('serving') }),
        create(60 * SECOND, RESOURCES.pods, { metadata: { name: 'high' }, spec: podSpec('serving') }),
      ],
    },
  });
  running.push(story);
  await story.start();
  await story.play(50 * SECOND);
  broken.add(podOf(named(story, 'filler')).nodeName ?? '');
  await story.play(90 * SECOND);
  await story.cluster.client.delete(RESOURCES.pods, 'default', 'filler');
  await story.play(150 * SECOND);
  return Object.assign(story, { mend: () => broken.clear() });
}

function named({ cluster }: Story, name: string): KubeObject {
  return cluster.api.list(RESOURCES.pods).find((pod) => pod.metadata.name === name) as KubeObject;
}

const ticketIn = ({ cluster }: Story) => ticketOf(cluster.api.list(RESOURCES.reprieves)[0] as KubeObject);
const workIn = ({ cluster }: Story) =>
  cluster.api
    .list(RESOURCES.pods)
    .map(podOf)
    .filter((pod) => pod.labels['app'] === 'work');
const failedJobs = ({ cluster }: Story): number =>
  cluster.api.list(RESOURCES.jobs).filter((job) => ((job['status'] ?? {}) as { failed?: number }).failed).length;

describe.each(Object.entries(OWNERS))('%s whose restore failed', (_, owner) => {
  it('is restored on the other node, with nothing lost', async () => {
    const story = await begun(owner, { attempts: 2 });
    const failed = ticketIn(story);
    expect(failed).toMatchObject({ phase: 'Waiting', said: { reason: 'TriesElsewhere' } });
    await story.cluster.client.delete(RESOURCES.pods, 'default', 'high');
    await story.play(210 * SECOND);
    const [pod, ...others] = workIn(story);
    expect(others).toEqual([]);
    expect(pod).toMatchObject({ phase: 'Running', restored: { succeeded: true } });
    expect(failed.failedNodes.map(({ node }) => node)).not.toContain(pod?.nodeName);
    expect(ticketIn(story).phase).toBe('Restored');
    expect([story.cluster.ledger.lost.discarded, failedJobs(story)]).toEqual([0, 0]);
  });

  it('is held behind the gate where its policy says so, until a person decides', async () => {
    const story = (await begun(owner, { attempts: 1, onFailure: 'Hold' })) as Story & { mend(): void };
    await story.play(450 * SECOND);
    const held = ticketIn(story);
    const [pod, ...others] = workIn(story);
    expect(others).toEqual([]);
    expect(held).toMatchObject({ phase: 'Held', claim: { uid: pod?.uid } });
    expect(pod).toMatchObject({ gates: [RESTORE_GATE], toldHeld: true, phase: 'Pending' });
    expect(story.cluster.ledger.count('coldStarted')).toBe(0);
    story.mend();
    const patch = { metadata: { annotations: { [DECIDE_ANNOTATION]: 'retry' } } };
    await story.cluster.client.patch(RESOURCES.reprieves, 'default', held.name, patch, { type: 'merge' });
    await story.play(510 * SECOND);
    expect(ticketIn(story)).toMatchObject({ phase: 'Restored', decide: null });
    expect([story.cluster.ledger.lost.discarded, failedJobs(story)]).toEqual([0, 0]);
  });
});

describe('a gate that is removed by hand', () => {
  it('means now: the pod is restored where it lands', async () => {
    const story = await begun(OWNERS['a Deployment']!, { attempts: 1, onFailure: 'Hold' });
    (story as Story & { mend(): void }).mend();
    const [pod] = workIn(story);
    const spec = { schedulingGates: [] };
    await story.cluster.client.patch(RESOURCES.pods, 'default', pod?.name ?? '', { spec }, { type: 'merge' });
    await story.play(210 * SECOND);
    expect(workIn(story)).toMatchObject([{ phase: 'Running', restored: { succeeded: true } }]);
    expect(ticketIn(story).phase).toBe('Restored');
  });
});
