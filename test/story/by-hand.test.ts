import { afterEach, describe, expect, it } from 'vitest';
import { podOf } from '../../src/kube/project/pod.ts';
import { ticketOf } from '../../src/kube/project/ticket.ts';
import { RESOURCES, type ResourceType } from '../../src/kube/resources.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import type { NodeFaults } from '../../src/sim/nodes/simulated-pods.ts';
import { Story } from '../../src/sim/story.ts';
import { create, PRIORITY_CLASSES, savesBatch } from '../support/scenario-actions.ts';

const SECOND = 1000;
const podSpec = { priorityClassName: 'batch', containers: [container('5')] };

function container(cpu: string): object {
  return { name: 'main', image: 'app:1', resources: { requests: { cpu, memory: '1Gi' } } };
}

function bare(name: string, annotations: object = {}): [ResourceType, object] {
  const metadata = { name, labels: { app: name }, annotations: { 'sim.reprieve.dev/memory': '500Mi', ...annotations } };
  return [RESOURCES.pods, { metadata, spec: podSpec }];
}

let story: Story;
afterEach(() => story.cluster.stop());

async function begun(objects: readonly [ResourceType, object][], nodes = 2, faults: NodeFaults = {}): Promise<void> {
  story = new Story({
    seed: 1,
    withReprieve: true,
    faults,
    scenario: {
      nodes: Array.from({ length: nodes }, (_, index) => nodeSpec(`node-${index + 1}`)),
      endMs: 9000 * SECOND,
      actions: [...PRIORITY_CLASSES, savesBatch(), ...objects.map(([type, object]) => create(0, type, object))],
    },
  });
  await story.start();
  await passed(30 * SECOND);
}

const passed = (ms: number): Promise<void> => story.play(story.elapsedMs + ms);
const podsNow = () => story.cluster.api.list(RESOURCES.pods).map(podOf);
const podNamed = (name: string) => podsNow().find((pod) => pod.name === name);
const ticketsNow = () => story.cluster.api.list(RESOURCES.reprieves).map(ticketOf);
const told = (reason: string): string[] =>
  story.cluster.api
    .list(RESOURCES.events)
    .flatMap((event) => (event['reason'] === reason ? [String(event['message'])] : []));

const annotate = (type: ResourceType, name: string, annotations: object): Promise<unknown> =>
  story.cluster.client.patch(
    type,
    type === RESOURCES.nodes ? null : 'default',
    name,
    { metadata: { annotations } },
    { type: 'merge' },
  );
const displace = (name: string, why: string | null): Promise<unknown> =>
  annotate(RESOURCES.pods, name, { 'reprieve.dev/displace': why });
const cordon = (name: string): Promise<unknown> =>
  story.cluster.client.patch(RESOURCES.nodes, null, name, { spec: { unschedulable: true } }, { type: 'merge' });

describe('a pod with reprieve.dev/displace', () => {
  it('is saved, leaves its node, continues elsewhere, and is not asked again', async () => {
    await begun([bare('work')]);
    const before = podNamed('work');
    await cordon(before?.nodeName ?? '');
    await displace('work', 'its disk is slow');
    await passed(60 * SECOND);
    const after = podNamed('work');
    expect(after?.nodeName).not.toBe(before?.nodeName);
    expect(after).toMatchObject({ phase: 'Running', restored: { succeeded: true }, displaceFor: null });
    expect(ticketsNow()).toMatchObject([
      { phase: 'Restored', displacement: { cause: { kind: 'Manual', askedOn: 'Pod', why: 'its disk is slow' } } },
    ]);
    expect(story.cluster.ledger.lost.discarded).toBe(0);
  });

  it('is displaced once where its template has the annotation', async () => {
    const template = {
      metadata: { labels: { app: 'web' }, annotations: { 'reprieve.dev/displace': 'again' } },
      spec: podSpec,
    };
    const spec = { replicas: 1, selector: { matchLabels: { app: 'web' } }, template };
    await begun([[RESOURCES.deployments, { metadata: { name: 'web' }, spec }]]);
    await passed(300 * SECOND);
    expect(ticketsNow()).toHaveLength(1);
    const [moved] = podsNow();
    expect(moved).toMatchObject({ phase: 'Running', restored: { succeeded: true }, displaceFor: null });
    await passed(7500 * SECOND); // its ticket is long gone
    expect(podsNow()).toMatchObject([{ uid: moved?.uid, phase: 'Running' }]);
    expect(ticketsNow()).toEqual([]);
  });

  it('runs on where saving fails, is told why, and is tried again after a while', async () => {
    let failures = 0;
    await begun([bare('work')], 2, { dumpFails: () => (++failures > 2 ? null : 'the disk is full') });
    const before = podNamed('work');
    await displace('work', 'maintenance');
    await passed(20 * SECOND);
    expect(podNamed('work')).toMatchObject({ uid: before?.uid, phase: 'Running', deletionMs: null, frozenBy: null });
    expect(told('NotMoved')).toEqual([expect.stringContaining('the disk is full')]);
    await passed(400 * SECOND);
    expect(failures).toBe(3);
    expect(podNamed('work')).toMatchObject({ restored: { succeeded: true } });
  });

  it('is thawed when the annotation is taken back in time', async () => {
    await begun([bare('work', { 'sim.reprieve.dev/memory': '20Gi' })]);
    const before = podNamed('work');
    await displace('work', 'maintenance');
    await passed(5 * SECOND);
    await displace('work', null);
    await passed(120 * SECOND);
    expect(podNamed('work')).toMatchObject({ uid: before?.uid, phase: 'Running', deletionMs: null, frozenBy: null });
    expect(ticketsNow()).toEqual([]);
  });

  it('stays, and is told why, where no policy saves it', async () => {
    const [type, object] = bare('other', { 'reprieve.dev/displace': 'please' });
    await begun([[type, { ...object, spec: { ...podSpec, priorityClassName: 'serving' } }]]);
    expect(podNamed('other')).toMatchObject({ phase: 'Running', deletionMs: null });
    expect(told('NotMoved')).toEqual([expect.stringContaining('no ReprievePolicy selects it')]);
  });

  it('is not frozen while its PodDisruptionBudget allows nobody to go', async () => {
    await begun([bare('work'), bare('other')]);
    const selector = { matchExpressions: [{ key: 'app', operator: 'In', values: ['work', 'other'] }] };
    await story.cluster.client.create(RESOURCES.podDisruptionBudgets, 'default', {
      metadata: { name: 'pair' },
      spec: { minAvailable: 2, selector },
      status: { disruptionsAllowed: 0, currentHealthy: 2, desiredHealthy: 2, expectedPods: 2 },
    });
    await displace('work', 'maintenance');
    await passed(30 * SECOND);
    expect(ticketsNow()).toEqual([]);
    expect(told('NotMoved')).toEqual([expect.stringContaining('PodDisruptionBudget pair')]);
  });
});

describe('a node with reprieve.dev/evacuate', () => {
  const small = (name: string): [ResourceType, object] => {
    const [type, object] = bare(name);
    return [type, { ...object, spec: { ...podSpec, containers: [container('1')] } }];
  };

  it('is left, once it is cordoned, by all that can be saved, and by nobody else', async () => {
    const [type, serving] = small('serving');
    await begun(
      [
        ...['a', 'b', 'c', 'd'].map(small),
        [type, { ...serving, spec: { priorityClassName: 'serving', containers: [container('1')] } }],
      ],
      1,
    );
    await annotate(RESOURCES.nodes, 'node-1', { 'reprieve.dev/evacuate': 'new kernel' });
    await passed(30 * SECOND);
    expect(ticketsNow()).toEqual([]);
    expect(told('NotMoved')).toEqual(Array(4).fill(expect.stringContaining('first: kubectl cordon node-1')));
    await cordon('node-1');
    await story.cluster.nodes.addNode(nodeSpec('node-2'));
    await passed(200 * SECOND);
    const on = (node: string): string[] => podsNow().flatMap(({ name, nodeName }) => (nodeName === node ? [name] : []));
    expect(on('node-1')).toEqual(['serving']);
    expect(on('node-2').sort()).toEqual(['a', 'b', 'c', 'd']);
    expect(podsNow().filter(({ restored }) => restored?.succeeded)).toHaveLength(4);
    expect(ticketsNow().map(({ displacement }) => displacement.cause)).toContainEqual({
      kind: 'Manual',
      askedOn: 'Node',
      why: 'new kernel',
    });
  });
});

describe('an annotation that is written and taken back on and on', () => {
  it('has its pod frozen ever more seldom', async () => {
    await begun([bare('work', { 'sim.reprieve.dev/memory': '20Gi' })]);
    const begunFor = new Set<string>();
    for (let turn = 0; turn < 60; turn++) {
      await displace('work', `reason ${turn}`);
      await passed(5 * SECOND);
      for (const { uid } of ticketsNow()) begunFor.add(uid);
      await displace('work', null);
      await passed(5 * SECOND);
    }
    expect(podNamed('work')).toMatchObject({ phase: 'Running', deletionMs: null });
    expect(begunFor.size).toBe(4); // at once, then after one, two and four minutes
  });
});

describe('a pod that leaves a node which is to be evacuated', () => {
  it('is not thawed for a second wish', async () => {
    await begun([bare('work', { 'sim.reprieve.dev/memory': '20Gi' })]);
    const node = podNamed('work')?.nodeName ?? '';
    await cordon(node);
    await annotate(RESOURCES.nodes, node, { 'reprieve.dev/evacuate': 'new kernel' });
    await passed(5 * SECOND);
    const [ticket] = ticketsNow();
    expect(ticket).toMatchObject({ phase: 'Saving' });
    await displace('work', 'quickly');
    await passed(5 * SECOND);
    expect(ticketsNow()).toMatchObject([{ phase: 'Saving', uid: ticket?.uid }]);
    expect(told('NotMoved')).toEqual([]);
  });
});

describe('a pod that was displaced by its own annotation', () => {
  it('leaves its node again when that is to be evacuated', async () => {
    const template = {
      metadata: { labels: { app: 'web' }, annotations: { 'reprieve.dev/displace': 'again' } },
      spec: podSpec,
    };
    const spec = { replicas: 1, selector: { matchLabels: { app: 'web' } }, template };
    await begun([[RESOURCES.deployments, { metadata: { name: 'web' }, spec }]]);
    await passed(60 * SECOND);
    const [before] = podsNow();
    expect(before).toMatchObject({ restored: { succeeded: true } });
    await cordon(before?.nodeName ?? '');
    await annotate(RESOURCES.nodes, before?.nodeName ?? '', { 'reprieve.dev/evacuate': 'new kernel' });
    await passed(300 * SECOND);
    const after = podsNow();
    expect(ticketsNow()).toHaveLength(2);
    expect(after).toMatchObject([{ phase: 'Running', restored: { succeeded: true } }]);
    expect(after[0]?.nodeName).not.toBe(before?.nodeName);
  });
});

describe('a node that is left by two pods of one PodDisruptionBudget', () => {
  it('gives up one at a time where the budget allows one', async () => {
    const pair = ['a', 'b'].map((name): [ResourceType, object] => {
      const [type, object] = bare(name, { 'sim.reprieve.dev/memory': '4Gi' });
      return [type, { ...object, spec: { ...podSpec, containers: [container('1')] } }];
    });
    await begun(pair, 1);
    const selector = { matchExpressions: [{ key: 'app', operator: 'In', values: ['a', 'b'] }] };
    await story.cluster.client.create(RESOURCES.podDisruptionBudgets, 'default', {
      metadata: { name: 'pair' },
      spec: { minAvailable: 1, selector },
      status: { disruptionsAllowed: 1, currentHealthy: 2, desiredHealthy: 1, expectedPods: 2 },
    });
    await cordon('node-1');
    await annotate(RESOURCES.nodes, 'node-1', { 'reprieve.dev/evacuate': 'new kernel' });
    for (let waits = 0; ticketsNow().length === 0 && waits < 20; waits++) await passed(SECOND / 10);
    await passed(SECOND);
    expect(ticketsNow()).toMatchObject([{ phase: 'Saving' }]);
  });
});

describe('a ticket with reprieve.dev/hold', () => {
  it('keeps its pod behind the gate, beyond maxGate, until the annotation goes', async () => {
    await begun([bare('work', { 'sim.reprieve.dev/memory': '4Gi' })]);
    await displace('work', 'make room');
    for (let waits = 0; ticketsNow().length === 0 && waits < 20; waits++) await passed(SECOND);
    const [ticket] = ticketsNow();
    await annotate(RESOURCES.reprieves, ticket?.name ?? '', { 'reprieve.dev/hold': 'until the weekend' });
    await passed(600 * SECOND);
    expect(podNamed('work')).toMatchObject({
      phase: 'Pending',
      queuedAs: expect.stringContaining('until the weekend'),
    });
    expect(ticketsNow()).toMatchObject([{ phase: 'Waiting' }]);
    await annotate(RESOURCES.reprieves, ticket?.name ?? '', { 'reprieve.dev/hold': null });
    await passed(60 * SECOND);
    expect(podNamed('work')).toMatchObject({ phase: 'Running', restored: { succeeded: true } });
  });
});
