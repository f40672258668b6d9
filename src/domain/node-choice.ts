import type { NodeName } from './ids.ts';

/** One offered node with what taking it would cost. */
export interface NodeOption {
  readonly node: NodeName;
  readonly numPdbViolations: number;
  readonly highestVictimPriority: number;
  /** Node-seconds over all victims. */
  readonly cost: number;
  readonly victimCount: number;
  /** The earliest start among the victims of the highest priority; later is better: less work is at stake. */
  readonly startOfHighestMs: number;
}

/**
 * Which node to take, smallest first. Total, so that the same offers always give the same node:
 *
 * 1. fewest PDB violations
 * 2. lowest highest-victim priority
 * 3. lowest cost
 * 4. fewest victims
 * 5. latest start time of the highest-priority victims
 * 6. node name
 *
 * 1, 2, 4 and 5 are kube-scheduler's own order (`pickOneNodeForPreemption`), with the cost in place of its sum of priorities.
 */
export function compareNodeOptions(a: NodeOption, b: NodeOption): number {
  for (const compare of CRITERIA) {
    const order = compare(a, b);
    if (order !== 0) return order;
  }
  return 0;
}

const CRITERIA: readonly ((a: NodeOption, b: NodeOption) => number)[] = [
  (a, b) => a.numPdbViolations - b.numPdbViolations,
  (a, b) => a.highestVictimPriority - b.highestVictimPriority,
  (a, b) => a.cost - b.cost,
  (a, b) => a.victimCount - b.victimCount,
  (a, b) => b.startOfHighestMs - a.startOfHighestMs,
  (a, b) => (a.node < b.node ? -1 : a.node > b.node ? 1 : 0),
];
