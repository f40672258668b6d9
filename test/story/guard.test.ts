import { afterEach, describe, expect, it } from 'vitest';
import type { Pod } from '../../src/domain/pod.ts';
import type { GuardVerdict } from '../../src/engine/guard/guard-request.ts';
import { podOf } from '../../src/kube/project/pod.ts';
import { ticketOf } from '../../src/kube/project/ticket.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import type { NodeFaults } from '../../src/sim/nodes/simulated-pods.ts';
import { Story } from '../../src/sim/story.ts';
import { create, PRIORITY_CLASSES, savesBatch } from '../support/scenario-actions.ts';

const SECOND = 1000;
const pod = {
  metadata: { name: 'work', annotations: { 'sim.reprieve.dev/memory': '500Mi' } },
  spec: {
    priorityClassName: 'batch',
    containers: [{ name: 'main', image: 'app:1', resources: { requests: { cpu: '5', memory: '1Gi' } } }],
  },
};

let story: Story;
afterEach(() => story.cluster.stop());

async function begun({
  onFailure = 'Evict',
  object = pod,
  ...faults
}: NodeFaults & { onFailure?: 'Evict' | 'Refuse'; object?: object } = {}): Promise<void> {
  story = new Story({
    seed: 1,
    withReprieve: true,
    faults,
    scenario: {
      nodes: [nodeSpec('node-1'), nodeSpec('node-2')],
      endMs: 900 * SECOND,
      actions: [...PRIORITY_CLASSES, savesBatch({ onFailure }), create(0, RESOURCES.pods, object)],
    },
  });
  await story.start();
  await passed(30 * SECOND);
}

const passed = (ms: number): Promise<void> => story.play(story.elapsedMs + ms);
const podNow = () =>
  story.cluster.api
    .list(RESOURCES.pods)
    .map(podOf)
    .find(({ name }) => name === 'work') as Pod;
const ticketsNow = () => story.cluster.api.list(RESOURCES.reprieves).map(ticketOf);

/** As kube-scheduler writes it before it deletes a victim. */
async function disrupt(): Promise<void> {
  const condition = { type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler', message: '' };
  await story.cluster.client.patch(
    RESOURCES.pods,
    'default',
    'work',
    { status: { conditions: [condition] } },
    { type: 'strategic', subresource: 'status' },
  );
  await passed(SECOND);
}

function ask(more: { readonly isEnding?: boolean; readonly dryRun?: boolean } = {}): GuardVerdict {
  const { namespace, name, uid } = podNow();
  const { reprieve } = story.cluster;
  const who = {
    by: 'Deletion',
    requester: 'system:kube-scheduler',
    why: 'PreemptionByScheduler',
    isEnding: false,
    dryRun: false,
  } as const;
  return reprieve?.engine.guard({ namespace, name, uid, ...who, ...more }) as GuardVerdict;
}

/** Asks as a client of Kubernetes does, until it may. */
async function askedUntilAllowed(seconds: number): Promise<GuardVerdict> {
  for (let asked = 0; asked < seconds; asked++) {
    const verdict = ask();
    if (verdict.allowed) return verdict;
    await passed(SECOND);
  }
  return ask();
}

describe('the guard', () => {
  it('has a pod saved that is about to be deleted, lets it go then, and it continues', async () => {
    await begun();
    await disrupt();
    expect(ask()).toMatchObject({ allowed: false, reason: 'Saving' });
    expect(await askedUntilAllowed(60)).toEqual({ allowed: true, reason: 'Saved' });
    await story.cluster.client.delete(RESOURCES.pods, 'default', 'work');
    await passed(60 * SECOND);
    expect(podNow()).toMatchObject({ phase: 'Running', restored: { succeeded: true } });
    expect(ticketsNow()).toMatchObject([{ phase: 'Restored', displacement: { cause: { kind: 'Eviction' } } }]);
    expect(story.cluster.ledger.lost.discarded).toBe(0);
  });

  it('has a pod saved also while another one is moved off the same node', async () => {
    await begun();
    const { nodeName } = podNow();
    const metadata = {
      name: 'beside',
      annotations: { 'sim.reprieve.dev/memory': '8Gi', 'reprieve.dev/displace': 'maintenance' },
    };
    const containers = [{ name: 'main', image: 'app:1', resources: { requests: { cpu: '1', memory: '1Gi' } } }];
    const beside = { metadata, spec: { priorityClassName: 'batch', nodeName, containers } };
    await story.cluster.client.create(RESOURCES.pods, 'default', beside);
    for (let waits = 0; ticketsNow().length === 0 && waits < 20; waits++) await passed(SECOND);
    expect(ticketsNow()).toMatchObject([{ phase: 'Saving', displacement: { cause: { kind: 'Manual' } } }]);
    await disrupt();
    expect(await askedUntilAllowed(120)).toEqual({ allowed: true, reason: 'Saved' });
  });

  it('brings back a pod whose mark is taken back before it is deleted: no user deleted it', async () => {
    await begun();
    await disrupt();
    expect(await askedUntilAllowed(60)).toEqual({ allowed: true, reason: 'Saved' });
    const conditions = [{ type: 'DisruptionTarget', status: 'False' }];
    const status = { type: 'strategic', subresource: 'status' } as const;
    await story.cluster.client.patch(RESOURCES.pods, 'default', 'work', { status: { conditions } }, status);
    await story.cluster.client.delete(RESOURCES.pods, 'default', 'work');
    await passed(60 * SECOND);
    expect(ticketsNow()).toMatchObject([{ phase: 'Restored' }]);
  });

  it('thaws a pod again for which nobody repeats the question', async () => {
    await begun();
    await disrupt();
    ask();
    await passed(120 * SECOND);
    expect(podNow()).toMatchObject({ phase: 'Running', deletionMs: null, frozenBy: null });
    expect(ticketsNow()).toEqual([]);
  });

  it('believes no question about a pod that nobody disrupts', async () => {
    await begun();
    for (let asked = 0; asked < 30; asked++) {
      expect(ask()).toMatchObject({ allowed: false, reason: 'NotSeenYet' });
      await passed(SECOND);
    }
    expect(podNow()).toMatchObject({ phase: 'Running', frozenBy: null });
    expect(ticketsNow()).toEqual([]);
  });

  it('lets a pod go unsaved that could not be saved', async () => {
    await begun({ dumpFails: () => 'the disk is full' });
    await disrupt();
    expect(await askedUntilAllowed(60)).toMatchObject({ allowed: true, reason: 'SavingFailed' });
  });

  it('keeps a pod that could not be saved and must not go unsaved', async () => {
    await begun({ dumpFails: () => 'the disk is full', onFailure: 'Refuse' });
    await disrupt();
    expect(await askedUntilAllowed(30)).toMatchObject({ allowed: false, reason: 'SavingFailed' });
    expect(podNow()).toMatchObject({ phase: 'Running', deletionMs: null, frozenBy: null });
  });

  it('stands in nobody’s way where there is nothing to save', async () => {
    await begun({ object: { ...pod, spec: { ...pod.spec, priorityClassName: 'serving' } } });
    await disrupt();
    expect(ask()).toEqual({ allowed: true, reason: 'NotProtected' });
    expect(ask({ dryRun: true })).toEqual({ allowed: true, reason: 'DryRun' });
    expect(ask({ isEnding: true })).toEqual({ allowed: true, reason: 'Ending' });
  });
});
