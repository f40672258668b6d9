import { expect, test } from 'vitest';
import { deepFreeze } from './json.ts';
import { applyStrategicPatch } from './strategic-patch.ts';

const pod = deepFreeze({
  metadata: { labels: { a: '1' }, finalizers: ['x', 'y'] },
  spec: {
    containers: [
      { name: 'a', image: 'a:1', env: [{ name: 'E', value: '1' }], args: ['x'] },
      { name: 'b', image: 'b:1' },
    ],
    tolerations: [{ key: 'k' }],
  },
  status: {
    conditions: [
      { type: 'Ready', status: 'True' },
      { type: 'PodScheduled', status: 'True', reason: 'r' },
    ],
  },
});

test('lists with a merge key are merged entry by entry, and in depth', () => {
  const env = [
    { name: 'E', value: '2' },
    { name: 'F', value: '3' },
  ];
  const containers = [
    { name: 'a', env, args: ['y'] },
    { name: 'c', image: 'c:1' },
  ];
  expect(applyStrategicPatch(pod, { spec: { containers } })).toMatchObject({
    spec: {
      containers: [
        { name: 'a', image: 'a:1', env, args: ['y'] },
        { name: 'b', image: 'b:1' },
        { name: 'c', image: 'c:1' },
      ],
      tolerations: [{ key: 'k' }],
    },
  });
});

test('lists without one are replaced', () => {
  expect(applyStrategicPatch(pod, { spec: { tolerations: [{ key: 'l' }] } })).toMatchObject({
    spec: { tolerations: [{ key: 'l' }] },
  });
});

test('null removes a member', () => {
  expect(applyStrategicPatch(pod, { metadata: { labels: { a: null } } })).toMatchObject({ metadata: { labels: {} } });
});

test('entries are deleted by their key', () => {
  const conditions = [{ $patch: 'delete', type: 'Ready' }];
  expect(applyStrategicPatch(pod, { status: { conditions } })).toMatchObject({
    status: { conditions: [{ type: 'PodScheduled', status: 'True', reason: 'r' }] },
  });
});

test('$patch: replace replaces an object, and as an entry its whole list', () => {
  const labels = { $patch: 'replace', b: '2' };
  expect(applyStrategicPatch(pod, { metadata: { labels } })).toMatchObject({ metadata: { labels: { b: '2' } } });
  const conditions = [{ type: 'Ready', status: 'False' }, { $patch: 'replace' }];
  expect(applyStrategicPatch(pod, { status: { conditions } })).toMatchObject({
    status: { conditions: [{ type: 'Ready', status: 'False' }] },
  });
});

test('sets of plain values', () => {
  const added = { metadata: { finalizers: ['y', 'z'] } };
  expect(applyStrategicPatch(pod, added)).toMatchObject({ metadata: { finalizers: ['x', 'y', 'z'] } });
  const removed = { metadata: { '$deleteFromPrimitiveList/finalizers': ['x'] } };
  expect(applyStrategicPatch(pod, removed)).toMatchObject({ metadata: { finalizers: ['y'] } });
});

test('the order of entries', () => {
  const order = { status: { '$setElementOrder/conditions': [{ type: 'PodScheduled' }, { type: 'Ready' }] } };
  expect(applyStrategicPatch(pod, order)).toMatchObject({
    status: { conditions: [{ type: 'PodScheduled' }, { type: 'Ready' }] },
  });
});

test('directives do not get into what is new', () => {
  const containers = [{ name: 'c', $patch: 'merge', image: 'c:1' }];
  const patched = applyStrategicPatch({}, { spec: { containers, $retainKeys: ['containers'] } });
  expect(patched).toEqual({ spec: { containers: [{ name: 'c', image: 'c:1' }] } });
});
