import { describe, expect, it } from 'vitest';
import { keptPlan, namesOfKeptPlans } from './kept-plans.ts';
import { drawPlan } from './plan.ts';
import { play } from './play.ts';

/** Drawn anew whenever the plans change; `npm run test:faults` plays thousands. */
const SEEDS = 24;

describe('everything that can go wrong', () => {
  it(`breaks no invariant in ${SEEDS} plans`, async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { violation } = await play(drawPlan(seed));
      expect(violation, `npm run test:faults -- --replay ${seed}`).toBeNull();
    }
  }, 180_000);

  it.each(namesOfKeptPlans())('breaks nothing in %s', async (name) => {
    expect((await play(keptPlan(name))).violation).toBeNull();
  });

  it('happens the same again for the same seed', async () => {
    const tellings = [[], []] as [string[], string[]];
    for (const lines of tellings) await play(drawPlan(27), (line) => lines.push(line));
    expect(tellings[0].length).toBeGreaterThan(100);
    expect(tellings[1]).toEqual(tellings[0]);
  });
});
