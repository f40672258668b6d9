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
const NAMES = ['a', 'b', 'c', 'd', 'e', 'f'];

function podObject(name: string): object {
  const metadata = { name, labels: { app: 'work' }, annotations: { 'sim.reprieve.dev/memory': '500Mi' } };
  const containers = [{ name: 'main', image: 'app:1', resources: { requests: { cpu: '500m', memory: '1Gi' } } }];
  return { metadata, spec: { priorityClassName: 'batch', containers } };
}

let story: Story;
afterEach(() => story.cluster.stop());

/** Six pods on node-1, which is cordoned, and an empty node-2. */
async function begun(faults: NodeFaults = {}): Promise<void> {
  story = new Story({
    seed: 1,
    withReprieve: true,
    faults,
    scenario: {
      nodes: [nodeSpec('node-1')],
      endMs: 900 * SECOND,
      actions: [...PRIORITY_CLASSES, savesBatch(), ...NAMES.map((name) => create(0, RESOURCES.pods, podObject(name)))],
    },
  });
  await story.start();
  await passed(30 * SECOND);
  await story.cluster.client.patch(
    RESOURCES.nodes,
    null,
    'node-1',
    { spec: { unschedulable: true } },
    { type: 'merge' },
  );
  await story.cluster.nodes.addNode(nodeSpec('node-2'));
  await passed(SECOND);
}

const passed = (ms: number): Promise<void> => story.play(story.elapsedMs + ms);
const podsNow = (): Pod[] => story.cluster.api.list(RESOURCES.pods).map(podOf);
const frozenNow = (): Pod[] => podsNow().filter(({ frozenBy, deletionMs }) => frozenBy !== null && deletionMs === null);
const budget = (minAvailable: number): Promise<unknown> =>
  story.cluster.client.create(RESOURCES.podDisruptionBudgets, 'default', {
    metadata: { name: 'work' },
    spec: { minAvailable, selector: { matchLabels: { app: 'work' } } },
  });

/** As kube-apiserver treats an eviction: it asks the guard, then the budgets. */
async function evict(name: string): Promise<GuardVerdict> {
  const who = { by: 'Eviction', uid: null, requester: 'admin', why: 'EvictionByEvictionAPI' } as const;
  const request = { ...who, namespace: 'default', name, isEnding: false, dryRun: false };
  const verdict = story.cluster.reprieve?.engine.guard(request) as GuardVerdict;
  if (verdict.allowed)
    await story.cluster.api.transport('admin').request({
      method: 'POST',
      path: `/api/v1/namespaces/default/pods/${name}/eviction`,
      body: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace: 'default' } },
    });
  return verdict;
}

/** As kubectl: all pods of the node, and what was refused again after a second. Returns the most pods that were frozen at a time. */
async function drainedWithin(seconds: number): Promise<number> {
  let most = 0;
  for (let second = 0; second < seconds; second++) {
    const left = podsNow().filter(({ nodeName, deletionMs }) => nodeName === 'node-1' && deletionMs === null);
    for (const { name } of left) await evict(name);
    await passed(SECOND);
    most = Math.max(most, frozenNow().length);
  }
  return most;
}

describe('a drain', () => {
  it('moves all pods with their work', async () => {
    await begun();
    await drainedWithin(60);
    await passed(30 * SECOND);
    expect(podsNow().map(({ nodeName, restored }) => [nodeName, restored?.succeeded])).toEqual(
      NAMES.map(() => ['node-2', true]),
    );
    expect(story.cluster.api.list(RESOURCES.reprieves).map(ticketOf)).toMatchObject(
      NAMES.map(() => ({ phase: 'Restored', displacement: { cause: { kind: 'Eviction', by: 'Eviction' } } })),
    );
    expect(story.cluster.ledger.lost.discarded).toBe(0);
  });

  it('freezes as many pods at a time as their budget lets go', async () => {
    await begun();
    await budget(NAMES.length - 1);
    await passed(SECOND);
    expect(await drainedWithin(200)).toBe(1);
    expect(podsNow().map(({ nodeName }) => nodeName)).toEqual(NAMES.map(() => 'node-2'));
    expect(story.cluster.ledger.lost.discarded).toBe(0);
  });

  it('freezes nobody where the budget is exhausted', async () => {
    await begun();
    await budget(NAMES.length);
    await passed(SECOND);
    expect(await drainedWithin(30)).toBe(0);
    expect(podsNow().map(({ nodeName }) => nodeName)).toEqual(NAMES.map(() => 'node-1'));
  });

  it('that is given up leaves every pod running', async () => {
    await begun();
    await drainedWithin(1);
    expect(story.cluster.api.list(RESOURCES.reprieves)).not.toEqual([]);
    await passed(120 * SECOND);
    const running = podsNow().map(({ nodeName, phase, frozenBy }) => ({ nodeName, phase, frozenBy }));
    expect(running).toEqual(NAMES.map(() => ({ nodeName: 'node-1', phase: 'Running', frozenBy: null })));
    expect(story.cluster.api.list(RESOURCES.reprieves)).toEqual([]);
  });

  it('goes on as without Reprieve where saving fails', async () => {
    await begun({ dumpFails: () => 'the disk is full' });
    await drainedWithin(60);
    expect(podsNow().filter(({ nodeName }) => nodeName === 'node-1')).toEqual([]);
    const told = story.cluster.api.list(RESOURCES.events).filter(({ reason }) => reason === 'EvictedUnsaved');
    expect(told).toHaveLength(NAMES.length);
  });
});
