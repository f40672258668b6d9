import { expect, test } from 'vitest';
import { deepFreeze } from './json.ts';
import { applyJsonPatch } from './json-patch.ts';
import { StatusError } from './status-error.ts';

const document = deepFreeze({ a: { 'b/c': 1, 'd~e': 2 }, list: [1, 2, 3], nested: [{ x: 1 }], none: null });

test.each<[string, unknown, unknown]>([
  ['adds a member', { op: 'add', path: '/a/f', value: 3 }, { a: { 'b/c': 1, 'd~e': 2, f: 3 } }],
  ['adds over a member', { op: 'add', path: '/a', value: 3 }, { a: 3 }],
  ['inserts into a list', { op: 'add', path: '/list/1', value: 9 }, { list: [1, 9, 2, 3] }],
  ['appends to a list', { op: 'add', path: '/list/-', value: 9 }, { list: [1, 2, 3, 9] }],
  ['appends by index', { op: 'add', path: '/list/3', value: 9 }, { list: [1, 2, 3, 9] }],
  ['removes by an escaped name', { op: 'remove', path: '/a/b~1c' }, { a: { 'd~e': 2 } }],
  ['removes from a list', { op: 'remove', path: '/list/0' }, { list: [2, 3] }],
  ['replaces inside a list', { op: 'replace', path: '/nested/0/x', value: 2 }, { nested: [{ x: 2 }] }],
  ['moves', { op: 'move', from: '/a/d~0e', path: '/list/0' }, { a: { 'b/c': 1 }, list: [2, 1, 2, 3] }],
  ['copies', { op: 'copy', from: '/list', path: '/a' }, { a: [1, 2, 3] }],
  ['tests by value', { op: 'test', path: '/nested', value: [{ x: 1 }] }, {}],
  ['tests absence with null', { op: 'test', path: '/absent', value: null }, {}],
])('%s', (_name, operation, change) => {
  expect(applyJsonPatch(document, [operation])).toEqual({ ...document, ...(change as object) });
});

test.each<[unknown]>([
  [{ op: 'add', path: '/absent/x', value: 1 }],
  [{ op: 'add', path: '/list/4', value: 1 }],
  [{ op: 'add', path: '/list/01', value: 1 }],
  [{ op: 'add', path: '/none/x', value: 1 }],
  [{ op: 'remove', path: '/absent' }],
  [{ op: 'remove', path: '/list/3' }],
  [{ op: 'remove', path: '/list/-' }],
  [{ op: 'replace', path: '/absent', value: 1 }],
  [{ op: 'test', path: '/list/0', value: 2 }],
  [{ op: 'move', from: '/absent', path: '/a' }],
  [{ op: 'add', path: 'a', value: 1 }],
  [{ op: 'shuffle', path: '/a' }],
])('%j does not apply', (operation) => {
  expect(() => applyJsonPatch(document, [{ op: 'add', path: '/ok', value: 1 }, operation])).toThrow(
    expect.toSatisfy((error) => error instanceof StatusError && error.fields.code === 422) as Error,
  );
});

test.each<[unknown]>([[{}], [[{ path: '/a' }]], [['x']], [[{ op: 'move', path: '/a' }]]])('%j is no patch', (patch) => {
  expect(() => applyJsonPatch(document, patch)).toThrow(/error decoding patch/);
});
