import { describe, expect, it } from 'vitest';
import { makeNode, makePod, makePolicy } from '../../../test/support/builders.ts';
import { TestWorld } from '../../../test/support/world.ts';
import type { Policy, PolicyReport } from '../../domain/policy.ts';
import { selectorOf } from '../../domain/selector.ts';
import { ASSUMED_REACH } from '../../domain/webhook-reach.ts';
import { PolicyCensus, policyReports } from './policy-census.ts';

const selecting = (name: string, app: string | null, more: Partial<Policy> = {}): Policy =>
  makePolicy({
    name,
    match: { ...makePolicy().match, podSelector: app === null ? null : selectorOf({ matchLabels: { app } }) },
    ...more,
  });
const preemption = (more: Partial<Policy['preemption']>): Partial<Policy> => ({
  preemption: { ...makePolicy().preemption, ...more },
});
const pod = (name: string, app: string, more: Parameters<typeof makePod>[0] = {}) =>
  makePod({ name, nodeName: 'n1', labels: { app }, ...more });

/** Two web pods and a db pod on a node that saves pods, one web pod on a node that does not, one pending. */
function cluster(...policies: readonly Policy[]): TestWorld {
  return new TestWorld()
    .put('node', makeNode(), makeNode({ name: 'n2', canCheckpoint: false }))
    .put('policy', ...policies)
    .put('pod', pod('web-1', 'web'), pod('web-2', 'web'), pod('db', 'db'))
    .put('pod', pod('web-3', 'web', { nodeName: 'n2' }), makePod({ name: 'web-4', labels: { app: 'web' } }))
    .put('pod', pod('done', 'web', { phase: 'Succeeded' }));
}

const counts = ({ selectedPods, rulingPods, protectedPods }: PolicyReport): readonly number[] => [
  selectedPods,
  rulingPods,
  protectedPods,
];
const conflicts = (world: TestWorld): Record<string, string> =>
  Object.fromEntries(
    [...policyReports(world.index)].map(([name, { conflicted }]) => [
      name,
      `${conflicted.holds} ${conflicted.reason}: ${conflicted.message}`,
    ]),
  );

describe('counts', () => {
  const table: Record<string, { given: readonly Policy[]; want: Record<string, readonly number[]> }> = {
    'pods that run or wait, those it rules, those that would be saved': {
      given: [selecting('web', 'web')],
      want: { web: [4, 4, 2] },
    },
    'nothing as ruled that a higher precedence selects': {
      given: [selecting('all', null), selecting('web', 'web', { precedence: 1 })],
      want: { web: [4, 4, 2], all: [5, 1, 1] },
    },
    'nothing as protected where it says Never': {
      given: [selecting('web', 'web', preemption({ decision: 'Never' }))],
      want: { web: [4, 4, 0] },
    },
    'nothing where it selects nobody': { given: [selecting('none', 'none')], want: { none: [0, 0, 0] } },
  };
  for (const [sentence, { given, want }] of Object.entries(table)) {
    it(sentence, () => {
      const reports = policyReports(cluster(...given).index);
      expect(Object.fromEntries([...reports].map(([name, report]) => [name, counts(report)]))).toEqual(want);
    });
  }

  it('why the others would be evicted unsaved', () => {
    const world = cluster(selecting('web', 'web'));
    const notCheckpointable = { reason: 'IoUringInUse', message: 'a ring' };
    world.put('pod', pod('web-5', 'web', { notCheckpointable }), pod('web-6', 'web', { notCheckpointable }));
    const [report] = policyReports(world.index).values();
    expect([...(report as PolicyReport).unprotectedPods]).toEqual([
      ['IoUringInUse', 2],
      ['NodeCannotCheckpoint', 1],
      ['NotRunning', 1],
    ]);
  });

  it('the same in slices as at once', () => {
    const { index } = cluster(selecting('all', null), selecting('web', 'web', { precedence: 1 }));
    const census = new PolicyCensus(index);
    let slices = 0;
    while (census.countSome(1)) slices++;
    expect(slices).toBe(5);
    expect(census.reports()).toEqual(policyReports(index));
  });

  it('are about the generation they were taken at', () => {
    const { index } = cluster(selecting('web', 'web', { generation: 7 }));
    expect(policyReports(index).get('web')?.observedGeneration).toBe(7);
  });
});

describe('Conflicted', () => {
  const none = 'false NoConflict: no other policy disputes its pods';
  const shared = (names: string): string =>
    `true SamePrecedence: precedence 0 is shared with policies that select the same pods; ` +
    `of two, the older rules, then the first by name: ${names}`;
  const table: Record<string, { given: readonly Policy[]; want: Record<string, string> }> = {
    'not with itself': { given: [selecting('web', 'web')], want: { web: none } },
    'not with those that select other pods': {
      given: [selecting('web', 'web'), selecting('db', 'db')],
      want: { web: none, db: none },
    },
    'not where a higher precedence takes some of its pods': {
      given: [selecting('all', null), selecting('web', 'web', { precedence: 1 })],
      want: { all: none, web: none },
    },
    'both of one precedence that share a pod; the older rules': {
      given: [selecting('all', null, { creationMs: 5 }), selecting('web', 'web')],
      want: { all: shared('web before it'), web: shared('it before all') },
    },
    'also where a third one rules the pods they share': {
      given: [
        selecting('all', null, { creationMs: 5 }),
        selecting('web', 'web', { creationMs: 9 }),
        selecting('top', 'web', { precedence: 1 }),
      ],
      want: {
        top: none,
        all: shared('it before web'),
        web: 'true Shadowed: every pod that it selects is ruled by top',
      },
    },
    'one whose pods others rule, by precedence': {
      given: [selecting('web', 'web'), selecting('all', null, { precedence: 1 })],
      want: { all: none, web: 'true Shadowed: every pod that it selects is ruled by all' },
    },
    'one whose pods others rule, by age': {
      given: [selecting('web', 'web', { creationMs: 5 }), selecting('all', null)],
      want: { all: shared('it before web'), web: 'true Shadowed: every pod that it selects is ruled by all' },
    },
    'not one that selects nobody': {
      given: [selecting('none', 'none'), selecting('all', null)],
      want: { none, all: none },
    },
    'with no more names than a line bears': {
      given: ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => selecting(name, name === 'a' ? null : 'web')),
      want: {
        a: shared('it before b, c, d, e, f and 1 more'),
        ...Object.fromEntries(
          ['b', 'c', 'd', 'e', 'f', 'g'].map((name) => [
            name,
            'true Shadowed: every pod that it selects is ruled by a',
          ]),
        ),
      },
    },
  };
  for (const [sentence, { given, want }] of Object.entries(table)) {
    it(sentence, () => expect(conflicts(cluster(...given))).toEqual(want));
  }
});

describe('Accepted', () => {
  const impossible = selectorOf({
    matchExpressions: [
      { key: 'a', operator: 'Exists' },
      { key: 'a', operator: 'DoesNotExist' },
    ],
  });
  const table: Record<string, { given: Partial<Policy>; want: string }> = {
    'what can work': { given: {}, want: 'Accepted' },
    'not a pod selector that matches nothing': {
      given: { match: { ...makePolicy().match, podSelector: impossible } },
      want: 'SelectorNeverMatches',
    },
    'not a namespace selector that matches nothing': {
      given: { match: { ...makePolicy().match, namespaceSelector: impossible } },
      want: 'SelectorNeverMatches',
    },
    Never: { given: preemption({ decision: 'Never' }), want: 'Accepted' },
    'not Never where evicting unsaved is refused': {
      given: preemption({ decision: 'Never', onFailure: 'Refuse' }),
      want: 'ContradictoryPreemption',
    },
  };
  for (const [sentence, { given, want }] of Object.entries(table)) {
    it(sentence, () => {
      const accepted = policyReports(cluster(makePolicy(given)).index).get('everything')?.accepted;
      expect(accepted).toMatchObject({ reason: want, holds: want === 'Accepted' });
    });
  }
});

describe('finds whether pods of controllers come back', () => {
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'uid-web' };
  const restorables = (world: TestWorld): string[] =>
    [...policyReports(world.index)].map(
      ([name, { restorable, protectedPods }]) => `${name} ${restorable.reason} ${protectedPods}`,
    );

  it('not while the webhook is not called: only bare pods are protected', () => {
    const world = cluster(selecting('web', 'web')).put('pod', pod('owned', 'web', { owner }));
    expect(restorables(world)).toEqual(['web WebhookCalled 3']);
    const missedIn = new Set<string>();
    world.index.setWebhookReach({
      ...ASSUMED_REACH,
      isCalled: false,
      reason: 'WebhookNotCalled',
      message: 'no answer',
      missedIn,
    });
    expect(restorables(world)).toEqual(['web WebhookNotCalled 2']);
  });

  it('not while no pod may name our RuntimeClass, except bare ones that wait for it', () => {
    const { restore } = makePolicy();
    const held = { ...selecting('db', 'db'), restore: { ...restore, onFailure: 'Hold' } as const };
    const world = cluster(selecting('web', 'web'), held).put('pod', pod('owned', 'db', { owner }));
    world.index.setRuntimeClass(false);
    expect(restorables(world)).toEqual(['db NoRuntimeClass 1', 'web NoRuntimeClass 0']);
  });

  it('not where a replacement was not reviewed, and only for policies with such pods', () => {
    const world = cluster(selecting('web', 'web'), selecting('db', 'db'));
    world.put('pod', pod('owned', 'web', { owner }));
    world.index.setWebhookReach({ ...world.index.webhookReach(), missedIn: new Set(['default']) });
    expect(restorables(world)).toEqual(['db WebhookCalled 1', 'web NamespaceNotReviewed 2']);
    expect(policyReports(world.index).get('web')?.restorable.message).toContain('in namespace default');
  });

  it('not where the selectors of the webhook leave them out, nor where nothing tells who continues whom', () => {
    const ranked = { ...owner, apiVersion: 'example.com/v1', kind: 'RankedJob' };
    const world = cluster(selecting('web', 'web'), selecting('db', 'db'));
    world.put('pod', pod('owned', 'web', { owner }), pod('ranked', 'db', { owner: ranked, hasGeneratedName: true }));
    const namespaceSelector = selectorOf({ matchLabels: { team: 'a' } });
    world.index.setWebhookReach({ ...ASSUMED_REACH, scope: { ...ASSUMED_REACH.scope, namespaceSelector } });
    expect(restorables(world)).toEqual(['db SuccessorUnknown 1', 'web OutOfScope 2']);
    const message = (name: string) => policyReports(world.index).get(name)?.restorable.message;
    expect(message('web')).toContain('in namespace default');
    expect(message('db')).toContain('RankedJob generates the names');
  });
});
