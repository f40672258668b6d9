import { expect, test } from 'vitest';
import { matchesLabels, parseLabelSelector, requirementsOf } from './selector.ts';

const matching = (selector: string, labels: Record<string, string>): boolean =>
  matchesLabels(parseLabelSelector(selector), labels);

test.each<[string, Record<string, string>, boolean]>([
  ['', {}, true],
  ['a=1', { a: '1' }, true],
  ['a == 1', { a: '1' }, true],
  ['a=1', {}, false],
  ['a=', { a: '' }, true],
  ['a=,b=1', { a: '', b: '1' }, true],
  ['a!=1', {}, true],
  ['a!=1', { a: '1' }, false],
  ['a!=', { a: '1' }, true],
  ['a in (1,2)', { a: '2' }, true],
  ['a in (1, 2)', { a: '3' }, false],
  ['a in (,1)', { a: '' }, true],
  ['a notin (1,2)', {}, true],
  ['a notin (1,2)', { a: '1' }, false],
  ['example.com/in', { 'example.com/in': 'x' }, true],
  ['index', { index: '0' }, true],
  ['!a', {}, true],
  ['! a', { a: '1' }, false],
  ['a>1', { a: '2' }, true],
  ['a<1', { a: '2' }, false],
  ['a in (1),b=2,!c', { a: '1', b: '2' }, true],
])('%s over %j is %j', (selector, labels, want) => {
  expect(matching(selector, labels)).toBe(want);
});

test.each(['=', 'a in', 'a in 1', 'a in (1', 'a=1,,b=2', 'a=1 b=2', '!', 'a in ((1)', 'a=1,!'])(
  '"%s" is refused',
  (selector) => {
    expect(() => parseLabelSelector(selector)).toThrow(/unable to parse requirement/);
  },
);

test('a selector object becomes the same terms; none matches nothing', () => {
  const matchExpressions = [
    { key: 'a', operator: 'In', values: ['1'] },
    { key: 'b', operator: 'DoesNotExist' },
  ];
  expect(requirementsOf({ matchLabels: { c: '2' }, matchExpressions })).toEqual(parseLabelSelector('c=2,a in (1),!b'));
  expect(requirementsOf({})).toEqual([]);
  expect(requirementsOf(undefined)).toBeNull();
});
