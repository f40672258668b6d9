import { describe, expect, it } from 'vitest';
import { selectorOf, selects } from './selector.ts';

describe('selectors', () => {
  const labels = { app: 'web', tier: '', size: '10', huge: '9'.repeat(20), large: '9007199254740993' };
  const table: Record<string, { given: unknown; want: boolean }> = {
    'nothing asked selects everything': { given: {}, want: true },
    'absent selects everything': { given: undefined, want: true },
    'null parts are empty': { given: { matchLabels: null, matchExpressions: null }, want: true },
    'a label that is equal': { given: { matchLabels: { app: 'web' } }, want: true },
    'a label that differs': { given: { matchLabels: { app: 'db' } }, want: false },
    'an empty value is a value': { given: { matchLabels: { tier: '' } }, want: true },
    In: { given: { matchExpressions: [{ key: 'app', operator: 'In', values: ['db', 'web'] }] }, want: true },
    'In of an absent key': {
      given: { matchExpressions: [{ key: 'x', operator: 'In', values: ['web'] }] },
      want: false,
    },
    NotIn: { given: { matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['web'] }] }, want: false },
    'NotIn of an absent key': {
      given: { matchExpressions: [{ key: 'x', operator: 'NotIn', values: ['web'] }] },
      want: true,
    },
    Exists: { given: { matchExpressions: [{ key: 'tier', operator: 'Exists' }] }, want: true },
    DoesNotExist: { given: { matchExpressions: [{ key: 'tier', operator: 'DoesNotExist' }] }, want: false },
    Gt: { given: { matchExpressions: [{ key: 'size', operator: 'Gt', values: ['9'] }] }, want: true },
    'Lt of an absent key': { given: { matchExpressions: [{ key: 'x', operator: 'Lt', values: ['9'] }] }, want: false },
    'Gt compares numbers, not texts': {
      given: { matchExpressions: [{ key: 'size', operator: 'Gt', values: ['+9'] }] },
      want: true,
    },
    'Lt of a label that is not an integer': {
      given: { matchExpressions: [{ key: 'tier', operator: 'Lt', values: ['9'] }] },
      want: false,
    },
    'Gt of what is more than 64 bits': {
      given: { matchExpressions: [{ key: 'huge', operator: 'Gt', values: ['9'] }] },
      want: false,
    },
    'Gt where floating point sees no difference': {
      given: { matchExpressions: [{ key: 'large', operator: 'Gt', values: ['9007199254740992'] }] },
      want: true,
    },
    'Exists of a key that every object has': {
      given: { matchExpressions: [{ key: 'constructor', operator: 'Exists' }] },
      want: false,
    },
    'all must hold': {
      given: { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'x', operator: 'Exists' }] },
      want: false,
    },
  };
  for (const [sentence, { given, want }] of Object.entries(table)) {
    it(sentence, () => expect(selects(selectorOf(given), labels)).toBe(want));
  }

  const refused: Record<string, { given: unknown; want: RegExp }> = {
    'an operator that does not exist': {
      given: { matchExpressions: [{ key: 'a', operator: 'Like' }] },
      want: /unknown operator "Like" for label "a"/,
    },
    'an expression without an operator': { given: { matchExpressions: [{ key: 'a' }] }, want: /unknown operator/ },
    'an expression without a key': { given: { matchExpressions: [{ operator: 'In' }] }, want: /no key/ },
    'an expression that is null': { given: { matchExpressions: [null] }, want: /no key/ },
    'expressions that are no list': { given: { matchExpressions: {} }, want: /matchExpressions must be a list/ },
    'values that are no list': {
      given: { matchExpressions: [{ key: 'a', operator: 'In', values: 'b' }] },
      want: /values of label "a" must be a list/,
    },
  };
  for (const [sentence, { given, want }] of Object.entries(refused)) {
    it(`refuses ${sentence}`, () => {
      expect(() => selectorOf(given)).toThrow(
        expect.objectContaining({ name: 'SelectorError', message: expect.stringMatching(want) }),
      );
    });
  }
});
