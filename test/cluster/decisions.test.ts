import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { KubeObject } from '../../src/kube/transport.ts';
import { condition, field } from './story/history.ts';
import { Lab } from './story/lab.ts';
import {
  bound,
  eventsAbout,
  evictedOf,
  nameOf,
  nodeOf,
  ordered,
  phaseOf,
  resumed,
  running,
  ticketIn,
  victimUidOf,
  wasEvicted,
  workLost,
  type RunningPod,
} from './story/seen.ts';
import { pod, policy, priorityClass } from './story/workloads.ts';

/** Several displacements at once, and the world changing under a displacement that is being carried out. */
let lab: Lab;
/** Its dump takes four seconds: time for something to happen in the middle of it. */
const LARGE = '2Gi';

beforeAll(async () => {
  lab = await Lab.start({ nodes: 8 });
  await lab.cluster.applyObjects(
    policy('batch', 'batch'),
    priorityClass('critical', 2000),
    priorityClass('polite', 1000, 'Never'),
  );
});
afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});
/** Names are those of one test: the history knows the pods of all. */
let round = 0;
const n = (name: string): string => `${name}-t${round}`;
beforeEach(async () => {
  round++;
  await clear();
});

const FINAL: ReadonlySet<unknown> = new Set(['Restored', 'ColdStarted', 'Abandoned']);

/** Empty nodes: what was displaced in the test before comes back as soon as it is removed, until its ticket has ended. */
async function clear(): Promise<void> {
  for (;;) {
    await lab.cluster.kubectl('delete', 'pods', '--all', '--grace-period=0', '--force', '--wait=true');
    const { items } = JSON.parse(await lab.cluster.kubectl('get', 'pods,reprieves', '-o', 'json')) as {
      items: KubeObject[];
    };
    if (items.every((item) => item.kind === 'Reprieve' && FINAL.has(phaseOf(item)))) return;
    await sleep(200);
  }
}

interface Placed {
  readonly name: string;
  /** Where it is at first; it may come back anywhere. */
  readonly node: string;
  readonly cpu: string;
  readonly state?: string;
  readonly priorityClassName?: string;
  readonly workSeconds?: number;
}

async function victims(...wanted: readonly Placed[]): Promise<readonly RunningPod[]> {
  await lab.cluster.applyObjects(
    ...wanted.map(({ name, node, ...shape }) => pod(n(name), { priorityClassName: 'batch', prefers: node, ...shape })),
  );
  const pods = await Promise.all(wanted.map(({ name }) => running(lab, n(name))));
  expect(pods.map(({ node }) => node)).toEqual(wanted.map(({ node }) => node));
  return pods;
}

async function victim(wanted: Placed): Promise<RunningPod> {
  return (await victims(wanted))[0] as RunningPod;
}

const serving = (name: string, nodes: readonly string[], cpu = '3', priorityClassName = 'serving'): object =>
  pod(n(name), { priorityClassName, cpu, nodes });
const boundTo = async (name: string): Promise<string | undefined> => nodeOf((await bound(lab, n(name))).object);
const withdrawn = (uid: string) =>
  lab.history.until(
    'Reprieve',
    `withdrawal of the ticket of ${uid}`,
    (ticket, { type }) => type === 'DELETED' && victimUidOf(ticket) === uid,
  );
const ticketsOf = (pods: readonly RunningPod[]): number =>
  lab.history
    .of('Reprieve')
    .filter(({ type, object }) => type === 'ADDED' && pods.some(({ uid }) => uid === victimUidOf(object))).length;
const ordersOf = ({ uid }: RunningPod): number =>
  lab.history.of('PodCheckpoint').filter(({ type, object }) => type === 'ADDED' && victimUidOf(object) === uid).length;
/** It runs, was never marked for eviction since, and its work goes on. */
async function expectUntouched({ name, uid }: RunningPod): Promise<void> {
  expect(wasEvicted(lab, uid)).toBe(false);
  expect(lab.history.last('Pod', name)?.metadata.uid).toBe(uid);
  const before = lab.nodes.progressOf(uid);
  await sleep(1_000);
  expect(lab.nodes.progressOf(uid)).toBeGreaterThan(before);
}

describe('several preemptors', () => {
  it('two at once on one node: both are bound there, each victim is saved once and comes back', async () => {
    const low = await victims({ name: 'low-1', node: 'node-1', cpu: '2' }, { name: 'low-2', node: 'node-1', cpu: '2' });
    await lab.cluster.applyObjects(serving('high-1', ['node-1'], '2'), serving('high-2', ['node-1'], '2'));
    expect([await boundTo('high-1'), await boundTo('high-2')]).toEqual(['node-1', 'node-1']);
    for (const { uid } of low) expect((await resumed(lab, uid)).object.metadata.uid).not.toBe(uid);
    expect(ticketsOf(low)).toBe(2);
  });

  it('two that fit into the room of one victim: only that one goes', async () => {
    const low = await victims(
      { name: 'large', node: 'node-1', cpu: '3' },
      { name: 'small', node: 'node-1', cpu: '500m' },
    );
    await lab.cluster.applyObjects(serving('high-1', ['node-1'], '1500m'), serving('high-2', ['node-1'], '1500m'));
    expect([await boundTo('high-1'), await boundTo('high-2')]).toEqual(['node-1', 'node-1']);
    expect(evictedOf(lab, low)).toEqual([n('large')]);
  });

  it('twenty on five nodes: all are bound, nobody is evicted for nobody, never more than needed', async () => {
    const nodes = ['node-1', 'node-2', 'node-3', 'node-4', 'node-5'];
    const low = await victims(
      ...nodes.flatMap((node) =>
        [1, 2, 3, 4].map((number) => ({ name: `low-${node}-${number}`, node, cpu: '1', state: '50Mi' })),
      ),
    );
    const high = Array.from({ length: 20 }, (_, index) => `high-${index + 1}`);
    await lab.cluster.applyObjects(...high.map((name) => serving(name, nodes, '1')));
    const places = await Promise.all(high.map(boundTo));
    for (const node of nodes) expect(places.filter((place) => place === node)).toHaveLength(4);
    // On a busy machine kube-scheduler may bind a preemptor to room that another one was nominated for. A victim that is being
    // saved for it then goes on, and has a second ticket later; it is evicted once all the same.
    expect(evictedOf(lab, low)).toHaveLength(20);
  });

  it('ten where half of the room is free: only as many victims go as are in the way', async () => {
    const nodes = ['node-1', 'node-2', 'node-3', 'node-4', 'node-5'];
    const low = await victims(
      ...nodes.flatMap((node) =>
        [1, 2].map((number) => ({ name: `half-${node}-${number}`, node, cpu: '1', state: '50Mi' })),
      ),
    );
    // 10 CPUs are free: 10 preemptors of one take those, 5 more need the room of 5 victims.
    const high = Array.from({ length: 15 }, (_, index) => `some-${index + 1}`);
    await lab.cluster.applyObjects(...high.map((name) => serving(name, nodes, '1')));
    await Promise.all(high.map(boundTo));
    expect(evictedOf(lab, low)).toHaveLength(5);
    expect(ticketsOf(low)).toBe(5);
  });

  it('a higher priority that comes during the checkpoint takes the node; both are bound in the end', async () => {
    const low = await victim({ name: 'low', node: 'node-1', cpu: '3', state: LARGE });
    await lab.cluster.applyObjects(serving('high', ['node-1']));
    await ordered(lab, low.uid);
    await lab.cluster.applyObjects(serving('higher', ['node-1'], '3', 'critical'));
    expect(await boundTo('higher')).toBe('node-1');
    expect(await workLost(lab, low.uid)).toBe(0);
    // The higher one takes the dump over that the other had begun.
    expect(ticketsOf([low])).toBe(1);
    expect(ordersOf(low)).toBe(1);
    expect(lab.history.last('Pod', n('high'))?.['spec']).not.toHaveProperty('nodeName');
    await lab.cluster.kubectl('delete', 'pod', n('higher'), '--wait=false');
    expect(await boundTo('high')).toBe('node-1');
  });

  it('a lower priority that comes during the checkpoint does not get the node', async () => {
    const low = await victim({ name: 'low', node: 'node-1', cpu: '3', state: LARGE });
    await lab.cluster.applyObjects(serving('higher', ['node-1'], '3', 'critical'));
    await ordered(lab, low.uid);
    await lab.cluster.applyObjects(serving('high', ['node-1']));
    expect(await boundTo('higher')).toBe('node-1');
    await resumed(lab, low.uid);
    expect(ticketsOf([low])).toBe(1);
    await lab.cluster.kubectl('delete', 'pod', n('higher'), '--wait=false');
    expect(await boundTo('high')).toBe('node-1');
  });
});

describe('the node changes in the middle of a dump', () => {
  /** Two nodes with a victim each; answers those of the node that was chosen first, and of the other. */
  async function chosen(): Promise<{ first: RunningPod; second: RunningPod }> {
    const both = await victims(
      { name: 'low-1', node: 'node-1', cpu: '3', state: LARGE },
      { name: 'low-2', node: 'node-2', cpu: '3', state: LARGE },
    );
    await lab.cluster.applyObjects(serving('high', ['node-1', 'node-2']));
    const order = await lab.history.until('PodCheckpoint', 'an order', (object) =>
      both.some(({ uid }) => uid === victimUidOf(object)),
    );
    const first = both.find(({ uid }) => uid === victimUidOf(order.object)) as RunningPod;
    return { first, second: both.find((other) => other !== first) as RunningPod };
  }

  it('cordoned: its victim goes on, another node is emptied instead', async () => {
    const { first, second } = await chosen();
    await lab.cluster.kubectl('cordon', first.node);
    expect(await boundTo('high')).toBe(second.node);
    await withdrawn(first.uid);
    await expectUntouched(first);
    expect(await eventsAbout(lab, n('high'))).toContain('PreemptionCancelled');
    await lab.cluster.kubectl('uncordon', first.node);
  });

  it('NotReady: another node is emptied instead, and the victim goes on', async () => {
    const { first, second } = await chosen();
    await lab.nodes.setReady(first.node, false);
    expect(await boundTo('high')).toBe(second.node);
    await lab.nodes.setReady(first.node, true);
    await withdrawn(first.uid);
    await expectUntouched(first);
  });

  it('drained: another node is emptied instead, nothing stays frozen', async () => {
    const { first, second } = await chosen();
    await lab.cluster.kubectl('drain', first.node, '--force', '--delete-emptydir-data', '--timeout=60s');
    expect(await boundTo('high')).toBe(second.node);
    await resumed(lab, second.uid);
    expect(lab.nodes.frozen()).toEqual([]);
    await lab.cluster.kubectl('uncordon', first.node);
  });

  it('deleted: another node is emptied instead', async () => {
    const { first, second } = await chosen();
    lab.nodes.removeNode(first.node);
    await lab.cluster.kubectl('delete', 'node', first.node);
    expect(await boundTo('high')).toBe(second.node);
    await resumed(lab, second.uid);
    await lab.addNode(first.node);
  });
});

describe('a victim changes in the middle of a dump', () => {
  it('deleted by others: the preemptor has its room, and the ticket says what became of it', async () => {
    const low = await victim({ name: 'low', node: 'node-1', cpu: '3', state: LARGE });
    await lab.cluster.applyObjects(serving('high', ['node-1']));
    await ordered(lab, low.uid);
    await sleep(500);
    await lab.cluster.kubectl('delete', 'pod', n('low'), '--wait=false', '--grace-period=1');
    expect(await boundTo('high')).toBe('node-1');
    const { object } = await ticketIn(lab, 'Abandoned', low.uid);
    expect(JSON.stringify(field(object, 'status', 'conditions'))).toMatch(/deleted the pod before it was evicted/);
    expect(lab.nodes.frozen()).toEqual([]);
  });

  it('one of them ends by itself: only those that are still in the way are evicted', async () => {
    const [saved, ends] = (await victims(
      { name: 'saved', node: 'node-1', cpu: '2', state: LARGE },
      { name: 'ends', node: 'node-1', cpu: '2', priorityClassName: 'scratch', workSeconds: 4 },
    )) as [RunningPod, RunningPod];
    await lab.cluster.applyObjects(serving('high', ['node-1'], '4'));
    expect(await boundTo('high')).toBe('node-1');
    await resumed(lab, saved.uid);
    const ended = await lab.history.until(
      'Pod',
      'the end of the other',
      (object) => object.metadata.uid === ends.uid && field(object, 'status', 'phase') === 'Succeeded',
    );
    expect(condition(ended.object, 'DisruptionTarget')).not.toBe('True');
  });
});

describe('the preemptor changes', () => {
  it('it finds room elsewhere: its victim goes on, and nobody is evicted', async () => {
    const low = await victim({ name: 'low', node: 'node-1', cpu: '3', state: LARGE });
    const other = await victim({ name: 'other', node: 'node-2', cpu: '3', priorityClassName: 'critical' });
    await lab.cluster.applyObjects(serving('high', ['node-1', 'node-2']));
    await ordered(lab, low.uid);
    await lab.cluster.kubectl('delete', 'pod', other.name, '--wait=false', '--grace-period=0', '--force');
    expect(await boundTo('high')).toBe('node-2');
    await withdrawn(low.uid);
    await expectUntouched(low);
  });

  it('its nomination is cleared and overwritten by others: it is set again, and the pod gets its node', async () => {
    const low = await victim({ name: 'low', node: 'node-1', cpu: '3', state: LARGE });
    await lab.cluster.applyObjects(serving('high', ['node-1']));
    await ordered(lab, low.uid);
    for (const nominatedNodeName of [null, 'node-8']) {
      const patch = JSON.stringify({ status: { nominatedNodeName } });
      await lab.cluster.kubectl('patch', 'pod', n('high'), '--subresource=status', '--type=merge', '-p', patch);
    }
    expect(await boundTo('high')).toBe('node-1');
    await resumed(lab, low.uid);
  });

  it('of a class that never preempts: nobody is touched', async () => {
    const low = await victim({ name: 'low', node: 'node-1', cpu: '3' });
    await lab.cluster.applyObjects(serving('high', ['node-1'], '3', 'polite'));
    await lab.history.until(
      'Pod',
      'no room',
      (object) => nameOf(object) === n('high') && condition(object, 'PodScheduled') === 'False',
    );
    await sleep(2_000);
    await expectUntouched(low);
    expect(ticketsOf([low])).toBe(0);
  });

  it('while it is gated nothing happens; afterwards it is served as any other', async () => {
    const low = await victim({ name: 'low', node: 'node-1', cpu: '3' });
    await lab.cluster.applyObjects(
      pod(n('high'), { priorityClassName: 'serving', cpu: '3', nodes: ['node-1'], gates: ['example.com/wait'] }),
    );
    await sleep(2_000);
    expect(ticketsOf([low])).toBe(0);
    await lab.cluster.kubectl('patch', 'pod', n('high'), '--type=merge', '-p', '{"spec":{"schedulingGates":[]}}');
    expect(await boundTo('high')).toBe('node-1');
    await resumed(lab, low.uid);
  });

  it('deleted when its victims are already going: they come back all the same', async () => {
    const low = await victim({ name: 'low', node: 'node-1', cpu: '3' });
    await lab.cluster.applyObjects(serving('high', ['node-1']));
    await ticketIn(lab, 'Displacing', low.uid);
    await lab.cluster.kubectl('delete', 'pod', n('high'), '--wait=false', '--grace-period=0', '--force');
    expect(await workLost(lab, low.uid)).toBe(0);
  });
});

describe('a pod of another scheduler', () => {
  it('is saved, and waits for its own scheduler to come back', async () => {
    await lab.cluster.applyObjects(
      pod(n('foreign'), { priorityClassName: 'batch', cpu: '3', schedulerName: 'other', nodes: ['node-1', 'node-2'] }),
    );
    await bind(n('foreign'), 'node-1');
    const foreign = await running(lab, n('foreign'));
    await lab.cluster.applyObjects(serving('high', ['node-1']));
    expect(await boundTo('high')).toBe('node-1');
    await ticketIn(lab, 'Admitted', foreign.uid);
    expect(lab.history.last('Pod', n('foreign'))?.['spec']).toMatchObject({ schedulerName: 'other' });
    await bind(n('foreign'), 'node-2');
    expect(nodeOf((await resumed(lab, foreign.uid)).object)).toBe('node-2');
  });
});

/** What another scheduler does. */
async function bind(name: string, node: string): Promise<void> {
  const target = { apiVersion: 'v1', kind: 'Node', name: node };
  const { status, body } = await lab.transport.request({
    method: 'POST',
    path: `/api/v1/namespaces/default/pods/${name}/binding`,
    body: { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target },
  });
  if (status !== 201) throw new Error(`binding ${name}: ${JSON.stringify(body)}`);
}
