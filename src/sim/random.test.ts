import { describe, expect, it } from 'vitest';
import { Random } from './random.ts';

const draw = (random: Random, count = 5): number[] => Array.from({ length: count }, () => random.integer(0, 999));

describe('Random', () => {
  it('gives one history for one seed', () => {
    expect(draw(new Random(1))).toEqual(draw(new Random(1)));
    expect(draw(new Random(1))).not.toEqual(draw(new Random(2)));
  });

  it('forks by label, whatever was drawn before', () => {
    const [fresh, used] = [new Random(1), new Random(1)];
    draw(used);
    expect(draw(fresh.fork('a'))).toEqual(draw(used.fork('a')));
    expect(draw(fresh.fork('a'))).not.toEqual(draw(fresh.fork('b')));
    expect(draw(fresh.fork('a'))).not.toEqual(draw(new Random(2).fork('a')));
  });

  it('reaches both ends of a range, and every element', () => {
    const random = new Random(3);
    const seen = new Set(Array.from({ length: 200 }, () => random.integer(-1, 1)));
    expect([...seen].sort((a, b) => a - b)).toEqual([-1, 0, 1]);
    expect(new Set(Array.from({ length: 100 }, () => random.pick('abc'.split('')))).size).toBe(3);
    expect(() => random.pick([])).toThrow(RangeError);
  });
});
