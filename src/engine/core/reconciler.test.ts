import { describe, expect, it } from 'vitest';
import {
  makeCheckpoint,
  makeDisplacement,
  makeNode,
  makePod,
  makePolicy,
  makeTicket,
} from '../../../test/support/builders.ts';
import { uidOf } from '../../../test/support/world.ts';
import type { NodeName } from '../../domain/ids.ts';
import type { DisplacedPod } from '../../domain/displacement.ts';
import { ClusterIndex } from '../../index/cluster-index.ts';
import type { IndexedKind, IndexedKinds, IndexEvent } from '../../index/types.ts';
import type { ClusterWriter, WriteOutcome } from '../../ports/cluster-writer.ts';
import type { Clock } from '../../ports/clock.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import { DisplacementBook } from '../displace/displacement-book.ts';
import { EngineEvents } from '../engine-events.ts';
import { Executor } from './executor.ts';
import { Reconciler } from './reconciler.ts';
import { DEFAULT_ENGINE_SETTINGS } from './steps.ts';

const high = makePod({ name: 'high', priority: 1000 });
const pod = makePod({ name: 'pod', nodeName: 'n1', priority: 10 });
const n1 = 'n1' as NodeName;

/** A reconciler whose nominations come back as `answer` says; all other writes are done at once. */
function setUp(answer: (call: number) => Promise<WriteOutcome> = () => Promise.resolve('done')) {
  const clock = new VirtualClock();
  const index = new ClusterIndex();
  const book = new DisplacementBook();
  const events = new EngineEvents((error) => {
    throw error;
  });
  const writes: string[] = [];
  let nominations = 0;
  const writer = new Proxy({} as ClusterWriter, {
    get:
      (_, method: string) =>
      (...args: unknown[]): Promise<WriteOutcome> => {
        if (method !== 'nominate') writes.push(method);
        else writes.push(`nominate ${String(args[1])}`);
        return method === 'nominate' ? answer(++nominations) : Promise.resolve('done');
      },
  });
  let leads = true;
  let skewMs = 0;
  const machine: Clock = {
    now: () => clock.now() + skewMs,
    monotonic: () => clock.monotonic(),
    setTimer: (delayMs, run) => clock.setTimer(delayMs, run),
  };
  const reconciler = new Reconciler({
    view: index,
    book,
    clock: machine,
    events,
    settings: DEFAULT_ENGINE_SETTINGS,
    open: () => undefined,
    mayAct: () => leads,
    podsWatchedSinceMs: () => 0,
  });
  index.onChange((event, before) => reconciler.changed(event, before));
  const executor = new Executor({ writer, clock: machine, events, onSettled: () => reconciler.poke() });
  let version = 100;
  const put = <K extends IndexedKind>(kind: K, ...values: readonly IndexedKinds[K][]): void => {
    for (const value of values) {
      const resourceVersion = String(++version);
      index.apply({ type: 'upsert', kind, value: { ...value, resourceVersion } } as IndexEvent);
    }
    reconciler.poke();
  };
  put('node', makeNode());
  put('pod', high, pod);
  reconciler.start(executor);
  return {
    clock,
    index,
    book,
    events,
    writes,
    reconciler,
    executor,
    put,
    lead: (is: boolean) => void (leads = is),
    setClock: (byMs: number) => void (skewMs += byMs),
  };
}

describe('a preemptor that was turned away', () => {
  it('is woken in the end, however often the write fails', async () => {
    const { reconciler, clock, writes } = setUp((call) =>
      call <= 5 ? Promise.reject(new Error('500')) : Promise.resolve('done'),
    );
    reconciler.ended(makeDisplacement(), 'Superseded');
    await clock.advance(60_000);
    expect(writes.at(-1)).toBe('nominate null');
  });

  it('is woken once a write about its nomination that is under way has come back', async () => {
    const gate = Promise.withResolvers<WriteOutcome>();
    const { reconciler, clock, writes, executor } = setUp((call) =>
      call === 1 ? gate.promise : Promise.resolve('done'),
    );
    executor.run([{ kind: 'Nominate', pod: high, node: n1 }]);
    reconciler.ended(makeDisplacement(), 'Superseded');
    await clock.advance(1_000);
    expect(writes).toEqual(['nominate n1']);
    gate.resolve('done');
    await clock.advance(10_000);
    expect(writes).toEqual(['nominate n1', 'nominate n1', 'nominate null']);
  });

  it('is not woken by a nomination that could not be set', async () => {
    const { reconciler, clock, writes } = setUp((call) => Promise.resolve(call === 1 ? 'moved' : 'done'));
    reconciler.ended(makeDisplacement(), 'Superseded');
    await clock.advance(10_000);
    expect(writes).toEqual(['nominate n1', 'nominate n1', 'nominate null']);
  });

  it('is found, and woken once, though what the predecessor answered is seen late', async () => {
    const { clock, writes, put, reconciler } = setUp();
    await clock.advance(0);
    // kube-scheduler's note about the predecessor's answer comes after the first look.
    put('pod', { ...high, preemptionDeferred: true });
    await clock.advance(1_000);
    expect(writes).toEqual(['nominate n1', 'nominate null']);
    // However long it stays parked: again, at growing distances.
    await clock.advance(3_600_000);
    expect(writes.length / 2).toBeGreaterThan(15);
    expect(writes.length / 2).toBeLessThan(30);
    reconciler.stop();
  });
});

describe('a ticket that lost its claim', () => {
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'uid-web' };
  const claim = { name: 'c', uid: uidOf('c') };
  const ticket = makeTicket({ owner, claim });

  it('is noted as free from then on, as long as it exists', async () => {
    const { reconciler, clock, index, put } = setUp();
    put('ticket', ticket);
    await clock.advance(60_000);
    put('ticket', { ...ticket, claim: null });
    const freedMs = clock.now();
    await clock.advance(60_000);
    put('ticket', { ...ticket, claim: null, attempts: 1 });
    expect(reconciler.world().freed).toEqual(new Map([[ticket.uid, freedMs]]));
    index.apply({ type: 'delete', kind: 'ticket', uid: ticket.uid, resourceVersion: '1000' });
    expect(reconciler.world().freed.size).toBe(0);
  });
});

describe('a closed displacement', () => {
  const [planned] = makeDisplacement().pods as [DisplacedPod];
  const refusing = makeDisplacement({
    pods: [{ ...planned, onFailure: 'Refuse' }],
    deadlineMs: Number.MAX_SAFE_INTEGER,
    decidedMs: Date.UTC(2026, 0, 1),
  });
  const nominated = { ...high, nominatedNodeName: n1 };
  const checkpoint = makeCheckpoint({ name: planned.checkpoint as string });

  it('leaves no nomination behind, though the write fails at first', async () => {
    const { clock, writes, put, book } = setUp((call) =>
      call <= 3 ? Promise.reject(new Error('500')) : Promise.resolve('done'),
    );
    put('pod', nominated);
    book.open(refusing);
    put('node', makeNode({ unschedulable: true }));
    await clock.advance(60_000);
    expect(book.size).toBe(0);
    expect(writes).toEqual(['nominate null', 'nominate null', 'nominate null', 'nominate null']);
  });

  it('is tried again on its only node when the refusal ends, without anything else happening', async () => {
    const { clock, writes, put, book, reconciler } = setUp();
    put('policy', makePolicy());
    put('pod', nominated);
    put('ticket', makeTicket({ phase: 'Saving', displacement: refusing }));
    put('checkpoint', { ...checkpoint, failure: { reason: 'DumpFailed', message: 'disk full', atMs: 1_000 } });
    book.open(refusing);
    await clock.advance(1_000);
    expect(writes).toContain('nominate null');
    expect(reconciler.wakes.isRefused(high.uid, n1)).toBe(true);
    put('pod', high);
    writes.length = 0;
    const candidates = [{ node: n1, victims: [pod.uid], numPdbViolations: 0 }];
    reconciler.answered(
      { preemptor: high, candidates },
      { reason: 'AllReserved', candidates: [], node: null, displacementId: null, saving: 0 },
    );
    await clock.advance(50_000);
    expect(writes.filter((write) => write.startsWith('nominate'))).toEqual([]);
    await clock.advance(60_000);
    expect(writes).toContain('nominate null');
  });

  it('refuses its node for longer where it fails again, while the victim that could not be saved stands there', async () => {
    const { clock, put, book, index, reconciler } = setUp();
    put('policy', makePolicy({ preemption: { ...makePolicy().preemption, onFailure: 'Refuse' } }));
    put('ticket', makeTicket({ phase: 'Saving', displacement: refusing }));
    put('checkpoint', { ...checkpoint, failure: { reason: 'DumpFailed', message: 'disk full', atMs: 1_000 } });
    book.open(refusing);
    await clock.advance(1_000);
    expect(reconciler.wakes.isRefused(high.uid, n1)).toBe(true);
    await clock.advance(60_000);
    expect(reconciler.wakes.isRefused(high.uid, n1)).toBe(false);
    book.open(refusing);
    put('pod', high);
    await clock.advance(61_000);
    expect(reconciler.wakes.isRefused(high.uid, n1)).toBe(true);
    index.apply({ type: 'delete', kind: 'pod', uid: pod.uid, resourceVersion: '999' });
    expect(reconciler.wakes.isRefused(high.uid, n1)).toBe(false);
  });
});

describe('taking over', () => {
  it('gives the watches time each time it begins to act, not only the first time', async () => {
    const claim = { name: 'new', uid: uidOf('new') };
    const { clock, writes, put, lead, reconciler } = setUp();
    await clock.advance(60_000);
    lead(false);
    reconciler.poke();
    await clock.advance(60_000);
    lead(true);
    const gone = { ...makeTicket().pod, name: 'old', uid: uidOf('old') };
    put('ticket', makeTicket({ pod: gone, claim, phaseMs: clock.now() }));
    await clock.advance(4_999);
    expect(writes).toEqual([]);
    await clock.advance(1);
    expect(writes).toContain('setTicketPhase');
  });
});

describe('a clock that is set back by an hour', () => {
  const HOUR_MS = 3_600_000;

  it('does not make it wait for watches that have long caught up', async () => {
    const { clock, writes, put, setClock, index } = setUp();
    await clock.advance(60_000);
    setClock(-HOUR_MS);
    const claim = { name: 'new', uid: uidOf('new') };
    index.apply({ type: 'delete', kind: 'pod', uid: pod.uid, resourceVersion: '999' });
    put('ticket', makeTicket({ claim, phase: 'Restoring', phaseMs: clock.now() }));
    await clock.advance(1_000);
    expect(writes).toContain('setTicketPhase');
  });

  it('lengthens neither the pause after a failure nor a refusal', async () => {
    const { clock, writes, reconciler, setClock } = setUp((call) =>
      call <= 3 ? Promise.reject(new Error('500')) : Promise.resolve('done'),
    );
    reconciler.ended(makeDisplacement(), 'Superseded');
    reconciler.wakes.refuse(high.uid, n1, 60_000, { kind: 'NotSaved', victims: [] });
    await clock.advance(100);
    setClock(-HOUR_MS);
    await clock.advance(10_000);
    expect(writes.at(-1)).toBe('nominate null');
    await clock.advance(50_000);
    expect(reconciler.wakes.isRefused(high.uid, n1)).toBe(false);
  });
});

it('does not wait for pods that it has seen itself, though it began to act a moment ago', async () => {
  const { clock, writes, put, index } = setUp();
  const claim = { name: 'new', uid: uidOf('new') };
  const claimed = makePod({ name: 'new' });
  put('pod', claimed, makePod({ ...pod, deletionMs: clock.now() }));
  put('ticket', makeTicket({ claim, phaseMs: clock.now(), phase: 'Restoring' }));
  await clock.advance(100);
  writes.length = 0;
  index.apply({ type: 'delete', kind: 'pod', uid: claimed.uid, resourceVersion: '999' });
  put('node', makeNode());
  await clock.advance(1_000);
  expect(writes).toContain('setTicketPhase');
});

describe('contradictions', () => {
  it('are told once for as long as they stand', async () => {
    const { clock, events, put } = setUp();
    const told: string[] = [];
    events.on('record:contradiction', ({ kind, object }) => told.push(`${kind} ${object.name}`));
    put('ticket', makeTicket({ phaseMs: clock.now() }));
    await clock.advance(60_000);
    expect(told).toEqual(['VictimRuns pod-uid-pod']);
  });

  it.each([
    ['not told of a ticket that an earlier leader may have written: it is undone', 59_000, []],
    ['told of a ticket that no leader can have written', 61_000, ['UnknownDisplacement pod-uid-pod']],
  ])('are %s', async (_, sinceMs, want) => {
    const { clock, events, put, writes } = setUp();
    const told: string[] = [];
    events.on('record:contradiction', ({ kind, object }) => told.push(`${kind} ${object.name}`));
    await clock.advance(sinceMs);
    const planned = makeDisplacement({ decidedMs: clock.now(), deadlineMs: clock.now() + 60_000 });
    put('ticket', makeTicket({ phase: 'Saving', displacement: planned }));
    await clock.advance(3_000);
    expect(told).toEqual(want);
    expect(writes).toContain('deleteTicket');
  });
});

it('tells how long a displacement waited for a replica of the webhook, and evicts as soon as that has seen the ticket', async () => {
  const { clock, writes, put, book, index, reconciler, events } = setUp();
  const waits: number[] = [];
  events.on('barrier:passed', ({ waitedMs }) => waits.push(waitedMs));
  const planned = makeDisplacement({ decidedMs: clock.now(), deadlineMs: clock.now() + 60_000 });
  index.setWebhookReplicas([{ name: 'follower', seen: '1' }]);
  put('node', makeNode());
  put('policy', makePolicy());
  const name = planned.pods[0]?.checkpoint ?? '';
  put('pod', makePod({ ...high, nominatedNodeName: 'n1' }), makePod({ ...pod, frozenBy: name }));
  put('ticket', makeTicket({ phase: 'Saving', displacement: planned }));
  put('checkpoint', makeCheckpoint({ name, podUid: pod.uid, ready: true, frozen: true, takenMs: 1, bytes: 1 }));
  book.open(planned);
  reconciler.poke();
  await clock.advance(700);
  expect(writes).not.toContain('evict');
  index.setWebhookReplicas([{ name: 'follower', seen: '999' }]);
  reconciler.poke();
  await clock.advance(1);
  expect(writes).toContain('evict');
  expect(waits).toEqual([700]);
});
