import { describe, expect, it } from 'vitest';
import { makeDisplacement, makeNode, makePod, makePolicy } from '../../../test/support/builders.ts';
import type { NodeName, PodUid } from '../../domain/ids.ts';
import { ClusterIndex } from '../../index/cluster-index.ts';
import type { IndexedKind, IndexedKinds, IndexEvent } from '../../index/types.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import { DisplacementBook } from '../displace/displacement-book.ts';
import { Steps } from '../core/steps.ts';
import { WakeList } from './wake-list.ts';

const high = makePod({ name: 'high', priority: 1000 });
const { preemptor } = makeDisplacement().cause;
const rival = makeDisplacement({ preemptor: { ...preemptor, uid: 'uid-rival' as PodUid } });
const n1 = 'n1' as NodeName;
const n2 = 'n2' as NodeName;

function setUp() {
  const clock = new VirtualClock();
  const index = new ClusterIndex();
  const book = new DisplacementBook();
  const list = new WakeList(index, book, clock);
  let version = 1;
  const put = <K extends IndexedKind>(kind: K, value: IndexedKinds[K]): void => {
    index.apply({ type: 'upsert', kind, value: { ...value, resourceVersion: String(++version) } } as IndexEvent);
  };
  put('node', makeNode());
  put('node', makeNode({ name: 'n2' }));
  put('pod', high);
  const steps = (): Steps => {
    const result = new Steps();
    list.addTo(result);
    return result;
  };
  const woken = (): string[] => steps().commands.map(({ kind }) => kind);
  return { clock, index, book, list, put, steps, woken };
}

const notSaved = (victims: readonly PodUid[]) => ({ kind: 'NotSaved', victims }) as const;

describe('WakeList', () => {
  it('asks for a wake in each pass, until one was carried out', () => {
    const { list, steps, woken } = setUp();
    list.hold(high.uid, [n1], 'now');
    const [wake] = steps().commands;
    expect(wake).toMatchObject({ kind: 'Wake', node: 'n1' });
    expect(woken()).toEqual(['Wake']);
    list.done(wake!);
    expect(woken()).toEqual([]);
  });

  it('wakes again whoever was turned away while it was being woken', () => {
    const { list, steps, woken } = setUp();
    list.hold(high.uid, [n1], 'now');
    const [wake] = steps().commands;
    list.hold(high.uid, [n1], 'now');
    list.done(wake!);
    expect(woken()).toEqual(['Wake']);
  });

  const settled: Record<string, (world: ReturnType<typeof setUp>) => void> = {
    bound: ({ put }) => put('pod', { ...high, nodeName: n1 }),
    'being deleted': ({ put }) => put('pod', { ...high, deletionMs: 1 }),
    'decided for': ({ book }) => book.open(makeDisplacement()),
    'answered with victims': ({ list }) => list.release(high.uid),
  };
  for (const [sentence, settle] of Object.entries(settled)) {
    it(`leaves a pod alone that is ${sentence}`, () => {
      const world = setUp();
      world.list.hold(high.uid, [n1], 'now');
      settle(world);
      expect(world.woken()).toEqual([]);
      expect(world.list.has(high.uid)).toBe(false);
    });
  }

  it('waits until any of the offered nodes may be chosen', () => {
    const { list, book, woken, put } = setUp();
    const other = makeDisplacement({ id: 'd2', node: n2, preemptor: { ...preemptor, uid: 'uid-other' as PodUid } });
    book.open(rival);
    book.open(other);
    list.hold(high.uid, [n1, n2], 'nodeFree');
    expect(woken()).toEqual([]);
    book.close(other);
    expect(woken()).toEqual(['Wake']);
    put('node', makeNode({ name: 'n2', unschedulable: true }));
    expect(woken()).toEqual([]);
  });

  it('waits for no displacement that it outranks', () => {
    const { list, book, woken } = setUp();
    book.open(makeDisplacement({ preemptor: { ...preemptor, uid: 'uid-rival' as PodUid, priority: 999 } }));
    list.hold(high.uid, [n1], 'nodeFree');
    expect(woken()).toEqual(['Wake']);
  });

  it('does not wait for a node that is gone', () => {
    const { list, book, index, woken } = setUp();
    book.open(rival);
    list.hold(high.uid, [n1], 'nodeFree');
    index.apply({ type: 'delete', kind: 'node', uid: makeNode().uid, resourceVersion: '99' });
    expect(woken()).toEqual(['Wake']);
  });

  it('waits until the refusal of its only node ends, and says when to look again', async () => {
    const { list, steps, woken, clock } = setUp();
    const untilMs = clock.now() + 60_000;
    list.refuse(high.uid, n1, 60_000, notSaved([]));
    list.hold(high.uid, [n1], 'nodeFree');
    expect(steps()).toMatchObject({ commands: [], wakeAtMs: untilMs });
    expect(list.isRefused(high.uid, n1)).toBe(true);
    await clock.advance(60_000);
    expect(woken()).toEqual(['Wake']);
    expect(list.isRefused(high.uid, n1)).toBe(false);
  });

  describe('a node that failed several times', () => {
    const victim = makePod({ name: 'low', nodeName: 'n1' });
    const refusing = makePolicy({ preemption: { ...makePolicy().preemption, onFailure: 'Refuse' } });

    function setUpFailing() {
      const world = setUp();
      world.put('pod', victim);
      world.put('policy', refusing);
      const fail = (): void => world.list.refuse(high.uid, n1, 60_000, notSaved([victim.uid]));
      return { ...world, fail };
    }

    it('is refused twice as long each time its room was of no use, whatever pods are on it', async () => {
      const { list, clock } = setUpFailing();
      for (const minutes of [1, 2, 4]) {
        list.refuse(high.uid, n1, 60_000, { kind: 'NotBound' });
        await clock.advance(minutes * 60_000 - 1);
        expect(list.isRefused(high.uid, n1)).toBe(true);
        await clock.advance(1);
        expect(list.isRefused(high.uid, n1)).toBe(false);
        expect(list.hasFailed(high.uid, n1)).toBe(true);
      }
    });

    it('is refused from the second time on where it no longer fitted', async () => {
      const { list, clock } = setUpFailing();
      list.refuse(high.uid, n1, 60_000, { kind: 'NoLongerFits' });
      expect(list.isRefused(high.uid, n1)).toBe(false);
      list.refuse(high.uid, n1, 60_000, { kind: 'NoLongerFits' });
      await clock.advance(119_999);
      expect(list.isRefused(high.uid, n1)).toBe(true);
    });

    it('is refused twice as long each time, up to sixteen times', async () => {
      const { clock, list, steps, fail } = setUpFailing();
      for (const minutes of [1, 2, 4, 8, 16, 16]) {
        fail();
        await clock.advance(minutes * 60_000 - 1);
        steps();
        expect(list.isRefused(high.uid, n1)).toBe(true);
        expect(list.refused()).toHaveLength(1);
        await clock.advance(1);
        steps();
        expect(list.isRefused(high.uid, n1)).toBe(false);
        expect(list.refused()).toEqual([]);
      }
    });

    it('is looked at again after the first part of the time, then at its end', async () => {
      const { clock, list, steps, fail } = setUpFailing();
      fail();
      fail();
      list.hold(high.uid, [n1], 'nodeFree');
      expect(steps()).toMatchObject({ commands: [], wakeAtMs: clock.now() + 60_000 });
      await clock.advance(60_000);
      expect(steps()).toMatchObject({ commands: [], wakeAtMs: clock.now() + 60_000 });
    });

    const ended: Record<string, (world: ReturnType<typeof setUp>) => void> = {
      'has left': ({ index }) => index.apply({ type: 'delete', kind: 'pod', uid: victim.uid, resourceVersion: '99' }),
      'is leaving': ({ put }) => put('pod', { ...victim, deletionMs: 1 }),
      'has ended': ({ put }) => put('pod', { ...victim, phase: 'Succeeded' }),
      'may be evicted unsaved now': ({ put }) =>
        put('policy', makePolicy({ preemption: { ...refusing.preemption, onFailure: 'Evict' } })),
      'is not to be saved any more': ({ put }) =>
        put('policy', makePolicy({ preemption: { ...refusing.preemption, decision: 'Never' } })),
    };
    for (const [sentence, end] of Object.entries(ended)) {
      it(`is refused no longer than the first time once its victim ${sentence}`, async () => {
        const world = setUpFailing();
        const { clock, list, woken, fail } = world;
        for (let failures = 0; failures < 3; failures++) fail();
        list.hold(high.uid, [n1], 'nodeFree');
        end(world);
        await clock.advance(59_999);
        expect(list.isRefused(high.uid, n1)).toBe(true);
        await clock.advance(1);
        expect(list.isRefused(high.uid, n1)).toBe(false);
        expect(list.refused()).toEqual([]);
        expect(woken()).toEqual(['Wake']);
      });

      it(`is free at once where that comes later: its victim ${sentence}`, async () => {
        const world = setUpFailing();
        for (let failures = 0; failures < 3; failures++) world.fail();
        await world.clock.advance(90_000);
        expect(world.list.isRefused(high.uid, n1)).toBe(true);
        end(world);
        expect(world.list.isRefused(high.uid, n1)).toBe(false);
      });
    }

    it('is forgotten with the node', async () => {
      const { clock, index, list, put, steps, fail } = setUpFailing();
      fail();
      fail();
      index.apply({ type: 'delete', kind: 'node', uid: makeNode().uid, resourceVersion: '99' });
      steps();
      put('node', makeNode());
      expect(list.isRefused(high.uid, n1)).toBe(false);
      fail();
      await clock.advance(60_000);
      expect(list.isRefused(high.uid, n1)).toBe(false);
    });
  });

  it('forgets what failed once the preemptor is bound', async () => {
    const { clock, list, put, steps } = setUp();
    const victim = makePod({ name: 'low', nodeName: 'n1' });
    put('pod', victim);
    put('policy', makePolicy({ preemption: { ...makePolicy().preemption, onFailure: 'Refuse' } }));
    list.refuse(high.uid, n1, 60_000, notSaved([victim.uid]));
    put('pod', { ...high, nodeName: n2 });
    await clock.advance(60_000);
    steps();
    list.refuse(high.uid, n1, 60_000, notSaved([victim.uid]));
    await clock.advance(60_000);
    expect(list.isRefused(high.uid, n1)).toBe(false);
  });

  it('looks again a millisecond later where less than that is left of a refusal', async () => {
    const { list, steps, clock } = setUp();
    list.refuse(high.uid, n1, 60_000 + 2 ** -12, notSaved([]));
    list.hold(high.uid, [n1], 'nodeFree');
    await clock.advance(60_000);
    expect(steps()).toMatchObject({ commands: [], wakeAtMs: clock.now() + 1 });
  });

  it('waits for a pod that the watch has not brought, but not for ever', async () => {
    const { list, woken, put, clock } = setUp();
    const late = makePod({ name: 'late' });
    list.hold(late.uid, [n1], 'now');
    expect(woken()).toEqual([]);
    put('pod', late);
    expect(woken()).toEqual(['Wake']);
    list.hold('uid-never' as PodUid, [n1], 'now');
    await clock.advance(600_001);
    woken();
    expect(list.has('uid-never' as PodUid)).toBe(false);
  });

  describe('whom kube-scheduler has parked', () => {
    const parked = { ...high, preemptionDeferred: true };

    it('is woken, again and again while it stands parked', () => {
      const { list, put, steps, woken } = setUp();
      list.holdParked();
      expect(woken()).toEqual([]);
      put('pod', parked);
      list.holdParked();
      list.done(steps().commands[0]!);
      expect(woken()).toEqual([]);
      list.holdParked();
      expect(woken()).toEqual(['Wake']);
    });

    it('is left alone while it has a displacement', () => {
      const { list, put, book, woken } = setUp();
      put('pod', parked);
      book.open(makeDisplacement());
      list.holdParked();
      expect(woken()).toEqual([]);
    });

    it('is left alone while its answer with victims is on the way to it', () => {
      const { list, put, woken } = setUp();
      put('pod', parked);
      list.release(high.uid);
      list.holdParked();
      expect(woken()).toEqual([]);
      put('pod', parked); // written to since, and still parked
      list.holdParked();
      expect(woken()).toEqual(['Wake']);
    });
  });

  it('does not grow without bound while nobody may act', () => {
    const { list } = setUp();
    for (let number = 0; number <= 10_000; number++) list.hold(`uid-${number}` as PodUid, [n1], 'now');
    expect(list.has('uid-0' as PodUid)).toBe(false);
    expect(list.has('uid-10000' as PodUid)).toBe(true);
  });
});
