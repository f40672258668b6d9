import type { Pod } from './pod.ts';

type Comparator = (a: Pod, b: Pod) => number;

function first(...comparators: readonly Comparator[]): Comparator {
  return (a, b) => {
    for (const compare of comparators) {
      const order = compare(a, b);
      if (order !== 0) return order;
    }
    return 0;
  };
}

/** A pod that has not started is the newest of all: nothing is lost with it. Not infinite, since infinities cannot be subtracted. */
function startOf(pod: Pod): number {
  return pod.startMs ?? Number.MAX_SAFE_INTEGER;
}

const byUid: Comparator = (a, b) => (a.uid < b.uid ? -1 : a.uid > b.uid ? 1 : 0);

/**
 * Who goes first from a node. Total:
 *
 * 1. lowest priority
 * 2. latest start
 * 3. UID
 */
export const byEvictionOrder: Comparator = first(
  (a, b) => a.priority - b.priority,
  (a, b) => startOf(b) - startOf(a),
  byUid,
);

/**
 * How victims stand in an answer: kube-scheduler takes the first for the most important one. Total:
 *
 * 1. highest priority
 * 2. earliest start
 * 3. UID
 */
export const byDescendingPriority: Comparator = first(
  (a, b) => b.priority - a.priority,
  (a, b) => startOf(a) - startOf(b),
  byUid,
);
