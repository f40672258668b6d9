import { describe, expect, it } from 'vitest';
import { isFinal } from '../../src/domain/ticket.ts';
import { RESOURCES, type ResourceType } from '../../src/kube/resources.ts';
import { REPRIEVE_USER } from '../../src/sim/embedded-cluster.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import type { Scenario } from '../../src/sim/scenario.ts';
import { Story } from '../../src/sim/story.ts';

const SECOND = 1000;
const annotations = { 'sim.reprieve.dev/memory': '500Mi', 'sim.reprieve.dev/termination-seconds': '30' };

function podTemplate(priorityClassName: string): { metadata: object; spec: object } {
  return {
    metadata: { annotations, labels: { app: priorityClassName } },
    spec: {
      priorityClassName,
      containers: [{ name: 'main', image: 'app:1', resources: { requests: { cpu: '5', memory: '1Gi' } } }],
    },
  };
}

/** Two full nodes; one preemptor displaces a notebook or a bare pod for a minute, then leaves. */
const scenario: Scenario = {
  nodes: [nodeSpec('node-1'), nodeSpec('node-2')],
  endMs: 400 * SECOND,
  actions: [
    ...[
      { type: RESOURCES.priorityClasses, object: { metadata: { name: 'batch' }, value: 10 } },
      { type: RESOURCES.priorityClasses, object: { metadata: { name: 'serving' }, value: 1000 } },
      {
        type: RESOURCES.reprievePolicies,
        object: {
          metadata: { name: 'all' },
          spec: { match: { priorityClassNames: ['batch'] }, preemption: { decision: 'Always', onFailure: 'Refuse' } },
        },
      },
      {
        type: RESOURCES.statefulSets,
        object: {
          metadata: { name: 'notebook' },
          spec: {
            replicas: 1,
            serviceName: 'n',
            selector: { matchLabels: { app: 'batch' } },
            template: podTemplate('batch'),
          },
        },
      },
      { type: RESOURCES.pods, object: { ...podTemplate('batch'), metadata: { name: 'bare', annotations } } },
    ].map(({ type, object }: { type: ResourceType; object: object }) => ({
      atMs: 0,
      kind: 'create' as const,
      type,
      object,
    })),
    ...['high-1', 'high-2'].flatMap((name) => [
      {
        atMs: 60 * SECOND,
        kind: 'create' as const,
        type: RESOURCES.pods,
        object: { ...podTemplate('serving'), metadata: { name } },
      },
      { atMs: 120 * SECOND, kind: 'delete' as const, type: RESOURCES.pods, name },
    ]),
  ],
};

/** Plays the scenario; Reprieve dies right after its write number `deadly` took effect, and is back two seconds later. */
async function playedWithCrash(
  deadly: number,
  effect: 'reset' | 'reset-after',
): Promise<{ story: Story; writes: number }> {
  const story = new Story({ seed: 1, withReprieve: true, scenario });
  const { cluster } = story;
  let writes = 0;
  cluster.api.hooks.intercept = async ({ user, method, path }) => {
    if (user !== REPRIEVE_USER || method === 'GET' || path.endsWith('/events')) return null;
    if (++writes !== deadly) return null;
    void cluster.crashReprieve();
    cluster.clock.setTimer(2 * SECOND, () => void cluster.restartReprieve());
    return effect;
  };
  await story.start();
  await story.play();
  return { story, writes };
}

function expectGoodEnd({ cluster }: Story): void {
  const { api, nodes, ledger, reprieve } = cluster;
  const pods = api
    .list(RESOURCES.pods)
    .map(({ metadata, ...pod }) => [metadata.name, (pod['status'] as { phase: string }).phase]);
  expect(Object.fromEntries(pods)).toEqual({ bare: 'Running', 'notebook-0': 'Running' });
  expect(nodes.frozen()).toEqual([]);
  // Both were displaced, and nothing they had done was lost.
  expect(ledger.lost.discarded).toBe(0);
  expect(ledger.count('restored')).toBe(2);
  expect(ledger.count('coldStarted')).toBe(0);
  const tickets = [...(reprieve?.index.tickets() ?? [])];
  expect(tickets).toHaveLength(2);
  expect(Object.fromEntries(tickets.map(({ pod, phase }) => [pod.name, phase]))).toEqual({
    bare: 'Restored',
    'notebook-0': 'Restored',
  });
  expect(tickets.every(({ phase }) => isFinal(phase))).toBe(true);
  expect(api.list(RESOURCES.podCheckpoints)).toEqual([]);
  // What a crash leaves is unfinished, not contradictory.
  expect(api.list(RESOURCES.events).filter((event) => event['reason'] === 'RecordsConflict')).toEqual([]);
}

describe('a crash after any write', () => {
  it('without one, ends well', async () => {
    const { story, writes } = await playedWithCrash(-1, 'reset');
    expectGoodEnd(story);
    await story.cluster.stop();
    expect(writes).toBeGreaterThan(20);
  });

  it('between the answer and the first write: the preemptor is asked for again', async () => {
    const story = new Story({ seed: 1, withReprieve: true, scenario });
    const { cluster } = story;
    let crashes = 0;
    cluster.reprieve?.engine.events.on('displacement:opened', () => {
      if (++crashes > 1) return;
      void cluster.crashReprieve();
      cluster.clock.setTimer(2 * SECOND, () => void cluster.restartReprieve());
    });
    await story.start();
    await story.play();
    expectGoodEnd(story);
    expect(crashes).toBe(1);
    await story.cluster.stop();
  });

  for (const effect of ['reset-after', 'reset'] as const) {
    it(`ends the same, at every position (${effect === 'reset' ? 'the write is lost' : 'the write took effect'})`, async () => {
      let deadly = 1;
      for (; ; deadly++) {
        const { story, writes } = await playedWithCrash(deadly, effect);
        try {
          expectGoodEnd(story);
        } catch (error) {
          throw new Error(`crash at write ${deadly}: ${(error as Error).message}`, { cause: error });
        }
        await story.cluster.stop();
        if (writes < deadly) break;
      }
      expect(deadly).toBeGreaterThan(20);
    });
  }
});
