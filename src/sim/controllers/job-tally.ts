import type { V1Job, V1JobStatus } from '@kubernetes/client-node';
import { wireOf, type Wire } from '../../kube/project/wire.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { completionIndexOf, formatIndexes, indexFailuresOf, parseIndexes } from './completion-index.ts';
import { isActivePod, isDeleting, isTerminalPod, phaseOf, uidOf } from './objects.ts';
import { failureActionOf } from './pod-failure-policy.ts';

/** Keeps the object of an ended pod until its Job has counted it. */
export const JOB_TRACKING_FINALIZER = 'batch.kubernetes.io/job-tracking';

/** What the pods of a Job add up to, together with what was counted before. */
export interface JobTally {
  readonly active: readonly KubeObject[];
  readonly terminating: readonly KubeObject[];
  /** Pods that ended and still have the finalizer. */
  readonly ended: readonly KubeObject[];
  readonly succeeded: number;
  readonly failed: number;
  readonly succeededIndexes: ReadonlySet<number>;
  /** Where the Job has a `backoffLimitPerIndex`: those that are not tried again. */
  readonly failedIndexes: ReadonlySet<number>;
  /** Where the Job has one: index -> failures that its next pod is told of, from the pods that have ended. */
  readonly indexFailures: ReadonlyMap<number, number>;
  /** A pod with a rule `FailJob`, or null. */
  readonly fatal: KubeObject | null;
  /** Counters to write: those whose finalizer is off are counted for good, the others wait in `uncountedTerminatedPods`. */
  readonly status: Pick<
    Wire<V1JobStatus>,
    'succeeded' | 'failed' | 'completedIndexes' | 'failedIndexes' | 'uncountedTerminatedPods'
  >;
}

export function isIndexed(job: KubeObject): boolean {
  return wireOf<V1Job>(job).spec?.completionMode === 'Indexed';
}

/** True where only pods that have ended are replaced; otherwise a deletionTimestamp is enough. */
export function replacesEndedOnly(job: KubeObject): boolean {
  return wireOf<V1Job>(job).spec?.podReplacementPolicy === 'Failed';
}

/** `released` are the pods whose finalizer this controller took off, whatever the informer still shows. */
export function tallyOf(job: KubeObject, pods: readonly KubeObject[], released: ReadonlySet<string>): JobTally {
  const { spec, status } = wireOf<V1Job>(job);
  const isTracked = (pod: KubeObject): boolean =>
    !released.has(uidOf(pod)) && (pod.metadata.finalizers ?? []).includes(JOB_TRACKING_FINALIZER);
  const tracked = new Set(pods.filter(isTracked).map(uidOf));

  // Finalizer is off: counted for good.
  const waiting = status?.uncountedTerminatedPods;
  const [succeededBefore, failedBefore] = [waiting?.succeeded ?? [], waiting?.failed ?? []];
  const succeededUids = succeededBefore.filter((uid) => tracked.has(uid));
  const failedUids = failedBefore.filter((uid) => tracked.has(uid));
  const succeeded = (status?.succeeded ?? 0) + succeededBefore.length - succeededUids.length;
  const failed = (status?.failed ?? 0) + failedBefore.length - failedUids.length;

  const indexes = new Set(parseIndexes(status?.completedIndexes));
  const ofIndex = spec?.backoffLimitPerIndex ?? null;
  const failedIndexes = new Set(parseIndexes(status?.failedIndexes));
  const indexFailures = new Map<number, number>();
  const ended: KubeObject[] = [];
  let fatal: KubeObject | null = null;
  for (const pod of pods) {
    if (!tracked.has(uidOf(pod))) continue;
    const uid = uidOf(pod);
    if (phaseOf(pod) === 'Succeeded') {
      ended.push(pod);
      const index = completionIndexOf(pod);
      if (isIndexed(job)) {
        if (index !== null && index < (spec?.completions ?? 0)) indexes.add(index);
      } else if (!succeededUids.includes(uid)) succeededUids.push(uid);
    } else if (phaseOf(pod) === 'Failed' || (!replacesEndedOnly(job) && isDeleting(pod))) {
      ended.push(pod);
      const action = failureActionOf(spec?.podFailurePolicy, pod);
      if (action === 'FailJob') fatal ??= pod;
      if (action !== 'Ignore' && !failedUids.includes(uid)) failedUids.push(uid);
      const index = completionIndexOf(pod);
      if (ofIndex === null || index === null || action === 'Ignore') continue;
      const before = indexFailuresOf(pod);
      indexFailures.set(index, Math.max(before + 1, indexFailures.get(index) ?? 0));
      if (action === 'FailIndex' || before >= ofIndex) failedIndexes.add(index);
    }
  }
  const total = isIndexed(job) ? indexes.size : succeeded + succeededUids.length;
  return {
    active: pods.filter(isActivePod),
    terminating: pods.filter((pod) => isDeleting(pod) && !isTerminalPod(pod)),
    ended,
    succeeded: total,
    failed: failed + failedUids.length,
    succeededIndexes: indexes,
    failedIndexes,
    indexFailures,
    fatal,
    status: {
      succeeded: isIndexed(job) ? total : succeeded,
      failed,
      ...(isIndexed(job) && { completedIndexes: formatIndexes(indexes) }),
      ...(ofIndex !== null && { failedIndexes: formatIndexes(failedIndexes) }),
      uncountedTerminatedPods: {
        // A merge patch takes a list away by null only.
        succeeded: succeededUids.length > 0 ? succeededUids : null,
        failed: failedUids.length > 0 ? failedUids : null,
      },
    },
  };
}
