import type { CheckpointRules } from './checkpoint-rules.ts';
import type { NodeName, PodUid } from './ids.ts';

/** A PodCheckpoint: the request to a node to save a pod, and what came of it. */
export interface Checkpoint {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly creationMs: number;
  readonly podName: string;
  readonly podUid: PodUid;
  readonly nodeName: NodeName;
  /** For what it is made, which says how long it is kept; null: a user made it. */
  readonly owner: CheckpointOwner | null;
  /** `hold: UntilDeleted`: the pod stays frozen after it was saved. */
  readonly keepFrozen: boolean;
  readonly rules: CheckpointRules;
  /** `spec.thawAt`: after this the agent neither begins to save the pod nor keeps it frozen. */
  readonly deadlineMs: number | null;
  /** `status.thawAt`: when the agent thaws the frozen pod, by the rule of `thaw-rule.ts`; null before it is frozen. */
  readonly thawAtMs: number | null;
  /** `spec.release`: why no displacement needs the pod frozen any more; null while it is not set. */
  readonly release: string | null;
  /** The agent has carried out `release`, and `thawed` says what became of the pod: condition `Released=True`. */
  readonly released: boolean;
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
  /** Null also where it names another node or state than its own: then nothing is believed of it. */
  readonly location: { readonly node: NodeName; readonly reference: string } | null;
  /** `sha256:<hex>`; null before it is ready. */
  readonly manifestDigest: string | null;
  readonly compatibility: string | null;
}

/**
 * Names the state of a PodCheckpoint on its node. With the UID, for a name may be used again; names of Kubernetes hold no underscore.
 */
export function stateReferenceOf({ namespace, name, uid }: Pick<Checkpoint, 'namespace' | 'name' | 'uid'>): string {
  return `${namespace}_${name}_${uid}`;
}

/** What a restore needs to know of a state, as the ticket says it. */
export interface StateRecord {
  readonly node: NodeName;
  readonly reference: string;
  /** `sha256:<hex>` of the manifest, which has those of all files. */
  readonly manifestDigest: string;
  /** Class of the nodes that can restore it; null: not known. */
  readonly compatibility: string | null;
}

export interface CheckpointOwner {
  /** Name of the Reprieve of the pod, in the same namespace. */
  readonly ticket: string;
}
