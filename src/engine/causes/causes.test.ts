import { describe, expect, it } from 'vitest';
import { makeDisplacement, makePod, makeVictim } from '../../../test/support/builders.ts';
import { TestWorld, uidOf } from '../../../test/support/world.ts';
import type { Cause, CauseKind, Displacement } from '../../domain/displacement.ts';
import type { NodeName } from '../../domain/ids.ts';
import { areRivals, isTaken, outranks, rulesOf } from './causes.ts';

const n1 = 'n1' as NodeName;

const CAUSES: Readonly<Record<CauseKind, (priority: number) => Cause>> = {
  Preemption: (priority) => ({
    kind: 'Preemption',
    preemptor: { namespace: 'default', name: 'high', uid: uidOf('high'), priority },
    node: n1,
    numPdbViolations: 0,
  }),
  Manual: () => ({ kind: 'Manual', askedOn: 'Pod', why: 'its disk is slow' }),
  Eviction: () => ({ kind: 'Eviction', by: 'Eviction', requester: 'admin', why: 'EvictionByEvictionAPI' }),
};
const KINDS = Object.keys(CAUSES) as CauseKind[];

/** A displacement of `pod`, which is on n1. */
function displacing(pod: string, kind: CauseKind, priority = 1000): Displacement {
  const pods = [makeVictim({ name: pod, uid: uidOf(pod) })];
  return { ...makeDisplacement(), id: `${kind}-${pod}-${priority}`, cause: CAUSES[kind](priority), pods };
}

const { index: view } = new TestWorld();

describe('rank', () => {
  it('is Manual above Preemption above Eviction', () => {
    const byRank = KINDS.toSorted((a, b) => rulesOf(displacing('a', b)).rank - rulesOf(displacing('a', a)).rank);
    expect(byRank).toEqual(['Manual', 'Preemption', 'Eviction']);
    expect(new Set(KINDS.map((kind) => rulesOf(displacing('a', kind)).rank)).size).toBe(KINDS.length);
  });
});

/** `isAbove`: `a` takes the pod or the node from `b`. */
const RIVALS: readonly (readonly [
  a: CauseKind,
  b: CauseKind,
  want: { readonly ofOnePod: boolean; readonly ofOneNode: boolean; readonly isAbove: boolean },
])[] = [
  ['Manual', 'Manual', { ofOnePod: true, ofOneNode: true, isAbove: false }],
  ['Manual', 'Preemption', { ofOnePod: true, ofOneNode: true, isAbove: true }],
  ['Manual', 'Eviction', { ofOnePod: true, ofOneNode: false, isAbove: true }],
  ['Preemption', 'Manual', { ofOnePod: true, ofOneNode: true, isAbove: false }],
  ['Preemption', 'Preemption', { ofOnePod: true, ofOneNode: true, isAbove: false }],
  ['Preemption', 'Eviction', { ofOnePod: true, ofOneNode: false, isAbove: true }],
  ['Eviction', 'Manual', { ofOnePod: true, ofOneNode: false, isAbove: false }],
  ['Eviction', 'Preemption', { ofOnePod: true, ofOneNode: false, isAbove: false }],
  ['Eviction', 'Eviction', { ofOnePod: true, ofOneNode: false, isAbove: false }],
];

describe.each(RIVALS)('%s beside %s of the same priority', (a, b, { ofOnePod, ofOneNode, isAbove }) => {
  it('are rivals for one pod or one node', () => {
    expect(areRivals(displacing('x', a), displacing('x', b))).toBe(ofOnePod);
    expect(areRivals(displacing('x', a), displacing('y', b))).toBe(ofOneNode);
  });

  it('outranks it only where they are rivals', () => {
    expect(outranks(view, displacing('x', a), displacing('x', b))).toBe(isAbove);
    expect(outranks(view, displacing('x', a), displacing('y', b))).toBe(isAbove && ofOneNode);
  });
});

it('has a row for each pair of kinds', () => {
  expect(RIVALS.map(([a, b]) => `${a} ${b}`).sort()).toEqual(
    KINDS.flatMap((a) => KINDS.map((b) => `${a} ${b}`)).sort(),
  );
});

describe('of two preemptions', () => {
  const [low, high] = [displacing('x', 'Preemption', 100), displacing('x', 'Preemption', 101)];

  it('the one for the pod of higher priority outranks the other', () => {
    expect([outranks(view, high, low), outranks(view, low, high)]).toEqual([true, false]);
  });

  it('the priority of a pod in the index counts, and not the recorded one', () => {
    const raised = new TestWorld().put('pod', makePod({ name: 'high', priority: 100 })).index;
    expect(outranks(raised, high, low)).toBe(false);
  });
});

describe('isTaken', () => {
  const preemptor = { uid: uidOf('other'), priority: 1000 };
  it.each<[string, boolean, Displacement]>([
    ['one by hand', true, displacing('x', 'Manual')],
    ['a preemption of the same priority', true, displacing('x', 'Preemption', 1000)],
    ['a preemption of higher priority', true, displacing('x', 'Preemption', 1001)],
    ['a preemption of lower priority', false, displacing('x', 'Preemption', 999)],
    ['an eviction', false, displacing('x', 'Eviction')],
  ])('%s on the node keeps a preemptor off it: %s', (_, want, displacement) => {
    const { index, book } = new TestWorld();
    book.open(displacement);
    expect(isTaken(index, book, n1, preemptor)).toBe(want);
    expect(isTaken(index, book, 'n2' as NodeName, preemptor)).toBe(false);
  });

  it('the own displacement of the preemptor does not', () => {
    const { index, book } = new TestWorld();
    book.open(displacing('x', 'Preemption'));
    expect(isTaken(index, book, n1, { uid: uidOf('high'), priority: 0 })).toBe(false);
  });
});
