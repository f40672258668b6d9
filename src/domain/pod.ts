import type { RestoreFailure, RestoreReason } from './condition-reasons.ts';
import type { NodeName, PodUid } from './ids.ts';
import { RUNTIME_CLASS } from './labels.ts';
import type { Resources } from './resources.ts';
import type { PodConstraints } from './pod-constraints.ts';
import type { NodeSelector } from './node-selector.ts';

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';

/** The controller of a pod (`metadata.ownerReferences` with `controller: true`). */
export interface PodOwner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

/** What stands in the way of a checkpoint. */
export interface NotCheckpointable {
  /** A reason of the condition `reprieve.dev/Checkpointable`. */
  readonly reason: string;
  /** In words for the pod's user. */
  readonly message: string;
}

/** A pod as Reprieve sees it: the fields decisions read, and nothing else. A value: never changed, only replaced. */
export interface Pod {
  readonly uid: PodUid;
  readonly namespace: string;
  readonly name: string;
  readonly resourceVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Null for a bare pod. */
  readonly owner: PodOwner | null;
  /** The API server chose its name (`metadata.generateName`). */
  readonly hasGeneratedName: boolean;
  readonly schedulerName: string;
  readonly priority: number;
  readonly priorityClassName: string;
  readonly preemptionPolicy: 'PreemptLowerPriority' | 'Never';
  readonly requests: Resources;
  /** `spec.nodeName`; null while unassigned. */
  readonly nodeName: NodeName | null;
  readonly nominatedNodeName: NodeName | null;
  readonly phase: PodPhase;
  readonly creationMs: number;
  /** `status.startTime`, when the kubelet took it; null before. */
  readonly startMs: number | null;
  /** `metadata.deletionTimestamp`; null while it is not being deleted. */
  readonly deletionMs: number | null;
  /**
   * When its deletion was requested, in whole seconds of the API server's clock: `deletionTimestamp` less the grace period. Null
   * while it is not being deleted, and where the grace period is 0: the API server has then overwritten both with the end.
   */
  readonly evictedMs: number | null;
  readonly gates: readonly string[];
  /**
   * kube-scheduler found no node and could not preempt: an extender answered `{}`, or nothing. It will not ask again by itself
   * for minutes.
   */
  readonly preemptionDeferred: boolean;
  /** Condition `Ready=True`: PodDisruptionBudgets count it as healthy. */
  readonly ready: boolean;
  /** It asked its node for more resources, which the node does not have now (`PodResizePending`, reason `Deferred`). */
  readonly resizeDeferred: boolean;
  /** Condition `DisruptionTarget=True` with reason `PreemptionByScheduler`. */
  readonly disruptionTarget: boolean;
  /** Condition `DisruptionTarget=True` with any reason: a drain, a taint, a kubelet or a preemption ends it, not its user. */
  readonly disrupted: boolean;
  /** It failed, and its node never started a container of it: the kubelet refused it. Set for pods with a ticket only. */
  readonly neverStarted: boolean;
  /** Name of the PodCheckpoint that holds it frozen (condition `reprieve.dev/Frozen=True`); null when it is not frozen. */
  readonly frozenBy: string | null;
  /** Outcome of the restore, from condition `reprieve.dev/Restored`; null while there is none. */
  readonly restored: RestoreOutcome | null;
  /** Its node could not restore it (`reprieve.dev/Restored=Unknown`, reason `NotRestoredHere`), and waits for what follows. */
  readonly restoreFailure: RestoreFailed | null;
  /** `reprieve.dev/Restored=Unknown` with reason `Held`: the pod was told that it waits for a person's decision. */
  readonly toldHeld: boolean;
  /** What the pod was told of its place in the queue (`reprieve.dev/Restored=Unknown`, reason `Queued`); null when it was not. */
  readonly queuedAs: string | null;
  /** Ticket that this pod continues (annotation `reprieve.dev/ticket`); null for all others. */
  readonly ticket: string | null;
  /** Its gate was removed after `maxGate` (annotation `reprieve.dev/gate-expired`): it may run where its state does not fit. */
  readonly gateExpired: boolean;
  /** Why a person asks to save it and move it off its node (annotation `reprieve.dev/displace`); null where nobody does. */
  readonly displaceFor: string | null;
  /** Memory that its agent has measured (annotation `reprieve.dev/state-bytes`); null where it has said nothing. */
  readonly stateBytes: number | null;
  /** How often the work in this pod was displaced before (annotation `reprieve.dev/displacements`). */
  readonly displacements: number;
  /** `batch.kubernetes.io/job-completion-index`; null outside indexed Jobs. */
  readonly completionIndex: number | null;
  /** Pods of its index that its Job counted as failed (`batch.kubernetes.io/job-index-failure-count`); 0 where the Job counts none by index. */
  readonly indexFailures: number;
  readonly runtimeClassName: string | null;
  /** Why the pod cannot be checkpointed, by its spec or by the agent of its node; null: nothing is known to forbid it. */
  readonly notCheckpointable: NotCheckpointable | null;
  /**
   * What must be equal for a checkpoint to continue in another pod (`src/domain/restore-shape.ts`).
   * Set for gated pods only, null elsewhere: it is costly and nobody else asks.
   */
  readonly restoreShape: string | null;
  /** Memory that its containers may use together; 0: no limit. Set for gated pods only, null elsewhere. */
  readonly memoryLimitBytes: number | null;
  /** Its `nodeSelector` and required node affinity. Null when there are none. */
  readonly nodeSelector: NodeSelector | null;
  readonly tolerations: readonly Toleration[];
  /** What else it demands of a node; null for the many that demand nothing else. */
  readonly constraints: PodConstraints | null;
  /** kube-scheduler has tried it and found no node (`PodScheduled=False`, reason `Unschedulable`). */
  readonly unschedulable: boolean;
}

export interface RestoreOutcome {
  readonly succeeded: boolean;
  readonly reason: RestoreReason;
  readonly message: string;
}

export interface RestoreFailed {
  readonly reason: RestoreFailure;
  readonly message: string;
}

export interface Toleration {
  readonly key: string | null;
  readonly operator: 'Exists' | 'Equal';
  readonly value: string;
  /** Null tolerates every effect. */
  readonly effect: string | null;
}

/** Succeeded or Failed: its room is free, whether or not the object still exists. */
export function isTerminal(pod: Pod): boolean {
  return pod.phase === 'Succeeded' || pod.phase === 'Failed';
}

/** It would run through our wrapper, which alone restores. A later webhook may have given it another class. */
export function hasOurClass(pod: Pod): boolean {
  return pod.runtimeClassName === RUNTIME_CLASS;
}

export function isTerminating(pod: Pod): boolean {
  return pod.deletionMs !== null;
}

/** It waits for room: for a node, or for more on the node that it is bound to. */
export function wantsRoom({ nodeName, resizeDeferred, deletionMs }: Pod): boolean {
  return (nodeName === null || resizeDeferred) && deletionMs === null;
}

/** Holds room on that node. A pod that is gone holds none. */
export function standsOn(pod: Pod | undefined, node: NodeName): pod is Pod {
  return pod !== undefined && !isTerminal(pod) && pod.nodeName === node;
}

/** Holds room on a node. */
export function occupiesNode(pod: Pod): boolean {
  return pod.nodeName !== null && !isTerminal(pod);
}
