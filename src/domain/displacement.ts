import type { NodeName, PodUid } from './ids.ts';
import type { Policy } from './policy.ts';

/**
 * One plan to move pods off their nodes: why, which pods, and what happens to each before it is evicted. Each ticket of it
 * repeats the whole, so that one surviving ticket is enough to carry it on.
 */
export interface Displacement {
  /** Unique per displacement, also for a second one with the same cause. */
  readonly id: string;
  readonly cause: Cause;
  /** In the order in which the cause names them; for a preemption by descending priority. */
  readonly pods: readonly DisplacedPod[];
  readonly commit: Commit;
  readonly decidedMs: number;
  /** When saving must be done; then `onFailure` of each pod decides. */
  readonly deadlineMs: number;
}

/** When pods may be evicted: `AllSaved`: none before every pod is saved; `EachSaved`: each as soon as it is saved itself. */
type Commit = 'AllSaved' | 'EachSaved';

/**
 * Why pods are displaced. What follows from the kind of cause stands in `src/engine/causes`: a new kind is one more member
 * here, a file there, and its row in `CAUSES`.
 */
export type Cause = PreemptionCause | ManualCause | EvictionCause;
export type CauseKind = Cause['kind'];

/** kube-scheduler needs room on a node for a pending pod that is more important than the pods there. */
export interface PreemptionCause {
  readonly kind: 'Preemption';
  readonly preemptor: Beneficiary;
  /** Where the preemptor is to run. Every pod of the displacement is on it. */
  readonly node: NodeName;
  /** As kube-scheduler counted them; echoed in the answer. */
  readonly numPdbViolations: number;
}

/** A person asked for it, by an annotation of the pod or of its node. Such a displacement moves one pod. */
export interface ManualCause {
  readonly kind: 'Manual';
  /** Which object has the annotation. */
  readonly askedOn: 'Pod' | 'Node';
  /** Its value, in the words of whoever asked. */
  readonly why: string;
}

/** Somebody else is about to delete the pod, and waits until it is saved (`src/engine/guard`). Such a displacement moves one pod. */
export interface EvictionCause {
  readonly kind: 'Eviction';
  readonly by: EvictionRequest;
  /** Name of the user of the API server. */
  readonly requester: string;
  /** Reason of the condition `DisruptionTarget` with which the pod goes. */
  readonly why: string;
}

/** The request that waits: `DELETE` of the pod, or `POST` to its subresource `eviction` (`kubectl drain`). */
export type EvictionRequest = 'Deletion' | 'Eviction';

/** The pending pod that gets the room. */
export interface Beneficiary {
  readonly namespace: string;
  readonly name: string;
  readonly uid: PodUid;
  readonly priority: number;
}

/** A pod of a displacement: where it is, and what happens to it before it is evicted. */
export type DisplacedPod = SavedPod | UnsavedPod;

interface PodOfPlan {
  readonly uid: PodUid;
  readonly namespace: string;
  readonly name: string;
  readonly node: NodeName;
  /** Whether the policy allows to evict it unsaved when its checkpoint fails. */
  readonly onFailure: 'Evict' | 'Refuse';
}

/** It is evicted with its state. */
export interface SavedPod extends PodOfPlan {
  /** `Save`: a checkpoint is made. `Reuse`: a checkpoint that exists is recent enough. */
  readonly plan: 'Save' | 'Reuse';
  /** Name of the PodCheckpoint. */
  readonly checkpoint: string;
  /** What else its policy said. */
  readonly terms: VictimTerms;
}

/** It is evicted as it is. */
interface UnsavedPod extends PodOfPlan {
  readonly plan: 'Evict';
  readonly checkpoint: null;
  readonly terms: null;
}

export type Plan = DisplacedPod['plan'];

/** What the policy of the pod said when the displacement was decided. Later changes of the policy do not change it. */
export interface VictimTerms {
  readonly policy: string;
  readonly maxDelayMs: number;
  readonly checkpoint: Policy['checkpoint'];
  readonly restore: Policy['restore'];
}

/** `maxDelay` of a policy is no longer. */
export const LONGEST_DELAY_MS = 3_600_000;

/** No promise to save takes longer, beside the `maxDelay` of a policy: a deadline beyond that is no deadline. */
export const LONGEST_SAVE_MS = 86_400_000;

/** A displacement whose cause is of this kind. */
export type DisplacementFor<Of extends Cause> = Displacement & { readonly cause: Of };
export type Preemption = DisplacementFor<PreemptionCause>;
export type ManualDisplacement = DisplacementFor<ManualCause>;

export function isPreemption(displacement: Displacement): displacement is Preemption {
  return displacement.cause.kind === 'Preemption';
}

/** The pod for which room is made, which a cause of any kind names as `preemptor`; null for a cause that has none. */
export function beneficiaryOf({ cause }: Pick<Displacement, 'cause'>): Beneficiary | null {
  return 'preemptor' in cause ? cause.preemptor : null;
}

/** Nodes that pods of the displacement are moved off. */
export function nodesOf({ pods }: Displacement): ReadonlySet<NodeName> {
  return new Set(pods.map(({ node }) => node));
}

/** Which of these displacements moves a pod, and what it does with it; null: none. A pod is in one. */
export function movingIn(
  displacements: Iterable<Displacement>,
  uid: PodUid,
): { readonly displacement: Displacement; readonly victim: DisplacedPod } | null {
  for (const displacement of displacements) {
    const victim = displacement.pods.find((displaced) => displaced.uid === uid);
    if (victim !== undefined) return { displacement, victim };
  }
  return null;
}
