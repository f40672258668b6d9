import type { V1Job } from '@kubernetes/client-node';
import { wireOf } from '../../kube/project/wire.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { JobTally } from './job-tally.ts';
import { timestampOf, type Condition } from './objects.ts';

/** How a Job ends: decided once, in an interim condition, and carried out when its pods are gone. */
interface End {
  readonly type: 'Complete' | 'Failed';
  readonly reason: string;
  readonly message: string;
}

export interface JobVerdict {
  /** Null while it goes on. */
  readonly end: End | null;
  /** When to look at the deadline again; null without one. */
  readonly deadlineInMs: number | null;
}

/** Complete or Failed: the controller has nothing more to do. */
export function isFinished(job: KubeObject): boolean {
  return isTrue(conditionsOf(job), 'Complete') || isTrue(conditionsOf(job), 'Failed');
}

/** In the order of `syncJob`: what was decided before, failures, then success. */
export function verdictOf(job: KubeObject, tally: JobTally, nowMs: number): JobVerdict {
  const { spec, status } = wireOf<V1Job>(job);
  const ends = (type: End['type'], reason: string, message: string): JobVerdict => ({
    end: { type, reason, message },
    deadlineInMs: null,
  });
  for (const { type, status, reason = '', message = '' } of conditionsOf(job)) {
    if (status !== 'True') continue;
    if (type === 'SuccessCriteriaMet') return ends('Complete', reason, message);
    if (type === 'FailureTarget') return ends('Failed', reason, message);
  }
  if (tally.fatal !== null) {
    const { namespace = '', name } = tally.fatal.metadata;
    return ends('Failed', 'PodFailurePolicy', `Pod ${namespace}/${name} matches a rule with action FailJob`);
  }
  const ofIndex = spec?.backoffLimitPerIndex ?? null;
  if (tally.failed > (spec?.backoffLimit ?? (ofIndex === null ? 6 : Infinity))) {
    return ends('Failed', 'BackoffLimitExceeded', 'Job has reached the specified backoff limit');
  }
  const completions = spec?.completions ?? null;
  if (tally.failedIndexes.size > (spec?.maxFailedIndexes ?? Infinity)) {
    return ends(
      'Failed',
      'MaxFailedIndexesExceeded',
      'Job has exceeded the specified maximal number of failed indexes',
    );
  }
  if (tally.failedIndexes.size > 0 && tally.failedIndexes.size + tally.succeeded >= (completions ?? 0)) {
    return ends('Failed', 'FailedIndexes', 'Job has failed indexes');
  }
  const isComplete =
    completions === null ? tally.succeeded > 0 && tally.active.length === 0 : tally.succeeded >= completions;
  const deadlineMs = spec?.activeDeadlineSeconds == null ? null : spec.activeDeadlineSeconds * 1000;
  const startMs = status?.startTime ? Date.parse(status.startTime) : nowMs;
  const leftMs = deadlineMs === null || spec?.suspend ? null : startMs + deadlineMs - nowMs;
  if (leftMs !== null && leftMs <= 0) {
    return ends('Failed', 'DeadlineExceeded', 'Job was active longer than specified deadline');
  }
  if (isComplete && !spec?.suspend) {
    return ends('Complete', 'CompletionsReached', 'Reached expected number of succeeded pods');
  }
  return { end: null, deadlineInMs: leftMs };
}

/** The conditions after this round, and the completion time where the Job ends with it. Empty where nothing changes. */
export function conditionsAfter(
  job: KubeObject,
  tally: JobTally,
  { end }: JobVerdict,
  nowMs: number,
): { readonly conditions?: readonly Condition[]; readonly completionTime?: string } {
  const before = conditionsOf(job);
  let conditions = before;
  const isSuspended = wireOf<V1Job>(job).spec?.suspend === true;
  if (end === null) {
    if (isSuspended) conditions = withCondition(before, 'Suspended', 'True', 'JobSuspended', 'Job suspended', nowMs);
    else if (isTrue(before, 'Suspended')) {
      conditions = withCondition(before, 'Suspended', 'False', 'JobResumed', 'Job resumed', nowMs);
    }
    return conditions === before ? {} : { conditions };
  }
  const interim = end.type === 'Complete' ? 'SuccessCriteriaMet' : 'FailureTarget';
  conditions = withCondition(conditions, interim, 'True', end.reason, end.message, nowMs);
  const left = tally.active.length + tally.terminating.length + tally.ended.length;
  const uncounted = tally.status.uncountedTerminatedPods;
  const isCounted = !uncounted?.succeeded?.length && !uncounted?.failed?.length;
  if (left > 0 || !isCounted) return { conditions };
  conditions = withCondition(conditions, end.type, 'True', end.reason, end.message, nowMs);
  return { conditions, ...(end.type === 'Complete' && { completionTime: timestampOf(nowMs) }) };
}

function conditionsOf(job: KubeObject): readonly Condition[] {
  return (wireOf<V1Job>(job).status?.conditions ?? []) as readonly Condition[];
}

function isTrue(conditions: readonly Condition[], type: string): boolean {
  return conditions.some((condition) => condition.type === type && condition.status === 'True');
}

function withCondition(
  conditions: readonly Condition[],
  type: string,
  status: string,
  reason: string,
  message: string,
  nowMs: number,
): readonly Condition[] {
  if (conditions.some((other) => other.type === type && other.status === status)) return conditions;
  const now = timestampOf(nowMs);
  const condition = { type, status, reason, message, lastProbeTime: now, lastTransitionTime: now };
  return [...conditions.filter((other) => other.type !== type), condition];
}
