import { describe, expect, it } from 'vitest';
import { selectorOf, selects } from './selector.ts';

describe('selectors', () => {
  const labels = { app: 'web', tier: '', size: '10' };
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
    'all must hold': {
      given: { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'x', operator: 'Exists' }] },
      want: false,
    },
  };
  for (const [sentence, { given, want }] of Object.entries(table)) {
    it(sentence, () => expect(selects(selectorOf(given), labels)).toBe(want));
  }

  it('refuses an operator that does not exist', () => {
    expect(() => selectorOf({ matchExpressions: [{ key: 'a', operator: 'Like' }] })).toThrow(/unknown operator "Like"/);
  });
});
