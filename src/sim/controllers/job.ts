import type { V1Job } from '@kubernetes/client-node';
import { isNotFound } from '../../kube/api-error.ts';
import { wireOf } from '../../kube/project/wire.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { COMPLETION_INDEX, COMPLETION_INDEX_ENV, completionIndexOf, INDEX_FAILURES } from './completion-index.ts';
import { JobBackoff } from './job-backoff.ts';
import { conditionsAfter, isFinished, verdictOf } from './job-verdict.ts';
import { isIndexed, JOB_TRACKING_FINALIZER, replacesEndedOnly, tallyOf, type JobTally } from './job-tally.ts';
import {
  controllerRefOf,
  isDeleting,
  isReadyPod,
  keyOf,
  ownedBy,
  podFromTemplate,
  splitKey,
  timestampOf,
  uidOf,
} from './objects.ts';
import { compareForDeletion } from './replica-set.ts';
import { enqueueOwner, enqueueSelf, updateStatus, type Controller, type ControllerContext } from './pod-control.ts';
import { WorkQueue } from './work-queue.ts';

const BUILT_IN_MANAGER = 'kubernetes.io/job-controller';

/**
 * The Job controller of 1.37, as far as one simulated day of preemptions can tell: an ended pod is written down in
 * `uncountedTerminatedPods`, then loses its finalizer, then counts. So no pod is counted twice or never, whatever crashes.
 */
export function startJobController(context: ControllerContext): Controller {
  const { client, clock, informers, podControl } = context;
  const released = new Set<string>(); // UIDs of pods whose finalizer is off, until they are gone
  const backoffs = new Map<string, JobBackoff>(); // UID of the job

  const indexFailures = new Map<string, Map<number, number>>(); // UID of the job -> index -> failures, also of pods that are gone

  const queue = new WorkQueue(context, async (key) => {
    const { namespace, name } = splitKey(key);
    const job = informers.jobs.byName(namespace, name);
    if (job === null || isDeleting(job)) return;
    const { spec } = wireOf<V1Job>(job);
    if ((spec?.managedBy ?? BUILT_IN_MANAGER) !== BUILT_IN_MANAGER) return;
    const pods = informers.dependentsOf(uidOf(job));
    if (isFinished(job)) {
      for (const pod of pods) await release(pod);
      return;
    }
    // Asked before the pods are counted: one that arrives between the two would be missing from them.
    const isUpToDate = podControl.isUpToDate(uidOf(job));
    const tally = tallyOf(job, pods, released);
    const backoff = backoffs.get(uidOf(job)) ?? new JobBackoff();
    backoffs.set(uidOf(job), backoff.record(tally.ended));
    const failures = indexFailures.get(uidOf(job)) ?? new Map<number, number>();
    for (const [index, count] of tally.indexFailures) failures.set(index, Math.max(count, failures.get(index) ?? 0));
    indexFailures.set(uidOf(job), failures);
    const verdict = verdictOf(job, tally, clock.now());
    if (isUpToDate) {
      if (verdict.end !== null || spec?.suspend) for (const pod of tally.active) await podControl.delete(job, pod);
      else await scale(job, tally, backoff.remainingMs(clock.now()));
    }
    if (verdict.deadlineInMs !== null) queue.addAfter(key, verdict.deadlineInMs);
    await report(job, tally, conditionsAfter(job, tally, verdict, clock.now()));
    for (const pod of tally.ended) await release(pod);
  });

  async function scale(job: KubeObject, tally: JobTally, backoffMs: number): Promise<void> {
    const { spec } = wireOf<V1Job>(job);
    const [active, parallelism] = [tally.active.length, spec?.parallelism ?? 1];
    const completions = spec?.completions ?? null;
    let wanted = Math.max(
      0,
      Math.min(parallelism, (completions ?? Infinity) - tally.succeeded - tally.failedIndexes.size),
    );
    // A work queue: after the first success whatever runs may finish, and nothing new begins.
    if (completions === null && tally.succeeded > 0) wanted = active;
    if (active > wanted) {
      const surplus = [...tally.active].sort(compareForDeletion).slice(0, active - wanted);
      for (const pod of surplus) await podControl.delete(job, pod);
      return;
    }
    const replacing = replacesEndedOnly(job) ? tally.terminating.length : 0;
    const missing = wanted - active - replacing;
    if (missing <= 0) return;
    if (backoffMs > 0) {
      queue.addAfter(keyOf(job), backoffMs);
      return;
    }
    if (!isIndexed(job)) {
      for (let count = 0; count < missing; count++) await podControl.create(job, podOf(job, null));
      return;
    }
    for (const index of freeIndexes(job, tally, completions ?? 0).slice(0, missing)) {
      await podControl.create(job, podOf(job, index, indexFailures.get(uidOf(job))?.get(index)));
    }
  }

  const report = (job: KubeObject, tally: JobTally, changes: ReturnType<typeof conditionsAfter>): Promise<void> => {
    const { spec, status } = wireOf<V1Job>(job);
    const starts = !spec?.suspend && !status?.startTime;
    return updateStatus(client, RESOURCES.jobs, job, {
      ...tally.status,
      active: tally.active.length,
      ready: tally.active.filter(isReadyPod).length,
      terminating: tally.terminating.length,
      ...(starts && { startTime: timestampOf(clock.now()) }),
      ...changes,
    });
  };

  /** Takes the finalizer off, so that the object may go. */
  async function release(pod: KubeObject): Promise<void> {
    const finalizers = pod.metadata.finalizers ?? [];
    if (!finalizers.includes(JOB_TRACKING_FINALIZER) || released.has(uidOf(pod))) return;
    const { namespace = null, name, uid } = pod.metadata;
    const patch = { metadata: { uid, finalizers: finalizers.filter((other) => other !== JOB_TRACKING_FINALIZER) } };
    try {
      await client.patch(RESOURCES.pods, namespace, name, patch, { type: 'merge' });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    if (informers.pods.byUid(uidOf(pod)) !== null) released.add(uidOf(pod));
  }

  // Pods whose Job is gone: nobody counts them any more.
  const orphans = new WorkQueue(context, async (key) => {
    const { namespace, name } = splitKey(key);
    const pod = informers.pods.byName(namespace, name);
    if (pod !== null && informers.jobs.byUid(controllerRefOf(pod)?.uid ?? '') === null) await release(pod);
  });

  const add = (key: string): void => queue.add(key);
  informers.jobs.onChange(enqueueSelf(add));
  informers.pods.onChange(enqueueOwner('Job', add));
  informers.pods.onChange((_before, pod) => {
    if (pod !== null && isDeleting(pod) && controllerRefOf(pod)?.kind === 'Job') orphans.add(keyOf(pod));
  });
  informers.pods.onChange((before, after) => {
    if (after === null && before !== null) released.delete(uidOf(before));
  });
  informers.jobs.onChange((before, after) => {
    if (after !== null || before === null) return;
    backoffs.delete(uidOf(before));
    indexFailures.delete(uidOf(before));
    podControl.forget(uidOf(before));
    for (const pod of informers.dependentsOf(uidOf(before))) orphans.add(keyOf(pod));
  });
  return {
    stop() {
      queue.stop();
      orphans.stop();
    },
  };
}

/** Indexes that have neither succeeded nor failed, nor have a pod that may still succeed, lowest first. */
function freeIndexes(job: KubeObject, tally: JobTally, completions: number): readonly number[] {
  const taken = new Set([...tally.succeededIndexes, ...tally.failedIndexes]);
  const holders = replacesEndedOnly(job) ? [...tally.active, ...tally.terminating] : tally.active;
  for (const pod of holders) taken.add(completionIndexOf(pod) ?? -1);
  return Array.from({ length: completions }, (_, index) => index).filter((index) => !taken.has(index));
}

function podOf(job: KubeObject, index: number | null, failures = 0): object {
  const { namespace = '', name } = job.metadata;
  const common = { namespace, owner: ownedBy(RESOURCES.jobs, job), finalizers: [JOB_TRACKING_FINALIZER] };
  const { spec } = wireOf<V1Job>(job);
  if (index === null) return podFromTemplate(spec?.template, { ...common, generateName: `${name}-` });
  const mark = { [COMPLETION_INDEX]: String(index) };
  return podFromTemplate(spec?.template, {
    ...common,
    generateName: `${name}-${index}-`,
    hostname: `${name}-${index}`,
    labels: mark,
    annotations: spec?.backoffLimitPerIndex == null ? mark : { ...mark, [INDEX_FAILURES]: String(failures) },
    env: { name: COMPLETION_INDEX_ENV, value: String(index) },
  });
}
