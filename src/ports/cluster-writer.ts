import type { Checkpoint, StateRecord } from '../domain/checkpoint.ts';
import type { CheckpointRules } from '../domain/checkpoint-rules.ts';
import type { ConditionReason, TicketReason } from '../domain/condition-reasons.ts';
import type { NodeName, PodUid } from '../domain/ids.ts';
import type { RESTORED_CONDITION } from '../domain/labels.ts';
import type { CauseKind, Displacement, SavedPod } from '../domain/displacement.ts';
import type { FailedNode, ReplacedPod, Ticket, TicketPhase } from '../domain/ticket.ts';
import type { Pod } from '../domain/pod.ts';
import type { Policy, PolicyReport } from '../domain/policy.ts';

/** A pod by identity: a write that finds another UID under this name must not touch it. */
export interface PodRef {
  readonly namespace: string;
  readonly name: string;
  readonly uid: PodUid;
}

/**
 * `done`: the world is as asked, by this call or already before it. `moved`: it is no longer what the caller decided on
 * (object gone, another UID, pod not frozen, version conflict): decide again. Anything else is an exception: `KubeApiError`
 * or `TransportError`, to be retried with backoff.
 */
export type WriteOutcome = 'done' | 'moved';

export interface TicketOrder {
  readonly name: string;
  readonly victim: PodRef;
  readonly planned: SavedPod;
  readonly displacement: Displacement;
  readonly restore: Policy['restore'];
  readonly policyName: string;
}

export interface CheckpointOrder {
  readonly namespace: string;
  readonly name: string;
  readonly pod: PodRef;
  readonly node: NodeName;
  readonly reason: CauseKind;
  /** Name of the ticket that it is made for. */
  readonly ticket: string;
  readonly keepFrozen: boolean;
  readonly rules: CheckpointRules;
  readonly deadlineMs: number;
}

export interface EvictionOrder {
  readonly victim: PodRef;
  /** The pod must be frozen by this checkpoint at the version that is deleted; null: it is evicted as it is. */
  readonly frozenBy: string | null;
  /** When its node thaws it: the delete takes effect before that or not at all (`moved`). Null: it does not matter. */
  readonly thawAtMs: number | null;
  readonly disruption: Disruption;
}

/** What the condition `DisruptionTarget` of an evicted pod says. */
export interface Disruption {
  readonly reason: ConditionReason<'Pod', 'DisruptionTarget', 'True'>;
  readonly message: string;
}

export interface PhaseChange {
  readonly phase: TicketPhase;
  readonly reason: TicketReason;
  readonly message: string;
  /** When the deletion of the displaced pod was requested, where that is recorded with this change. */
  readonly evictedMs?: number;
  /** What the ticket says of its state from now on. */
  readonly state?: StateRecord;
  /** A pod that must be gone, or being deleted: where it is not, nothing is written. */
  readonly whileGone?: PodRef;
  /** A pod that must be on the node it was seen on, or on none, and not restored: where it is not, nothing is written. */
  readonly whileAt?: Pod;
  /** The node and pod of a restore that failed are added to the record; a ticket that does not end gives up its claim. */
  readonly failed?: FailedNode;
  /** The pod for which the ticket ends though it was not claimed: it came in the place of the displaced one, or made no way. */
  readonly claim?: PodRef;
  /** A pod that makes way for another one is added to the record; the ticket gives up its claim. */
  readonly replaced?: ReplacedPod;
  /** The records of failed nodes and replaced pods, and the claim, are cleared. */
  readonly afresh?: boolean;
}

/** See {@link ClusterWriter.claim}. */
export type ClaimTerms = Pick<PhaseChange, 'whileGone' | 'state'>;

/** Why a pod that is to continue a ticket does not run yet. */
export type QueueReason = Extract<ConditionReason<'Pod', typeof RESTORED_CONDITION, 'Unknown'>, 'Queued' | 'Admitted'>;

/** What a ticket says of itself while it stays in its phase. */
export interface TicketWord {
  /** Of its condition `Restored`; null: it stays as it is. */
  readonly condition: { readonly reason: Extract<TicketReason, 'Refused' | 'Queued'>; readonly message: string } | null;
  /** Its place in the queue and what it waits for, in words; null where it does not wait for room. */
  readonly waitsFor: string | null;
  /** Why no node takes its pod, and how many nodes there are for each reason; null: not known, or not what it waits for. */
  readonly blocked: readonly TicketBlocker[] | null;
}

/** A reason why nodes do not take a pod, and the number of these nodes. */
export interface TicketBlocker<Reason extends string = string> {
  readonly reason: Reason;
  readonly nodes: number;
}

/** Where a gated pod may go once its gate is lifted. */
export interface Placement {
  /** Preferred: the node that holds the state. */
  readonly preferredNode: NodeName | null;
  /** Required. */
  readonly requiredNode: NodeName | null;
  /** Required value of the compatibility label; null: any. */
  readonly compatibility: string | null;
  /** Nodes it must not go to: its restore failed there. */
  readonly excludedNodes: readonly NodeName[];
  /** The pod is marked as one that may run on any node, and that starts cold where its state does not fit. */
  readonly anywhere: boolean;
}

/**
 * Everything Reprieve changes in the cluster. Each method is one idempotent step: calling it again after a crash, or after
 * an answer was lost, does no harm. Answers of the API server are fed back into the index by the implementation, so the
 * index is never behind our own writes.
 */
export interface ClusterWriter {
  /** Reads the victim, checks its UID and stores its spec with the displacement. `moved` when the victim is gone or another ticket has that name. */
  createTicket(order: TicketOrder): Promise<WriteOutcome>;
  /** With `whileStands`, only if that pod exists and is not being deleted; else `moved`. */
  deleteTicket(ticket: Ticket, whileStands: PodRef | null): Promise<WriteOutcome>;
  /** Replaces the displacement of a ticket whose victim still stands; `moved` when the ticket changed since `ticket` was read. */
  adoptTicket(ticket: Ticket, displacement: Displacement): Promise<WriteOutcome>;
  createCheckpoint(order: CheckpointOrder): Promise<WriteOutcome>;
  /** Calls a request off: its agent thaws the pod, and the object stays. `whileStands` as for tickets. */
  releaseCheckpoint(checkpoint: Checkpoint, because: string, whileStands: PodRef | null): Promise<WriteOutcome>;
  /** The agent thaws what the request holds, and removes the files, before the object goes. */
  deleteCheckpoint(checkpoint: Checkpoint): Promise<WriteOutcome>;
  /** Removes the agent's finalizer from a checkpoint whose agent does not: its node is gone, or it is silent. */
  removeFinalizer(checkpoint: Checkpoint): Promise<WriteOutcome>;
  /** Sets or clears `status.nominatedNodeName`. */
  nominate(pod: PodRef, node: NodeName | null): Promise<WriteOutcome>;
  /** DisruptionTarget condition, then DELETE with preconditions: no pod is deleted that is not the one that was saved. */
  evict(order: EvictionOrder): Promise<WriteOutcome>;
  /**
   * Deletes a pod whose restore failed, marked as disrupted so that a Job need not count it. `moved` where the pod is gone or was
   * restored after all.
   */
  endPod(pod: PodRef): Promise<WriteOutcome>;
  /** Writes to a gated pod that its ticket is held, and why. */
  tellHeld(pod: PodRef, message: string): Promise<WriteOutcome>;
  /** Removes the annotation by which a person decided about a ticket, if it still says that. */
  clearDecision(ticket: Ticket): Promise<WriteOutcome>;
  /** Creates a displaced bare pod again from its ticket: gated and with our RuntimeClass, or `plain`, without both. `moved` when the name is taken by another pod. */
  recreatePod(ticket: Ticket, plain: boolean): Promise<WriteOutcome>;
  /**
   * Writes the ticket's name onto the gated pod, then the claim into the ticket; or takes the claim back (null). `moved` when the
   * ticket changed since `ticket` was read, or the pod is no longer gated. With `whileGone`, only if that pod is gone or being
   * deleted; else `moved`.
   */
  claim(ticket: Ticket, pod: Pod | null, terms?: ClaimTerms): Promise<WriteOutcome>;
  /**
   * Lifts the gate. With a ticket, the pod also learns where it may go; without one, and with `ended`, why it continues nothing.
   */
  ungate(
    pod: Pod,
    as: { readonly ticket: Ticket; readonly placement: Placement } | null,
    ended?: string | null,
  ): Promise<WriteOutcome>;
  /** Writes its condition `reprieve.dev/Restored`; `moved` when the pod changed since `pod` was read. */
  tellQueued(pod: Pod, reason: QueueReason, message: string): Promise<WriteOutcome>;
  /** Writes what a ticket that stays in its phase says of itself; `moved` when the ticket changed since `ticket` was read. */
  tellTicket(ticket: Ticket, word: TicketWord): Promise<WriteOutcome>;
  setTicketPhase(ticket: Ticket, change: PhaseChange): Promise<WriteOutcome>;
  /** Writes the report into the policy's status; `moved` when the policy changed since `policy` was read. */
  setPolicyStatus(policy: Policy, report: PolicyReport): Promise<WriteOutcome>;
}

/**
 * A write that the API server refused, and will refuse again until something else changes: `Quota`: a ResourceQuota; `PodSecurity`;
 * `Admission`: a webhook or a policy of the cluster; `RuntimeClass`; `Invalid`: the object itself; `TooLarge`: larger than etcd takes;
 * `Forbidden`: anything else, a missing right for example.
 */
export interface Refusal {
  readonly reason: 'Quota' | 'PodSecurity' | 'Admission' | 'RuntimeClass' | 'Invalid' | 'TooLarge' | 'Forbidden';
  /** What the API server said. */
  readonly message: string;
}

/** Kubernetes Events. Never fails and never delays its caller. */
export interface EventSink {
  emit(event: ClusterEventRecord): void;
}

export interface ClusterEventRecord {
  readonly regarding: EventSubject;
  readonly related?: EventSubject;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly action: string;
  readonly message: string;
}

interface EventSubject {
  readonly kind: 'Pod' | 'Reprieve' | 'ReprievePolicy';
  /** Empty for a policy. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}
