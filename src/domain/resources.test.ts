import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GI, makePod, makeResources } from '../../test/support/builders.ts';
import { byDescendingPriority, byEvictionOrder } from './eviction-order.ts';
import { addResources, dominantShare, fits, NO_RESOURCES, subtractResources } from './resources.ts';

const gpu = (count: number) => makeResources({ extended: { 'nvidia.com/gpu': count } });

describe('resources', () => {
  it('fits when every resource does', () => {
    expect(fits(makeResources({ cpuMilli: 1000 }), makeResources({ cpuMilli: 1000 }))).toBe(true);
    expect(fits(makeResources({ cpuMilli: 1001 }), makeResources({ cpuMilli: 1000 }))).toBe(false);
    expect(fits(makeResources({ memoryBytes: 2 * GI }), makeResources())).toBe(false);
    expect(fits(makeResources(), makeResources({ pods: 0 }))).toBe(false);
    expect(fits(gpu(1), makeResources())).toBe(false);
    expect(fits(gpu(1), gpu(1))).toBe(true);
  });

  it('does not look at what is not requested, even where it is overdrawn', () => {
    expect(fits(makeResources({ memoryBytes: 0 }), makeResources({ memoryBytes: -5 }))).toBe(true);
  });

  it('takes the largest share, also of a device', () => {
    const node = makeResources({ cpuMilli: 4000, memoryBytes: 8 * GI, extended: { 'nvidia.com/gpu': 2 } });
    expect(dominantShare(makeResources({ cpuMilli: 1000, memoryBytes: GI }), node)).toBe(0.25);
    expect(dominantShare(gpu(1), node)).toBe(0.5);
    expect(dominantShare(makeResources({ cpuMilli: 0, memoryBytes: 0 }), node)).toBe(0);
    expect(dominantShare(makeResources(), NO_RESOURCES)).toBe(0);
  });

  it('takes away what was added', () => {
    const amount = fc.record({
      cpuMilli: fc.nat(),
      memoryBytes: fc.nat(),
      ephemeralBytes: fc.nat(),
      pods: fc.nat(),
      extended: fc.constantFrom(null, { gpu: 1 }, { gpu: 2, fpga: 1 }),
    });
    fc.assert(
      fc.property(amount, amount, (a, b) => {
        const { extended, ...rest } = subtractResources(addResources(a, b), b);
        expect({ ...a, ...rest }).toEqual(a);
        for (const name of ['gpu', 'fpga'])
          expect(extended?.[name] ?? 0).toBe((a.extended as Record<string, number> | null)?.[name] ?? 0);
      }),
    );
  });
});

describe('orders of pods', () => {
  const names = (pods: { name: string }[]): string => pods.map(({ name }) => name).join(' ');
  const old = makePod({ name: 'old', nodeName: 'n', priority: 1, startMs: 1 });
  const young = makePod({ name: 'young', nodeName: 'n', priority: 1, startMs: 2 });
  const starting = makePod({ name: 'starting', nodeName: 'n', priority: 1, startMs: null });
  const important = makePod({ name: 'important', nodeName: 'n', priority: 9, startMs: 3 });

  it('evicts the lowest priority first, then the youngest', () => {
    expect(names([important, old, starting, young].sort(byEvictionOrder))).toBe('starting young old important');
  });

  it('answers the highest priority first, then the oldest', () => {
    expect(names([young, starting, old, important].sort(byDescendingPriority))).toBe('important old young starting');
  });

  it('ends in the UID, so that no two pods are equal', () => {
    const twin = makePod({ name: 'old2', nodeName: 'n', priority: 1, startMs: 1 });
    for (const compare of [byEvictionOrder, byDescendingPriority]) {
      expect(compare(old, twin)).toBe(-compare(twin, old));
      expect(compare(old, twin)).not.toBe(0);
    }
  });
});
