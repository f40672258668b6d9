import type { Victims } from './extender.ts';

/** Added to every priority, so that a few pods of negative priority do not outweigh many. */
const PRIORITY_SHIFT = 2 ** 31;

/**
 * `pickOneNodeForPreemption`, smallest first:
 *
 * 1. fewest PDB violations
 * 2. lowest priority of the first victim
 * 3. smallest sum of priorities
 * 4. fewest victims
 * 5. latest start of the victims of the highest priority
 * 6. node name (the real scheduler: the order of a Go map)
 *
 * Null where there is no candidate.
 */
export function selectCandidate(candidates: ReadonlyMap<string, Victims>, nowMs: number): string | null {
  const names = [...candidates.keys()].sort();
  let best: { readonly name: string; readonly cost: readonly number[] } | null = null;
  for (const name of names) {
    const cost = costOf(candidates.get(name) as Victims, nowMs);
    if (best === null || isLess(cost, best.cost)) best = { name, cost };
  }
  return best?.name ?? null;
}

function costOf({ pods, numPdbViolations }: Victims, nowMs: number): readonly number[] {
  let sum = 0;
  let highest = -Infinity;
  let earliestMs = Infinity;
  for (const { pod } of pods) {
    sum += pod.priority + PRIORITY_SHIFT;
    const startMs = pod.startMs ?? nowMs;
    if (pod.priority > highest) [highest, earliestMs] = [pod.priority, startMs];
    else if (pod.priority === highest) earliestMs = Math.min(earliestMs, startMs);
  }
  return [numPdbViolations, pods[0]?.pod.priority ?? 0, sum, pods.length, -earliestMs];
}

function isLess(a: readonly number[], b: readonly number[]): boolean {
  for (const [at, value] of a.entries()) {
    const other = b[at] ?? 0;
    if (value !== other) return value < other;
  }
  return false;
}
