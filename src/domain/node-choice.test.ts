import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NodeName } from './ids.ts';
import { compareNodeOptions, type NodeOption } from './node-choice.ts';

const base: NodeOption = {
  node: 'b' as NodeName,
  numPdbViolations: 1,
  highestVictimPriority: 10,
  cost: 100,
  victimCount: 2,
  startOfHighestMs: 1000,
};

describe('compareNodeOptions', () => {
  const better: Record<string, Partial<NodeOption>> = {
    'fewer PDB violations, whatever the rest': {
      numPdbViolations: 0,
      highestVictimPriority: 99,
      cost: 1e9,
      victimCount: 9,
    },
    'a lower highest priority, whatever the cost': { highestVictimPriority: 9, cost: 1e9, victimCount: 9 },
    'a lower cost, whatever the number of victims': { cost: 99, victimCount: 9, startOfHighestMs: 0 },
    'fewer victims': { victimCount: 1, startOfHighestMs: 0 },
    'a later start of the highest victim': { startOfHighestMs: 1001, node: 'z' as NodeName },
    'the name, where all else is equal': { node: 'a' as NodeName },
  };
  for (const [sentence, change] of Object.entries(better)) {
    it(`prefers ${sentence}`, () => {
      expect(compareNodeOptions({ ...base, ...change }, base)).toBeLessThan(0);
      expect(compareNodeOptions(base, { ...base, ...change })).toBeGreaterThan(0);
    });
  }

  it('is a total order', () => {
    const small = fc.integer({ min: 0, max: 2 });
    const option = fc.record({
      node: fc.constantFrom('a', 'b', 'c') as fc.Arbitrary<NodeName>,
      numPdbViolations: small,
      highestVictimPriority: small,
      cost: small,
      victimCount: small,
      startOfHighestMs: small,
    });
    fc.assert(
      fc.property(option, option, option, (a, b, c) => {
        expect(Math.sign(compareNodeOptions(a, b))).toBe(-Math.sign(compareNodeOptions(b, a)) + 0);
        if (compareNodeOptions(a, b) <= 0 && compareNodeOptions(b, c) <= 0) {
          expect(compareNodeOptions(a, c)).toBeLessThanOrEqual(0);
        }
        if (compareNodeOptions(a, b) === 0) expect(a).toEqual(b);
      }),
    );
  });
});
