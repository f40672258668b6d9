import { expect, it } from 'vitest';
import { setNewest } from './newest.ts';

it('forgets the oldest of too many, where an entry that is set again is the newest', () => {
  const map = new Map<string, number>();
  for (const [at, key] of ['a', 'b', 'a', 'c'].entries()) setNewest(map, key, at, 2);
  expect([...map]).toEqual([
    ['a', 2],
    ['c', 3],
  ]);
});
