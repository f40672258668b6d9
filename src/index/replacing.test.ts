import { expect, it } from 'vitest';
import { makePod } from '../../test/support/builders.ts';
import { ClusterIndex } from './cluster-index.ts';

const pod = (name: string, resourceVersion: string) => makePod({ name, resourceVersion });
const versions = (index: ClusterIndex) =>
  Object.fromEntries(
    ['a', 'b', 'c', 'd', 'e'].map((name) => [name, index.podNamed('default', name)?.resourceVersion ?? null]),
  );

/** A listing made at version 10: `a` and `b` are there at 5, `c` and `d` are not; the index knew `a` at 4, `c` and `d` at 3. */
function replacing(): { readonly index: ClusterIndex; readonly steps: ReturnType<ClusterIndex['replacing']> } {
  const index = new ClusterIndex();
  for (const value of [pod('a', '4'), pod('c', '3'), pod('d', '3')])
    index.apply({ type: 'upsert', kind: 'pod', value });
  return { index, steps: index.replacing('pod', [pod('a', '5'), pod('b', '5')], '10') };
}

it('keeps what becomes known between any two steps of a listing', () => {
  const { steps: counted } = replacing();
  let count = 0;
  while (!counted.next().done) count++;
  expect(count).toBeGreaterThan(6);
  for (let before = 0; before <= count; before++) {
    const { index, steps } = replacing();
    for (let step = 0; step < before; step++) steps.next();
    index.apply({ type: 'upsert', kind: 'pod', value: pod('a', '12') });
    index.apply({ type: 'delete', kind: 'pod', uid: 'uid-b', resourceVersion: '13' });
    index.apply({ type: 'upsert', kind: 'pod', value: pod('d', '14') });
    index.apply({ type: 'upsert', kind: 'pod', value: pod('e', '15') });
    while (!steps.next().done);
    expect(versions(index), `after ${before} steps`).toEqual({ a: '12', b: null, c: null, d: '14', e: '15' });
  }
});

it('says what was missed and what is gone', () => {
  const { steps } = replacing();
  for (;;) {
    const { done, value } = steps.next();
    if (!done) continue;
    expect(value).toEqual({ missed: ['uid-a', 'uid-b'], redundant: ['uid-c', 'uid-d'] });
    break;
  }
});
