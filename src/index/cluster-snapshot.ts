import type { Checkpoint } from '../domain/checkpoint.ts';
import type { DisruptionBudget } from '../domain/disruption-budget.ts';
import { byEvictionOrder } from '../domain/eviction-order.ts';
import { objectKey, type NodeName, type ObjectKey, type PodUid } from '../domain/ids.ts';
import type { Pod } from '../domain/pod.ts';
import type { Policy } from '../domain/policy.ts';
import { remainder } from '../domain/resources.ts';
import type { Ticket } from '../domain/ticket.ts';
import type { FrozenMap } from './frozen-map.ts';
import { insert } from './sorted.ts';
import type { ClusterView, Namespace, NodeSnapshot } from './types.ts';
import { VictimSheet } from './victim-sheet.ts';

/** Takes back one simulated change. Changes are taken back in reverse order. */
export type Undo = () => void;

/** What the index froze. */
interface FrozenCluster {
  readonly generation: number;
  readonly pods: FrozenMap<string, Pod>;
  readonly podsByName: FrozenMap<ObjectKey, Pod>;
  readonly pending: FrozenMap<string, Pod>;
  readonly gated: FrozenMap<string, Pod>;
  readonly gatedByOwner: FrozenMap<string, readonly Pod[]>;
  readonly byTicket: FrozenMap<ObjectKey, readonly Pod[]>;
  readonly parked: FrozenMap<string, Pod>;
  readonly nodes: FrozenMap<NodeName, NodeSnapshot>;
  readonly namespaces: FrozenMap<string, Namespace>;
  readonly policies: readonly Policy[];
  readonly budgets: FrozenMap<string, readonly DisruptionBudget[]>;
  readonly tickets: FrozenMap<ObjectKey, Ticket>;
  readonly ticketsByVictim: FrozenMap<PodUid, readonly Ticket[]>;
  readonly ticketsByOwner: FrozenMap<string, readonly Ticket[]>;
  readonly ticketsByClaimant: FrozenMap<PodUid, readonly Ticket[]>;
  readonly checkpoints: FrozenMap<ObjectKey, Checkpoint>;
  readonly checkpointsByPod: FrozenMap<PodUid, readonly Checkpoint[]>;
  readonly checkpointsByNode: FrozenMap<NodeName, readonly Checkpoint[]>;
}

/**
 * The cluster at one generation, for "what if": evictions and placements can be tried and taken back. They change what nodes
 * answer and nothing else: an evicted pod is still known by its UID. Each snapshot has its own trials; what was not tried is
 * shared with the index and with other snapshots.
 */
export class ClusterSnapshot implements ClusterView {
  readonly #frozen: FrozenCluster;
  readonly #tried = new Map<NodeName, NodeSnapshot>(); // node -> as it would be
  readonly #trials: ReadonlyMap<NodeName, NodeSnapshot | undefined>[] = []; // not taken back: node -> as it was tried before

  constructor(frozen: FrozenCluster) {
    this.#frozen = frozen;
  }

  get generation(): number {
    return this.#frozen.generation;
  }

  /**
   * As if these pods had left their nodes. Pods that do not stand there are passed over.
   *
   * @example
   * const undo = snapshot.evict(victims);
   * try {
   *   return fits(pod.requests, snapshot.node(name).free);
   * } finally {
   *   undo();
   * }
   */
  evict(pods: readonly Pod[]): Undo {
    const leaving = new Map<NodeName, Set<PodUid>>(); // node -> pods that leave it
    for (const { nodeName, uid } of pods) {
      if (nodeName === null) continue;
      const uids = leaving.get(nodeName);
      if (uids === undefined) leaving.set(nodeName, new Set([uid]));
      else uids.add(uid);
    }
    const before = new Map<NodeName, NodeSnapshot | undefined>();
    for (const [name, uids] of leaving) {
      this.#try(before, name, (standing) => standing.filter((pod) => !uids.has(pod.uid)));
    }
    return this.#undo(before);
  }

  /** As if this pod stood on `node`. Unknown nodes, and a pod that stands there already, are passed over. */
  place(pod: Pod, node: NodeName): Undo {
    const before = new Map<NodeName, NodeSnapshot | undefined>();
    this.#try(before, node, (standing) => {
      if (standing.some(({ uid }) => uid === pod.uid)) return standing;
      const pods = standing.slice();
      insert(pods, pod, byEvictionOrder);
      return pods;
    });
    return this.#undo(before);
  }

  /** Replaces the pods of a node, and keeps in `before` how it was tried so far; undefined where it was not. */
  #try(
    before: Map<NodeName, NodeSnapshot | undefined>,
    name: NodeName,
    change: (standing: readonly Pod[]) => readonly Pod[],
  ): void {
    const on = this.node(name);
    if (on === undefined) return;
    const pods = change(on.pods);
    if (pods.length === on.pods.length) return;
    before.set(name, this.#tried.get(name));
    const free = remainder(on.node.allocatable, pods);
    this.#tried.set(name, { ...on, pods, free, sheet: new VictimSheet(on.node, pods) });
  }

  #undo(before: ReadonlyMap<NodeName, NodeSnapshot | undefined>): Undo {
    this.#trials.push(before);
    return () => {
      if (this.#trials.at(-1) !== before) {
        throw new Error('simulated changes must be undone once, and in reverse order');
      }
      this.#trials.pop();
      for (const [name, on] of before) {
        if (on === undefined) this.#tried.delete(name);
        else this.#tried.set(name, on);
      }
    };
  }

  pod(uid: PodUid): Pod | undefined {
    return this.#frozen.pods.get(uid);
  }

  podNamed(namespace: string, name: string): Pod | undefined {
    return this.#frozen.podsByName.get(objectKey(namespace, name));
  }

  pendingPods(): Iterable<Pod> {
    return this.#frozen.pending.values();
  }

  gatedPods(): Iterable<Pod> {
    return this.#frozen.gated.values();
  }

  gatedPodsOfOwner(ownerUid: string): readonly Pod[] {
    return this.#frozen.gatedByOwner.get(ownerUid) ?? NONE;
  }

  podsOfTicket(ticket: ObjectKey): readonly Pod[] {
    return this.#frozen.byTicket.get(ticket) ?? NONE;
  }

  parkedPods(): Iterable<Pod> {
    return this.#frozen.parked.values();
  }

  node(name: NodeName): NodeSnapshot | undefined {
    return this.#tried.get(name) ?? this.#frozen.nodes.get(name);
  }

  *nodes(): Iterable<NodeSnapshot> {
    for (const on of this.#frozen.nodes.values()) yield this.#tried.get(on.node.name) ?? on;
  }

  namespaceLabels(name: string): Readonly<Record<string, string>> {
    return this.#frozen.namespaces.get(name)?.labels ?? NO_LABELS;
  }

  policies(): readonly Policy[] {
    return this.#frozen.policies;
  }

  budgets(namespace: string): readonly DisruptionBudget[] {
    return this.#frozen.budgets.get(namespace) ?? NONE;
  }

  ticket(key: ObjectKey): Ticket | undefined {
    return this.#frozen.tickets.get(key);
  }

  tickets(): Iterable<Ticket> {
    return this.#frozen.tickets.values();
  }

  ticketOfVictim(uid: PodUid): Ticket | undefined {
    return newest(this.#frozen.ticketsByVictim.get(uid) ?? NONE);
  }

  ticketsOfVictim(uid: PodUid): readonly Ticket[] {
    return this.#frozen.ticketsByVictim.get(uid) ?? NONE;
  }

  ticketsOfOwner(ownerUid: string): readonly Ticket[] {
    return this.#frozen.ticketsByOwner.get(ownerUid) ?? NONE;
  }

  ticketsOfClaimant(uid: PodUid): readonly Ticket[] {
    return this.#frozen.ticketsByClaimant.get(uid) ?? NONE;
  }

  checkpoint(key: ObjectKey): Checkpoint | undefined {
    return this.#frozen.checkpoints.get(key);
  }

  checkpoints(): Iterable<Checkpoint> {
    return this.#frozen.checkpoints.values();
  }

  checkpointsOfPod(uid: PodUid): readonly Checkpoint[] {
    return this.#frozen.checkpointsByPod.get(uid) ?? NONE;
  }

  checkpointsOn(node: NodeName): readonly Checkpoint[] {
    return this.#frozen.checkpointsByNode.get(node) ?? NONE;
  }
}

/** The ticket that was made last. Ours have one name per victim, so there are more only where somebody made them by hand. */
export function newest(tickets: readonly Ticket[]): Ticket | undefined {
  let last = tickets[0];
  for (const ticket of tickets) {
    if (last === undefined || ticket === last) continue;
    if (ticket.creationMs > last.creationMs || (ticket.creationMs === last.creationMs && ticket.uid > last.uid)) {
      last = ticket;
    }
  }
  return last;
}

const NONE: readonly never[] = [];
const NO_LABELS: Readonly<Record<string, string>> = {};
