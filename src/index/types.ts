import type { Checkpoint } from '../domain/checkpoint.ts';
import type { DisruptionBudget } from '../domain/disruption-budget.ts';
import type { NodeName, ObjectKey, PodUid, OwnerKey, PodKey } from '../domain/ids.ts';
import type { Node } from '../domain/node.ts';
import type { OwnerFacts } from '../domain/owner-facts.ts';
import type { Pod } from '../domain/pod.ts';
import type { PodConstraints } from '../domain/pod-constraints.ts';
import type { PodQuestion } from './pod-matches.ts';
import type { Policy } from '../domain/policy.ts';
import type { Resources } from '../domain/resources.ts';
import type { Service } from '../domain/service.ts';
import type { Ticket } from '../domain/ticket.ts';
import type { CsiNode, StorageClass, Volume, VolumeClaim } from '../domain/volume.ts';
import type { WebhookReach } from '../domain/webhook-reach.ts';
import type { WebhookReplica } from '../domain/webhook-replica.ts';
import type { VictimSheet } from './victim-sheet.ts';

/** A namespace: its labels matter to policies. */
export interface Namespace {
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Why operators ask to pause (annotation `reprieve.dev/pause`); null where nobody does. Only that of Reprieve's own namespace counts. */
  readonly pauseFor: string | null;
}

/** The values of each kind the index holds. */
export interface IndexedKinds {
  readonly pod: Pod;
  readonly node: Node;
  readonly namespace: Namespace;
  readonly budget: DisruptionBudget;
  readonly service: Service;
  readonly volumeClaim: VolumeClaim;
  readonly volume: Volume;
  readonly storageClass: StorageClass;
  readonly csiNode: CsiNode;
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
  /** Those of `pods` that continue a ticket and have not reported their restore. */
  readonly continuing: readonly (Pod & { readonly ticket: string })[];
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
  /** The pod that a record names; undefined where it is in another namespace than the record. */
  podOf(record: PodKey): Pod | undefined;
  podNamed(namespace: string, name: string): Pod | undefined;
  /** Pods without a node that are not terminal, any scheduler. */
  pendingPods(): Iterable<Pod>;
  /** Pending pods that carry the gate `reprieve.dev/restore`. */
  gatedPods(): Iterable<Pod>;
  /** Gated pods whose controller is `owner`, in order of arrival. */
  gatedPodsOfOwner(owner: OwnerKey): readonly Pod[];
  /** Pods of a controller created after `sinceMs` that the webhook did not change ({@link isUnreviewed}), oldest first. */
  unreviewedPodsOfOwner(owner: OwnerKey, sinceMs: number): readonly Pod[];
  /** Pods of a controller that neither ended nor are being deleted, gated ones included. */
  activePodsOfOwner(owner: OwnerKey): readonly Pod[];
  /** Pods that hold room on a node and continue this ticket (`namespace/name`): its claimant, and any earlier one that is not gone. */
  podsOfTicket(ticket: ObjectKey): readonly Pod[];
  /** Pending pods that kube-scheduler does not try again by itself, because their preemption was put off. */
  parkedPods(): Iterable<Pod>;
  /** Pods on this node that people ask to be moved off it (`Pod.displaceFor`). */
  podsToMove(node: NodeName): readonly Pod[];
  /** Nodes with such pods, and those that people ask to be evacuated. */
  nodesToMoveFrom(): Iterable<NodeName>;

  node(name: NodeName): NodeSnapshot | undefined;
  nodes(): Iterable<NodeSnapshot>;
  bareNode(name: NodeName): Node | undefined;
  /** Some node lists this extended resource as allocatable, and kube-scheduler is not told to ignore it. */
  isListed(resource: string): boolean;
  /** The same nodes without what stands on them. */
  bareNodes(): Iterable<Node>;

  /** How many pods that hold room the question is about, by node; nodes without one are missing. A live view. */
  countPods(question: PodQuestion): ReadonlyMap<NodeName, number>;
  /** Constraints with required anti-affinity of pods that hold room: how many pods have them, by node. A live view. */
  repelling(): ReadonlyMap<PodConstraints, ReadonlyMap<NodeName, number>>;

  volumeClaim(key: ObjectKey): VolumeClaim | undefined;
  /** Pods that hold room on a node and use this claim. */
  podsOfClaim(claim: ObjectKey): Iterable<Pod>;
  volume(name: string): Volume | undefined;
  /** Volumes of this class that nobody has claimed. */
  availableVolumes(storageClass: string): readonly Volume[];
  storageClass(name: string): StorageClass | undefined;
  csiNode(name: NodeName): CsiNode | undefined;

  namespaceLabels(name: string): Readonly<Record<string, string>>;
  /**
   * Why operators have paused Reprieve: no pod is saved, and what is frozen is thawed. Null while they have not. {@link policies} is another
   * array with each change.
   */
  pausedFor(): string | null;
  /**
   * In order of precedence: the first that selects a pod is its policy. Another array whenever a pod may have come under another
   * policy, or be no longer protected by it: after each change of a policy, of a namespace, or of {@link webhookReach}.
   */
  policies(): readonly Policy[];
  webhookReach(): WebhookReach;
  /** Our RuntimeClass exists: a pod that names it is accepted. True where that is not known. {@link policies} is another array with each change. */
  hasRuntimeClass(): boolean;
  /** Another array whenever one of them came, went or has seen more; none where this process has no replicas. */
  webhookReplicas(): readonly WebhookReplica[];
  budgets(namespace: string): readonly DisruptionBudget[];
  services(namespace: string): readonly Service[];

  ticket(key: ObjectKey): Ticket | undefined;
  tickets(): Iterable<Ticket>;
  ticketOfVictim(pod: PodKey): Ticket | undefined;
  /** Usually one: names of tickets are made of the UID. */
  ticketsOfVictim(uid: PodUid): readonly Ticket[];
  ticketsOfOwner(owner: OwnerKey): readonly Ticket[];
  /** What was last read of a controller; undefined while no ticket of its pods waits for a pod, and before it was read. */
  ownerFacts(owner: OwnerKey): OwnerFacts | undefined;
  /** Of a pod without a controller, by its `namespace/name`: its successor has the same. */
  ticketsOfBarePod(pod: ObjectKey): readonly Ticket[];
  /** Controllers that the eviction of one of their pods would fail for good, or of some of them, as far as they were read (`failsAlone`). */
  failingOwners(): ReadonlySet<OwnerKey>;
  /** Tickets that name this pod as the one that continues them; more than one only where records contradict each other. */
  ticketsOfClaimant(pod: PodKey): readonly Ticket[];

  checkpoint(key: ObjectKey): Checkpoint | undefined;
  checkpoints(): Iterable<Checkpoint>;
  checkpointsOfPod(pod: PodKey): readonly Checkpoint[];
  /** Of pods that stand or stood there. */
  checkpointsOn(node: NodeName): readonly Checkpoint[];
}
