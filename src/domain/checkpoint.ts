import type { CheckpointRules } from './checkpoint-rules.ts';
import type { NodeName, PodUid } from './ids.ts';

/** A PodCheckpoint: the order to a node to save a pod, and what came of it. */
export interface Checkpoint {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly creationMs: number;
  readonly podName: string;
  readonly podUid: PodUid;
  readonly nodeName: NodeName;
  /** Why it is made. `Manual`: a user made it, and no ticket owns it. */
  readonly reason: 'Preemption' | 'Manual';
  readonly keepFrozen: boolean;
  readonly rules: CheckpointRules;
  /** After this the agent neither begins to save the pod nor keeps it frozen. */
  readonly deadlineMs: number | null;
  /** When the agent thaws the frozen pod, by the rule of `thaw-rule.ts`; null before it is frozen. */
  readonly thawAtMs: number | null;
  readonly deleting: boolean;
  /** When its deletion was asked for; null while nobody has. */
  readonly deletionMs: number | null;
  /** Verified on the node: condition `Ready=True`. */
  readonly ready: boolean;
  /** Held still, saved or while it is being saved: condition `Frozen=True`. */
  readonly frozen: boolean;
  /** It was frozen and went on: condition `Frozen=False` with reason `Thawed`, `DeadlineExceeded` or `ProbesEnd` (not `PodKilled`). Its state is old. */
  readonly thawed: boolean;
  /** Condition `Failed=True`; null while it has not failed. */
  readonly failure: { readonly reason: string; readonly message: string; readonly atMs: number } | null;
  /** The moment the saved state is from; null before it is ready. */
  readonly takenMs: number | null;
  /** When it was verified, or had failed; null before. A pod that it does not keep frozen has run since then. */
  readonly completedMs: number | null;
  readonly bytes: number;
  readonly location: { readonly node: NodeName; readonly reference: string } | null;
  readonly compatibility: string | null;
}
