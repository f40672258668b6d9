import { afterEach, describe, expect, it } from 'vitest';
import type { Pod } from '../../src/domain/pod.ts';
import type { GuardVerdict } from '../../src/engine/guard/guard-request.ts';
import { podOf } from '../../src/kube/project/pod.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import { Story } from '../../src/sim/story.ts';
import { create, PRIORITY_CLASSES, savesBatch } from '../support/scenario-actions.ts';

const SECOND = 1000;

function podObject(name: string, priorityClassName: string, annotations: object = {}): object {
  const containers = [{ name: 'main', image: 'app:1', resources: { requests: { cpu: '5', memory: '1Gi' } } }];
  return {
    metadata: { name, annotations: { 'sim.reprieve.dev/memory': '20Gi', ...annotations } },
    spec: { priorityClassName, containers },
  };
}

let story: Story;
afterEach(() => story.cluster.stop());

async function begun(onFailure: 'Evict' | 'Refuse' = 'Evict', annotations: object = {}): Promise<void> {
  story = new Story({
    seed: 1,
    withReprieve: true,
    scenario: {
      nodes: [nodeSpec('node-1')],
      endMs: 3000 * SECOND,
      actions: [
        ...PRIORITY_CLASSES,
        savesBatch({ onFailure }),
        create(0, RESOURCES.namespaces, { metadata: { name: 'reprieve-system' } }),
        create(0, RESOURCES.pods, podObject('work', 'batch', annotations)),
      ],
    },
  });
  await story.start();
  await passed(30 * SECOND);
}

const passed = (ms: number): Promise<void> => story.play(story.elapsedMs + ms);
const podNamed = (name: string): Pod | undefined =>
  story.cluster.api
    .list(RESOURCES.pods)
    .map(podOf)
    .find((pod) => pod.name === name);

/** `kubectl annotate namespace reprieve-system reprieve.dev/pause=...`; null: `reprieve.dev/pause-`. */
const pause = (why: string | null): Promise<unknown> =>
  story.cluster.client.patch(
    RESOURCES.namespaces,
    null,
    'reprieve-system',
    { metadata: { annotations: { 'reprieve.dev/pause': why } } },
    { type: 'merge' },
  );

const serve = (): Promise<unknown> =>
  story.cluster.client.create(RESOURCES.pods, 'default', podObject('serving', 'serving'));

function askedToEvict(): GuardVerdict {
  const who = { by: 'Eviction', uid: null, requester: 'admin', why: '', isEnding: false, dryRun: false } as const;
  return story.cluster.reprieve?.engine.guard({ ...who, namespace: 'default', name: 'work' }) as GuardVerdict;
}

describe('a pause', () => {
  it('has every pod thawed that is being saved, and is told to the log', async () => {
    await begun('Refuse');
    const told: (string | null)[] = [];
    story.cluster.reprieve?.engine.events.on('pause:changed', ({ why }) => told.push(why));
    const before = podNamed('work');
    await serve();
    await passed(10 * SECOND);
    expect(story.cluster.api.list(RESOURCES.reprieves)).toHaveLength(1);
    await pause('a bad kernel');
    await passed(120 * SECOND);
    expect(podNamed('work')).toMatchObject({ uid: before?.uid, phase: 'Running', deletionMs: null, frozenBy: null });
    expect(podNamed('serving')).toMatchObject({ nodeName: null });
    expect(story.cluster.api.list(RESOURCES.reprieves)).toEqual([]);
    expect(story.cluster.ledger.lost.discarded).toBe(0);
    await pause(null);
    await passed(900 * SECOND);
    expect(podNamed('serving')).toMatchObject({ phase: 'Running' });
    expect(story.cluster.ledger.lost.discarded).toBe(0);
    expect(told).toEqual(['a bad kernel', null]);
  });

  it('leaves preemptions to kube-scheduler', async () => {
    await begun();
    await pause('a bad kernel');
    await serve();
    await passed(60 * SECOND);
    expect(podNamed('serving')).toMatchObject({ phase: 'Running' });
    expect(story.cluster.api.list(RESOURCES.podCheckpoints)).toEqual([]);
  });

  it('displaces no pod by hand', async () => {
    await begun('Evict', { 'reprieve.dev/displace': 'maintenance' });
    expect(story.cluster.api.list(RESOURCES.reprieves)).toHaveLength(1);
    await pause('a bad kernel');
    await passed(120 * SECOND);
    expect(podNamed('work')).toMatchObject({ phase: 'Running', deletionMs: null, frozenBy: null });
    expect(story.cluster.api.list(RESOURCES.reprieves)).toEqual([]);
  });

  it.each([
    ['lets go of pods as without Reprieve', 'Evict', { allowed: true, reason: 'NotProtected' }],
    ['keeps pods that must not go unsaved', 'Refuse', { allowed: false, reason: 'Paused' }],
  ] as const)('%s that are evicted', async (_what, onFailure, verdict) => {
    await begun(onFailure);
    await pause('a bad kernel');
    await story.cluster.client.patch(
      RESOURCES.nodes,
      null,
      'node-1',
      { spec: { unschedulable: true } },
      { type: 'merge' },
    );
    await passed(SECOND);
    expect(askedToEvict()).toMatchObject(verdict);
  });
});
