import { describe, expect, it } from 'vitest';
import { nextReplicas, type Replicas } from './rolling-update.ts';

const set = (name: string, replicas: number, available = replicas): Replicas => ({ name, replicas, available });
const OF_FOUR: Record<
  string,
  { strategy?: object; current: Replicas | null; others: readonly Replicas[]; want: object }
> = {
  'first one: all at once': { current: null, others: [], want: { current: 4, others: {} } },
  'grows by the surge before the old one shrinks': {
    current: null,
    others: [set('old', 4)],
    want: { current: 1, others: { old: 4 } },
  },
  'shrinks the old one to what must be available': {
    current: set('new', 1, 0),
    others: [set('old', 4)],
    want: { current: 1, others: { old: 3 } },
  },
  'takes pods first that are not available': {
    current: set('new', 1, 0),
    others: [set('old', 2, 1), set('older', 2)],
    want: { current: 1, others: { old: 1, older: 2 } },
  },
  'waits for the new pods': {
    current: set('new', 2, 0),
    others: [set('old', 3)],
    want: { current: 2, others: { old: 3 } },
  },
  'ends with the new one alone': {
    current: set('new', 4),
    others: [set('old', 1)],
    want: { current: 4, others: { old: 0 } },
  },
  'goes back to an old one': {
    current: set('old', 0),
    others: [set('new', 4)],
    want: { current: 1, others: { new: 4 } },
  },
  'was scaled down': { current: set('new', 6), others: [], want: { current: 4, others: {} } },
  'without surge: the old one shrinks first': {
    strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
    current: set('new', 0),
    others: [set('old', 4)],
    want: { current: 0, others: { old: 3 } },
  },
  'Recreate: nothing of the new one while the old one has pods': {
    strategy: { type: 'Recreate' },
    current: null,
    others: [set('old', 4)],
    want: { current: 0, others: { old: 0 } },
  },
  'Recreate: all at once then': {
    strategy: { type: 'Recreate' },
    current: set('new', 0),
    others: [set('old', 0)],
    want: { current: 4, others: { old: 0 } },
  },
};

describe('a step of the rollout of a Deployment of four', () => {
  for (const [what, { strategy, current, others, want }] of Object.entries(OF_FOUR)) {
    it(what, () => {
      const wanted = nextReplicas({ replicas: 4, strategy, current, others });
      expect({ current: wanted.current, others: Object.fromEntries(wanted.others) }).toEqual(want);
    });
  }
});
