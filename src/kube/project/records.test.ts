import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../transport.ts';
import { checkpointOf } from './checkpoint.ts';
import { disruptionBudgetOf } from './disruption-budget.ts';
import { nodeOf } from './node.ts';
import { podOf } from './pod.ts';
import { policyOf } from './policy.ts';
import { resourceListOf, resourcesOf } from './resource-list.ts';
import { serviceOf } from './service.ts';
import { ticketOf } from './ticket.ts';

const metadata = {
  name: 'x',
  namespace: 'default',
  uid: 'u',
  resourceVersion: '1',
  creationTimestamp: '2026-01-01T00:00:00Z',
};
const bare: KubeObject = { metadata };

describe('objects that have metadata and nothing else', () => {
  it.each(Object.entries({ nodeOf, policyOf, checkpointOf, ticketOf, disruptionBudgetOf, serviceOf }))(
    '%s reads them',
    (_, project) => {
      expect(project(bare)).toMatchObject({ name: 'x', uid: 'u', resourceVersion: '1' });
    },
  );
});

describe('objects that an API server stored under another schema', () => {
  const odd: Record<string, { project: (object: KubeObject) => unknown; given: object; want: RegExp }> = {
    'a text for a list': {
      project: policyOf,
      given: { spec: { match: { priorityClassNames: 'low' } } },
      want: /^spec\.match\.priorityClassNames is not of type array$/,
    },
    'a number for a text': {
      project: policyOf,
      given: { spec: { match: { podSelector: { matchLabels: { secret: 5 } } } } },
      want: /^spec\.match\.podSelector\.matchLabels\.\* is not of type string$/,
    },
    'a list for an object': { project: ticketOf, given: { spec: [] }, want: /^spec is not of type object$/ },
    'a null in a list': {
      project: ticketOf,
      given: { spec: { decision: { victims: [null] } } },
      want: /^spec\.decision\.victims has an element that is null$/,
    },
    'a list for the number that orders victims': {
      project: podOf,
      given: { spec: { priority: [[5]] } },
      want: /^spec\.priority is not of type integer$/,
    },
    'a list for the effect of a taint': {
      project: nodeOf,
      given: { spec: { taints: [{ key: 'a', value: 'b', effect: [[]] }] } },
      want: /^spec\.taints\[\]\.effect is not of type string$/,
    },
    'an object for the number that a budget allows': {
      project: disruptionBudgetOf,
      given: { status: { disruptionsAllowed: {} } },
      want: /^status\.disruptionsAllowed is not of type integer$/,
    },
    'a text for a number': {
      project: checkpointOf,
      given: { status: { bytes: '5Gi' } },
      want: /^status\.bytes is not of type integer$/,
    },
  };
  for (const [sentence, { project, given, want }] of Object.entries(odd)) {
    it(`are not read with ${sentence}`, () => {
      expect(() => project({ metadata, ...given })).toThrow(want);
    });
  }

  it('are read with members and words that are not known here', () => {
    expect(
      policyOf({ metadata, spec: { news: [1], preemption: { decision: 'Sometimes', maxDelay: null } } }),
    ).toMatchObject({
      preemption: { decision: 'Sometimes', maxDelayMs: 60_000 },
    });
  });
});

describe('policyOf', () => {
  it('fills in every default', () => {
    expect(policyOf({ metadata, spec: {} })).toMatchObject({
      match: { namespaceSelector: null, podSelector: null, priorityClassNames: null },
      precedence: 0,
      preemption: { decision: 'Adaptive', maxDelayMs: 60_000, onFailure: 'Evict', freshForMs: 0 },
      checkpoint: { sockets: 'Close', volumes: 'EmptyDir', maxBytes: 0 },
      store: { ttlMs: 86_400_000 },
      restore: { nodes: 'Any', attempts: 2, onFailure: 'ColdStart', maxWaitMs: 86_400_000 },
    });
  });

  it('reads what is given', () => {
    const spec = {
      match: { podSelector: { matchLabels: { app: 'train' } }, priorityClassNames: ['low'] },
      precedence: 5,
      preemption: { decision: 'Always', maxDelay: '1m30s', onFailure: 'Refuse', freshFor: '5m' },
      checkpoint: { sockets: 'Refuse', volumes: 'None' },
      store: { ttl: '2h', maxBytes: '2Gi' },
      restore: { nodes: 'Same', attempts: 1, onFailure: 'Hold', maxWait: '1h' },
      // Fields of an earlier schema, as an API server may still hold them.
      schedule: { every: '1h' },
    };
    expect(policyOf({ metadata, spec })).toMatchObject({
      match: {
        podSelector: { requirements: [{ key: 'app', operator: 'In', values: ['train'] }] },
        priorityClassNames: ['low'],
      },
      precedence: 5,
      preemption: { decision: 'Always', maxDelayMs: 90_000, onFailure: 'Refuse', freshForMs: 300_000 },
      checkpoint: { sockets: 'Refuse', volumes: 'None', maxBytes: 2 * 2 ** 30 },
      store: { ttlMs: 7_200_000 },
      restore: { nodes: 'Same', attempts: 1, onFailure: 'Hold', maxWaitMs: 3_600_000 },
    });
  });
});

describe('the status of a policy', () => {
  const at = '2026-01-01T00:00:00Z';
  const condition = (type: string, status: string) => ({
    type,
    status,
    reason: 'R',
    message: 'm',
    lastTransitionTime: at,
  });
  const whole = {
    observedGeneration: 3,
    conditions: [condition('Accepted', 'True'), condition('Conflicted', 'False'), condition('Restorable', 'True')],
    selectedPods: 2,
    rulingPods: 1,
    protectedPods: 0,
    unprotectedPods: [{ reason: 'NotRunning', pods: 1 }],
  };

  it('is a report', () => {
    expect(policyOf({ metadata, spec: {}, status: whole }).status).toEqual({
      report: {
        observedGeneration: 3,
        accepted: { holds: true, reason: 'R', message: 'm' },
        conflicted: { holds: false, reason: 'R', message: 'm' },
        restorable: { holds: true, reason: 'R', message: 'm' },
        selectedPods: 2,
        rulingPods: 1,
        protectedPods: 0,
        unprotectedPods: new Map([['NotRunning', 1]]),
      },
      acceptedSinceMs: Date.parse(at),
      conflictedSinceMs: Date.parse(at),
      restorableSinceMs: Date.parse(at),
    });
  });

  const partial: Record<string, object> = {
    'there is none': {},
    'a condition is missing': { ...whole, conditions: [condition('Accepted', 'True')] },
    'a count is missing': { ...whole, protectedPods: undefined },
    'the reasons are missing': { ...whole, unprotectedPods: undefined },
    'it does not say which spec it is about': { ...whole, observedGeneration: undefined },
  };
  for (const [sentence, status] of Object.entries(partial)) {
    it(`is none where ${sentence}`, () => expect(policyOf({ metadata, spec: {}, status }).status).toBeNull());
  }
});

describe('checkpointOf', () => {
  const withConditions = (...conditions: object[]): KubeObject => ({ metadata, status: { conditions } });

  it.each([
    ['Thawed', true],
    ['DeadlineExceeded', true],
    ['PodKilled', false],
  ])('Frozen=False because of %s: it went on: %s', (reason, thawed) => {
    expect(checkpointOf(withConditions({ type: 'Frozen', status: 'False', reason }))).toMatchObject({
      frozen: false,
      thawed,
    });
  });

  it('reads a finished one', () => {
    const object = {
      metadata,
      spec: {
        pod: { name: 'web', uid: 'p' },
        node: 'n1',
        reason: 'Preemption',
        hold: 'UntilDeleted',
        thawAt: '2026-01-01T00:01:00.250Z',
        owner: { ticket: 'web-p' },
      },
      status: {
        conditions: [
          { type: 'Ready', status: 'True' },
          { type: 'Frozen', status: 'True' },
        ],
        location: { node: 'n1', reference: 'default_x_u' },
        bytes: 42,
        takenAt: '2026-01-01T00:00:01.500Z',
        completedAt: '2026-01-01T00:00:03.250Z',
        compatibility: 'c1',
      },
    };
    expect(checkpointOf(object)).toMatchObject({
      podUid: 'p',
      nodeName: 'n1',
      owner: { ticket: 'web-p' },
      keepFrozen: true,
      rules: { sockets: 'Close', volumes: 'EmptyDir', maxBytes: 0 },
      deadlineMs: Date.UTC(2026, 0, 1, 0, 1, 0, 250),
      ready: true,
      frozen: true,
      failure: null,
      takenMs: Date.UTC(2026, 0, 1, 0, 0, 1, 500),
      completedMs: Date.UTC(2026, 0, 1, 0, 0, 3, 250),
      bytes: 42,
      location: { node: 'n1', reference: 'default_x_u' },
      compatibility: 'c1',
    });
  });

  it.each([
    ['another node', { node: 'n2', reference: 'REFERENCE' }],
    ['the state of another PodCheckpoint', { node: 'n1', reference: 'payments_db_1' }],
  ])('believes nothing of where the state lies that names %s', (_, location) => {
    const spec = { pod: { name: 'web', uid: 'p' }, node: 'n1' };
    const { namespace, name, uid } = metadata;
    const reference = `${namespace}_${name}_${uid}`;
    const told = { ...location, reference: location.reference.replace('REFERENCE', reference) };
    expect(checkpointOf({ metadata, spec, status: { location: told } }).location).toBeNull();
    expect(checkpointOf({ metadata, spec, status: { location: { node: 'n1', reference } } }).location).not.toBeNull();
  });

  it('reads a release, and that its agent has carried it out', () => {
    const spec = { pod: { name: 'web', uid: 'p' }, node: 'n1', release: { message: 'it is off' } };
    expect(checkpointOf({ metadata, spec })).toMatchObject({ release: 'it is off', released: false });
    const status = { conditions: [{ type: 'Released', status: 'True', reason: 'Thawed' }] };
    expect(checkpointOf({ metadata, spec, status })).toMatchObject({ release: 'it is off', released: true });
    expect(checkpointOf({ metadata })).toMatchObject({ release: null, released: false });
  });

  /** Recorded from a cluster of the version before: CRDs of revision 5. */
  const OLD = {
    pod: { name: 'web-0', uid: '5c8f-000000000001' },
    nodeName: 'n1',
    sockets: 'Refuse',
    volumes: 'None',
    maxBytes: '1048576',
  };
  const rules = { sockets: 'Refuse', volumes: 'None', maxBytes: 1048576 };

  it('reads one that an earlier version requested for a ticket', () => {
    const spec = { ...OLD, reason: 'Preemption', keepFrozen: true, deadline: '2026-01-01T12:01:30.250Z' };
    expect(checkpointOf({ metadata, spec })).toMatchObject({
      podName: 'web-0',
      podUid: '5c8f-000000000001',
      nodeName: 'n1',
      owner: { ticket: 'web-0-000000000001' },
      keepFrozen: true,
      rules,
      deadlineMs: Date.UTC(2026, 0, 1, 12, 1, 30, 250),
    });
  });

  it('reads one that a user requested from an earlier version', () => {
    const spec = { ...OLD, reason: 'Manual', keepFrozen: false };
    const want = { nodeName: 'n1', owner: null, keepFrozen: false, rules, deadlineMs: null };
    expect(checkpointOf({ metadata, spec })).toMatchObject(want);
  });

  it('keeps the reason of a failure', () => {
    const condition = { type: 'Failed', status: 'True', reason: 'DumpFailed', message: 'io_uring' };
    const failed = withConditions({ ...condition, lastTransitionTime: '2026-01-01T00:00:01.500Z' });
    const atMs = Date.UTC(2026, 0, 1, 0, 0, 1, 500);
    expect(checkpointOf(failed).failure).toEqual({ reason: 'DumpFailed', message: 'io_uring', atMs });
  });
});

describe('nodeOf', () => {
  it('reads what the agent wrote', () => {
    const object = {
      metadata: {
        ...metadata,
        labels: { 'reprieve.dev/checkpoint': 'true', 'reprieve.dev/compatibility': 'c1' },
        annotations: { 'reprieve.dev/dump-bytes-per-second': '250000000' },
      },
      spec: { unschedulable: true, taints: [{ key: 'k', effect: 'NoExecute' }] },
      status: {
        allocatable: { cpu: '3920m', memory: '1Ki', pods: '110' },
        conditions: [{ type: 'Ready', status: 'True' }],
      },
    };
    expect(nodeOf(object)).toMatchObject({
      allocatable: { cpuMilli: 3920, memoryBytes: 1024, pods: 110 },
      unschedulable: true,
      ready: true,
      taints: [{ key: 'k', value: '', effect: 'NoExecute' }],
      canCheckpoint: true,
      agentSilent: false,
      compatibility: 'c1',
      dumpBytesPerSecond: 250_000_000,
    });
  });
});

describe('disruptionBudgetOf', () => {
  it('selects nothing without a selector, and everything with an empty one', () => {
    expect(disruptionBudgetOf({ metadata, spec: {} }).selector).toBeNull();
    expect(disruptionBudgetOf({ metadata, spec: { selector: {} } }).selector).toEqual({ requirements: [] });
  });
});

describe('resource lists', () => {
  it('are read back as they were written', () => {
    const resources = {
      cpuMilli: 1250,
      memoryBytes: 3_221_225_473,
      ephemeralBytes: 7,
      pods: 1,
      extended: { 'a.b/c': 2 },
    };
    expect(resourcesOf(resourceListOf(resources))).toEqual(resources);
  });
});
