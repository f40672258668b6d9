import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  makeBudget,
  makeCheckpoint,
  makeNode,
  makePod,
  makePolicy,
  makeResources,
  makeTicket,
} from '../../test/support/builders.ts';
import { byEvictionOrder } from '../domain/eviction-order.ts';
import { addResources, NO_RESOURCES, subtractResources } from '../domain/resources.ts';
import { RESTORE_GATE } from '../domain/labels.ts';
import { objectKey, type NodeName, type PodUid, ownerKey, type PodKey } from '../domain/ids.ts';
import { occupiesNode, type Pod } from '../domain/pod.ts';
import type { PodConstraints } from '../domain/pod-constraints.ts';
import type { Ticket } from '../domain/ticket.ts';
import type { Volume } from '../domain/volume.ts';
import { ClusterIndex } from './cluster-index.ts';
import type { ClusterView, IndexedKind, IndexedKinds, IndexEvent, NodeSnapshot } from './types.ts';

const NODES = ['n1', 'n2', 'n3'];
const NAMES = ['a', 'b', 'c', 'd'];
const TICKETS = ['t1', 't2', 't3'];

/** One legal life of one object: versions that rise, perhaps a deletion at the end. */
interface Life {
  readonly kind: IndexedKind;
  readonly versions: readonly { readonly resourceVersion: string; readonly value: IndexedKinds[IndexedKind] | null }[];
}

const podVersion = fc.record({
  nodeName: fc.option(fc.constantFrom(...NODES)),
  nominatedNodeName: fc.option(fc.constantFrom(...NODES)),
  priority: fc.integer({ min: 0, max: 3 }),
  startMs: fc.option(fc.integer({ min: 0, max: 3 })),
  phase: fc.constantFrom('Pending', 'Running', 'Succeeded', 'Failed') as fc.Arbitrary<Pod['phase']>,
  gates: fc.constantFrom([], [RESTORE_GATE]),
  preemptionDeferred: fc.boolean(),
  cpuMilli: fc.integer({ min: 0, max: 2000 }),
  gpus: fc.option(fc.integer({ min: 1, max: 2 })),
  owner: fc.constantFrom(null, { apiVersion: 'v1', kind: 'Job', name: 'j', uid: 'owner' }),
  creationMs: fc.integer({ min: 0, max: 3 }),
  ticket: fc.option(fc.constantFrom(...TICKETS)),
  restored: fc.constantFrom(null, { succeeded: true, reason: 'Restored', message: '' } as const),
});

/** Two objects may have one name one after the other, never at once: lives of a name are cut from one sequence. */
const history = fc
  .record({
    pods: fc.array(
      fc.record({
        name: fc.constantFrom(...NAMES),
        versions: fc.array(podVersion, { minLength: 1, maxLength: 4 }),
        deleted: fc.boolean(),
      }),
      { maxLength: 8 },
    ),
    nodes: fc.array(
      fc.record({
        name: fc.constantFrom(...NODES),
        cpus: fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 3 }),
        deleted: fc.boolean(),
      }),
      { maxLength: 4 },
    ),
    tickets: fc.array(
      fc.record({
        name: fc.constantFrom('t1', 't2', 't3'),
        pod: fc.constantFrom(...NAMES),
        claims: fc.integer({ min: 1, max: 3 }),
        deleted: fc.boolean(),
      }),
      { maxLength: 4 },
    ),
    others: fc.array(
      fc.record({
        kind: fc.constantFrom('namespace', 'budget', 'volume', 'policy'),
        name: fc.constantFrom(...NAMES),
        amounts: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 3 }),
        deleted: fc.boolean(),
      }),
      { maxLength: 6 },
    ),
    unseen: fc.array(fc.boolean(), { minLength: 1, maxLength: 8 }),
    order: fc.array(fc.nat(), { minLength: 1, maxLength: 40 }),
    echoes: fc.array(fc.nat(), { maxLength: 10 }),
  })
  .map(({ pods, nodes, tickets, others, unseen, order, echoes }) => {
    let version = 0;
    const next = (): string => String(++version);
    const taken = new Set<string>();
    const lives: Life[] = [];
    const life = (
      kind: IndexedKind,
      key: string,
      deleted: boolean,
      values: ((rv: string, uid: string) => IndexedKinds[IndexedKind])[],
    ): void => {
      if (taken.has(`${kind}/${key}`)) return; // the name is still in use by an object that was never deleted
      const uid = `${kind}-${key}-${version}`;
      const versions: Life['versions'][number][] = values.map((make) => {
        const resourceVersion = next();
        return { resourceVersion, value: make(resourceVersion, uid) };
      });
      if (deleted) versions.push({ resourceVersion: next(), value: null });
      else taken.add(`${kind}/${key}`);
      lives.push({ kind, versions });
    };
    for (const { name, versions, deleted } of pods) {
      life(
        'pod',
        name,
        deleted,
        versions.map(
          ({ cpuMilli, gpus, ...fields }) =>
            (resourceVersion, uid) =>
              makePod({
                ...fields,
                name,
                uid,
                resourceVersion,
                constraints: cpuMilli % 2 === 0 ? DEMANDING : null,
                requests: makeResources({ cpuMilli, extended: gpus === null ? null : { gpu: gpus } }),
              }),
        ),
      );
    }
    for (const { name, cpus, deleted } of nodes) {
      life(
        'node',
        name,
        deleted,
        cpus.map(
          (cpu) => (resourceVersion, uid) =>
            makeNode({ name, uid, resourceVersion, allocatable: makeResources({ cpuMilli: cpu * 1000, pods: 110 }) }),
        ),
      );
    }
    for (const { name, pod, claims, deleted } of tickets) {
      const creationMs = version;
      const victim = {
        name: pod,
        uid: `victim-${pod}` as PodUid,
        completionIndex: null,
        identityLabels: null,
        displacements: 0,
        memoryLimitBytes: null,
      };
      const owner = { apiVersion: 'v1', kind: 'Job', name: 'j', uid: 'owner' };
      life(
        'ticket',
        name,
        deleted,
        Array.from(
          { length: claims },
          (_, attempts) => (resourceVersion: string, uid: string) =>
            makeTicket({ name, uid, resourceVersion, creationMs, attempts, pod: victim, owner }),
        ),
      );
      life('checkpoint', name, deleted, [
        (resourceVersion, uid) => makeCheckpoint({ name, uid, resourceVersion, podUid: `victim-${pod}` }),
      ]);
    }
    for (const { kind, name, amounts, deleted } of others) {
      const namespace = 'default';
      life(
        kind,
        name,
        deleted,
        amounts.map((amount) => (resourceVersion, uid) => {
          if (kind === 'policy') return makePolicy({ name, uid, resourceVersion, precedence: amount });
          if (kind === 'volume') return volume({ name, uid, resourceVersion }, amount);
          if (kind === 'namespace')
            return { name, uid, resourceVersion, pauseFor: null, labels: { amount: String(amount) } };
          return makeBudget({ namespace, name, uid, resourceVersion, disruptionsAllowed: amount });
        }),
      );
    }
    return { lives, events: interleave(lives, order, echoes, unseen), version: String(version) };
  });

/**
 * Per object in order, across objects in any; then some events again, late. The deletion of an object whose name is held by a
 * later one at the end may never be seen: the later one says it.
 */
function interleave(
  lives: readonly Life[],
  order: readonly number[],
  echoes: readonly number[],
  unseen: readonly boolean[],
): IndexEvent[] {
  const holders = new Map<string, number>(); // name -> the life that has it at the end
  lives.forEach((life, position) => {
    if (life.versions.at(-1)?.value !== null) holders.set(nameOf(life), position);
  });
  const rest = lives.map((life, position) => {
    const all = life.versions.map((version) => eventOf(life, version));
    const holder = holders.get(nameOf(life));
    const isLost = holder !== undefined && holder !== position && unseen[position % unseen.length] === true;
    return isLost ? all.filter(({ type }) => type === 'upsert') : all;
  });
  const events: IndexEvent[] = [];
  for (;;) {
    const open = rest.filter((queue) => queue.length > 0);
    if (open.length === 0) break;
    events.push((open[(order[events.length % order.length] ?? 0) % open.length] as IndexEvent[]).shift() as IndexEvent);
  }
  for (const echo of echoes) {
    const late = events[echo % Math.max(1, events.length)];
    if (late !== undefined) events.push(late);
  }
  return events;
}

function nameOf({ kind, versions }: Life): string {
  return `${kind}/${(versions[0] as { value: { name: string } }).value.name}`;
}

function eventOf({ kind, versions }: Life, { resourceVersion, value }: Life['versions'][number]): IndexEvent {
  const { uid } = (versions[0] as { value: { uid: string } }).value;
  return value === null
    ? { type: 'delete', kind, uid, resourceVersion }
    : ({ type: 'upsert', kind, value } as IndexEvent);
}

const OWNER = ownerKey('default', { uid: 'owner' });
const podKey = (uid: string): PodKey => ({ namespace: 'default', uid: uid as PodUid });

/** Everything that can be asked, in an order that does not depend on arrival. */
function answers(view: ClusterView): object {
  return {
    pods: NAMES.map((name) => {
      const pod = view.podNamed('default', name);
      return [pod, pod && view.pod(pod.uid)];
    }),
    pending: byUid(view.pendingPods()),
    gated: byUid(view.gatedPods()),
    parked: byUid(view.parkedPods()),
    unreviewed: [0, 1, 2].map((sinceMs) => view.unreviewedPodsOfOwner(OWNER, sinceMs)),
    nodes: byName(view),
    node: NODES.map((name) => view.node(name as NodeName)?.node),
    tickets: byUid(view.tickets()),
    ticket: TICKETS.map((name) => view.ticket(objectKey('default', name))),
    ticketOfVictim: NAMES.map((name) => view.ticketOfVictim(podKey(`victim-${name}`))),
    ticketsOfVictim: NAMES.map((name) => byUid(view.ticketsOfVictim(`victim-${name}` as PodUid))),
    ticketsOfOwner: byUid(view.ticketsOfOwner(OWNER)),
    ticketsOfBarePod: NAMES.map((name) => byUid(view.ticketsOfBarePod(objectKey('default', name)))),
    checkpoints: byUid(view.checkpoints()),
    checkpoint: TICKETS.map((name) => view.checkpoint(objectKey('default', name))),
    checkpointsOfPod: NAMES.map((name) => byUid(view.checkpointsOfPod(podKey(`victim-${name}`)))),
    namespaces: NAMES.map((name) => view.namespaceLabels(name)),
    budgets: byUid(view.budgets('default')),
    available: byUid(view.availableVolumes('local')),
    claimUsers: byUid(view.podsOfClaim(objectKey('default', 'data'))),
    repelling: [...view.repelling().values()].map(inOrder),
    counted: inOrder(view.countPods(QUESTION)),
    policies: view.policies(),
  };
}

function inOrder(byNode: ReadonlyMap<NodeName, number>): object[] {
  return [...byNode].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Asked before anything changes, and after. */
const QUESTION = { key: 'of little CPU', asks: ({ requests }: Pod) => requests.cpuMilli < 2000 };
const DEMANDING: PodConstraints = {
  hostPorts: [],
  affinity: [],
  antiAffinity: [{ selector: null, namespaces: [], namespaceSelector: null, topologyKey: 'zone' }],
  spread: [],
  volumeClaims: ['data'],
  hasResourceClaims: false,
};

function volume(names: Pick<Volume, 'name' | 'uid' | 'resourceVersion'>, amount: number): Volume {
  return {
    ...names,
    storageClass: 'local',
    accessModes: [],
    capacityBytes: amount,
    isAvailable: amount % 2 === 0,
    nodeTerms: null,
    topology: null,
    csi: null,
  };
}

function byUid<T extends { uid: string }>(values: Iterable<T>): T[] {
  return [...values].sort((a, b) => (a.uid < b.uid ? -1 : 1));
}

function byName(view: Pick<ClusterView, 'nodes'>): NodeSnapshot[] {
  return [...view.nodes()].sort((a, b) => (a.node.name < b.node.name ? -1 : 1));
}

const KINDS = [
  'pod',
  'node',
  'namespace',
  'budget',
  'service',
  'volumeClaim',
  'volume',
  'storageClass',
  'csiNode',
  'policy',
  'ticket',
  'checkpoint',
] as const satisfies readonly IndexedKind[];

function finalValues(lives: readonly Life[], kind: IndexedKind): IndexedKinds[IndexedKind][] {
  return lives
    .filter((life) => life.kind === kind)
    .map((life) => life.versions.at(-1)?.value ?? null)
    .filter((value) => value !== null);
}

function fromListing(lives: readonly Life[], version: string): ClusterIndex {
  const index = new ClusterIndex();
  for (const kind of KINDS) index.replaceAll(kind, finalValues(lives, kind), version);
  return index;
}

const RUNS = { numRuns: 500 };

describe('ClusterIndex', () => {
  it('is the same after events in any legal order, with repeats, as after one listing', () => {
    fc.assert(
      fc.property(history, ({ lives, events, version }) => {
        const index = new ClusterIndex();
        index.countPods(QUESTION);
        for (const event of events) index.apply(event);
        expect(answers(index)).toEqual(answers(fromListing(lives, version)));
      }),
      RUNS,
    );
  });

  it('keeps pods in eviction order and their sum right', () => {
    fc.assert(
      fc.property(history, ({ events }) => {
        const index = new ClusterIndex();
        for (const event of events) {
          index.apply(event);
          for (const on of index.nodes()) {
            expect([...on.pods].sort(byEvictionOrder)).toEqual(on.pods);
            expect(on.pods.every((pod) => occupiesNode(pod) && pod.nodeName === on.node.name)).toBe(true);
            const used = on.pods.reduce((sum, pod) => addResources(sum, pod.requests), NO_RESOURCES);
            expect(on.free).toEqual(subtractResources(on.node.allocatable, used));
            const isContinuing = ({ ticket, restored }: Pod): boolean => ticket !== null && restored === null;
            expect(on.continuing).toEqual(on.pods.filter(isContinuing));
          }
        }
      }),
      RUNS,
    );
  });

  it('agrees with a listing after it, whatever it missed', () => {
    fc.assert(
      fc.property(history, fc.nat(), ({ lives, events, version }, cut) => {
        const index = new ClusterIndex();
        for (const event of events.slice(0, cut % (events.length + 1))) index.apply(event);
        for (const kind of KINDS) {
          const values = finalValues(lives, kind) as never[];
          index.replaceAll(kind, values, version);
          expect(index.replaceAll(kind, values, version)).toEqual({ missed: [], redundant: [] });
        }
        expect(answers(index)).toEqual(answers(fromListing(lives, version)));
      }),
      RUNS,
    );
  });

  it('reports the differences that were put in, and no others', () => {
    const fates = fc.constantFrom('same', 'absent', 'older', 'newer', 'goneSince', 'deleted', 'createdSince');
    fc.assert(
      fc.property(fc.array(fates, { maxLength: 12 }), (pods) => {
        const index = new ClusterIndex();
        const listing: Pod[] = [];
        const missed: string[] = [];
        const redundant: string[] = [];
        pods.forEach((fate, position) => {
          const uid = `uid-${position}`;
          const at = (resourceVersion: string): Pod => makePod({ name: uid, uid, resourceVersion });
          const hold = (pod: Pod) => index.apply({ type: 'upsert', kind: 'pod', value: pod });
          if (fate !== 'goneSince' && fate !== 'createdSince') listing.push(at('50'));
          if (fate === 'absent' || fate === 'older') missed.push(uid);
          if (fate === 'goneSince') redundant.push(uid);
          if (fate === 'same' || fate === 'deleted') hold(at('50'));
          if (fate === 'older' || fate === 'goneSince') hold(at('9')); // shorter, so older than 50
          if (fate === 'newer' || fate === 'createdSince') hold(at('101'));
          if (fate === 'deleted') index.apply({ type: 'delete', kind: 'pod', uid, resourceVersion: '102' });
        });
        expect(index.replaceAll('pod', listing, '100')).toEqual({ missed, redundant });
        expect(index.replaceAll('pod', listing, '100')).toEqual({ missed: [], redundant: [] });
        expect(byUid(index.pendingPods()).map(({ uid }) => uid)).toEqual(
          pods
            .flatMap((fate, position) => (fate === 'goneSince' || fate === 'deleted' ? [] : [`uid-${position}`]))
            .sort(),
        );
      }),
      RUNS,
    );
  });

  it('keeps what became known after the listing was made', () => {
    const index = new ClusterIndex();
    index.apply({ type: 'upsert', kind: 'pod', value: makePod({ name: 'late', resourceVersion: '20' }) });
    expect(index.replaceAll('pod', [], '10')).toEqual({ missed: [], redundant: [] });
    expect(index.podNamed('default', 'late')).toBeDefined();
  });

  it('does not bring back what was deleted', () => {
    const index = new ClusterIndex();
    const pod = makePod({ resourceVersion: '9' });
    index.apply({ type: 'delete', kind: 'pod', uid: pod.uid, resourceVersion: '10' });
    expect(index.apply({ type: 'upsert', kind: 'pod', value: pod })).toBe(false);
    expect(index.pod(pod.uid)).toBeUndefined();
  });

  it('tells listeners about applied changes only, once each', () => {
    const index = new ClusterIndex();
    const heard: IndexEvent[] = [];
    const end = index.onChange((event) => heard.push(event));
    const event: IndexEvent = { type: 'upsert', kind: 'pod', value: makePod() };
    index.apply(event);
    index.apply(event);
    end();
    index.apply({ type: 'delete', kind: 'pod', uid: 'uid-pod', resourceVersion: '2' });
    expect(heard).toEqual([event]);
  });

  it('takes the name from an object whose deletion was not seen, and says so', () => {
    const index = new ClusterIndex();
    const heard: string[] = [];
    index.onChange((event) => heard.push(`${event.type} ${event.type === 'upsert' ? event.value.uid : event.uid}`));
    const former = makePod({ name: 'db-0', uid: 'old', nodeName: 'n1', resourceVersion: '5' });
    const next = makePod({ name: 'db-0', uid: 'new', resourceVersion: '9' });
    index.apply({ type: 'upsert', kind: 'node', value: makeNode() });
    index.apply({ type: 'upsert', kind: 'pod', value: former });
    index.apply({ type: 'upsert', kind: 'pod', value: next });
    expect(heard).toEqual(['upsert uid-n1', 'upsert old', 'delete old', 'upsert new']);
    expect(index.pod(former.uid)).toBeUndefined();
    expect(index.node('n1' as NodeName)?.pods).toEqual([]);
    expect(index.podNamed('default', 'db-0')).toBe(next);
    expect(index.count('pod')).toBe(1);
    expect(index.apply({ type: 'upsert', kind: 'pod', value: { ...former, resourceVersion: '8' } })).toBe(false);
    expect(index.apply({ type: 'delete', kind: 'pod', uid: 'old', resourceVersion: '8' })).toBe(false);
    expect(index.podNamed('default', 'db-0')).toBe(next);
  });

  it('answers with the newest of several tickets of one victim, and with the other one when that is gone', () => {
    const index = new ClusterIndex();
    const [first, second] = [1, 2].map((creationMs) => makeTicket({ name: `t${creationMs}`, creationMs }));
    for (const value of [second, first]) index.apply({ type: 'upsert', kind: 'ticket', value: value as Ticket });
    expect(index.ticketOfVictim(podKey('uid-pod'))).toBe(second);
    index.apply({ type: 'delete', kind: 'ticket', uid: 'uid-t2', resourceVersion: '2' });
    expect(index.ticketOfVictim(podKey('uid-pod'))).toBe(first);
  });

  it('forgets the oldest deletions first, and keeps 10,000', () => {
    const index = new ClusterIndex();
    for (let position = 0; position <= 10_000; position++) {
      index.apply({ type: 'delete', kind: 'pod', uid: `uid-${position}`, resourceVersion: '10' });
    }
    const late = (position: number): IndexEvent => ({
      type: 'upsert',
      kind: 'pod',
      value: makePod({ name: String(position), resourceVersion: '9' }),
    });
    expect(index.apply(late(1))).toBe(false);
    expect(index.apply(late(10_000))).toBe(false);
    expect(index.apply(late(0))).toBe(true);
  });

  it('has no rest left of amounts that a number cannot hold', () => {
    const index = new ClusterIndex();
    const odd = { nodeName: 'n1', requests: makeResources({ memoryBytes: 1 }) };
    const vast = { nodeName: 'n1', requests: makeResources({ memoryBytes: Number.MAX_SAFE_INTEGER }) };
    index.apply({ type: 'upsert', kind: 'node', value: makeNode() });
    for (const name of ['a', 'b', 'c']) index.apply({ type: 'upsert', kind: 'pod', value: makePod({ name, ...vast }) });
    index.apply({ type: 'upsert', kind: 'pod', value: makePod({ name: 'odd', ...odd }) });
    for (const name of ['a', 'b', 'c']) {
      index.apply({ type: 'delete', kind: 'pod', uid: `uid-${name}`, resourceVersion: '2' });
    }
    expect(index.node('n1' as NodeName)?.free.memoryBytes).toBe(makeNode().allocatable.memoryBytes - 1);
  });

  it('makes the change and tells everyone, whatever a listener throws', () => {
    const errors: unknown[] = [];
    const index = new ClusterIndex({ onListenerError: (error) => errors.push(error) });
    const heard: IndexEvent[] = [];
    const broken = new Error('broken');
    index.onChange(() => {
      throw broken;
    });
    index.onChange((event) => heard.push(event));
    expect(index.apply({ type: 'upsert', kind: 'pod', value: makePod() })).toBe(true);
    expect([errors, heard.length]).toEqual([[broken], 1]);
  });

  it('lets the error of a listener out after everyone was told, when nobody else hears of it', () => {
    const index = new ClusterIndex();
    const heard: IndexEvent[] = [];
    index.onChange(() => {
      throw new Error('broken');
    });
    index.onChange((event) => heard.push(event));
    expect(() => index.apply({ type: 'upsert', kind: 'pod', value: makePod() })).toThrow('broken');
    expect([heard.length, index.count('pod')]).toEqual([1, 1]);
  });
});
