import type { V1Affinity } from '@kubernetes/client-node';
import { describe, expect, it } from 'vitest';
import { COMPATIBILITY_LABEL } from '../domain/labels.ts';
import type { NodeName } from '../domain/ids.ts';
import type { Placement } from '../ports/cluster-writer.ts';
import { nodeAffinityWith, withoutPlacement } from './placement-affinity.ts';
import type { Wire } from './project/wire.ts';

const NOWHERE: Placement = {
  preferredNode: null,
  requiredNode: null,
  compatibility: null,
  excludedNodes: [],
  anywhere: false,
};
const n1 = 'n1' as NodeName;
const node = { key: 'metadata.name', operator: 'In', values: ['n1'] };
const not = (name: string) => ({ key: 'metadata.name', operator: 'NotIn', values: [name] });
const compatible = { key: COMPATIBILITY_LABEL, operator: 'In', values: ['c1'] };
const ssd = { key: 'ssd', operator: 'Exists' };
const required = (...nodeSelectorTerms: object[]) => ({
  requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms },
});
const preferred = (...terms: object[]) => ({ preferredDuringSchedulingIgnoredDuringExecution: terms });
const ourPreference = { weight: 100, preference: { matchFields: [node] } };

const CASES: Record<string, { given: object | null; placement: Partial<Placement>; want: object }> = {
  'nothing asked, nothing there': { given: null, placement: {}, want: {} },
  'nothing asked leaves all as it is': {
    given: required({ matchExpressions: [ssd] }),
    placement: {},
    want: required({ matchExpressions: [ssd] }),
  },
  'prefers the node that holds the state': {
    given: null,
    placement: { preferredNode: n1 },
    want: preferred(ourPreference),
  },
  'keeps the preferences of the user': {
    given: preferred({ weight: 1, preference: { matchExpressions: [ssd] } }),
    placement: { preferredNode: n1 },
    want: preferred({ weight: 1, preference: { matchExpressions: [ssd] } }, ourPreference),
  },
  'requires where nothing was required': {
    given: null,
    placement: { compatibility: 'c1', requiredNode: n1 },
    want: required({ matchExpressions: [compatible], matchFields: [node] }),
  },
  'narrows every alternative': {
    given: required(
      { matchExpressions: [ssd] },
      { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n2'] }] },
    ),
    placement: { compatibility: 'c1' },
    want: required(
      { matchExpressions: [ssd, compatible] },
      { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n2'] }], matchExpressions: [compatible] },
    ),
  },
  'leaves a term empty that matches nothing': {
    given: required({}, { matchExpressions: [ssd] }),
    placement: { requiredNode: n1 },
    want: required({}, { matchExpressions: [ssd], matchFields: [node] }),
  },
  'adds nothing twice': {
    given: { ...required({ matchExpressions: [compatible], matchFields: [node] }), ...preferred(ourPreference) },
    placement: { compatibility: 'c1', requiredNode: n1, preferredNode: n1 },
    want: { ...required({ matchExpressions: [compatible], matchFields: [node] }), ...preferred(ourPreference) },
  },
  'excludes the nodes where the restore failed, one requirement each': {
    given: required({ matchExpressions: [ssd] }),
    placement: { excludedNodes: [n1, 'n2' as NodeName] },
    want: required({ matchExpressions: [ssd], matchFields: [not('n1'), not('n2')] }),
  },
};

describe('nodeAffinityWith', () => {
  it.each(Object.entries(CASES))('%s', (_, { given, placement, want }) => {
    const affinity = given === null ? null : ({ nodeAffinity: given } as Wire<V1Affinity>);
    expect(nodeAffinityWith(affinity, { ...NOWHERE, ...placement })).toEqual(want);
  });
});

describe('withoutPlacement', () => {
  it.each<[string, object]>([
    ['nothing', {}],
    ['a user term', { nodeAffinity: required({ matchExpressions: [ssd] }) }],
    ['a user preference', { nodeAffinity: preferred({ weight: 100, preference: { matchExpressions: [ssd] } }) }],
    ['other affinities', { podAffinity: {}, nodeAffinity: required({ matchExpressions: [ssd] }) }],
  ])('undoes a placement on %s', (_, given) => {
    const placed = {
      ...given,
      nodeAffinity: nodeAffinityWith(given, {
        ...NOWHERE,
        preferredNode: n1,
        compatibility: 'c1',
        excludedNodes: [n1],
      }),
    };
    expect(withoutPlacement(placed, ['n1'])).toEqual(given);
  });

  it('keeps nodes that the user excluded', () => {
    const given = { nodeAffinity: required({ matchFields: [not('n2')] }) };
    const placed = { nodeAffinity: nodeAffinityWith(given, { ...NOWHERE, excludedNodes: [n1] }) };
    expect(withoutPlacement(placed, ['n1'])).toEqual(given);
  });
});
