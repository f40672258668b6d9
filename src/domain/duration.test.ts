import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatDuration, parseDuration } from './duration.ts';

describe('parseDuration', () => {
  it.each([
    ['0', 0],
    ['0s', 0],
    ['60s', 60_000],
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['1.5h', 5_400_000],
    ['250ms', 250],
    ['1m0.5s', 60_500],
    ['1500us', 2],
  ])('%s is %d ms', (text, want) => {
    expect(parseDuration(text)).toBe(want);
  });

  it.each(['', 's', '5', '-5m', '5 m', '5m ', '1d', '1e3s', 'm5', '1h-5m'])('refuses %j', (text) => {
    expect(parseDuration(text)).toBeNull();
  });
});

describe('formatDuration', () => {
  it.each([
    [0, '0s'],
    [1, '1ms'],
    [60_000, '1m'],
    [90_000, '1m30s'],
    [86_400_000, '24h'],
  ])('%d ms is %s', (given, want) => {
    expect(formatDuration(given)).toBe(want);
  });

  it('is read back as it was', () => {
    fc.assert(
      fc.property(fc.nat(), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms);
      }),
    );
  });
});
