import { SOLE_LEADER } from '../ports/leadership.ts';
import { describe, expect, it } from 'vitest';
import { RESTORE_GATE } from '../domain/labels.ts';
import {
  makeCheckpoint,
  makeDisplacement,
  makeNode,
  makePod,
  makePolicy,
  makeTicket,
} from '../../test/support/builders.ts';
import type { Displacement } from '../domain/displacement.ts';
import type { NodeName, PodUid } from '../domain/ids.ts';
import { DEFAULT_COST_MODEL } from '../domain/victim-cost.ts';
import { ClusterIndex } from '../index/cluster-index.ts';
import type { ClusterWriter } from '../ports/cluster-writer.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { ASSUMED_REACH } from '../domain/webhook-reach.ts';
import { Engine } from './engine.ts';
import type { EngineOptions } from './engine-options.ts';
import { DEFAULT_ENGINE_SETTINGS } from './core/steps.ts';

const owner = { apiVersion: 'batch/v1', kind: 'Job', name: 'train', uid: 'uid-train' };
const high = makePod({ name: 'high', priority: 1000 });
const low = makePod({ name: 'low', nodeName: 'n1' });
const offer = { node: 'n1' as NodeName, victims: [low.uid], numPdbViolations: 0 };

function setUp(overrides: Partial<EngineOptions> = {}) {
  const clock = new VirtualClock();
  const index = new ClusterIndex();
  const writes: string[] = [];
  const writer = new Proxy({} as ClusterWriter, {
    get:
      (_, method: string) =>
      (...args: unknown[]) => {
        writes.push(method === 'nominate' ? `nominate ${String(args[1])}` : method);
        return Promise.resolve('done');
      },
  });
  let synced = true;
  const engine = new Engine({
    refusalOf: () => null,
    probePod: () => Promise.resolve(null),
    view: index,
    writer,
    clock,
    settings: DEFAULT_ENGINE_SETTINGS,
    costs: DEFAULT_COST_MODEL,
    onUnsynced: 'Hold',
    isSynced: () => synced,
    podsWatchedSinceMs: () => 0,
    leadership: SOLE_LEADER,
    knowsTickets: () => false,
    readTickets: () => Promise.resolve([]),
    instanceId: 'abc',
    onListenerError: (error) => {
      throw error;
    },
    ...overrides,
  });
  engine.start();
  index.apply({ type: 'upsert', kind: 'node', value: makeNode() });
  for (const value of [high, low]) index.apply({ type: 'upsert', kind: 'pod', value });
  return { clock, index, engine, writes, setSynced: (is: boolean) => void (synced = is) };
}

describe('preempt', () => {
  it('holds while the index is incomplete, and wakes the preemptor once it is', async () => {
    const { engine, clock, writes, setSynced } = setUp();
    setSynced(false);
    expect(engine.preempt({ preemptor: high, candidates: [offer] })).toMatchObject({
      reason: 'Unsynced',
      candidates: [],
    });
    await clock.advance(10_000);
    expect(writes).toEqual([]);
    setSynced(true);
    engine.poke();
    await clock.advance(0);
    // Only a nomination that is taken back wakes kube-scheduler.
    expect(writes).toEqual(['nominate n1', 'nominate null']);
    engine.stop();
  });

  it('passes through while the index is incomplete where that is asked for', () => {
    const { engine } = setUp({ onUnsynced: 'PassThrough', isSynced: () => false });
    const empty = { ...offer, node: 'n2' as NodeName, victims: [] };
    expect(engine.preempt({ preemptor: high, candidates: [offer, empty] }).candidates).toEqual([offer]);
    engine.stop();
  });

  it('writes nothing for a replica that does not lead', async () => {
    const { engine, clock, index, writes } = setUp({ leadership: { term: () => null } });
    index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
    expect(engine.preempt({ preemptor: high, candidates: [offer] }).reason).toBe('Unsynced');
    await clock.advance(60_000);
    expect(writes).toEqual([]);
    engine.stop();
  });

  it('knows in a new term only what the records say', async () => {
    let term: number | null = 1;
    const { engine, clock, index, writes } = setUp({ leadership: { term: () => term } });
    index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
    expect(engine.preempt({ preemptor: high, candidates: [offer] }).reason).toBe('Saving');
    term = null;
    expect(engine.preempt({ preemptor: high, candidates: [offer] }).reason).toBe('Unsynced');
    await clock.advance(1_000);
    expect(writes).toEqual([]); // it never came to act on its displacement
    term = 2;
    // Another replica led meanwhile, and has undone or finished everything: the old displacement is not gone on with.
    engine.poke();
    await clock.advance(0);
    expect(writes).not.toContain('createTicket');
    expect(engine.preempt({ preemptor: high, candidates: [offer] }).reason).toBe('Saving');
    await clock.advance(0);
    expect(writes).toContain('createTicket');
    engine.stop();
  });

  it('forgets a term at its own entry points, never because somebody asks whether it may act', () => {
    let term: number | null = 1;
    const { engine, index } = setUp({ leadership: { term: () => term } });
    index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
    engine.preempt({ preemptor: high, candidates: [offer] });
    index.onChange(() => void engine.mayAct); // as metrics do
    term = 2;
    index.apply({ type: 'upsert', kind: 'node', value: makeNode({ name: 'n2' }) });
    expect(engine.mayAct).toBe(true);
    expect(engine.describe().displacements).toHaveLength(1);
    engine.poke();
    expect(engine.describe().displacements).toHaveLength(0);
    engine.stop();
  });

  it('wakes a preemptor that was turned away for a reservation when that is over', async () => {
    const { engine, clock, index, writes } = setUp();
    index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
    const rival = makePod({ name: 'rival', priority: 1000 });
    index.apply({ type: 'upsert', kind: 'pod', value: rival });
    engine.preempt({ preemptor: high, candidates: [offer] });
    expect(engine.preempt({ preemptor: rival, candidates: [offer] }).reason).toBe('AllReserved');
    await clock.advance(1_000);
    expect(writes).not.toContain('nominate null');
    index.apply({ type: 'delete', kind: 'pod', uid: high.uid, resourceVersion: '9' });
    await clock.advance(10_000);
    expect(writes).toContain('nominate null');
    engine.stop();
  });
});

describe('a victim that a policy selects and that is not protected', () => {
  const going = { ...low, deletionMs: 1, disruptionTarget: true };
  const silent = { ...makeNode(), agentSilent: true };
  const webhook = { ...ASSUMED_REACH, isCalled: false, reason: 'WebhookNotCalled', message: 'm' } as const;
  const evicted = (index: ClusterIndex, engine: Engine, pod = low): object[] => {
    const events: object[] = [];
    engine.events.on('victim:unprotected', (event) => events.push(event));
    index.apply({ type: 'upsert', kind: 'pod', value: { ...pod, resourceVersion: '2' } });
    for (const resourceVersion of ['3', '4'])
      index.apply({ type: 'upsert', kind: 'pod', value: { ...pod, ...going, owner: pod.owner, resourceVersion } });
    engine.stop();
    return events;
  };

  it('is told of once when it goes, with the reason: a silent agent', () => {
    const { engine, index } = setUp();
    index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
    index.apply({ type: 'upsert', kind: 'node', value: { ...silent, resourceVersion: '2' } });
    expect(evicted(index, engine)).toMatchObject([
      { victim: { name: 'low' }, policy: 'everything', reason: 'AgentSilent' },
    ]);
  });

  it('is told of where another eviction writes its mark over that of the preemption', () => {
    const { engine, index } = setUp();
    index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
    index.apply({ type: 'upsert', kind: 'node', value: { ...silent, resourceVersion: '2' } });
    const tainted = { ...low, disrupted: true };
    index.apply({ type: 'upsert', kind: 'pod', value: { ...tainted, disruptionTarget: true, resourceVersion: '2' } });
    const events: object[] = [];
    engine.events.on('victim:unprotected', (event) => events.push(event));
    index.apply({ type: 'upsert', kind: 'pod', value: { ...tainted, resourceVersion: '3' } });
    expect(events).toEqual([]);
    index.apply({ type: 'upsert', kind: 'pod', value: { ...tainted, deletionMs: 1, resourceVersion: '4' } });
    expect(events).toMatchObject([{ victim: { name: 'low' }, reason: 'AgentSilent' }]);
    engine.stop();
  });

  it('is not told of where the mark of a preemption was taken back before another eviction', () => {
    const { engine, index } = setUp();
    index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
    index.apply({ type: 'upsert', kind: 'node', value: { ...silent, resourceVersion: '2' } });
    const marked = { ...low, disrupted: true, disruptionTarget: true, resourceVersion: '2' };
    index.apply({ type: 'upsert', kind: 'pod', value: marked });
    index.apply({ type: 'upsert', kind: 'pod', value: { ...low, resourceVersion: '3' } });
    const events: object[] = [];
    engine.events.on('victim:unprotected', (event) => events.push(event));
    index.apply({
      type: 'upsert',
      kind: 'pod',
      value: { ...low, disrupted: true, deletionMs: 1, resourceVersion: '4' },
    });
    expect(events).toEqual([]);
    engine.stop();
  });

  it('is told of where the webhook is not called', () => {
    const { engine, index } = setUp();
    index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
    index.setWebhookReach(webhook);
    expect(evicted(index, engine, { ...low, owner })).toMatchObject([{ reason: 'NotRestorable' }]);
  });

  it('is told of where no pod may name our RuntimeClass', () => {
    const { engine, index } = setUp();
    index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
    index.setRuntimeClass(false);
    expect(evicted(index, engine, { ...low, owner })).toMatchObject([{ reason: 'NoRuntimeClass' }]);
  });

  it('is told of where its node found what cannot be saved', () => {
    const { engine, index } = setUp();
    index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
    expect(
      evicted(index, engine, { ...low, notCheckpointable: { reason: 'SocketShared', message: 'a socket' } }),
    ).toMatchObject([{ reason: 'NotCheckpointable', message: 'a socket' }]);
  });

  it('is told of beside a ticket whose displacement is not carried out', () => {
    const { engine, index } = setUp();
    index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
    index.apply({
      type: 'upsert',
      kind: 'ticket',
      value: makeTicket({ pod: low, phase: 'Saving', flaw: 'no deadline' }),
    });
    index.apply({ type: 'upsert', kind: 'node', value: { ...silent, resourceVersion: '2' } });
    expect(evicted(index, engine)).toMatchObject([{ reason: 'AgentSilent' }]);
  });

  it('is told of beside a ticket that is newer than the answer that let it go', () => {
    const { engine, index } = setUp();
    index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
    index.apply({ type: 'upsert', kind: 'node', value: { ...silent, resourceVersion: '2' } });
    expect(engine.preempt({ preemptor: high, candidates: [offer] }).candidates).toHaveLength(1);
    index.apply({ type: 'upsert', kind: 'node', value: { ...makeNode(), resourceVersion: '3' } });
    expect(engine.preempt({ preemptor: high, candidates: [offer] }).reason).toBe('Saving');
    const id = engine.describe().displacements[0]?.id ?? '';
    const ticket = makeTicket({ pod: low, phase: 'Saving', displacement: makeDisplacement({ id }) });
    index.apply({ type: 'upsert', kind: 'ticket', value: ticket });
    expect(evicted(index, engine)).toMatchObject([{ reason: 'ProtectedLate' }]);
  });

  it('is not told of by a replica that does not lead, nor without a policy, nor beside its ticket', () => {
    for (const given of ['follower', 'no policy', 'ticket'] as const) {
      const { engine, index } = setUp(given === 'follower' ? { leadership: { term: () => null } } : {});
      if (given !== 'no policy') index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
      if (given === 'ticket') index.apply({ type: 'upsert', kind: 'ticket', value: makeTicket({ pod: low }) });
      index.apply({ type: 'upsert', kind: 'node', value: { ...silent, resourceVersion: '2' } });
      expect(evicted(index, engine)).toEqual([]);
    }
  });
});

describe('a protected victim that is not worth saving', () => {
  const adaptive = makePolicy({ preemption: { ...makePolicy().preemption, decision: 'Adaptive' } });
  const costs = { ...DEFAULT_COST_MODEL, coldStartMs: 0, freezeMs: 60_000 };
  const told = (engine: Engine): object[] => {
    const events: object[] = [];
    engine.events.on('victim:cheaper', (event) => events.push(event));
    return events;
  };
  const going = { ...low, deletionMs: 1, disruptionTarget: true, resourceVersion: '3' };

  it('is told of when it goes, once, with both costs', () => {
    const { engine, index, clock } = setUp({ costs });
    const events = told(engine);
    index.apply({ type: 'upsert', kind: 'policy', value: adaptive });
    index.apply({ type: 'upsert', kind: 'pod', value: { ...low, startMs: clock.now(), resourceVersion: '2' } });
    for (let asked = 0; asked < 2; asked++)
      expect(engine.preempt({ preemptor: high, candidates: [offer] }).reason).toBe('NoneToSave');
    expect(events).toEqual([]);
    for (const resourceVersion of ['3', '4'])
      index.apply({ type: 'upsert', kind: 'pod', value: { ...going, resourceVersion } });
    expect(events).toMatchObject([{ victim: { name: 'low' }, preemptor: { name: 'high' }, policy: 'everything' }]);
    const [{ evictCost, savingCost }] = events as [{ evictCost: number; savingCost: number }];
    expect(savingCost).toBeGreaterThan(evictCost);
    engine.stop();
  });

  it('is told of where another answer saves it before its deletion is seen', () => {
    const { engine, index, clock } = setUp({ costs });
    const events = told(engine);
    index.apply({ type: 'upsert', kind: 'policy', value: adaptive });
    index.apply({ type: 'upsert', kind: 'pod', value: { ...low, startMs: clock.now(), resourceVersion: '2' } });
    engine.preempt({ preemptor: high, candidates: [offer] });
    index.apply({ type: 'upsert', kind: 'policy', value: makePolicy({ resourceVersion: '2' }) });
    const other = makePod({ name: 'other', priority: 1000 });
    expect(engine.preempt({ preemptor: other, candidates: [offer] }).reason).toBe('Saving');
    index.apply({ type: 'upsert', kind: 'pod', value: going });
    expect(events).toMatchObject([{ victim: { name: 'low' }, preemptor: { name: 'high' } }]);
    engine.stop();
  });

  it.each([
    ['goes saved', { ready: true, frozen: true }],
    [
      'could not be saved, and Reprieve evicts it',
      { failure: { reason: 'DumpFailed', message: 'disk full', atMs: 0 } },
    ],
  ])('is not told of where another answer saves it, and it %s', async (_, saved) => {
    const { engine, index, clock, writes } = setUp({ costs });
    const events = told(engine);
    let open: Displacement | null = null;
    engine.events.on('displacement:opened', ({ displacement }) => (open = displacement));
    index.apply({ type: 'upsert', kind: 'policy', value: adaptive });
    index.apply({ type: 'upsert', kind: 'pod', value: { ...low, startMs: clock.now(), resourceVersion: '2' } });
    engine.preempt({ preemptor: high, candidates: [offer] });
    index.apply({ type: 'upsert', kind: 'policy', value: makePolicy({ resourceVersion: '2' }) });
    const other = makePod({ name: 'other', priority: 1000 });
    index.apply({ type: 'upsert', kind: 'pod', value: other });
    engine.preempt({ preemptor: other, candidates: [offer] });
    const displacement = open as unknown as Displacement;
    const checkpoint = displacement.pods[0]?.checkpoint as string;
    const ticket = makeTicket({ name: 'low-ticket', pod: low, phase: 'Saving', displacement, checkpoint });
    index.apply({ type: 'upsert', kind: 'ticket', value: ticket });
    const value = makeCheckpoint({ name: checkpoint, podUid: low.uid, owner: { ticket: ticket.name }, ...saved });
    index.apply({ type: 'upsert', kind: 'checkpoint', value });
    await clock.advance(1_000);
    if ('failure' in saved) expect(writes).toContain('evict');
    index.apply({ type: 'upsert', kind: 'pod', value: going });
    expect(events).toEqual([]);
    engine.stop();
  });

  it('is not told of where somebody else deletes it later', async () => {
    const { engine, index, clock } = setUp({ costs });
    const events = told(engine);
    index.apply({ type: 'upsert', kind: 'policy', value: adaptive });
    index.apply({ type: 'upsert', kind: 'pod', value: { ...low, startMs: clock.now(), resourceVersion: '2' } });
    engine.preempt({ preemptor: high, candidates: [offer] });
    index.apply({ type: 'upsert', kind: 'pod', value: { ...going, disruptionTarget: false } });
    await clock.advance(61_000);
    engine.preempt({ preemptor: high, candidates: [] });
    index.apply({ type: 'upsert', kind: 'pod', value: { ...going, resourceVersion: '4' } });
    expect(events).toEqual([]);
    engine.stop();
  });
});

describe('describe', () => {
  it('shows what a displacement waits for, and who was turned away for it', async () => {
    const { engine, index, clock } = setUp();
    index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
    const rival = makePod({ name: 'rival', priority: 1000 });
    index.apply({ type: 'upsert', kind: 'pod', value: rival });
    engine.preempt({ preemptor: high, candidates: [offer] });
    engine.preempt({ preemptor: rival, candidates: [offer] });
    await clock.advance(1_000);
    expect(engine.describe()).toMatchObject({
      leads: true,
      mayAct: true,
      displacements: [
        {
          cause: 'Preemption',
          beneficiary: { pod: 'default/high' },
          age: 1,
          pods: [{ pod: 'default/low', node: 'n1', plan: 'Save', state: 'unfinished', waitsFor: 'CreateTicket' }],
        },
      ],
      held: [{ preemptor: 'default/rival', nodes: ['n1'], until: 'one of the nodes may be chosen again', age: 1 }],
      refused: [],
      resting: expect.arrayContaining([
        { about: 'pod:uid-low', failures: expect.any(Number), left: expect.any(Number) },
      ]),
    });
    engine.stop();
  });

  it('shows who waits for this process, and the node that failed a preemptor', async () => {
    const { engine, index, clock, setSynced } = setUp();
    const { preemption } = makePolicy();
    const policy = makePolicy({ preemption: { ...preemption, onFailure: 'Refuse', maxDelayMs: 10_000 } });
    index.apply({ type: 'upsert', kind: 'policy', value: policy });
    engine.preempt({ preemptor: high, candidates: [offer] });
    await clock.advance(20_000);
    const { displacements, refused } = engine.describe();
    expect(displacements).toEqual([]);
    expect(refused).toEqual([{ preemptor: 'default/high', node: 'n1', left: expect.any(Number) }]);
    setSynced(false);
    engine.preempt({ preemptor: high, candidates: [offer] });
    expect(engine.describe().held).toEqual([
      { preemptor: 'default/high', nodes: ['n1'], until: 'this process may act', age: 0 },
    ]);
    engine.stop();
  });
});

describe('a displacement that a policy voids', () => {
  it('is made again on the same node', async () => {
    const { engine, clock, index, writes } = setUp();
    const match = { ...makePolicy().match, priorityClassNames: ['saved'] };
    index.apply({ type: 'upsert', kind: 'policy', value: makePolicy({ name: 'some', uid: 'some', match }) });
    const saved = makePod({ name: 'saved', nodeName: 'n1', priorityClassName: 'saved' });
    index.apply({ type: 'upsert', kind: 'pod', value: saved });
    const both = { preemptor: high, candidates: [{ ...offer, victims: [low.uid, saved.uid] }] };
    expect(engine.preempt(both)).toMatchObject({ reason: 'Saving', saving: 1 });
    index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
    await clock.advance(10_000);
    expect(writes).toContain('nominate null');
    expect(engine.preempt(both)).toMatchObject({ reason: 'Saving', saving: 2 });
    engine.stop();
  });
});

describe('the status of policies', () => {
  it('is written by the leader once the index is complete', async () => {
    const { engine, clock, index, writes, setSynced } = setUp();
    setSynced(false);
    index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
    await clock.advance(60_000);
    expect(writes).toEqual([]);
    setSynced(true);
    engine.poke();
    await clock.advance(10_000);
    expect(writes).toContain('setPolicyStatus');
    engine.stop();
  });

  it('holds nobody up that is to be saved when it cannot be written', async () => {
    const writes: string[] = [];
    const writer = new Proxy({} as ClusterWriter, {
      get: (_, method: string) => () => {
        writes.push(method);
        return method === 'setPolicyStatus' ? new Promise(() => undefined) : Promise.resolve('done');
      },
    });
    const { engine, clock, index } = setUp({ writer });
    for (let number = 0; number < 40; number++) {
      index.apply({ type: 'upsert', kind: 'policy', value: makePolicy({ name: `p${number}`, uid: `p${number}` }) });
    }
    await clock.advance(0);
    expect(writes).toContain('setPolicyStatus');
    engine.preempt({ preemptor: high, candidates: [offer] });
    await clock.advance(0);
    expect(writes).toContain('createTicket');
    engine.stop();
  });
});

describe('admitPod', () => {
  const request = {
    namespace: 'default',
    name: null,
    owner,
    completionIndex: null,
    labels: { app: 'train' },
    priorityClassName: 'low',
    dryRun: false,
    gated: false,
    plainFor: null,
    object: {},
  };

  it('gates a pod whose owner has an open ticket', async () => {
    const { engine, index } = setUp();
    expect(await engine.admitPod(request)).toEqual({ gate: false, reason: 'NoTicket' });
    index.apply({ type: 'upsert', kind: 'ticket', value: makeTicket({ owner, phase: 'Saving' }) });
    expect(await engine.admitPod(request)).toEqual({ gate: true, reason: 'OpenTicket' });
    engine.stop();
  });

  it('gates no pod while our RuntimeClass is missing, for the API server would refuse it', async () => {
    const { engine, index } = setUp();
    index.apply({ type: 'upsert', kind: 'ticket', value: makeTicket({ owner, phase: 'Saving' }) });
    index.setRuntimeClass(false);
    expect(await engine.admitPod(request)).toEqual({ gate: false, reason: 'NoRuntimeClass' });
    index.setRuntimeClass(true);
    expect(await engine.admitPod(request)).toEqual({ gate: true, reason: 'OpenTicket' });
    engine.stop();
  });

  it('gates no bare pod that is made without the gate for its ticket, for with it the pod was refused', async () => {
    const { engine, index } = setUp();
    index.apply({
      type: 'upsert',
      kind: 'ticket',
      value: makeTicket({ name: 'of-pod', owner: null, phase: 'Waiting' }),
    });
    const bare = { ...request, owner: null, name: 'pod' };
    expect(await engine.admitPod({ ...bare, plainFor: 'of-pod' })).toEqual({ gate: false, reason: 'MadePlain' });
    expect(await engine.admitPod({ ...bare, plainFor: 'another' })).toEqual({ gate: true, reason: 'OpenTicket' });
    expect(await engine.admitPod(bare)).toEqual({ gate: true, reason: 'OpenTicket' });
    engine.stop();
  });

  it('leaves others alone', async () => {
    const { engine, index } = setUp();
    const claim = { name: 'x', uid: 'x' as PodUid };
    const restored = { succeeded: true, reason: 'Restored', message: '' } as const;
    index.apply({ type: 'upsert', kind: 'pod', value: makePod({ name: 'x', uid: 'x', owner, restored }) });
    for (const [name, value] of Object.entries({
      restored: { claim },
      final: { phase: 'Restored' as const },
      going: { deleting: true },
    })) {
      index.apply({ type: 'upsert', kind: 'ticket', value: makeTicket({ owner, name, uid: name, ...value }) });
    }
    expect((await engine.admitPod(request)).gate).toBe(false);
    const bare = { ...request, owner: null, name: null };
    expect(await engine.admitPod(bare)).toEqual({ gate: false, reason: 'NoOwner' });
    expect(await engine.admitPod({ ...bare, name: 'other' })).toEqual({ gate: false, reason: 'NoTicket' });
    expect(await engine.admitPod({ ...request, gated: true })).toEqual({ gate: false, reason: 'AlreadyGated' });
    engine.stop();
  });

  it('gates a bare pod that a person or an operator creates in the place of a displaced one', async () => {
    const { engine, index } = setUp();
    index.apply({ type: 'upsert', kind: 'ticket', value: makeTicket({ pod: { name: 'kafka-0' } }) });
    const bare = { ...request, owner: null, name: 'kafka-0' };
    expect(await engine.admitPod(bare)).toEqual({ gate: true, reason: 'OpenTicket' });
    expect((await engine.admitPod({ ...bare, name: 'kafka-1' })).gate).toBe(false);
    expect((await engine.admitPod({ ...bare, namespace: 'other' })).gate).toBe(false);
    expect((await engine.admitPod({ ...bare, owner })).gate).toBe(false);
    engine.stop();
  });

  it('gates a pod whose ticket is claimed by one that is not restored: the end of that one may not be known here yet', async () => {
    const { engine, index } = setUp();
    const claim = { name: 'x', uid: 'x' as PodUid };
    const claimant = makePod({ name: 'x', uid: 'x', owner, gates: [RESTORE_GATE] });
    index.apply({ type: 'upsert', kind: 'pod', value: claimant });
    index.apply({ type: 'upsert', kind: 'ticket', value: makeTicket({ owner, claim }) });
    expect((await engine.admitPod(request)).gate).toBe(true);
    index.apply({ type: 'upsert', kind: 'pod', value: { ...claimant, resourceVersion: '2', deletionMs: 1 } });
    expect((await engine.admitPod(request)).gate).toBe(true);
    index.apply({ type: 'delete', kind: 'pod', uid: 'x', resourceVersion: '3' });
    expect((await engine.admitPod(request)).gate).toBe(true);
    engine.stop();
  });

  it('of a follower that displacements wait for reads nothing', async () => {
    let knows = true;
    const asked: string[] = [];
    const { engine, index } = setUp({
      leadership: { term: () => null },
      knowsTickets: () => knows,
      readTickets: async (_namespace, uid) => (asked.push(uid ?? ''), []),
    });
    index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
    expect(await engine.admitPod(request)).toEqual({ gate: false, reason: 'NoTicket' });
    expect(asked).toEqual([]);
    knows = false;
    await engine.admitPod(request);
    expect(asked).toEqual(['uid-train']);
    engine.stop();
  });

  describe('of a follower, whose index may lag', () => {
    function follower() {
      const asked: string[] = [];
      const set = setUp({
        leadership: { term: () => null },
        readTickets: async (namespace, ownerUid) => {
          asked.push(`${namespace} ${ownerUid}`);
          return [makeTicket({ owner })];
        },
      });
      return { ...set, asked };
    }

    it('reads the tickets of a pod that a policy selects', async () => {
      const { engine, index, clock, asked } = follower();
      index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
      await engine.admitPod(request);
      await clock.advance(60_000);
      expect((await engine.admitPod(request)).gate).toBe(true);
      expect(asked).toEqual(['default uid-train', 'default uid-train']);
      engine.stop();
    });

    it('reads the tickets of the bare pods of the namespace for a bare pod', async () => {
      const { engine, index, asked } = follower();
      index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
      expect((await engine.admitPod({ ...request, owner: null, name: 'pod' })).gate).toBe(false);
      expect(asked).toEqual(['default null']);
      engine.stop();
    });

    it('reads nothing for a ticket that its index holds', async () => {
      const { engine, index, asked } = follower();
      index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
      index.apply({ type: 'upsert', kind: 'ticket', value: makeTicket({ owner }) });
      expect((await engine.admitPod(request)).gate).toBe(true);
      expect(asked).toEqual([]);
      engine.stop();
    });

    it('reads nothing for owners whose pods are never saved', async () => {
      const { engine, index, asked } = follower();
      index.apply({ type: 'upsert', kind: 'policy', value: makePolicy() });
      const daemonSet = { ...owner, apiVersion: 'apps/v1', kind: 'DaemonSet' };
      expect((await engine.admitPod({ ...request, owner: daemonSet })).gate).toBe(false);
      expect(asked).toEqual([]);
      engine.stop();
    });

    const match = { namespaceSelector: null, podSelector: null, priorityClassNames: ['batch'] };
    const others = { 'there is no policy': null, 'no policy selects it': makePolicy({ match }) };
    for (const [what, policy] of Object.entries(others)) {
      it(`reads nothing where ${what}, once its watches cannot be behind each other`, async () => {
        const { engine, index, clock, asked } = follower();
        if (policy !== null) index.apply({ type: 'upsert', kind: 'policy', value: policy });
        await engine.admitPod(request);
        expect(asked).toHaveLength(1);
        await clock.advance(60_000);
        expect((await engine.admitPod(request)).gate).toBe(false);
        expect(asked).toHaveLength(1);
        index.apply({ type: 'upsert', kind: 'policy', value: makePolicy({ name: 'new' }) });
        await engine.admitPod(request);
        expect(asked).toHaveLength(2);
        engine.stop();
      });
    }
  });
});
