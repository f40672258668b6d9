import { describe, expect, it } from 'vitest';
import { makeNode, makeResources } from '../../test/support/builders.ts';
import type { NodeName } from './ids.ts';
import { isSameNode, type Node } from './node.ts';

const taint = { key: 'gpu', value: 'true', effect: 'NoSchedule' } as const;

/** Another value of each field; the compiler asks for those that are added. */
const CHANGES: { readonly [F in Exclude<keyof Node, 'resourceVersion'>]: readonly Node[F][] } = {
  name: ['n2' as NodeName],
  uid: ['other'],
  labels: [{}, { zone: 'b' }, { zone: 'a', disk: 'ssd' }, { disk: 'a' }],
  allocatable: [
    makeResources({ cpuMilli: 1 }),
    makeResources({ memoryBytes: 1 }),
    makeResources({ ephemeralBytes: 1 }),
    makeResources({ pods: 7 }),
    makeResources({ extended: { gpu: 1 } }),
  ],
  unschedulable: [true],
  ready: [false],
  taints: [
    [],
    [{ ...taint, key: 'other' }],
    [{ ...taint, value: '' }],
    [{ ...taint, effect: 'NoExecute' }],
    [taint, taint],
  ],
  canCheckpoint: [false],
  agentSilent: [true],
  evacuateFor: ['maintenance'],
  compatibility: ['other'],
  dumpBytesPerSecond: [1],
};

function node(overrides: Partial<Node>): Node {
  return {
    ...makeNode({ name: 'n1', allocatable: makeResources(), canCheckpoint: true, compatibility: 'amd64-1' }),
    labels: { zone: 'a' },
    taints: [{ ...taint }],
    dumpBytesPerSecond: null,
    ...overrides,
  };
}

describe('isSameNode', () => {
  it('takes another version of an unchanged node for the same', () => {
    expect(isSameNode(node({}), node({ resourceVersion: '2' }))).toBe(true);
  });

  it.each(Object.entries(CHANGES))('sees another %s', (field, values) => {
    for (const value of values) expect(isSameNode(node({}), node({ [field]: value }))).toBe(false);
  });
});
