import { play } from './play.ts';
import type { Plan, Step } from './plan.ts';
import type { Violation } from './world.ts';

/** Runs that are spent on making one plan smaller. */
const MOST_RUNS = 400;

/**
 * The plan with as few steps as still break the same invariant: pieces are left out, large ones first, for as long as that
 * helps (delta debugging). Throws where it breaks none.
 */
export async function shrink(plan: Plan): Promise<{ readonly plan: Plan; readonly violation: Violation }> {
  let smallest = plan;
  let { violation } = await play(plan);
  if (violation === null) throw new Error(`seed ${plan.seed} breaks no invariant`);
  const { invariant } = violation;
  let runs = 0;
  const tryWith = async (candidate: Plan): Promise<boolean> => {
    if (++runs > MOST_RUNS) return false;
    const outcome = await play(candidate);
    if (outcome.violation?.invariant !== invariant) return false;
    smallest = candidate;
    violation = outcome.violation;
    return true;
  };
  for (let size = Math.ceil(plan.steps.length / 2), helped = true; size > 1 || helped; size = Math.ceil(size / 2)) {
    helped = false;
    let at = 0;
    while (at < smallest.steps.length) {
      if (await tryWith({ ...smallest, steps: without(smallest.steps, at, size) })) helped = true;
      else at += size;
    }
  }
  for (const simpler of [{ latencyMs: 0 }, { lagMs: 0 }]) await tryWith({ ...smallest, ...simpler });
  return { plan: smallest, violation };
}

function without(steps: readonly Step[], at: number, count: number): readonly Step[] {
  return [...steps.slice(0, at), ...steps.slice(at + count)];
}
