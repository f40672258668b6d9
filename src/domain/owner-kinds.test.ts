import { describe, expect, it } from 'vitest';
import { countsEvictions, hasKnownSuccessor, identityOf, identityOfPod, keepsName } from './owner-kinds.ts';
import type { PodOwner } from './pod.ts';

const owner = (apiVersion: string, kind: string): PodOwner => ({ apiVersion, kind, name: 'o', uid: 'uid-o' });

describe('the successor of a pod', () => {
  it.each<[string, PodOwner | null, { identity: string | number | null; keepsName: boolean; isKnown: boolean }]>([
    ['of a ReplicaSet is any', owner('apps/v1', 'ReplicaSet'), { identity: null, keepsName: false, isKnown: true }],
    [
      'of a ReplicationController is any',
      owner('v1', 'ReplicationController'),
      { identity: null, keepsName: false, isKnown: true },
    ],
    ['of an indexed Job has its index', owner('batch/v1', 'Job'), { identity: 3, keepsName: false, isKnown: true }],
    [
      'of a StatefulSet has its name',
      owner('apps/v1', 'StatefulSet'),
      { identity: 'p', keepsName: true, isKnown: true },
    ],
    [
      'of a Job of another group is not known',
      owner('batch.volcano.sh/v1alpha1', 'Job'),
      { identity: 'p', keepsName: true, isKnown: false },
    ],
    [
      'of an unknown kind is not known',
      owner('example.com/v1', 'RankedJob'),
      { identity: 'p', keepsName: true, isKnown: false },
    ],
    [
      'of a kind named like a property of all objects',
      owner('example.com/v1', 'constructor'),
      { identity: 'p', keepsName: true, isKnown: false },
    ],
    ['of a bare pod has its name', null, { identity: 'p', keepsName: true, isKnown: true }],
  ])('%s', (_, controller, want) => {
    const pod = { name: 'p', completionIndex: 3, identityLabels: null };
    const isKnown = hasKnownSuccessor(controller, { hasGeneratedName: true, labels: {} }, []);
    expect({ identity: identityOf(controller, pod), keepsName: keepsName(controller, pod), isKnown }).toEqual(want);
  });

  const ranked = owner('example.com/v1', 'RankedJob');

  it('is known by labels where the policy names them and the pod has all of them', () => {
    const known = (labels: Record<string, string>) =>
      hasKnownSuccessor(ranked, { hasGeneratedName: true, labels }, ['job', 'rank']);
    expect([known({ job: 'a', rank: '1' }), known({ rank: '1' })]).toEqual([true, false]);
    const identity = (labels: Record<string, string>) =>
      identityOfPod({ owner: ranked, name: 'p', completionIndex: null, labels }, ['job', 'rank']);
    expect(identity({ rank: '1', job: 'a', other: 'x' })).toBe(identity({ job: 'a', rank: '1' }));
    expect(identity({ job: 'a', rank: '2' })).not.toBe(identity({ job: 'a', rank: '1' }));
    expect(identity({ job: 'a' })).toBe('p');
  });

  it('counts as a retry of a Job of Kubernetes, and of no other controller', () => {
    const counts = (apiVersion: string, kind: string) => countsEvictions(owner(apiVersion, kind));
    expect(counts('batch/v1', 'Job')).toBe(true);
    expect([counts('batch.volcano.sh/v1alpha1', 'Job'), counts('apps/v1', 'StatefulSet')]).toEqual([false, false]);
  });

  it('is known by its name where the controller chooses it', () => {
    expect(hasKnownSuccessor(ranked, { hasGeneratedName: false, labels: {} }, [])).toBe(true);
  });
});
