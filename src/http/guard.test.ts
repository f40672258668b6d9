import { describe, expect, it } from 'vitest';
import type { GuardRequest, GuardVerdict } from '../engine/guard/guard-request.ts';
import { handleGuard } from './guard.ts';

/** As kube-apiserver 1.37 sends it for a DELETE of kube-scheduler. */
const REQUEST = {
  uid: 'review-1',
  kind: { group: '', version: 'v1', kind: 'Pod' },
  resource: { group: '', version: 'v1', resource: 'pods' },
  name: 'work',
  namespace: 'default',
  operation: 'DELETE',
  userInfo: { username: 'system:kube-scheduler', groups: ['system:authenticated'] },
  object: null,
  oldObject: {
    metadata: { name: 'work', namespace: 'default', uid: 'uid-work' },
    status: { conditions: [{ type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler' }] },
  },
  dryRun: false,
  options: { kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/v1', gracePeriodSeconds: 30 },
};

function asked(request: object, verdict: GuardVerdict = { allowed: true, reason: 'Saved' }) {
  const requests: GuardRequest[] = [];
  const guard = (one: GuardRequest): GuardVerdict => {
    requests.push(one);
    return verdict;
  };
  const body = JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request });
  const answer = handleGuard({ guard }, body);
  return { requests, answer, json: JSON.parse(answer.body) as { readonly response?: object } };
}

describe('a review of a deletion', () => {
  it('is asked about by UID, requester and mark', () => {
    expect(asked(REQUEST).requests).toEqual([
      {
        by: 'Deletion',
        namespace: 'default',
        name: 'work',
        uid: 'uid-work',
        requester: 'system:kube-scheduler',
        why: 'PreemptionByScheduler',
        isEnding: false,
        dryRun: false,
      },
    ]);
  });

  it.each([
    [
      'a pod that is terminating',
      { metadata: { ...REQUEST.oldObject.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } },
      {},
    ],
    ['a pod that goes at once', REQUEST.oldObject, { options: { gracePeriodSeconds: 0 } }],
  ])('says so of %s', (_what, oldObject, more) => {
    expect(asked({ ...REQUEST, ...more, oldObject }).requests).toMatchObject([{ isEnding: true }]);
  });

  it('is allowed, or refused with 429 and the seconds to wait', () => {
    expect(asked(REQUEST).json.response).toEqual({ uid: 'review-1', allowed: true });
    const wait = {
      allowed: false,
      reason: 'Saving',
      message: 'it is being saved first',
      retryAfterSeconds: 2,
    } as const;
    expect(asked(REQUEST, wait).json.response).toEqual({
      uid: 'review-1',
      allowed: false,
      status: {
        code: 429,
        reason: 'TooManyRequests',
        message: 'reprieve: it is being saved first',
        details: { retryAfterSeconds: 2 },
      },
    });
  });

  it.each([
    ['of another kind', { resource: { group: 'apps', resource: 'deployments' } }],
    ['of a creation', { operation: 'CREATE' }],
    ['of a subresource', { subResource: 'status' }],
    ['of an eviction that names no pod', { operation: 'CREATE', subResource: 'eviction', name: '' }],
    ['without the object', { oldObject: null }],
  ])('%s is allowed without a question', (_what, more) => {
    const { requests, json } = asked({ ...REQUEST, ...more });
    expect(requests).toEqual([]);
    expect(json.response).toEqual({ uid: 'review-1', allowed: true });
  });

  it('is refused with 404 where another pod has the name', () => {
    const message = 'the pod that was asked for is gone';
    const { json } = asked(REQUEST, { allowed: false, reason: 'Replaced', message, retryAfterSeconds: null });
    expect(json.response).toMatchObject({
      allowed: false,
      status: { code: 404, reason: 'NotFound', message: `reprieve: ${message}` },
    });
  });

  it('that cannot be read is an error, and kube-apiserver goes on without us', () => {
    expect(handleGuard({ guard: () => ({ allowed: true, reason: 'Saved' }) }, '{"kind":').status).toBe(400);
  });
});

describe('a review of an eviction', () => {
  /** As kube-apiserver 1.37 sends it for `kubectl drain`. */
  const EVICTION = {
    ...REQUEST,
    kind: { group: 'policy', version: 'v1', kind: 'Eviction' },
    subResource: 'eviction',
    operation: 'CREATE',
    userInfo: { username: 'admin' },
    oldObject: null,
    options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
  };
  const eviction = (deleteOptions: object | null, more: object = {}) =>
    asked({ ...EVICTION, object: { metadata: { name: 'work' }, deleteOptions }, ...more }).requests;

  it('is asked about by name', () => {
    expect(eviction(null)).toEqual([
      {
        by: 'Eviction',
        namespace: 'default',
        name: 'work',
        uid: null,
        requester: 'admin',
        why: 'EvictionByEvictionAPI',
        isEnding: false,
        dryRun: false,
      },
    ]);
  });

  it('says which pod it is about where its options do', () => {
    expect(eviction({ preconditions: { uid: 'uid-work' } })).toMatchObject([{ uid: 'uid-work' }]);
  });

  it('says that the pod would go at once', () => {
    expect(eviction({ gracePeriodSeconds: 0 })).toMatchObject([{ isEnding: true }]);
  });

  it('is a dry run by its query, or by its options', () => {
    expect(eviction(null, { dryRun: true })).toMatchObject([{ dryRun: true }]);
    expect(eviction({ dryRun: ['All'] })).toMatchObject([{ dryRun: true }]);
  });
});
