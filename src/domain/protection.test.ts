import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { makeNode, makePod, makePolicy } from '../../test/support/builders.ts';
import type { Policy } from './policy.ts';
import { ASSUMED_CIRCUMSTANCES, comparePolicies, protectionOf } from './protection.ts';
import { selectorOf } from './selector.ts';
import { ASSUMED_REACH, type WebhookReach } from './webhook-reach.ts';
import { DEPLOYED_SCOPE } from './webhook-scope.ts';

const running = { nodeName: 'n1', priorityClassName: 'batch', labels: { app: 'train' } };
const GROUPS: Readonly<Record<string, string>> = { Node: 'v1', Job: 'batch/v1', RankedJob: 'example.com/v1' };
const owner = (kind: string) => ({ apiVersion: GROUPS[kind] ?? 'apps/v1', kind, name: 'o', uid: 'o' });
const matching = (match: Partial<Policy['match']>, more: Partial<Policy> = {}): Policy =>
  makePolicy({ match: { ...makePolicy().match, ...match }, ...more });
const never = makePolicy({ name: 'never', preemption: { ...makePolicy().preemption, decision: 'Never' } });

describe('protectionOf', () => {
  const table: Record<
    string,
    {
      pod?: Parameters<typeof makePod>[0];
      policies?: Policy[];
      namespace?: Record<string, string>;
      node?: Parameters<typeof makeNode>[0] | null;
      want: string;
    }
  > = {
    'protects what a policy without conditions selects': { want: 'protected' },
    'protects nobody without a policy': { policies: [], want: 'NoPolicy' },
    'asks the priority class': { policies: [matching({ priorityClassNames: ['other'] })], want: 'NoPolicy' },
    'takes a priority class that is named': {
      policies: [matching({ priorityClassNames: ['other', 'batch'] })],
      want: 'protected',
    },
    'asks the pod labels': {
      policies: [matching({ podSelector: selectorOf({ matchLabels: { app: 'x' } }) })],
      want: 'NoPolicy',
    },
    'asks the namespace labels': {
      policies: [matching({ namespaceSelector: selectorOf({ matchLabels: { team: 'a' } }) })],
      want: 'NoPolicy',
    },
    'takes a namespace that is selected': {
      policies: [matching({ namespaceSelector: selectorOf({ matchLabels: { team: 'a' } }) })],
      namespace: { team: 'a' },
      want: 'protected',
    },
    'demands all parts': {
      policies: [matching({ priorityClassNames: ['batch'], podSelector: selectorOf({ matchLabels: { app: 'x' } }) })],
      want: 'NoPolicy',
    },
    'lets the first policy that selects it decide, also where it says no': {
      policies: [never, makePolicy()],
      want: 'DecisionNever',
    },
    'leaves kube-system alone': { pod: { namespace: 'kube-system' }, want: 'SystemNamespace' },
    'leaves kube-system alone where a selector merely fits it': {
      pod: { namespace: 'kube-system' },
      policies: [
        matching({ namespaceSelector: selectorOf({ matchExpressions: [{ key: 'x', operator: 'DoesNotExist' }] }) }),
      ],
      want: 'SystemNamespace',
    },
    'saves no pod of a controller that the webhook does not review, though a policy names kube-system': {
      pod: { namespace: 'kube-system', owner: owner('Job') },
      namespace: { 'kubernetes.io/metadata.name': 'kube-system' },
      policies: [
        matching({ namespaceSelector: selectorOf({ matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } }) }),
      ],
      want: 'OutOfScope',
    },
    'saves a bare pod of kube-system where it is named: Reprieve itself creates it again': {
      pod: { namespace: 'kube-system' },
      namespace: { 'kubernetes.io/metadata.name': 'kube-system' },
      policies: [
        matching({ namespaceSelector: selectorOf({ matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } }) }),
      ],
      want: 'protected',
    },
    'leaves its own namespace alone': { pod: { namespace: 'reprieve-system' }, want: 'SystemNamespace' },
    'has nothing to save of a pod that has not started': { pod: { phase: 'Pending' }, want: 'NotRunning' },
    'has nothing to save of a pod that is going': { pod: { deletionMs: 1 }, want: 'NotRunning' },
    'passes over pods of a DaemonSet': { pod: { owner: owner('DaemonSet') }, want: 'UnsupportedOwner' },
    'passes over static pods': { pod: { owner: owner('Node') }, want: 'UnsupportedOwner' },
    'protects pods of a Job': { pod: { owner: owner('Job') }, want: 'protected' },
    'passes over pods of unknown controllers that generate names': {
      pod: { owner: owner('RankedJob'), hasGeneratedName: true },
      want: 'SuccessorUnknown',
    },
    'protects them where the policy names labels that tell them apart': {
      pod: { owner: owner('RankedJob'), hasGeneratedName: true, labels: { app: 'train', rank: '1' } },
      policies: [makePolicy({ restore: { ...makePolicy().restore, identityLabels: ['rank'] } })],
      want: 'protected',
    },
    'protects them where the controller chooses the names': { pod: { owner: owner('RankedJob') }, want: 'protected' },
    'passes over what cannot be saved': {
      pod: { notCheckpointable: { reason: 'SpecUnsupported', message: 'hostPID' } },
      want: 'NotCheckpointable',
    },
    'passes over nodes without an agent': { node: { canCheckpoint: false }, want: 'NodeCannotCheckpoint' },
    'passes over nodes whose agent is silent': { node: { agentSilent: true }, want: 'AgentSilent' },
    'protects there what its policy refuses to let go unsaved': {
      node: { agentSilent: true },
      policies: [makePolicy({ preemption: { ...makePolicy().preemption, onFailure: 'Refuse' } })],
      want: 'protected',
    },
    'passes over nodes that are not known': { node: null, want: 'NodeCannotCheckpoint' },
  };
  for (const [sentence, { pod, policies = [makePolicy()], namespace = {}, node = {}, want }] of Object.entries(table)) {
    it(sentence, () => {
      const protection = protectionOf(
        makePod({ ...running, ...pod }),
        node === null ? undefined : makeNode(node),
        policies,
        namespace,
      );
      expect(protection.protected ? 'protected' : protection.reason).toBe(want);
    });
  }
});

describe('protectionOf, where the webhook is not known to be called', () => {
  const away: WebhookReach = {
    isCalled: false,
    reason: 'WebhookNotCalled',
    message: '',
    missedIn: new Set(),
    scope: DEPLOYED_SCOPE,
  };
  const missed: WebhookReach = { ...ASSUMED_REACH, missedIn: new Set(['team']) };
  it.each([
    ['does not save a pod of a controller', { owner: owner('ReplicaSet') }, away, 'NotRestorable'],
    ['saves a bare pod, which Reprieve creates again', {}, away, 'protected'],
    [
      'does not save in a namespace without reviews',
      { owner: owner('Job'), namespace: 'team' },
      missed,
      'NotRestorable',
    ],
    ['saves in the other namespaces', { owner: owner('Job'), namespace: 'other' }, missed, 'protected'],
  ] as const)('%s', (_, pod, reach, want) => {
    const protection = protectionOf(
      makePod({ ...running, ...pod }),
      makeNode(),
      [makePolicy()],
      {},
      { ...ASSUMED_CIRCUMSTANCES, reach },
    );
    expect(protection.protected ? 'protected' : protection.reason).toBe(want);
  });
});

describe('protectionOf, by the selectors of the webhook', () => {
  const scope = (namespaceSelector: object, objectSelector: object = {}): WebhookReach => ({
    ...ASSUMED_REACH,
    scope: { namespaceSelector: selectorOf(namespaceSelector), objectSelector: selectorOf(objectSelector) },
  });
  const inTeam = { matchLabels: { team: 'a' } };
  it.each([
    ['saves what they select', scope(inTeam), 'protected'],
    ['saves nothing in a namespace that they leave out', scope({ matchLabels: { team: 'b' } }), 'OutOfScope'],
    ['saves no pod whose labels they leave out', scope(inTeam, { matchLabels: { app: 'x' } }), 'OutOfScope'],
    ['saves by their labels', scope(inTeam, { matchLabels: { app: 'train' } }), 'protected'],
  ] as const)('%s', (_, reach, want) => {
    const pod = makePod({ ...running, owner: owner('ReplicaSet') });
    const protection = protectionOf(
      pod,
      makeNode(),
      [makePolicy()],
      { team: 'a' },
      { ...ASSUMED_CIRCUMSTANCES, reach },
    );
    expect(protection.protected ? 'protected' : protection.reason).toBe(want);
  });

  it('as deploy/webhook.yaml has them', () => {
    const { webhooks } = parse(readFileSync(join(import.meta.dirname, '../../deploy/webhook.yaml'), 'utf8')) as {
      readonly webhooks: readonly { readonly namespaceSelector: object; readonly objectSelector?: object }[];
    };
    const [webhook] = webhooks;
    expect(selectorOf(webhook?.namespaceSelector)).toEqual(DEPLOYED_SCOPE.namespaceSelector);
    expect(selectorOf(webhook?.objectSelector)).toEqual(DEPLOYED_SCOPE.objectSelector);
  });
});

describe('comparePolicies', () => {
  it('puts higher precedence first, then the older, then the name', () => {
    const policies = [
      makePolicy({ name: 'b', precedence: 1, creationMs: 5 }),
      makePolicy({ name: 'young', precedence: 1, creationMs: 9 }),
      makePolicy({ name: 'high', precedence: 2, creationMs: 9 }),
      makePolicy({ name: 'a', precedence: 1, creationMs: 5 }),
    ];
    expect(policies.sort(comparePolicies).map(({ name }) => name)).toEqual(['high', 'a', 'b', 'young']);
  });
});

describe('protectionOf, while operators have paused Reprieve', () => {
  it.each([
    ['saves nobody', 'Evict', 'Paused'],
    ['still protects a pod that must not go unsaved', 'Refuse', 'protected'],
  ] as const)('%s', (_, onFailure, want) => {
    const policy = makePolicy();
    const policies = [{ ...policy, preemption: { ...policy.preemption, onFailure } }];
    const protection = protectionOf(
      makePod(running),
      makeNode(),
      policies,
      {},
      { ...ASSUMED_CIRCUMSTANCES, isPaused: true },
    );
    expect(protection.protected ? 'protected' : protection.reason).toBe(want);
  });
});
