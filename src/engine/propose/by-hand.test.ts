import { describe, expect, it } from 'vitest';
import { makeDisplacement, makeNode, makePod, makePolicy, makeVictim } from '../../../test/support/builders.ts';
import { TestWorld, uidOf } from '../../../test/support/world.ts';
import { ownerKey, type NodeName } from '../../domain/ids.ts';
import type { Displacement } from '../../domain/displacement.ts';
import { DEFAULT_COST_MODEL } from '../../domain/victim-cost.ts';
import type { EngineEvents } from '../engine-events.ts';
import { openProposals } from './proposal.ts';

const names = ['a', 'b', 'c'];
const pods = names.map((name) => makePod({ name, nodeName: 'n1', priority: 10 }));
const cause = { kind: 'Manual', askedOn: 'Node', why: 'new kernel' } as const;

function byHand(name: string): Displacement {
  const victim = makeVictim({ name, uid: uidOf(name), node: 'n1' as NodeName, onFailure: 'Refuse' });
  return { ...makeDisplacement(), id: `d-${name}`, cause, pods: [victim] };
}

/** `a` and `b` are being moved off the node, and `c` is to follow. */
function evacuated(): TestWorld {
  const node = makeNode({ evacuateFor: 'new kernel', unschedulable: true });
  const world = new TestWorld()
    .put('node', node)
    .put('policy', makePolicy())
    .put('pod', ...pods);
  for (const name of ['a', 'b']) world.book.open(byHand(name));
  return world;
}

const proposed = (world: TestWorld): string[] => world.steps().proposals.map(({ pod }) => pod.name);

it('two pods of a node are saved at a time', () => {
  expect(proposed(evacuated())).toEqual([]);
});

it('a pod that is going, and may stay terminating for ever, keeps no other one on the node', () => {
  const world = evacuated();
  for (const pod of pods.slice(0, 2)) world.put('pod', { ...pod, deletionMs: 9_000 });
  expect(proposed(world)).toEqual(['c']);
});

it('a request by hand takes over no displacement: it waits while a preemption empties the node', () => {
  const world = evacuated();
  for (const name of ['a', 'b']) world.book.close(byHand(name));
  const preemption = makeDisplacement({ pods: [makeVictim({ name: 'a', uid: uidOf('a') })] });
  world.book.open(preemption);
  expect(proposed(world)).toEqual([]);
  world.book.close(preemption);
  expect(proposed(world)).toEqual(['a', 'b']);
});

it('a pod that a drain moves is not proposed, and others of its node are', () => {
  const world = evacuated();
  for (const name of ['a', 'b']) world.book.close(byHand(name));
  const drain = { kind: 'Eviction', by: 'Eviction', requester: 'admin', why: 'EvictionByEvictionAPI' } as const;
  world.book.open({ ...byHand('a'), cause: drain });
  expect(proposed(world)).toEqual(['b']);
});

describe('a pod that a person asks to move, and whose Job an eviction would fail', () => {
  const owner = { apiVersion: 'batch/v1', kind: 'Job', name: 'train', uid: 'uid-train' };
  const asked = names.map((name) => ({ ...makePod({ name, nodeName: 'n1', owner }), displaceFor: 'new kernel' }));
  const ofJob = (bears: number, bearsOfIndex: number | null, failures: readonly number[] = []): TestWorld => {
    const world = new TestWorld()
      .put('node', makeNode())
      .put('policy', makePolicy())
      .put('pod', ...asked.map((pod, at) => ({ ...pod, indexFailures: failures[at] ?? 0 })));
    const failsByEviction = { bears, bearsOfIndex, message: 'Job train fails by it' };
    const facts = { what: 'Job train', end: null, count: null, numbers: null, failsByEviction };
    world.index.setOwner(ownerKey('default', owner), facts);
    return world;
  };
  const stays = (world: TestWorld): string[] => world.steps().staying.map(({ pod, why }) => `${pod.name}: ${why}`);

  it('stays, and is told why', () => {
    const world = ofJob(0, null);
    expect(proposed(world)).toEqual([]);
    expect(stays(world)[0]).toBe('a: not displaced, as reprieve.dev/displace asks: Job train fails by it');
  });

  it('stays where its index has used its retries up, and others go', () => {
    const world = ofJob(9, 1, [0, 1, 0]);
    expect(proposed(world)).toEqual(['a', 'c']);
    expect(stays(world)).toHaveLength(1);
  });

  it('stays while as many others of its Job are being moved as the Job bears', () => {
    const world = ofJob(1, null);
    expect(proposed(world)).toEqual(['a', 'b']);
    const opened: Displacement[] = [];
    const { book, index: view } = world;
    const events = { emit: (_: string, { displacement }: { displacement: Displacement }) => opened.push(displacement) };
    const clock = { now: () => world.nowMs };
    openProposals(world.steps().proposals, {
      view,
      book,
      clock,
      costs: DEFAULT_COST_MODEL,
      newDisplacementId: () => `d${opened.length}`,
      events: events as unknown as Pick<EngineEvents, 'emit'>,
    });
    expect(opened.flatMap(({ pods: moved }) => moved.map(({ name }) => name))).toEqual(['a']);
    expect([proposed(world), stays(world).length]).toEqual([[], 2]);
  });
});
