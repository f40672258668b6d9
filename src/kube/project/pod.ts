import type { V1ContainerStatus, V1Pod, V1PodSpec } from '@kubernetes/client-node';
import { CONDITIONS, type RestoreFailure, type RestoreReason } from '../../domain/condition-reasons.ts';
import type { NodeName, PodUid } from '../../domain/ids.ts';
import {
  CHECKPOINTABLE_CONDITION,
  DISPLACE_ANNOTATION,
  DISPLACEMENTS_ANNOTATION,
  FROZEN_CONDITION,
  GATE_EXPIRED_ANNOTATION,
  RESTORED_CONDITION,
  RESTORE_GATE,
  TICKET_ANNOTATION,
  STATE_BYTES_ANNOTATION,
} from '../../domain/labels.ts';
import type { NotCheckpointable, Pod, PodPhase, RestoreFailed, RestoreOutcome } from '../../domain/pod.ts';
import type { KubeObject } from '../transport.ts';
import { notCheckpointableReason } from './checkpointable.ts';
import { conditionOf, isConditionTrue, type WireCondition } from './conditions.ts';
import { memoryLimitOf } from './memory-limit.ts';
import { controllerOf, metadataOf } from './metadata.ts';
import { nodeSelectorOf, tolerationsOf } from './node-constraints.ts';
import { NO_POOL, type PartPool } from './part-pool.ts';
import { constraintsOf } from './pod-constraints.ts';
import { podRequestsOf } from './pod-requests.ts';
import { restoreShapeOf } from './restore-shape.ts';
import { millisOf } from './time.ts';
import { wholeNumber } from './typed.ts';
import { wishIn } from './wish.ts';
import { wireOf, type Wire } from './wire.ts';

/**
 * How kube-scheduler ends the PodScheduled message when an extender left no candidate (`preemption.go`, 1.27 to 1.37), could
 * not be reached (the error of Go's HTTP client) or did not answer 200 (`extender.go`), and is not ignorable.
 */
const PARKED_MESSAGE =
  /preemption: (?:no candidate node for preemption|Post "[^"]*\/preempt": |failed preempt with extender )/;
const COMPLETION_INDEX_ANNOTATION = 'batch.kubernetes.io/job-completion-index';
/** Written by the Job controller on the pods of a Job with `backoffLimitPerIndex` (`JobIndexFailureCountAnnotation`). */
const INDEX_FAILURES_ANNOTATION = 'batch.kubernetes.io/job-index-failure-count';
const NO_GATES: readonly string[] = Object.freeze([]);

/** {@link podOf} for who keeps very many: what they have alike is held once. */
export function pooledPodOf(pool: PartPool): (object: KubeObject) => Pod {
  return (object) => podWith(pool, object);
}

/** The domain value of a v1 Pod. */
export function podOf(object: KubeObject): Pod {
  return podWith(NO_POOL, object);
}

/** A pod in a question of kube-scheduler: what else it demands kube-scheduler has looked at itself, and is not read. */
export function askedPodOf(object: KubeObject): Pod {
  return podWith(NO_POOL, object, false);
}

function podWith(pool: Pick<PartPool, keyof PartPool>, object: KubeObject, isIndexed = true): Pod {
  const raw = wireOf<V1Pod>(object);
  const { metadata } = object;
  const { spec, status } = raw;
  const { namespace, name, uid, resourceVersion, labels, creationMs } = metadataOf(object);
  const conditions = status?.conditions;
  const gates = gatesOf(spec?.schedulingGates);
  const scheduled = conditionOf(conditions, 'PodScheduled');
  const disrupted = conditionOf(conditions, 'DisruptionTarget');
  const ticket = metadata.annotations?.[TICKET_ANNOTATION] || null;
  return {
    uid: uid as PodUid,
    namespace: pool.text(namespace),
    name,
    resourceVersion,
    labels: pool.labels(labels),
    owner: pool.owner(controllerOf(object)),
    hasGeneratedName: Boolean(metadata['generateName']),
    schedulerName: pool.text(spec?.schedulerName ?? 'default-scheduler'),
    priority: wholeNumber('spec.priority', spec?.priority),
    priorityClassName: pool.text(spec?.priorityClassName ?? ''),
    preemptionPolicy: spec?.preemptionPolicy === 'Never' ? 'Never' : 'PreemptLowerPriority',
    requests: pool.requests(podRequestsOf(raw)),
    nodeName: pool.text((spec?.nodeName || null) as NodeName | null),
    nominatedNodeName: (status?.nominatedNodeName || null) as NodeName | null,
    phase: pool.text((status?.phase || 'Pending') as PodPhase),
    creationMs,
    startMs: millisOf(status?.startTime),
    deletionMs: millisOf(metadata.deletionTimestamp),
    evictedMs: evictedMsOf(metadata),
    gates,
    preemptionDeferred: scheduled?.status === 'False' && PARKED_MESSAGE.test(scheduled.message ?? ''),
    ready: isConditionTrue(conditions, 'Ready'),
    resizeDeferred: isResizeDeferred(conditions),
    disruptionTarget: disrupted?.status === 'True' && disrupted.reason === 'PreemptionByScheduler',
    disrupted: disrupted?.status === 'True',
    neverStarted: ticket !== null && status?.phase === 'Failed' && !hasStarted(status.containerStatuses),
    frozenBy: frozenByOf(conditions),
    restored: restoredOf(conditions),
    restoreFailure: restoreFailureOf(conditions),
    toldHeld: pendingReasonOf(conditions) === 'Held',
    queuedAs: queuedAsOf(conditions),
    ticket,
    gateExpired: metadata.annotations?.[GATE_EXPIRED_ANNOTATION] === 'true',
    displaceFor: wishIn(metadata.annotations?.[DISPLACE_ANNOTATION]),
    stateBytes: bytesOf(metadata.annotations?.[STATE_BYTES_ANNOTATION]),
    displacements: countOf(metadata.annotations?.[DISPLACEMENTS_ANNOTATION]) ?? 0,
    completionIndex: countOf(
      metadata.annotations?.[COMPLETION_INDEX_ANNOTATION] ?? labels[COMPLETION_INDEX_ANNOTATION],
    ),
    indexFailures: countOf(metadata.annotations?.[INDEX_FAILURES_ANNOTATION]) ?? 0,
    runtimeClassName: pool.text(spec?.runtimeClassName || null),
    notCheckpointable: forbiddenBy(spec) ?? obstacleOf(conditions),
    restoreShape: gates.includes(RESTORE_GATE) ? restoreShapeOf(object) : null,
    memoryLimitBytes: gates.includes(RESTORE_GATE) ? memoryLimitOf(object) : null,
    nodeSelector: pool.nodeSelector(nodeSelectorOf(spec)),
    tolerations: pool.tolerations(tolerationsOf(spec)),
    constraints: isIndexed ? pool.constraints(constraintsOf(spec, { namespace, name, labels })) : null,
    unschedulable: scheduled?.status === 'False' && scheduled.reason === 'Unschedulable',
  };
}

/** As kube-scheduler and the kubelet read it (`resource.IsPodResizeDeferred` of k8s.io/component-helpers). */
function isResizeDeferred(conditions: readonly WireCondition[] | null | undefined): boolean {
  const pending = conditionOf(conditions, 'PodResizePending');
  return pending?.status === 'True' && pending.reason === 'Deferred';
}

function evictedMsOf({ deletionTimestamp, deletionGracePeriodSeconds }: KubeObject['metadata']): number | null {
  const endsMs = millisOf(deletionTimestamp);
  if (endsMs === null || typeof deletionGracePeriodSeconds !== 'number' || deletionGracePeriodSeconds <= 0) return null;
  return endsMs - deletionGracePeriodSeconds * 1000;
}

function hasStarted(statuses: Wire<V1ContainerStatus[]> | null | undefined): boolean {
  return (statuses ?? []).some(({ containerID, restartCount }) => Boolean(containerID) || (restartCount ?? 0) > 0);
}

/** Name of the PodCheckpoint that holds the pod: the message of the Frozen condition, which is that name and nothing else. */
function frozenByOf(conditions: readonly WireCondition[] | null | undefined): string | null {
  if (!isConditionTrue(conditions, FROZEN_CONDITION)) return null;
  return conditionOf(conditions, FROZEN_CONDITION)?.message || null;
}

/** What its node found in its running processes. */
function forbiddenBy(spec: Wire<V1PodSpec> | null | undefined): NotCheckpointable | null {
  const message = notCheckpointableReason(spec);
  return message === null ? null : { reason: 'SpecUnsupported', message };
}

function obstacleOf(conditions: readonly WireCondition[] | null | undefined): NotCheckpointable | null {
  const condition = conditionOf(conditions, CHECKPOINTABLE_CONDITION);
  if (condition?.status !== 'False') return null;
  const reason = condition.reason || 'Unsupported';
  return { reason, message: condition.message || reason };
}

function restoredOf(conditions: readonly WireCondition[] | null | undefined): RestoreOutcome | null {
  const condition = conditionOf(conditions, RESTORED_CONDITION);
  const { reason = '', message } = condition ?? {};
  switch (condition?.status) {
    case 'True':
      return { succeeded: true, reason: 'Restored', message: message ?? '' };
    case 'False':
      return isRestoreFailure(reason)
        ? { succeeded: false, reason, message: message ?? '' }
        : // An agent of another version knows more reasons than we do; the message keeps it.
          { succeeded: false, reason: 'RestoreFailed', message: [reason, message].filter(Boolean).join(': ') };
    default:
      return null;
  }
}

/** Reason of the condition while nobody knows yet how the restore ends. */
function pendingReasonOf(conditions: readonly WireCondition[] | null | undefined): string | null {
  const condition = conditionOf(conditions, RESTORED_CONDITION);
  return condition?.status === 'Unknown' ? (condition.reason ?? null) : null;
}

/** The message is `<reason>: <message>`, as {@link notRestoredHere} writes it. */
function restoreFailureOf(conditions: readonly WireCondition[] | null | undefined): RestoreFailed | null {
  if (pendingReasonOf(conditions) !== 'NotRestoredHere') return null;
  const text = conditionOf(conditions, RESTORED_CONDITION)?.message ?? '';
  const [reason = '', message] = text.split(/: (.*)/s);
  return isRestoreFailure(reason) ? { reason, message: message ?? '' } : { reason: 'RestoreFailed', message: text };
}

function queuedAsOf(conditions: readonly WireCondition[] | null | undefined): string | null {
  const condition = conditionOf(conditions, RESTORED_CONDITION);
  return condition?.status === 'Unknown' && condition.reason === 'Queued' ? (condition.message ?? '') : null;
}

function isRestoreFailure(reason: string | null): reason is RestoreFailure {
  const { reasons } = CONDITIONS.Pod[RESTORED_CONDITION];
  return reason !== null && Object.hasOwn(reasons, reason) && reasons[reason as RestoreReason].status === 'False';
}

function gatesOf(
  gates: readonly { readonly name?: string | null | undefined }[] | null | undefined,
): readonly string[] {
  return gates && gates.length > 0 ? gates.map((gate) => gate.name ?? '') : NO_GATES;
}

/** Bytes in an annotation, up to a petabyte; null for anything else. */
function bytesOf(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/** A whole number of at least 0 in an annotation; null for anything else. */
function countOf(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : null;
}
