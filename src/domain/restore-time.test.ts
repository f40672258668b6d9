import { expect, it } from 'vitest';
import { fetchedWithinMs, restoredWithinMs } from './restore-time.ts';

it.each([0, 1, 2 ** 30, 2 ** 45])('leaves a node the time to say why a state of %d bytes did not come', (bytes) => {
  expect(restoredWithinMs(bytes) - fetchedWithinMs(bytes)).toBe(120_000);
});

it('grows with the size', () => {
  expect(fetchedWithinMs(0)).toBe(480_000);
  expect(fetchedWithinMs(20_000_000)).toBe(481_000);
});
