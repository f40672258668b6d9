import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  makeCheckpoint,
  makeNode,
  makePod,
  makePolicy,
  makeResources,
  makeTicket,
} from '../../../test/support/builders.ts';
import type { NodeName, PodUid } from '../../domain/ids.ts';
import { RESTORE_GATE } from '../../domain/labels.ts';
import { dominantShare, fits, subtractResources } from '../../domain/resources.ts';
import { ClusterIndex } from '../../index/cluster-index.ts';
import { systemClock } from '../../ports/clock.ts';
import { Asked } from '../guard/asked.ts';
import { Rests } from '../propose/rests.ts';
import { DisplacementBook } from '../displace/displacement-book.ts';
import { RoomMemory } from './room-memory.ts';
import { admit, type Queued } from './queue.ts';
import { byTurn, RestoreQueue } from './restore-queue.ts';
import type { Place } from './place.ts';
import { Room } from './room.ts';
import { sortOf, suits } from './sorts.ts';
import { DEFAULT_ENGINE_SETTINGS, Steps, type World } from '../core/steps.ts';

const NODES = Array.from({ length: 8 }, (_, at) => `n${at}` as NodeName);
const MAX_RESTORES = DEFAULT_ENGINE_SETTINGS.maxConcurrentRestoresPerNode;
/** Pods of one template share these. */
const REQUESTS = [1000, 2000, 5000].map((cpuMilli) => makeResources({ cpuMilli }));
const { tolerations } = makePod();

const place = fc
  .record({
    name: fc.constantFrom(...NODES),
    cpuMilli: fc.constantFrom(0, 1000, 2000, 3000, 6000),
    restores: fc.constantFrom(0, 0, 1, 2),
    ready: fc.constantFrom(true, true, true, false),
    compatibility: fc.constantFrom('a', 'a', 'b'),
  })
  .map(({ name, cpuMilli, restores, ready, compatibility }): Place => {
    const node = makeNode({ name, ready, compatibility, allocatable: makeResources({ cpuMilli: 8000, pods: 110 }) });
    return { node, free: makeResources({ cpuMilli, pods: 100 }), restores, restoring: [] };
  });

const entry = fc
  .record({
    at: fc.nat(11),
    requests: fc.constantFrom(...REQUESTS),
    isGated: fc.constantFrom(true, true, false),
    priority: fc.nat(1),
    age: fc.nat(2),
    creationMs: fc.constantFrom(0, 200_000, 290_000),
    phaseMs: fc.constantFrom(0, 290_000),
    holder: fc.constantFrom(null, ...NODES),
    nodes: fc.constantFrom('Any', 'Any', 'Same'),
    compatibility: fc.constantFrom('a', 'a', 'b', null),
    failed: fc.constantFrom([], [], NODES.slice(0, 2)),
  })
  .map(({ at, requests, isGated, holder, nodes, compatibility, failed, creationMs, age, ...fields }): Queued => {
    const uid = `uid-again-${at}` as PodUid;
    const gates = isGated ? [RESTORE_GATE] : [];
    const location = holder === null ? null : { node: holder, reference: 'state' };
    const candidate = {
      requests,
      ticket: makeTicket({
        ...fields,
        name: `t${at}`,
        uid: `uid-t${at}`,
        creationMs: age,
        restore: { ...makePolicy().restore, nodes },
        failedNodes: failed.map((node) => ({ node, pod: uid, reason: 'RestoreFailed' })),
      }),
      pod: makePod({ uid, name: `again-${at}`, requests, tolerations, gates, creationMs }),
      checkpoint: makeCheckpoint({ compatibility, location }),
    };
    return { ...candidate, holder, sort: sortOf(candidate) };
  });

type Turn =
  { readonly place: Place } | { readonly entry: Queued } | { readonly leaves: number } | { readonly nowMs: number };

const turn: fc.Arbitrary<Turn> = fc.oneof(
  { weight: 4, arbitrary: place.map((value) => ({ place: value })) },
  { weight: 4, arbitrary: entry.map((value) => ({ entry: value })) },
  { weight: 1, arbitrary: fc.nat(11).map((leaves) => ({ leaves })) },
  { weight: 4, arbitrary: fc.constantFrom(300_000, 450_000, 495_000).map((nowMs) => ({ nowMs })) },
);

function worldAt(nowMs: number): World {
  return {
    view: new ClusterIndex(),
    book: new DisplacementBook(),
    nowMs,
    steadyMs: nowMs,
    actingSinceMs: 0,
    podsSinceMs: 0,
    seen: new Set(),
    disrupted: new Set(),
    unwanted: new Set(),
    freed: new Map(),
    evicted: new Map(),
    roomMemory: new RoomMemory(),
    rests: new Rests({ monotonic: () => nowMs }),
    asked: new Asked(systemClock),
    settings: DEFAULT_ENGINE_SETTINGS,
  };
}

/** The same by its definition: each entry in turn, with a look at each node. */
function admitPlainly(nowMs: number, entries: readonly Queued[], places: Iterable<Place>): string[] {
  const { maxGateMs, starvationMs } = DEFAULT_ENGINE_SETTINGS;
  const nodes = [...places].map((at) => ({ ...at }));
  let reserved: (typeof nodes)[number] | null = null;
  const roomy = (waiting: Queued): typeof nodes =>
    nodes.filter(
      (at) =>
        at !== reserved &&
        at.restores < MAX_RESTORES &&
        fits(waiting.pod.requests, at.free) &&
        suits(at.node, waiting) &&
        (waiting.ticket.restore.nodes === 'Any' || at.node.name === waiting.holder),
    );
  const load = ({ node, free }: (typeof nodes)[number]): number =>
    dominantShare(subtractResources(node.allocatable, free), node.allocatable);
  const find = (waiting: Queued): (typeof nodes)[number] | undefined => {
    const candidates = roomy(waiting).sort((a, b) => load(a) - load(b) || (a.node.name < b.node.name ? -1 : 1));
    return candidates.find(({ node }) => node.name === waiting.holder) ?? candidates[0];
  };
  const take = (waiting: Queued, at: (typeof nodes)[number]): void => {
    Object.assign(at, { free: subtractResources(at.free, waiting.pod.requests), restores: at.restores + 1 });
  };
  const keepClear = (head: Queued): boolean => {
    const lacks = (at: (typeof nodes)[number]): number =>
      dominantShare(subtractResources(head.pod.requests, at.free), at.node.allocatable);
    const could = nodes.filter(({ node }) => suits(node, head) && fits(head.pod.requests, node.allocatable));
    reserved = could.sort((a, b) => lacks(a) - lacks(b) || (a.node.name < b.node.name ? -1 : 1))[0] ?? null;
    return reserved !== null;
  };

  const said: string[] = [];
  const inOrder = entries.toSorted(byTurn);
  const isGated = ({ pod }: Queued): boolean => pod.gates.length > 0;
  const gated = inOrder.filter(isGated);
  const left = new Set<Queued>();
  /** The first that has waited too long and that some node could take keeps one clear of everybody behind it. */
  const reserveBefore = (entry: Queued): void => {
    const before = gated.filter((one) => byTurn(one, entry) < 0 && !left.has(one));
    if (reserved === null) before.some((one) => nowMs >= one.ticket.phaseMs + starvationMs && keepClear(one));
  };
  for (const waiting of inOrder.filter((one) => !isGated(one))) {
    reserveBefore(waiting);
    const at = find(waiting);
    if (at !== undefined) take(waiting, at);
  }
  for (const waiting of gated) {
    if (find(waiting) !== undefined) reserveBefore(waiting);
    const at = find(waiting);
    if (at !== undefined) {
      take(waiting, at);
      said.push(`${waiting.pod.name} Admitted`);
    } else if (nowMs >= waiting.pod.creationMs + maxGateMs) said.push(`${waiting.pod.name} GateExpired`);
    else continue;
    left.add(waiting);
  }
  return said;
}

function admitted(nowMs: number, queue: RestoreQueue, room: Room): string[] {
  const steps = new Steps();
  for (const _ of admit(worldAt(nowMs), queue, room, steps));
  return steps.commands.map((command) =>
    command.kind === 'Ungate' ? `${command.pod.name} ${command.because}` : command.kind,
  );
}

describe('admit', () => {
  it('admits by what it knows from pass to pass those that a look at each pod and each node admits', () => {
    fc.assert(
      fc.property(fc.array(turn, { minLength: 20, maxLength: 80, size: 'max' }), (turns) => {
        const room = new Room(MAX_RESTORES, new ClusterIndex());
        const queue = new RestoreQueue();
        const places = new Map<NodeName, Place>();
        const entries = new Map<string, Queued>();
        const leave = (uid: string): void => {
          const former = entries.get(uid);
          if (former === undefined) return;
          queue.remove(former);
          if (!queue.has(former.sort)) room.forget(former.sort);
          entries.delete(uid);
        };
        for (const next of turns) {
          if ('place' in next) {
            places.set(next.place.node.name, next.place);
            room.set(next.place.node.name, next.place);
          } else if ('entry' in next) {
            leave(next.entry.ticket.uid);
            queue.add(next.entry);
            entries.set(next.entry.ticket.uid, next.entry);
          } else if ('leaves' in next) leave(`uid-t${next.leaves}`);
          else {
            const plain = admitPlainly(next.nowMs, [...entries.values()], places.values());
            expect(admitted(next.nowMs, queue, room)).toEqual(plain);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
