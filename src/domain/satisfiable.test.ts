import { describe, expect, it } from 'vitest';
import { impossibleKey } from './satisfiable.ts';
import { selectorOf } from './selector.ts';

const asks = (...expressions: readonly [key: string, operator: string, ...values: string[]][]): unknown => ({
  matchExpressions: expressions.map(([key, operator, ...values]) => ({ key, operator, values })),
});

describe('impossibleKey', () => {
  const table: Record<string, { given: unknown; want: string | null }> = {
    'an empty selector': { given: {}, want: null },
    'one value': { given: { matchLabels: { app: 'web' } }, want: null },
    'an empty value': { given: { matchLabels: { app: '' } }, want: null },
    'two values of one label': {
      given: { matchLabels: { app: 'web' }, ...(asks(['app', 'In', 'db']) as object) },
      want: 'app',
    },
    'sets that share a value': { given: asks(['app', 'In', 'a', 'b'], ['app', 'In', 'b', 'c']), want: null },
    'the one value excluded': { given: asks(['app', 'In', 'a'], ['app', 'NotIn', 'a', 'b']), want: 'app' },
    'one of two values excluded': { given: asks(['app', 'In', 'a', 'b'], ['app', 'NotIn', 'a']), want: null },
    'present and absent': { given: asks(['app', 'Exists'], ['app', 'DoesNotExist']), want: 'app' },
    'absent, with a value': { given: asks(['app', 'DoesNotExist'], ['app', 'In', 'a']), want: 'app' },
    'absent, and not a value': { given: asks(['app', 'DoesNotExist'], ['app', 'NotIn', 'a']), want: null },
    'present, and many values excluded': { given: asks(['app', 'Exists'], ['app', 'NotIn', '0', '1']), want: null },
    'a value that no label can have': { given: { matchLabels: { app: 'a web' } }, want: 'app' },
    'a key that no label can have': { given: { matchLabels: { 'a b': 'web' } }, want: 'a b' },
    'a key that no label can have, and none shall': { given: asks(['a b', 'DoesNotExist']), want: null },
    'a key with a prefix': { given: { matchLabels: { 'kubernetes.io/metadata.name': 'default' } }, want: null },
    'a key that every object has in JavaScript': { given: { matchLabels: { constructor: 'x' } }, want: null },
    'the second key': { given: { matchLabels: { app: 'web', tier: '-' } }, want: 'tier' },
    'a number, of which it does not judge': { given: asks(['app', 'Gt', '5'], ['app', 'Lt', '5']), want: null },
  };
  for (const [sentence, { given, want }] of Object.entries(table)) {
    it(sentence, () => expect(impossibleKey(selectorOf(given))).toBe(want));
  }
});
