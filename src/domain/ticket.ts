import type { StateRecord } from './checkpoint.ts';
import type { Displacement } from './displacement.ts';
import type { NodeName, PodUid } from './ids.ts';
import type { PodOwner } from './pod.ts';
import type { Policy } from './policy.ts';
import type { Resources } from './resources.ts';

/** Where a ticket stands, as `kubectl get reprieves` prints it. */
export const TICKET_PHASES = [
  /** The victim is being saved; nothing has been evicted. */
  'Saving',
  /** The eviction has begun: the victim is, or may be, deleted. */
  'Displacing',
  /** The victim is gone; the ticket stands in the queue. */
  'Waiting',
  /** A pod has claimed it and its gate was lifted; kube-scheduler places it. */
  'Admitted',
  /** The pod is on a node, which restores it. */
  'Restoring',
  /** Every attempt to restore it failed, and its policy says Hold: its pod stays gated until a person decides. */
  'Held',
  /** It goes on. Final. */
  'Restored',
  /** It started from nothing, with the reason in a condition. Final. */
  'ColdStarted',
  /** Nobody will continue it, with the reason in a condition. Final. */
  'Abandoned',
] as const;
export type TicketPhase = (typeof TICKET_PHASES)[number];

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
    /** Of the labels that its policy names (`restore.identityLabels`); null where these do not tell who continues it. */
    readonly identityLabels: Readonly<Record<string, string>> | null;
    readonly displacements: number;
    /** Memory that the pod could use; 0: no limit, null: not recorded. */
    readonly memoryLimitBytes: number | null;
  };
  readonly owner: PodOwner | null;
  readonly priority: number;
  readonly requests: Resources;
  readonly restoreShape: string;
  readonly displacement: Displacement;
  /** Why `displacement` cannot be carried out as it is recorded; null for every record that Reprieve wrote. */
  readonly flaw: string | null;
  /** Name of the PodCheckpoint that holds the state. */
  readonly checkpoint: string;
  /** The state, copied from the PodCheckpoint at the eviction; null before. Agents cannot write it, and restore nothing else. */
  readonly state: StateRecord | null;
  readonly restore: Policy['restore'];
  readonly phase: TicketPhase;
  /** When it entered `phase`. */
  readonly phaseMs: number;
  /** When the deletion of the displaced pod was requested (`Pod.evictedMs`); null before that, and if no replica saw the deletion. */
  readonly evictedMs: number | null;
  /** The pod that will continue it, or did. */
  readonly claim: { readonly name: string; readonly uid: PodUid } | null;
  readonly attempts: number;
  /** Nodes that could not restore it, in order. None of them is tried again. */
  readonly failedNodes: readonly FailedNode[];
  /** Pods that were to continue it and made way for another one, in order; no node is to blame. */
  readonly replacedPods: readonly ReplacedPod[];
  /** What it says of its place in the queue and of what it waits for; null while it says nothing of that. */
  readonly waitsFor: string | null;
  /** Reason and message of its condition `Restored`. */
  readonly said: { readonly reason: string; readonly message: string };
  /** Why a person keeps it from returning (annotation `reprieve.dev/hold`); null where nobody does. */
  readonly heldFor: string | null;
  /** Annotation `reprieve.dev/decide`; null while nobody has decided. */
  readonly decide: string | null;
}

/** A node that could not restore a ticket, and the pod it should have restored there. */
export interface FailedNode {
  readonly node: NodeName;
  readonly pod: PodUid;
  readonly reason: string;
}

/** A pod that cannot continue a ticket: Reprieve deletes the pod, and another one continues the ticket. */
export interface ReplacedPod {
  readonly pod: PodUid;
  readonly reason: ReplacedBecause;
}

export const REPLACED_BECAUSE = [
  /** kube-scheduler did not place the admitted pod within the bound. */
  'NotPlaced',
  /** The admitted pod requires nodes of a compatibility class, or one node, and none of them exists any more. */
  'NodesGone',
  /** The pod ended before it ran: its node was shut down, or the kubelet refused the pod. */
  'Disrupted',
  /** The agent of its node does not answer. */
  'AgentSilent',
] as const;
export type ReplacedBecause = (typeof REPLACED_BECAUSE)[number];

/** Pods that Reprieve deletes so that another one continues the ticket. */
export function podsMakingWay({ failedNodes, replacedPods }: Ticket): readonly { readonly pod: PodUid }[] {
  return replacedPods.length === 0 ? failedNodes : [...failedNodes, ...replacedPods];
}

/** The pod makes way: Reprieve deletes it, and another one continues the ticket. */
export function makesWay(ticket: Ticket, uid: PodUid): boolean {
  return podsMakingWay(ticket).some(({ pod }) => pod === uid);
}

export function wasReplaced({ replacedPods }: Ticket, because: ReplacedBecause): boolean {
  return replacedPods.some(({ reason }) => reason === because);
}

/** The node that the displaced pod was on; null where the record does not name the pod. */
export function sourceNodeOf({ displacement, pod }: Ticket): NodeName | null {
  return displacement.pods.find(({ uid }) => uid === pod.uid)?.node ?? null;
}

export function isFinal(phase: TicketPhase): boolean {
  return phase === 'Restored' || phase === 'ColdStarted' || phase === 'Abandoned';
}

/** The victim still runs, or may: the displacement can be undone. */
export function isBeforeEviction(phase: TicketPhase): boolean {
  return phase === 'Saving';
}

/** Somebody may still come to continue it. */
export function isOpenAndFree(ticket: Ticket): boolean {
  return ticket.claim === null && !ticket.deleting && !isFinal(ticket.phase);
}

/** Of several states the newest comes first; by name where two are of one moment. */
export function byNewestState(a: Ticket, b: Ticket): number {
  return b.creationMs - a.creationMs || (a.name < b.name ? -1 : 1);
}

/** How often pods that were to continue it were displaced before they were restored. */
export function interruptionsOf({ attempts, failedNodes, phase }: Ticket): number {
  const goesOn = phase === 'Restoring' || phase === 'Restored' || phase === 'ColdStarted' ? 1 : 0;
  return Math.max(0, attempts - failedNodes.length - goesOn);
}
