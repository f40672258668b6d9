import { describe, expect, it } from 'vitest';
import { hasRunOn, mayBeMarkedIn, occupiesPod, stateAfter, type OrderCause, type OrderState } from './order-state.ts';

const KNOWN: OrderState = { name: 'Known' };

function after(...causes: OrderCause[]): OrderState {
  return causes.reduce(stateAfter, KNOWN);
}

const STATES = {
  Known: KNOWN,
  Waiting: after('Taken'),
  Dumping: after('Taken', 'DiskTurn'),
  Held: after('Taken', 'DiskTurn', 'Saved'),
  Closed: after('Taken', 'Failed'),
  Undoing: after('Taken', 'DeadlineExceeded'),
  Undone: after('Taken', 'DeadlineExceeded', 'Undone'),
};

const CAUSES: readonly OrderCause[] = [
  'DeadlineExceeded',
  'ProbesEnd',
  'Released',
  'Deleted',
  'Gone',
  'Taken',
  'FoundHeld',
  'FoundDone',
  'DiskTurn',
  'Saved',
  'Copied',
  'Failed',
  'Killed',
  'RunsOn',
  'Unmarked',
  'Undone',
];

describe('the way of a request', () => {
  const ways: Record<string, { causes: OrderCause[]; want: OrderState }> = {
    'one that keeps its pod frozen ends with the kill': {
      causes: ['Taken', 'DiskTurn', 'Saved', 'Killed'],
      want: { name: 'Closed' },
    },
    'one that thaws its pod ends with the copy': { causes: ['Taken', 'DiskTurn', 'Copied'], want: { name: 'Closed' } },
    'one that finds no pod ends at once': { causes: ['Taken', 'Failed'], want: { name: 'Closed' } },
    'a request whose pod the predecessor held is Held': { causes: ['FoundHeld'], want: { name: 'Held' } },
    'one that its predecessor reported is not taken': { causes: ['FoundDone', 'Taken'], want: { name: 'Closed' } },
    'one that is deleted before it is taken may have been marked by its predecessor': {
      causes: ['Deleted', 'Taken'],
      want: { name: 'Undoing', cause: 'Deleted', mayBeMarked: true, ranOn: false },
    },
    'a deadline during the dump undoes a pod without a mark': {
      causes: ['Taken', 'DiskTurn', 'DeadlineExceeded'],
      want: { name: 'Undoing', cause: 'DeadlineExceeded', mayBeMarked: false, ranOn: false },
    },
    'a dump that ends as it is cancelled may still set the mark': {
      causes: ['Taken', 'DiskTurn', 'Deleted', 'Saved'],
      want: { name: 'Undoing', cause: 'Deleted', mayBeMarked: true, ranOn: false },
    },
    'the mark of a pod that was thawed at thawAt is still to be removed': {
      causes: ['Taken', 'DiskTurn', 'Saved', 'ProbesEnd', 'RunsOn'],
      want: { name: 'Undoing', cause: 'ProbesEnd', mayBeMarked: true, ranOn: true },
    },
    'an undone pod runs without a mark': {
      causes: ['Taken', 'DiskTurn', 'Saved', 'Deleted', 'Unmarked', 'RunsOn', 'Undone'],
      want: { name: 'Undone', cause: 'Deleted', mayBeMarked: false, ranOn: true },
    },
    'a deadline replaces no deletion': {
      causes: ['Taken', 'Deleted', 'DeadlineExceeded'],
      want: { name: 'Undoing', cause: 'Deleted', mayBeMarked: false, ranOn: false },
    },
    'a release replaces a deadline, and a deletion a release': {
      causes: ['Taken', 'DiskTurn', 'Saved', 'DeadlineExceeded', 'Released', 'Deleted'],
      want: { name: 'Undoing', cause: 'Deleted', mayBeMarked: true, ranOn: false },
    },
    'one whose outcome is told can still be released': {
      causes: ['FoundDone', 'Released'],
      want: { name: 'Undoing', cause: 'Released', mayBeMarked: false, ranOn: false },
    },
    'a deletion after the deadline is undone again, and knows that the pod ran on': {
      causes: ['Taken', 'DiskTurn', 'DeadlineExceeded', 'RunsOn', 'Undone', 'Deleted'],
      want: { name: 'Undoing', cause: 'Deleted', mayBeMarked: false, ranOn: true },
    },
    'a pod that is being deleted and was not killed until thawAt ran on': {
      causes: ['FoundHeld', 'DeadlineExceeded', 'Undone', 'RunsOn'],
      want: { name: 'Undone', cause: 'DeadlineExceeded', mayBeMarked: true, ranOn: true },
    },
  };
  it.each(Object.entries(ways))('%s', (_, { causes, want }) => {
    expect(after(...causes)).toEqual(want);
  });
});

describe('what a state ignores', () => {
  const heard: Record<keyof typeof STATES, OrderCause[]> = {
    Known: ['DeadlineExceeded', 'ProbesEnd', 'Released', 'Deleted', 'Gone', 'Taken', 'FoundHeld', 'FoundDone'],
    Waiting: ['DeadlineExceeded', 'ProbesEnd', 'Released', 'Deleted', 'Gone', 'DiskTurn', 'Failed'],
    Dumping: ['DeadlineExceeded', 'ProbesEnd', 'Released', 'Deleted', 'Gone', 'Saved', 'Copied', 'Failed'],
    Held: ['DeadlineExceeded', 'ProbesEnd', 'Released', 'Deleted', 'Gone', 'Failed', 'Killed'],
    Closed: ['Released', 'Deleted', 'Gone'],
    Undoing: ['Released', 'Deleted', 'Gone', 'Saved', 'RunsOn', 'Undone'],
    Undone: ['Released', 'Deleted', 'Gone', 'RunsOn'],
  };
  it.each(Object.entries(STATES))('%s', (name, state) => {
    expect(state.name).toBe(name);
    expect(CAUSES.filter((cause) => stateAfter(state, cause) !== state)).toEqual(heard[name as keyof typeof STATES]);
  });

  it.each(['Undoing', 'Undone'] as const)('a second deletion, in %s', (name) => {
    const state = { name, cause: 'Deleted', mayBeMarked: false, ranOn: false } as const;
    expect(stateAfter(state, 'Deleted')).toBe(state);
  });
});

describe('what is true in a state', () => {
  const undoing = { cause: 'Deleted', mayBeMarked: true, ranOn: true } as const;
  it.each<[OrderState, { marked: boolean; ranOn: boolean; occupies: boolean }]>([
    [STATES.Known, { marked: true, ranOn: false, occupies: false }],
    [STATES.Waiting, { marked: false, ranOn: false, occupies: true }],
    [STATES.Dumping, { marked: false, ranOn: false, occupies: true }],
    [STATES.Held, { marked: true, ranOn: false, occupies: true }],
    [STATES.Closed, { marked: false, ranOn: false, occupies: false }],
    [STATES.Undoing, { marked: false, ranOn: false, occupies: true }],
    [
      { name: 'Undoing', ...undoing },
      { marked: true, ranOn: true, occupies: false },
    ],
    [
      { name: 'Undone', ...undoing, ranOn: false },
      { marked: true, ranOn: false, occupies: false },
    ],
  ])('%o', (state, want) => {
    const is = { marked: mayBeMarkedIn(state), ranOn: hasRunOn(state), occupies: occupiesPod(state) };
    expect(is).toEqual(want);
  });
});
