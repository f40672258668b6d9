import type { Checkpoint } from '../domain/checkpoint.ts';
import type { DisruptionBudget } from '../domain/disruption-budget.ts';
import type { NodeName, ObjectKey, PodUid } from '../domain/ids.ts';
import type { Node } from '../domain/node.ts';
import type { Pod } from '../domain/pod.ts';
import type { Policy } from '../domain/policy.ts';
import type { Resources } from '../domain/resources.ts';
import type { Ticket } from '../domain/ticket.ts';
import type { WebhookReach } from '../domain/webhook-reach.ts';
import type { VictimSheet } from './victim-sheet.ts';

/** A namespace: only its labels matter, to policies. */
export interface Namespace {
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** The values of each kind the index holds. */
export interface IndexedKinds {
  readonly pod: Pod;
  readonly node: Node;
  readonly namespace: Namespace;
  readonly budget: DisruptionBudget;
  readonly policy: Policy;
  readonly checkpoint: Checkpoint;
  readonly ticket: Ticket;
}

export type IndexedKind = keyof IndexedKinds;

/**
 * One change of one object, from a watch or from the answer to our own write. `resourceVersion` of a deletion is that of
 * the DELETED event, so that a late answer to an earlier write cannot bring the object back.
 */
export type IndexEvent =
  | { [K in IndexedKind]: { readonly type: 'upsert'; readonly kind: K; readonly value: IndexedKinds[K] } }[IndexedKind]
  | {
      readonly type: 'delete';
      readonly kind: IndexedKind;
      readonly uid: string;
      readonly resourceVersion: string;
    };

/** Hears of each applied change; `before` is what the index held of the object, undefined where it held nothing. */
export type IndexListener = (event: IndexEvent, before?: IndexedKinds[IndexedKind]) => void;

/** What a listing has that the index lacks or holds at another version (`missed`), and what only the index has (`redundant`). UIDs. */
export interface IndexDiff {
  readonly missed: readonly string[];
  readonly redundant: readonly string[];
}

/** A node and what stands on it: a value, another one after each change. */
export interface NodeSnapshot {
  readonly node: Node;
  /** Pods that hold room here (assigned, not terminal), in eviction order: lowest priority first, then latest start, then UID. */
  readonly pods: readonly Pod[];
  /** Pending pods with `nominatedNodeName` here, highest priority first. */
  readonly nominated: readonly Pod[];
  /** Allocatable minus the requests of `pods`; may be negative. Nominated pods are not subtracted. */
  readonly free: Resources;
  /** `pods` for decisions that look at very many. */
  readonly sheet: VictimSheet;
}

/**
 * What decisions read. All answers are values or read-only
 * views that stay as they are; a later change makes new ones.
 */
export interface ClusterView {
  pod(uid: PodUid): Pod | undefined;
  podNamed(namespace: string, name: string): Pod | undefined;
  /** Pods without a node that are not terminal, any scheduler. */
  pendingPods(): Iterable<Pod>;
  /** Pending pods that carry the gate `reprieve.dev/restore`. */
  gatedPods(): Iterable<Pod>;
  /** Gated pods whose controller is `ownerUid`, in order of arrival. */
  gatedPodsOfOwner(ownerUid: string): readonly Pod[];
  /** Pods of a controller created after `sinceMs` that the webhook did not change ({@link isUnreviewed}), oldest first. */
  unreviewedPodsOfOwner(ownerUid: string, sinceMs: number): readonly Pod[];
  /** Pods that hold room on a node and continue this ticket (`namespace/name`): its claimant, and any earlier one that is not gone. */
  podsOfTicket(ticket: ObjectKey): readonly Pod[];
  /** Pending pods that kube-scheduler does not try again by itself, because their preemption was put off. */
  parkedPods(): Iterable<Pod>;

  node(name: NodeName): NodeSnapshot | undefined;
  nodes(): Iterable<NodeSnapshot>;
  /** The same nodes without what stands on them. */
  bareNodes(): Iterable<Node>;

  namespaceLabels(name: string): Readonly<Record<string, string>>;
  /**
   * In order of precedence: the first that selects a pod is its policy. Another array whenever a pod may have come under another
   * policy, or be no longer protected by it: after each change of a policy, of a namespace, or of {@link webhookReach}.
   */
  policies(): readonly Policy[];
  webhookReach(): WebhookReach;
  budgets(namespace: string): readonly DisruptionBudget[];

  ticket(key: ObjectKey): Ticket | undefined;
  tickets(): Iterable<Ticket>;
  ticketOfVictim(uid: PodUid): Ticket | undefined;
  /** Usually one: names of tickets are made of the UID. */
  ticketsOfVictim(uid: PodUid): readonly Ticket[];
  ticketsOfOwner(ownerUid: string): readonly Ticket[];
  /** Tickets that name this pod as the one that continues them; more than one only where records contradict each other. */
  ticketsOfClaimant(uid: PodUid): readonly Ticket[];

  checkpoint(key: ObjectKey): Checkpoint | undefined;
  checkpoints(): Iterable<Checkpoint>;
  checkpointsOfPod(uid: PodUid): readonly Checkpoint[];
  /** Of pods that stand or stood there. */
  checkpointsOn(node: NodeName): readonly Checkpoint[];
}
