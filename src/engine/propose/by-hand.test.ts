import { expect, it } from 'vitest';
import { makeDisplacement, makeNode, makePod, makePolicy, makeVictim } from '../../../test/support/builders.ts';
import { TestWorld, uidOf } from '../../../test/support/world.ts';
import type { NodeName } from '../../domain/ids.ts';
import type { Displacement } from '../../domain/displacement.ts';

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
