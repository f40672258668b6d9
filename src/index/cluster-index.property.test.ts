import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeCheckpoint, makeNode, makePod, makeResources, makeTicket } from '../../test/support/builders.ts';
import { byEvictionOrder } from '../domain/eviction-order.ts';
import { RESTORE_GATE } from '../domain/labels.ts';
import { objectKey, type NodeName, type PodUid } from '../domain/ids.ts';
import { occupiesNode, type Pod } from '../domain/pod.ts';
import { ClusterIndex } from './cluster-index.ts';
import type { IndexedKind, IndexedKinds, IndexEvent } from './types.ts';

const NODES = ['n1', 'n2', 'n3'];
const NAMES = ['a', 'b', 'c', 'd'];

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
  cpuMilli: fc.integer({ min: 0, max: 2000 }),
  gpus: fc.option(fc.integer({ min: 1, max: 2 })),
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
      fc.record({ pod: fc.constantFrom(...NAMES), claims: fc.integer({ min: 1, max: 3 }), deleted: fc.boolean() }),
      { maxLength: 4 },
    ),
    order: fc.array(fc.nat(), { minLength: 1, maxLength: 40 }),
    echoes: fc.array(fc.nat(), { maxLength: 10 }),
  })
  .map(({ pods, nodes, tickets, order, echoes }) => {
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
    for (const { pod, claims, deleted } of tickets) {
      life(
        'ticket',
        pod,
        deleted,
        Array.from(
          { length: claims },
          (_, attempts) => (resourceVersion: string, uid: string) =>
            makeTicket({
              name: pod,
              uid,
              resourceVersion,
              attempts,
              pod: { name: pod, uid: `victim-${pod}` as PodUid, completionIndex: null, displacements: 0 },
              owner: { apiVersion: 'v1', kind: 'Job', name: 'j', uid: 'owner' },
            }),
        ),
      );
      life('checkpoint', pod, deleted, [
        (resourceVersion, uid) => makeCheckpoint({ name: pod, uid, resourceVersion, podUid: `victim-${pod}` }),
      ]);
    }
    return { lives, events: interleave(lives, order, echoes), version: String(version) };
  });

/** Per object in order, across objects in any; then some events again, late. */
function interleave(lives: readonly Life[], order: readonly number[], echoes: readonly number[]): IndexEvent[] {
  const rest = lives.map((life) => life.versions.map((version) => eventOf(life, version)));
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

function eventOf({ kind, versions }: Life, { resourceVersion, value }: Life['versions'][number]): IndexEvent {
  const { uid } = (versions[0] as { value: { uid: string } }).value;
  return value === null
    ? { type: 'delete', kind, uid, resourceVersion }
    : ({ type: 'upsert', kind, value } as IndexEvent);
}

/** Everything that can be asked, in an order that does not depend on arrival. */
function answers(index: ClusterIndex): object {
  const byUid = <T extends { uid: string }>(values: Iterable<T>): T[] =>
    [...values].sort((a, b) => (a.uid < b.uid ? -1 : 1));
  return {
    pods: NAMES.map((name) => index.podNamed('default', name)),
    pending: byUid(index.pendingPods()),
    gated: byUid(index.gatedPods()),
    nodes: NODES.map((name) => {
      const on = index.node(name as NodeName);
      return on && { ...on, generation: 0, free: { ...on.free, extended: nonZero(on.free.extended) } };
    }),
    tickets: NAMES.map((name) => [
      index.ticket(objectKey('default', name)),
      index.ticketOfVictim(`victim-${name}` as PodUid),
      index.checkpoint(objectKey('default', name)),
      byUid(index.checkpointsOfPod(`victim-${name}` as PodUid)),
    ]),
    owned: byUid(index.ticketsOfOwner('owner')),
  };
}

function nonZero(extended: Readonly<Record<string, number>> | null): object {
  return Object.fromEntries(Object.entries(extended ?? {}).filter(([, amount]) => amount !== 0));
}

const KINDS = ['pod', 'node', 'ticket', 'checkpoint'] as const;

function finalValues(lives: readonly Life[], kind: IndexedKind): IndexedKinds[IndexedKind][] {
  return lives
    .filter((life) => life.kind === kind)
    .map((life) => life.versions.at(-1)?.value ?? null)
    .filter((value) => value !== null);
}

function fromListing(lives: readonly Life[], version: string): ClusterIndex {
  const index = new ClusterIndex();
  for (const kind of KINDS) index.replaceAll(kind, finalValues(lives, kind) as never, version);
  return index;
}

const RUNS = { numRuns: 500 };

describe('ClusterIndex', () => {
  it('is the same after events in any legal order, with repeats, as after one listing', () => {
    fc.assert(
      fc.property(history, ({ lives, events, version }) => {
        const index = new ClusterIndex();
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
            const used = on.pods.reduce((sum, pod) => sum + pod.requests.cpuMilli, 0);
            expect(on.free.cpuMilli).toBe(on.node.allocatable.cpuMilli - used);
          }
        }
      }),
      RUNS,
    );
  });

  it('reports exactly what a listing shows to be missed or redundant, and then agrees with it', () => {
    fc.assert(
      fc.property(history, fc.nat(), ({ lives, events, version }, cut) => {
        const index = new ClusterIndex();
        for (const event of events.slice(0, cut % (events.length + 1))) index.apply(event);
        for (const kind of KINDS) {
          const values = finalValues(lives, kind) as never[];
          const expected = index.diff(kind, values, version);
          expect(index.replaceAll(kind, values, version)).toEqual(expected);
          expect(index.diff(kind, values, version)).toEqual({ missed: [], redundant: [] });
        }
        expect(answers(index)).toEqual(answers(fromListing(lives, version)));
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
});

describe('ClusterSnapshot', () => {
  it('stays as it is, equals a fresh one, and shares the nodes that did not change', () => {
    fc.assert(
      fc.property(history, fc.nat(), ({ events }, cut) => {
        const index = new ClusterIndex();
        const middle = cut % (events.length + 1);
        for (const event of events.slice(0, middle)) index.apply(event);
        const before = index.snapshot();
        const copy = structuredClone([...before.nodes()]);
        for (const event of events.slice(middle)) index.apply(event);
        expect([...before.nodes()]).toEqual(copy);
        const after = index.snapshot();
        expect([...after.nodes()]).toEqual([...index.nodes()]);
        for (const on of after.nodes()) {
          const earlier = before.node(on.node.name);
          if (earlier?.generation === on.generation) expect(on).toBe(earlier);
        }
      }),
      RUNS,
    );
  });

  it('undoes what was simulated, exactly', () => {
    fc.assert(
      fc.property(
        history,
        fc.array(fc.tuple(fc.boolean(), fc.nat(), fc.constantFrom(...NODES)), { maxLength: 6 }),
        ({ events }, moves) => {
          const index = new ClusterIndex();
          for (const event of events) index.apply(event);
          const snapshot = index.snapshot();
          const before = structuredClone([...snapshot.nodes()]);
          const pods = [...index.nodes()].flatMap((on) => on.pods);
          const undos = moves.map(([evicts, pick, node]) => {
            const pod = pods[pick % Math.max(1, pods.length)] ?? makePod({ name: 'new' });
            return evicts ? snapshot.evict([pod]) : snapshot.place(pod, node as NodeName);
          });
          for (const undo of undos.toReversed()) undo();
          expect([...snapshot.nodes()]).toEqual(before);
        },
      ),
      RUNS,
    );
  });

  it('frees what an evicted pod held, and refuses to undo out of order', () => {
    const index = new ClusterIndex();
    index.apply({ type: 'upsert', kind: 'node', value: makeNode() });
    const pod = makePod({ nodeName: 'n1' });
    index.apply({ type: 'upsert', kind: 'pod', value: pod });
    const snapshot = index.snapshot();
    const undoEviction = snapshot.evict([pod]);
    expect(snapshot.node('n1' as NodeName)).toMatchObject({ pods: [], free: { cpuMilli: 4000 } });
    const undoPlacement = snapshot.place(makePod({ name: 'other' }), 'n1' as NodeName);
    expect(snapshot.node('n1' as NodeName)?.free.cpuMilli).toBe(3000);
    expect(undoEviction).toThrow(/reverse order/);
    undoPlacement();
    undoEviction();
    expect(snapshot.node('n1' as NodeName)?.free.cpuMilli).toBe(3000);
    expect(snapshot.node('n1' as NodeName)?.pods).toEqual([pod]);
  });
});
