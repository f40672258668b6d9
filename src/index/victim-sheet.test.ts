import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeNode, makePod, makePolicy, makeResources } from '../../test/support/builders.ts';
import { byDescendingPriority, byEvictionOrder } from '../domain/eviction-order.ts';
import type { NodeName, PodUid } from '../domain/ids.ts';
import type { Pod } from '../domain/pod.ts';
import { ClusterIndex } from './cluster-index.ts';
import { VictimSheet } from './victim-sheet.ts';

const NIL = '00000000-0000-0000-0000-000000000000';
const uid = (text: string): PodUid => text as PodUid;

const somePods = fc
  .uniqueArray(
    fc.record({
      uid: fc.oneof(fc.uuid(), fc.string({ minLength: 1 }), fc.constantFrom(NIL, 'x'.repeat(36))),
      priority: fc.integer({ min: -2, max: 2 }),
      startMs: fc.option(fc.integer({ min: 0, max: 3 })),
      deletionMs: fc.option(fc.constant(5)),
      displacements: fc.nat({ max: 2 }),
    }),
    { selector: (pod) => pod.uid, maxLength: 12 },
  )
  .map((pods) => pods.map((pod) => makePod({ ...pod, name: pod.uid, nodeName: 'n1' })).sort(byEvictionOrder));

describe('VictimSheet', () => {
  it('says of each pod what the pod says', () => {
    fc.assert(
      fc.property(somePods, (pods) => {
        const sheet = new VictimSheet(makeNode(), pods);
        for (const [place, pod] of pods.entries()) {
          expect(sheet.placeOf(pod.uid)).toBe(place);
          expect(sheet.pod(place)).toBe(pod);
          expect(sheet.priority(place)).toBe(pod.priority);
          expect(sheet.startMs(place)).toBe(pod.startMs ?? Number.NaN);
          expect(sheet.isEnding(place)).toBe(pod.deletionMs !== null);
          expect(sheet.displacements(place)).toBe(pod.displacements);
          expect(sheet.memoryBytes(place)).toBe(pod.requests.memoryBytes);
          expect(sheet.weight(place)).toBe(0.25);
        }
      }),
    );
  });

  it('knows nobody else, however alike', () => {
    const known = '01234567-89ab-cdef-0123-456789abcdef';
    const sheet = new VictimSheet(makeNode(), [makePod({ uid: known }), makePod({ name: 'odd', uid: 'odd' })]);
    const others = ['', NIL, known.toUpperCase(), known.slice(1), `${known}0`, known.replace('f', 'e'), 'od', 'odd '];
    for (const other of [...others, known.replaceAll('-', ''), known.replace('0', 'g'), known.replace('0', 'ŀ')])
      expect(sheet.placeOf(uid(other)), other).toBe(-1);
    expect(sheet.placeOf(uid(known))).toBe(0);
    expect(sheet.placeOf(uid('odd'))).toBe(1);
  });

  it('orders as answers are ordered', () => {
    fc.assert(
      fc.property(somePods, (pods) => {
        const sheet = new VictimSheet(makeNode(), pods);
        const places = pods.map((pod) => sheet.placeOf(pod.uid)).sort((a, b) => sheet.compareForAnswer(a, b));
        expect(places.map((place) => sheet.pod(place))).toEqual(pods.toSorted(byDescendingPriority));
      }),
    );
  });

  it('weighs by the largest share', () => {
    const pod = makePod({ requests: makeResources({ cpuMilli: 2000 }) });
    const sheet = new VictimSheet(makeNode(), [pod]);
    expect(sheet.weight(sheet.placeOf(pod.uid))).toBe(0.5);
  });

  it('finds out anew who protects a pod when a policy, the labels of its namespace or the node change', () => {
    const index = new ClusterIndex();
    const inTeam = { requirements: [{ key: 'team', operator: 'In' as const, values: ['a'] }] };
    const policy = makePolicy({ match: { ...makePolicy().match, namespaceSelector: inTeam } });
    const pod: Pod = makePod({ nodeName: 'n1' });
    const namespace = (resourceVersion: string, labels: Record<string, string>) =>
      index.apply({
        type: 'upsert',
        kind: 'namespace',
        value: { name: 'default', uid: 'ns', resourceVersion, labels, pauseFor: null },
      });
    const rulers = () => index.node('n1' as NodeName)?.sheet.policy(0, index)?.name ?? null;
    index.apply({ type: 'upsert', kind: 'node', value: makeNode() });
    index.apply({ type: 'upsert', kind: 'pod', value: pod });
    expect(rulers()).toBeNull();
    index.apply({ type: 'upsert', kind: 'policy', value: policy });
    expect(rulers()).toBeNull();
    namespace('2', { team: 'a' });
    expect(rulers()).toBe('everything');
    index.apply({ type: 'upsert', kind: 'node', value: makeNode({ resourceVersion: '2', canCheckpoint: false }) });
    expect(rulers()).toBeNull();
    index.apply({ type: 'upsert', kind: 'node', value: makeNode({ resourceVersion: '3' }) });
    expect(rulers()).toBe('everything');
    namespace('3', {});
    expect(rulers()).toBeNull();
  });
});

it('takes the memory that an agent has measured, else what the pod requests', () => {
  const index = new ClusterIndex();
  index.apply({ type: 'upsert', kind: 'node', value: makeNode() });
  const requests = makeResources({ memoryBytes: 8 });
  const names = ['measured', 'empty', 'unknown'];
  for (const [at, stateBytes] of [3, 0, null].entries()) {
    const value = makePod({ name: names[at] as string, nodeName: 'n1', requests, stateBytes });
    index.apply({ type: 'upsert', kind: 'pod', value });
  }
  const sheet = index.node('n1' as NodeName)?.sheet;
  const sizes = names.map((name) => sheet?.memoryBytes(sheet.placeOf(uid(`uid-${name}`))));
  expect(sizes).toEqual([3, 0, 8]);
});
