import { describe, expect, it } from 'vitest';
import { whyUnwanted } from '../../domain/owner-facts.ts';
import type { KubeObject } from '../transport.ts';
import { failsAlone } from '../../domain/owner-facts.ts';
import { ownerFactsOf, ownerReadingOf } from './owner.ts';

const job = { apiVersion: 'batch/v1', kind: 'Job' };
const replicaSet = { apiVersion: 'apps/v1', kind: 'ReplicaSet' };
const statefulSet = { apiVersion: 'apps/v1', kind: 'StatefulSet' };

interface Case {
  readonly kind: { readonly apiVersion: string; readonly kind: string };
  /** Null: there is none of that name. */
  readonly stored: { readonly metadata?: object; readonly spec?: object; readonly status?: object } | null;
  /** Of the displaced pod. */
  readonly name?: string;
  readonly completionIndex?: number;
  /** Why no pod comes for it, or how many pods come. */
  readonly want: string | { readonly wants: number; readonly lacks: number } | null;
}

const failed = { conditions: [{ type: 'Failed', status: 'True', reason: 'BackoffLimitExceeded', message: 'm' }] };
const indexed = { completionMode: 'Indexed', completions: 4, parallelism: 2 };
const table: Record<string, Case> = {
  'one that was deleted': { kind: replicaSet, stored: null, want: 'OwnerGone' },
  'one of the same name': { kind: replicaSet, stored: { metadata: { uid: 'other' } }, want: 'OwnerGone' },
  'one that is being deleted': {
    kind: statefulSet,
    stored: { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } },
    want: 'OwnerGone',
  },
  'a ReplicaSet that lacks a pod': {
    kind: replicaSet,
    stored: { metadata: { generation: 2 }, spec: { replicas: 3 }, status: { replicas: 2, observedGeneration: 2 } },
    want: { wants: 3, lacks: 1 },
  },
  'a ReplicaSet that has not seen its new scale': {
    kind: replicaSet,
    stored: { metadata: { generation: 3 }, spec: { replicas: 0 }, status: { replicas: 2, observedGeneration: 2 } },
    want: null,
  },
  'a StatefulSet that wants the pod': {
    kind: statefulSet,
    stored: { spec: { replicas: 2 } },
    name: 'db-1',
    want: null,
  },
  'a StatefulSet that was scaled down': {
    kind: statefulSet,
    stored: { spec: { replicas: 1 } },
    name: 'db-1',
    want: 'OwnerWantsFewer',
  },
  'a StatefulSet that begins to count at five': {
    kind: statefulSet,
    stored: { spec: { replicas: 1, ordinals: { start: 5 } } },
    name: 'db-1',
    want: 'OwnerWantsFewer',
  },
  'a Job that failed': { kind: job, stored: { status: failed }, want: 'OwnerFailed' },
  'a Job that is about to fail': {
    kind: job,
    stored: { status: { conditions: [{ type: 'FailureTarget', status: 'True' }] } },
    want: 'OwnerFailed',
  },
  'a Job that is complete': {
    kind: job,
    stored: { status: { conditions: [{ type: 'Complete', status: 'True' }] } },
    want: 'OwnerComplete',
  },
  'a Job that is suspended': { kind: job, stored: { spec: { suspend: true, parallelism: 1 } }, want: null },
  'a Job that lacks its pod': { kind: job, stored: { spec: { completions: 1 } }, want: { wants: 1, lacks: 1 } },
  'a Job that has but one completion left': {
    kind: job,
    stored: { spec: { parallelism: 3, completions: 3 }, status: { succeeded: 2, active: 1 } },
    want: { wants: 1, lacks: 0 },
  },
  'a work queue that is empty': {
    kind: job,
    stored: { spec: { parallelism: 3 }, status: { succeeded: 1, active: 1 } },
    want: { wants: 0, lacks: -1 },
  },
  'an indexed Job that has not finished the index': {
    kind: job,
    stored: { spec: indexed, status: { completedIndexes: '0,2-3' } },
    completionIndex: 1,
    want: null,
  },
  'an indexed Job that has': {
    kind: job,
    stored: { spec: indexed, status: { completedIndexes: '0,2-3' } },
    completionIndex: 3,
    want: 'OwnerWantsFewer',
  },
  'an indexed Job that has given the index up': {
    kind: job,
    stored: { spec: indexed, status: { failedIndexes: '1' } },
    completionIndex: 1,
    want: 'OwnerWantsFewer',
  },
};

describe('of a displaced pod whose controller is', () => {
  for (const [sentence, { kind, stored, name = 'p', completionIndex = null, want }] of Object.entries(table)) {
    it(`${sentence}: ${JSON.stringify(want)}`, () => {
      const owner = { ...kind, name: 'o', uid: 'uid-o' };
      const object =
        stored === null
          ? null
          : ({ ...stored, metadata: { name: 'o', uid: 'uid-o', ...stored.metadata } } as KubeObject);
      const facts = ownerFactsOf(
        owner,
        object,
        ownerReadingOf(owner) as NonNullable<ReturnType<typeof ownerReadingOf>>,
      );
      const { wants, lacks } = facts.count ?? {};
      const found = whyUnwanted(facts, { name, completionIndex })?.reason ?? (facts.count && { wants, lacks });
      expect(found).toEqual(want);
    });
  }
});

it('a Job of another group is not read', () => {
  expect(ownerReadingOf({ apiVersion: 'batch.volcano.sh/v1alpha1', kind: 'Job' })).toBeNull();
});

describe('a Job that an eviction would fail for good', () => {
  const rules = (...all: readonly object[]) => ({ rules: all });
  const rule = (action: string, condition: object) => rules({ action, onPodConditions: [condition] });
  const exit = (action: string, operator: string, values: readonly number[], containerName?: string) => ({
    action,
    onExitCodes: { operator, values, ...(containerName !== undefined && { containerName }) },
  });
  const disrupted = { type: 'DisruptionTarget' };
  const ignores = { action: 'Ignore', onPodConditions: [disrupted] };
  const containers = [{ name: 'main' }];
  const initContainers = [{ name: 'init' }, { name: 'sidecar', restartPolicy: 'Always' }];
  const template = { spec: { containers, initContainers } };
  const cases: Record<
    string,
    { readonly spec: object; readonly status?: object; readonly indexFailures?: number; readonly fails: boolean }
  > = {
    'has no retry left': { spec: { backoffLimit: 0 }, fails: true },
    'has used its retries up': { spec: { backoffLimit: 2 }, status: { failed: 2 }, fails: true },
    'is not one that has a retry left': { spec: { backoffLimit: 2 }, status: { failed: 1 }, fails: false },
    'has fewer retries left than pods that may go together': {
      spec: { backoffLimit: 2, parallelism: 3 },
      status: { failed: 0, active: 3 },
      fails: true,
    },
    'is not one that bears the eviction of all its pods': {
      spec: { backoffLimit: 3, parallelism: 3 },
      status: { active: 3 },
      fails: false,
    },
    'is not one that says nothing': { spec: {}, fails: false },
    'is not one that ignores disruptions': {
      spec: { backoffLimit: 0, podFailurePolicy: rule('Ignore', disrupted) },
      fails: false,
    },
    'counts disruptions': { spec: { backoffLimit: 0, podFailurePolicy: rule('Count', disrupted) }, fails: true },
    'ignores that there was none': {
      spec: { backoffLimit: 0, podFailurePolicy: rule('Ignore', { ...disrupted, status: 'False' }) },
      fails: true,
    },
    'has no retry for an index': { spec: { backoffLimitPerIndex: 0 }, fails: true },
    'is not one with a retry for each index': {
      spec: { backoffLimitPerIndex: 1 },
      status: { failed: 9 },
      fails: false,
    },
    'has used the retries of the index up': { spec: { backoffLimitPerIndex: 2 }, indexFailures: 2, fails: true },
    'has retries for each index, and has used those of all indexes up': {
      spec: { backoffLimitPerIndex: 2, backoffLimit: 3 },
      status: { failed: 3 },
      fails: true,
    },
    'counts the exit code of a killed container before it ignores disruptions': {
      spec: { backoffLimit: 0, podFailurePolicy: rules(exit('Count', 'In', [137]), ignores) },
      fails: true,
    },
    'fails by any exit code before it ignores disruptions': {
      spec: { podFailurePolicy: rules(exit('FailJob', 'NotIn', [0]), ignores) },
      fails: true,
    },
    'fails the index by the exit code of the container that is named': {
      spec: { backoffLimitPerIndex: 5, podFailurePolicy: rules(exit('FailIndex', 'In', [137], 'main'), ignores) },
      fails: true,
    },
    'fails by the exit code of a sidecar': {
      spec: { podFailurePolicy: rules(exit('FailJob', 'In', [137], 'sidecar'), ignores) },
      fails: true,
    },
    'is not one that asks for the exit code of a container that has ended before': {
      spec: { backoffLimit: 0, podFailurePolicy: rules(exit('FailJob', 'In', [137], 'init'), ignores) },
      fails: false,
    },
    'is not one that fails by another exit code, and else ignores disruptions': {
      spec: { backoffLimit: 0, podFailurePolicy: rules(exit('FailJob', 'In', [42]), ignores) },
      fails: false,
    },
    'is not one that fails by any but the exit code of a killed container': {
      spec: { backoffLimit: 0, podFailurePolicy: rules(exit('FailJob', 'NotIn', [0, 137]), ignores) },
      fails: false,
    },
    'is not one that ignores the exit code of a killed container': {
      spec: { backoffLimit: 0, podFailurePolicy: rules(exit('Ignore', 'In', [137])) },
      fails: false,
    },
    'fails by a disruption': {
      spec: { podFailurePolicy: rules({ action: 'FailJob', onPodConditions: [disrupted] }, ignores) },
      fails: true,
    },
    'is not one whose first rule that matches ignores disruptions': {
      spec: { backoffLimit: 0, podFailurePolicy: rules(ignores, exit('FailJob', 'NotIn', [0])) },
      fails: false,
    },
    'is not one whose first rule has an unknown action': {
      spec: {
        backoffLimit: 0,
        podFailurePolicy: rules({ action: 'Celebrate', onPodConditions: [disrupted] }, ignores),
      },
      fails: false,
    },
  };
  for (const [sentence, { spec, status, indexFailures = 0, fails }] of Object.entries(cases)) {
    it(sentence, () => {
      const owner = { ...job, name: 'o', uid: 'uid-o' };
      const metadata = { name: 'o', uid: 'uid-o' };
      const object = { metadata, spec: { template, ...spec }, status } as unknown as KubeObject;
      const reading = ownerReadingOf(owner) as NonNullable<ReturnType<typeof ownerReadingOf>>;
      const { failsByEviction } = ownerFactsOf(owner, object, reading);
      const active = (spec as { readonly parallelism?: number }).parallelism ?? 1;
      const isOver =
        failsByEviction !== null && (failsAlone(failsByEviction, { indexFailures }) || active > failsByEviction.bears);
      expect(isOver).toBe(fails);
    });
  }
});
