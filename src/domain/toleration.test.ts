import { describe, expect, it } from 'vitest';
import { makeNode } from '../../test/support/builders.ts';
import type { Taint } from './node.ts';
import type { Toleration } from './pod.ts';
import { isTolerated, whyUnfit } from './toleration.ts';

const gpu: Taint = { key: 'gpu', value: 'a100', effect: 'NoSchedule' };
const toleration = (overrides: Partial<Toleration>): Toleration => ({
  key: 'gpu',
  operator: 'Equal',
  value: 'a100',
  effect: 'NoSchedule',
  ...overrides,
});

describe('isTolerated', () => {
  const cases: Record<string, { given: Partial<Toleration>; want: boolean }> = {
    'the same key, value and effect': { given: {}, want: true },
    'another key': { given: { key: 'fpga' }, want: false },
    'another value': { given: { value: 'h100' }, want: false },
    'another effect': { given: { effect: 'NoExecute' }, want: false },
    'any value': { given: { operator: 'Exists', value: '' }, want: true },
    'any effect': { given: { effect: null }, want: true },
    'any key': { given: { key: null, operator: 'Exists', value: '', effect: null }, want: true },
  };
  for (const [sentence, { given, want }] of Object.entries(cases)) {
    it(`${want ? 'tolerates' : 'does not tolerate'} by ${sentence}`, () => {
      expect(isTolerated(gpu, [toleration(given)])).toBe(want);
    });
  }
});

describe('whyUnfit', () => {
  const everything = [toleration({ key: null, operator: 'Exists', value: '', effect: null })];
  const cordon = [toleration({ key: 'node.kubernetes.io/unschedulable', operator: 'Exists', value: '' })];

  it('finds nothing against an ordinary node, nor against a taint that only asks', () => {
    expect(whyUnfit(makeNode({ taints: [{ ...gpu, effect: 'PreferNoSchedule' }] }), [])).toBe(null);
  });

  it('takes a cordon for a taint that can be tolerated', () => {
    expect(whyUnfit(makeNode({ unschedulable: true }), [])).toBe('is cordoned');
    expect(whyUnfit(makeNode({ unschedulable: true }), cordon)).toBe(null);
  });

  it('names the taint', () => {
    const node = makeNode({ taints: [{ ...gpu, effect: 'NoExecute' }] });
    expect(whyUnfit(node, [toleration({})])).toBe('has the taint gpu=a100:NoExecute, which is not tolerated');
    expect(whyUnfit(node, everything)).toBe(null);
  });

  it('has no use for a node that is not ready, whatever is tolerated', () => {
    expect(whyUnfit(makeNode({ ready: false }), everything)).toBe('is not ready');
  });
});
