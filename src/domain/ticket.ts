import type { NodeName, PodUid } from './ids.ts';
import type { PodOwner } from './pod.ts';
import type { Policy } from './policy.ts';
import type { Resources } from './resources.ts';
import type { LabelSelector } from './selector.ts';
import type { Toleration } from './pod.ts';

/** Where a ticket stands, as `kubectl get reprieves` prints it. */
export type TicketPhase =
  /** The victim is being saved; nothing has been evicted. */
  | 'Saving'
  /** The eviction has begun: the victim is, or may be, deleted. */
  | 'Displacing'
  /** The victim is gone; the ticket stands in the queue. */
  | 'Waiting'
  /** A pod has claimed it and its gate was lifted; kube-scheduler places it. */
  | 'Admitted'
  /** The pod is on a node, which restores it. */
  | 'Restoring'
  /** Every attempt to restore it failed, and its policy says Hold: its pod stays gated until a person decides. */
  | 'Held'
  /** It goes on. Final. */
  | 'Restored'
  /** It started from nothing, with the reason in a condition. Final. */
  | 'ColdStarted'
  /** Nobody will continue it, with the reason in a condition. Final. */
  | 'Abandoned';

/** A victim of a decision, as each of its tickets records the whole decision. */
export type PlannedVictim = SavedVictim | UnsavedVictim;

interface VictimRef {
  readonly uid: PodUid;
  readonly namespace: string;
  readonly name: string;
  /** Whether the policy allows to evict it unsaved when its checkpoint fails. */
  readonly onFailure: 'Evict' | 'Refuse';
}

/** A victim that is evicted with its state. */
export interface SavedVictim extends VictimRef {
  readonly action: 'checkpoint' | 'reuse';
  /** Name of the PodCheckpoint that is made (`checkpoint`) or already exists (`reuse`). */
  readonly checkpoint: string;
  /** What else its policy said. */
  readonly terms: VictimTerms;
}

/** A victim that is evicted as it is. */
interface UnsavedVictim extends VictimRef {
  readonly action: 'evict';
  readonly checkpoint: null;
  readonly terms: null;
}

/** What was promised to a victim, and stays so whatever becomes of the policy. */
export interface VictimTerms {
  readonly policy: string;
  readonly maxDelayMs: number;
  readonly checkpoint: Policy['checkpoint'];
  readonly restore: Policy['restore'];
}

export type VictimAction = PlannedVictim['action'];

interface PreemptorRef {
  readonly namespace: string;
  readonly name: string;
  readonly uid: PodUid;
  readonly priority: number;
}

/** For one preemptor: the node, its victims and what happens to each. Repeated in each ticket, so that one survivor is enough to go on. */
export interface Decision {
  /** Unique per decision, also for a second one about the same preemptor. */
  readonly id: string;
  readonly preemptor: PreemptorRef;
  readonly node: NodeName;
  /** In the order of the answer: descending priority. */
  readonly victims: readonly PlannedVictim[];
  readonly numPdbViolations: number;
  readonly decidedMs: number;
  /** When saving must be done; then `onFailure` decides. */
  readonly deadlineMs: number;
}

/** No promise to save takes longer, beside the `maxDelay` of a policy: a deadline beyond that is no deadline. */
export const LONGEST_SAVE_MS = 86_400_000;

/** A Reprieve: the ticket of one displaced pod. */
export interface Ticket {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly creationMs: number;
  readonly generation: number;
  readonly deleting: boolean;
  readonly pod: {
    readonly name: string;
    readonly uid: PodUid;
    readonly completionIndex: number | null;
    readonly displacements: number;
  };
  readonly owner: PodOwner | null;
  readonly priority: number;
  readonly requests: Resources;
  readonly nodeSelector: LabelSelector | null;
  readonly tolerations: readonly Toleration[];
  readonly restoreShape: string;
  readonly decision: Decision;
  /** Why `decision` cannot be carried out as it is recorded; null for every record that Reprieve wrote. */
  readonly flaw: string | null;
  /** Name of the PodCheckpoint that holds the state. */
  readonly checkpoint: string;
  readonly restore: Policy['restore'];
  readonly phase: TicketPhase;
  /** When it entered `phase`. */
  readonly phaseMs: number;
  /** The pod that will continue it, or did. */
  readonly claim: { readonly name: string; readonly uid: PodUid } | null;
  readonly attempts: number;
  /** Nodes that could not restore it, in order. None of them is tried again. */
  readonly failedNodes: readonly FailedNode[];
  /** Reason and message of its condition `Restored`. */
  readonly said: { readonly reason: string; readonly message: string };
  /** Annotation `reprieve.dev/decide`; null while nobody has decided. */
  readonly decide: string | null;
}

/** A node that could not restore a ticket, and the pod it should have restored there. */
export interface FailedNode {
  readonly node: NodeName;
  readonly pod: PodUid;
  readonly reason: string;
}

/** The pod is one whose restore failed: it is deleted, and another one continues the ticket. */
export function isFailedPod(ticket: Ticket, uid: PodUid): boolean {
  return ticket.failedNodes.some(({ pod }) => pod === uid);
}

export function isFinal(phase: TicketPhase): boolean {
  return phase === 'Restored' || phase === 'ColdStarted' || phase === 'Abandoned';
}

/** The victim still runs, or may: the decision can be undone. */
export function isBeforeEviction(phase: TicketPhase): boolean {
  return phase === 'Saving';
}

/** Somebody may still come to continue it. */
export function isOpenAndFree(ticket: Ticket): boolean {
  return ticket.claim === null && !ticket.deleting && !isFinal(ticket.phase);
}
