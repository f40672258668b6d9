import { expect, it } from 'vitest';
import { LONGEST_WISH, wishIn } from './wish.ts';

it.each([
  [undefined, null],
  ['', 'no reason given'],
  ['  new kernel ', 'new kernel'],
  ['line\nfeed\u001b[31m', 'line feed [31m'],
  ['x'.repeat(500), 'x'.repeat(LONGEST_WISH)],
])('%j is read as %j', (value, wish) => {
  expect(wishIn(value)).toBe(wish);
});
