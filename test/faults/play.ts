import type { CoverageData } from './coverage.ts';
import type { ExcuseCounts } from './excuses.ts';
import type { Plan } from './plan.ts';
import { World, type Violation } from './world.ts';

export interface Outcome {
  readonly violation: Violation | null;
  readonly coverage: CoverageData;
  readonly excuses: ExcuseCounts;
  /** Virtual milliseconds until it had settled. */
  readonly elapsedMs: number;
}

/** Plays one plan. What no promise catches is a violation too: in production it would end a process. */
export async function play(plan: Plan, tell: ((line: string) => void) | null = null): Promise<Outcome> {
  const world = new World(plan, tell);
  const onUncaught = (error: unknown): void =>
    world.fail('no process ends by an error', error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.on('unhandledRejection', onUncaught);
  process.on('uncaughtException', onUncaught);
  try {
    await world.run();
  } catch (error) {
    onUncaught(error);
  } finally {
    process.off('unhandledRejection', onUncaught);
    process.off('uncaughtException', onUncaught);
  }
  const { violation, coverage, elapsedMs, truth } = world;
  return { violation, coverage: coverage.toData(), excuses: truth.excuses, elapsedMs };
}
