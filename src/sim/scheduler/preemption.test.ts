import { describe, expect, it } from 'vitest';
import { RESOURCES } from '../../kube/resources.ts';
import { SchedulerPanic } from './extender-answer.ts';
import { extenderOf, TestCluster, type TestPod } from './test-cluster.ts';

type Offer = Record<string, { Pods: { UID: string }[]; NumPDBViolations: number }>;
const offerOf = (args: Record<string, unknown>): Offer => args['NodeNameToMetaVictims'] as Offer;

async function full(cluster: TestCluster, pods: readonly TestPod[]): Promise<void> {
  for (const node of new Set(pods.map(({ node }) => node ?? 'n1'))) await cluster.node(node);
  for (const pod of pods) await cluster.pod({ startSecond: 0, node: 'n1', ...pod });
}

describe('native preemption', () => {
  const table: Record<string, { pods: TestPod[]; budget?: object; preemptor?: Partial<TestPod>; want: string[] }> = {
    'evicts nobody of the same priority': { pods: [{ name: 'a', cpu: 4, priority: 100 }], want: [] },
    'evicts nobody where the preemptor would not fit anyway': {
      pods: [{ name: 'a', cpu: 1 }],
      preemptor: { cpu: 5 },
      want: [],
    },
    'reprieves the more important ones': {
      pods: [
        { name: 'a', cpu: 2, priority: 1 },
        { name: 'b', cpu: 2, priority: 5 },
      ],
      preemptor: { cpu: 2 },
      want: ['a'],
    },
    'reprieves the longer running one of the same priority': {
      pods: [
        { name: 'young', cpu: 2, startSecond: 60 },
        { name: 'old', cpu: 2, startSecond: 1 },
      ],
      preemptor: { cpu: 2 },
      want: ['young'],
    },
    'reprieves a small one where there is room left': {
      pods: [
        { name: 'big', cpu: 3 },
        { name: 'small', cpu: 1, startSecond: 60 },
      ],
      preemptor: { cpu: 3 },
      want: ['big'],
    },
    'reprieves first whom a budget protects': {
      pods: [
        { name: 'protected', cpu: 2, labels: { app: 'db' } },
        { name: 'important', cpu: 2, priority: 5 },
      ],
      budget: { matchLabels: { app: 'db' } },
      preemptor: { cpu: 2 },
      want: ['important'],
    },
    'takes the node without violations, whatever the priorities': {
      pods: [
        { name: 'a', cpu: 4, labels: { app: 'db' } },
        { name: 'b', cpu: 4, priority: 50, node: 'n2' },
      ],
      budget: { matchLabels: { app: 'db' } },
      want: ['b'],
    },
    'takes the node of the lowest highest priority': {
      pods: [
        { name: 'a', cpu: 2, priority: 9 },
        { name: 'a2', cpu: 2, priority: 0 },
        { name: 'b', cpu: 2, priority: 8, node: 'n2' },
        { name: 'b2', cpu: 2, priority: 8, node: 'n2' },
      ],
      want: ['b', 'b2'],
    },
    'takes the node of the smallest sum of priorities': {
      pods: [
        { name: 'a', cpu: 2, priority: 9 },
        { name: 'a2', cpu: 2, priority: 9 },
        { name: 'b', cpu: 2, priority: 9, node: 'n2' },
        { name: 'b2', cpu: 2, priority: 1, node: 'n2' },
      ],
      want: ['b', 'b2'],
    },
    'takes the node of the fewer victims': {
      pods: [
        { name: 'a', cpu: 2, priority: -5 },
        { name: 'a2', cpu: 2, priority: -5 },
        { name: 'b', cpu: 4, priority: -5, node: 'n2' },
      ],
      want: ['b'],
    },
    'takes the node whose victims started last': {
      pods: [
        { name: 'a', cpu: 4, startSecond: 1 },
        { name: 'b', cpu: 4, startSecond: 60, node: 'n2' },
      ],
      want: ['b'],
    },
    'never preempts with preemptionPolicy Never': {
      pods: [{ name: 'a', cpu: 4 }],
      preemptor: { spec: { priorityClassName: 'meek' }, priority: 0 },
      want: [],
    },
  };
  for (const [sentence, { pods, budget, preemptor, want }] of Object.entries(table)) {
    it(`the scheduler ${sentence}`, async () => {
      const cluster = new TestCluster();
      const meek = { metadata: { name: 'meek' }, value: 100, preemptionPolicy: 'Never' };
      await cluster.client.create(RESOURCES.priorityClasses, null, meek);
      if (budget !== undefined) {
        const spec = { selector: budget, minAvailable: 1 };
        await cluster.client.create(RESOURCES.podDisruptionBudgets, 'default', { metadata: { name: 'b' }, spec });
      }
      await full(cluster, pods);
      await cluster.clock.advance(1000);
      await cluster.pod({ name: 'preemptor', cpu: 4, priority: 100, ...preemptor });
      await cluster.clock.advance(1000);
      expect(cluster.evicted()).toEqual(want);
    });
  }

  it('nominates, marks and deletes the victim, waits for its end and binds', async () => {
    const cluster = new TestCluster();
    await full(cluster, [{ name: 'victim', cpu: 4 }]);
    await cluster.pod({ name: 'preemptor', cpu: 4, priority: 100 });
    await cluster.clock.advance(2000);
    expect(cluster.find('preemptor')?.status?.nominatedNodeName).toBe('n1');
    expect(cluster.messageOf('preemptor')).toBe(
      '0/1 nodes are available: 1 Insufficient cpu. preemption: found a potential placement for pod on node n1, preempting 1 victims',
    );
    expect(cluster.find('victim')).toMatchObject({
      metadata: { deletionTimestamp: expect.any(String) as string },
      status: { conditions: [{ type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler' }] },
    });
    // Another pod that leaves wakes the preemptor; it is not eligible while its victim terminates.
    await cluster.node('n2', 1);
    await cluster.pod({ name: 'other', node: 'n2', startSecond: 0 });
    await cluster.clock.advance(20_000);
    await cluster.gone('other');
    await cluster.clock.advance(1000);
    expect(cluster.messageOf('preemptor')).toContain('not eligible due to a terminating pod on the nominated node.');
    expect(cluster.evicted()).toEqual(['victim']);
    await cluster.gone('victim');
    await cluster.clock.advance(0);
    expect(cluster.nodeOf('preemptor')).toBe('n1');
    expect(cluster.plane.scheduler.statistics().bound).toMatchObject([{ waitMs: 23_000, neededPreemption: true }]);
  });

  it('keeps pods of the same priority out of the room of a nominated one, and lets higher ones in', async () => {
    const cluster = new TestCluster();
    await full(cluster, [{ name: 'victim', cpu: 4 }]);
    await cluster.pod({ name: 'preemptor', cpu: 3, priority: 100 });
    await cluster.clock.advance(1000);
    await cluster.pod({ name: 'equal', cpu: 4, priority: 100, spec: { priorityClassName: 'p100' } });
    await cluster.pod({ name: 'small', cpu: 1, priority: 100 });
    await cluster.clock.advance(1000);
    await cluster.gone('victim');
    await cluster.clock.advance(15_000);
    expect(['preemptor', 'equal', 'small'].map((name) => cluster.nodeOf(name))).toEqual(['n1', null, 'n1']);
  });

  it('takes the nomination from a pod of lower priority when it preempts on that node', async () => {
    const cluster = new TestCluster();
    await full(cluster, [{ name: 'victim', cpu: 4 }]);
    await cluster.pod({ name: 'first', cpu: 4, priority: 100 });
    await cluster.clock.advance(1000);
    await cluster.pod({ name: 'second', cpu: 4, priority: 200 });
    await cluster.clock.advance(1000);
    await cluster.gone('victim');
    await cluster.clock.advance(15_000);
    expect([cluster.nodeOf('second'), cluster.nodeOf('first')]).toEqual(['n1', null]);
    expect(cluster.find('first')?.status?.nominatedNodeName).toBe(undefined);
  });
});

describe('preemption with an extender', () => {
  it('sends what kube-scheduler sends', async () => {
    for (const nodeCacheCapable of [true, false]) {
      const extender = extenderOf(() => ({}), { nodeCacheCapable });
      const cluster = new TestCluster([extender]);
      await full(cluster, [{ name: 'victim', cpu: 4 }]);
      await cluster.pod({ name: 'preemptor', cpu: 4, priority: 100 });
      await cluster.clock.advance(1000);
      const uid = cluster.find('victim')?.metadata.uid ?? '';
      const [args] = extender.calls as [Record<string, unknown>];
      expect(Object.keys(args)).toEqual(['Pod', 'NodeNameToVictims', 'NodeNameToMetaVictims']);
      expect(args['Pod']).not.toHaveProperty('kind');
      const want = nodeCacheCapable
        ? { NodeNameToVictims: null, NodeNameToMetaVictims: { n1: { Pods: [{ UID: uid }], NumPDBViolations: 0 } } }
        : { NodeNameToMetaVictims: null, NodeNameToVictims: { n1: { Pods: [{ metadata: { uid } }] } } };
      expect(args).toMatchObject(want);
    }
  });

  it('{} defers, and the removal of any assigned pod asks again, with the victims still needed', async () => {
    const extender = extenderOf(() => ({}));
    const cluster = new TestCluster([extender]);
    await full(cluster, [
      { name: 'a', cpu: 2 },
      { name: 'b', cpu: 2 },
    ]);
    await cluster.node('n2', 1);
    await cluster.pod({ name: 'elsewhere', node: 'n2', startSecond: 0 });
    await cluster.pod({ name: 'preemptor', cpu: 4, priority: 100 });
    await cluster.clock.advance(60_000);
    expect(cluster.messageOf('preemptor')).toMatch(/ preemption: no candidate node for preemption$/);
    expect(cluster.evicted()).toEqual([]);
    expect(extender.calls).toHaveLength(1);
    // deletionTimestamp alone wakes nobody.
    await cluster.client.delete(RESOURCES.pods, 'default', 'elsewhere');
    await cluster.clock.advance(10_000);
    expect(extender.calls).toHaveLength(1);
    await cluster.setStatus('elsewhere', { phase: 'Succeeded' });
    await cluster.clock.advance(0);
    expect(extender.calls).toHaveLength(2);
    await cluster.clock.advance(60_000);
    await cluster.gone('a');
    await cluster.clock.advance(0);
    expect(extender.calls.map((args) => offerOf(args)['n1']?.Pods.length)).toEqual([2, 2, 1]);
    await cluster.gone('b');
    await cluster.clock.advance(0);
    expect(cluster.nodeOf('preemptor')).toBe('n1');
    expect(cluster.plane.scheduler.statistics()).toMatchObject({ evictions: [], extenderCalls: { preempt: 3 } });
    expect(cluster.plane.scheduler.statistics().bound).toMatchObject([{ name: 'preemptor', neededPreemption: true }]);
  });

  it('asks again when a nomination is taken back, and not when one is given', async () => {
    const extender = extenderOf(() => ({}));
    const cluster = new TestCluster([extender]);
    await full(cluster, [{ name: 'a', cpu: 4 }]);
    await cluster.pod({ name: 'preemptor', cpu: 4, priority: 100 });
    await cluster.clock.advance(20_000);
    await cluster.setStatus('preemptor', { nominatedNodeName: 'n1' });
    await cluster.clock.advance(20_000);
    expect(extender.calls).toHaveLength(1);
    await cluster.setStatus('preemptor', { nominatedNodeName: null });
    await cluster.clock.advance(0);
    expect(extender.calls).toHaveLength(2);
  });

  it('looks at what happened during the call before it parks the pod', async () => {
    let calls = 0;
    const cluster: TestCluster = new TestCluster([
      extenderOf(() => {
        if (calls++ === 0) void cluster.gone('other');
        return {};
      }),
    ]);
    await full(cluster, [{ name: 'a', cpu: 4 }]);
    await cluster.node('n2', 1);
    await cluster.pod({ name: 'other', node: 'n2', startSecond: 0 });
    await cluster.pod({ name: 'preemptor', cpu: 4, priority: 100 });
    await cluster.clock.advance(0);
    expect(calls).toBe(2);
  });

  it('has the same history for the same seed', async () => {
    const history = async (): Promise<string> => {
      const cluster = new TestCluster();
      await full(cluster, [
        { name: 'a', cpu: 2, startSecond: 3 },
        { name: 'b', cpu: 2, startSecond: 5 },
        { name: 'c', cpu: 4, node: 'n2' },
      ]);
      await cluster.client.create(RESOURCES.jobs, 'default', {
        metadata: { name: 'j' },
        spec: { parallelism: 3, completions: 3, template: { spec: { containers: [{ name: 'm', image: 'm:1' }] } } },
      });
      for (const name of ['x', 'y']) await cluster.pod({ name, cpu: 2, priority: 100 });
      await cluster.clock.advance(60_000);
      for (const name of cluster.evicted()) await cluster.gone(name);
      await cluster.clock.advance(60_000);
      return JSON.stringify([cluster.pods(), cluster.plane.scheduler.statistics()]);
    };
    expect(await history()).toBe(await history());
  });

  it('asks again after 5 minutes when nothing happens', async () => {
    const extender = extenderOf(() => ({}));
    const cluster = new TestCluster([extender]);
    await full(cluster, [{ name: 'a', cpu: 4 }]);
    await cluster.pod({ name: 'preemptor', cpu: 4, priority: 100 });
    await cluster.clock.advance(299_000);
    expect(extender.calls).toHaveLength(1);
    await cluster.clock.advance(32_000);
    expect(extender.calls).toHaveLength(2);
  });

  it('reads the answer in any case and takes a node and victims that it had not offered', async () => {
    let answer: unknown = {};
    const cluster = new TestCluster([extenderOf(() => answer)]);
    await full(cluster, [
      { name: 'a', cpu: 4 },
      { name: 'equal', cpu: 4, priority: 100, node: 'n2' },
    ]);
    answer = { nodenametometavictims: { n2: { pods: [{ uid: cluster.find('equal')?.metadata.uid }] } } };
    await cluster.pod({ name: 'preemptor', cpu: 4, priority: 100 });
    await cluster.clock.advance(1000);
    expect(cluster.evicted()).toEqual(['equal']);
    expect(cluster.find('preemptor')?.status?.nominatedNodeName).toBe('n2');
  });

  it('makes no call for victims that terminate already, and nominates', async () => {
    let isReady = false;
    const cluster = new TestCluster([
      extenderOf((_verb, args) => (isReady ? { NodeNameToMetaVictims: offerOf(args) } : {})),
    ]);
    await full(cluster, [{ name: 'a', cpu: 4 }]);
    await cluster.node('n2', 1);
    await cluster.pod({ name: 'other', node: 'n2', startSecond: 0 });
    await cluster.pod({ name: 'preemptor', cpu: 4, priority: 100 });
    await cluster.client.delete(RESOURCES.pods, 'default', 'a');
    await cluster.clock.advance(5000);
    isReady = true;
    await cluster.gone('other');
    await cluster.clock.advance(0);
    expect(cluster.find('preemptor')?.status?.nominatedNodeName).toBe('n1');
    expect(cluster.find('a')?.status?.conditions ?? []).toEqual([]);
    expect(cluster.evicted()).toEqual([]);
  });

  const answers: Record<
    string,
    { answer: (uid: string) => unknown; message: string; whenIgnorable: 'native' | 'nobody'; evicts?: boolean }
  > = {
    'the offer itself': {
      answer: (uid) => ({ NodeNameToMetaVictims: { n1: { Pods: [{ UID: uid }], NumPDBViolations: 0 } } }),
      message: 'found a potential placement',
      whenIgnorable: 'native',
      evicts: true,
    },
    'an empty map': { answer: () => ({}), message: 'no candidate node for preemption', whenIgnorable: 'nobody' },
    null: { answer: () => 'null', message: 'no candidate node for preemption', whenIgnorable: 'nobody' },
    'no victims': {
      answer: () => ({ NodeNameToMetaVictims: { n1: { Pods: [] } } }),
      message: 'expected at least one victim pod on node "n1"',
      whenIgnorable: 'nobody',
    },
    'an unknown UID': {
      answer: () => ({ NodeNameToMetaVictims: { n1: { Pods: [{ UID: 'x' }] } } }),
      message: 'claims to preempt pod (UID: x) on node: n1, but the pod is not found on that node',
      whenIgnorable: 'native',
    },
    'an unknown node': {
      answer: (uid) => ({ NodeNameToMetaVictims: { n9: { Pods: [{ UID: uid }] } } }),
      message: 'nodeinfo not found for node name "n9"',
      whenIgnorable: 'native',
    },
    'status 204': { answer: () => 204, message: 'code 204', whenIgnorable: 'native' },
    'an empty body': { answer: () => '', message: 'EOF', whenIgnorable: 'native' },
    'no JSON': { answer: () => 'oops', message: 'preemption: ', whenIgnorable: 'native' },
    'the wrong type': {
      answer: () => ({ NodeNameToMetaVictims: [] }),
      message: 'cannot unmarshal array',
      whenIgnorable: 'native',
    },
    'no answer': { answer: () => new Error('connection reset'), message: 'connection reset', whenIgnorable: 'native' },
  };
  for (const [what, { answer, message, whenIgnorable, evicts = false }] of Object.entries(answers)) {
    for (const ignorable of [false, true]) {
      it(`${ignorable ? 'ignorable' : 'required'} extender, ${what}`, async () => {
        let uid = '';
        const cluster = new TestCluster([extenderOf(() => answer(uid), { ignorable })]);
        await full(cluster, [{ name: 'victim', cpu: 4 }]);
        uid = cluster.find('victim')?.metadata.uid ?? '';
        await cluster.pod({ name: 'preemptor', cpu: 4, priority: 100 });
        await cluster.clock.advance(1000);
        const isEvicted = ignorable ? whenIgnorable === 'native' : evicts;
        expect(cluster.evicted()).toEqual(isEvicted ? ['victim'] : []);
        expect(cluster.messageOf('preemptor')).toContain(ignorable ? ' preemption: ' : message);
        expect(cluster.find('preemptor')?.status?.nominatedNodeName).toBe(isEvicted ? 'n1' : undefined);
        expect(cluster.fatal).toEqual([]);
      });
    }
  }

  for (const [what, answer] of Object.entries({
    'null victims': { n1: null },
    'a null pod': { n1: { Pods: [null] } },
  })) {
    it(`${what} ends the scheduler, ignorable or not`, async () => {
      const cluster = new TestCluster([extenderOf(() => ({ NodeNameToMetaVictims: answer }), { ignorable: true })]);
      await full(cluster, [{ name: 'victim', cpu: 4 }]);
      await cluster.pod({ name: 'preemptor', cpu: 4, priority: 100 });
      await cluster.clock.advance(1000);
      expect(cluster.fatal).toEqual([expect.any(SchedulerPanic)]);
      await cluster.pod({ name: 'later', cpu: 0 });
      await cluster.clock.advance(1000);
      expect(cluster.nodeOf('later')).toBe(null);
    });
  }

  it('offers the second extender what the first has left', async () => {
    const first = extenderOf((_verb, args) => ({ NodeNameToMetaVictims: { n2: offerOf(args)['n2'] } }), {
      name: 'first',
    });
    const second = extenderOf((_verb, args) => ({ NodeNameToMetaVictims: offerOf(args) }), { name: 'second' });
    const cluster = new TestCluster([{ ...second, ignorable: true }, first]);
    await full(cluster, [
      { name: 'a', cpu: 4 },
      { name: 'b', cpu: 4, priority: 50, node: 'n2' },
    ]);
    await cluster.pod({ name: 'preemptor', cpu: 4, priority: 100 });
    await cluster.clock.advance(1000);
    expect(second.calls.map((args) => Object.keys(offerOf(args)))).toEqual([['n2']]);
    expect(cluster.evicted()).toEqual(['b']);
  });
});
