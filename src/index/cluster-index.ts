/**
 * The cluster in memory, as far as decisions read it.
 *
 *     watch events ─┐                    ┌─ tables      uid -> newest version, tombstones
 *                   ├─> apply(event) ────┼─ PodIndex    name -> pod, pending, gated
 *     own writes ───┘        │           │    └─ NodeEntry  pods in eviction order, nominated, free
 *                            │           └─ records     tickets and checkpoints by key, victim, owner
 *                            └─> listeners
 *
 *     questions <── ClusterView (live)          snapshot() ──> ClusterSnapshot (frozen, can simulate)
 *
 * Everything is synchronous. A change costs O(log pods of the node); a question returns what is there.
 */
import type { Checkpoint } from '../domain/checkpoint.ts';
import type { DisruptionBudget } from '../domain/disruption-budget.ts';
import { objectKey, type NodeName, type ObjectKey, type PodUid } from '../domain/ids.ts';
import type { Node } from '../domain/node.ts';
import type { Pod } from '../domain/pod.ts';
import type { Policy } from '../domain/policy.ts';
import { comparePolicies } from '../domain/protection.ts';
import type { Ticket } from '../domain/ticket.ts';
import { ClusterSnapshot } from './cluster-snapshot.ts';
import { MultiMap } from './multi-map.ts';
import { compareVersions, isCurrent, ObjectTable } from './object-table.ts';
import { PodIndex } from './pod-index.ts';
import type {
  ClusterView,
  IndexDiff,
  IndexedKind,
  IndexedKinds,
  IndexEvent,
  Namespace,
  NodeSnapshot,
} from './types.ts';

type Tables = { readonly [K in IndexedKind]: ObjectTable<IndexedKinds[K]> };

const NO_LABELS: Readonly<Record<string, string>> = {};

export class ClusterIndex implements ClusterView {
  readonly #tables: Tables = {
    pod: new ObjectTable<Pod>(),
    node: new ObjectTable<Node>(),
    namespace: new ObjectTable<Namespace>(),
    budget: new ObjectTable<DisruptionBudget>(),
    policy: new ObjectTable<Policy>(),
    checkpoint: new ObjectTable<Checkpoint>(),
    ticket: new ObjectTable<Ticket>(),
  };
  readonly #pods = new PodIndex();
  readonly #namespaces = new Map<string, Namespace>(); // name -> namespace
  readonly #budgets = new MultiMap<string, DisruptionBudget>(); // namespace -> its budgets
  readonly #tickets = new Map<ObjectKey, Ticket>(); // namespace/name -> ticket
  readonly #ticketsByVictim = new Map<PodUid, Ticket>(); // displaced pod -> its ticket
  readonly #ticketsByOwner = new MultiMap<string, Ticket>(); // uid of the controller -> tickets of its pods
  readonly #checkpoints = new Map<ObjectKey, Checkpoint>(); // namespace/name -> checkpoint
  readonly #checkpointsByPod = new MultiMap<PodUid, Checkpoint>(); // saved pod -> its checkpoints
  readonly #listeners = new Set<(event: IndexEvent) => void>();
  #policies: readonly Policy[] = []; // in order of precedence
  #generation = 0;
  #lastSnapshot: ClusterSnapshot | null = null;

  get generation(): number {
    return this.#generation;
  }

  /** Takes one change. Returns false, and does nothing, when it is not newer than what is known. */
  apply(event: IndexEvent): boolean {
    const table = this.#tables[event.kind] as ObjectTable<IndexedKinds[IndexedKind]>;
    let before: IndexedKinds[IndexedKind] | undefined;
    let after: IndexedKinds[IndexedKind] | undefined;
    if (event.type === 'upsert') {
      if (!table.isNews(event.value)) return false;
      before = table.get(event.value.uid);
      after = event.value;
      table.set(after);
    } else {
      before = table.delete(event.uid, event.resourceVersion);
      if (before === undefined) return false;
    }
    this.#generation++;
    this.#change(event.kind, before, after);
    for (const listener of this.#listeners) listener(event);
    return true;
  }

  /**
   * Takes a complete listing made at `resourceVersion`: applies what was missed, removes what is no longer there. Objects that
   * became known after the listing was made stay.
   */
  replaceAll<K extends IndexedKind>(kind: K, values: readonly IndexedKinds[K][], resourceVersion: string): IndexDiff {
    const diff = this.diff(kind, values, resourceVersion);
    const missed = new Set(diff.missed);
    for (const value of values) {
      // TypeScript cannot see that the kind and the value of a generic `K` belong together.
      if (missed.has(value.uid)) this.apply({ type: 'upsert', kind, value } as IndexEvent);
    }
    for (const uid of diff.redundant) this.apply({ type: 'delete', kind, uid, resourceVersion });
    return diff;
  }

  /** Compares with a complete listing made at `resourceVersion`, and changes nothing. */
  diff<K extends IndexedKind>(kind: K, values: readonly IndexedKinds[K][], resourceVersion: string): IndexDiff {
    const table = this.#tables[kind];
    const listed = new Set<string>();
    const missed: string[] = [];
    for (const value of values) {
      listed.add(value.uid);
      if (table.isNews(value)) missed.push(value.uid);
    }
    const redundant: string[] = [];
    for (const value of table.values()) {
      if (!listed.has(value.uid) && compareVersions(value.resourceVersion, resourceVersion) <= 0)
        redundant.push(value.uid);
    }
    return { missed, redundant };
  }

  /** Calls `listener` after each applied change; returns the function that ends it. A listener must not throw, nor apply. */
  onChange(listener: (event: IndexEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Objects held of each kind. */
  count(kind: IndexedKind): number {
    return this.#tables[kind].size;
  }

  /** The nodes as they are now; those that did not change since the last call are shared with it. */
  snapshot(): ClusterSnapshot {
    if (this.#lastSnapshot === null || this.#lastSnapshot.generation !== this.#generation) {
      this.#lastSnapshot = ClusterSnapshot.of(this);
    }
    return this.#lastSnapshot.fresh();
  }

  pod(uid: PodUid): Pod | undefined {
    return this.#tables.pod.get(uid);
  }

  podNamed(namespace: string, name: string): Pod | undefined {
    return this.#pods.named(namespace, name);
  }

  pendingPods(): Iterable<Pod> {
    return this.#pods.pending();
  }

  gatedPods(): Iterable<Pod> {
    return this.#pods.gated();
  }

  node(name: NodeName): NodeSnapshot | undefined {
    return this.#pods.node(name);
  }

  nodes(): Iterable<NodeSnapshot> {
    return this.#pods.nodes();
  }

  namespaceLabels(name: string): Readonly<Record<string, string>> {
    return this.#namespaces.get(name)?.labels ?? NO_LABELS;
  }

  policies(): readonly Policy[] {
    return this.#policies;
  }

  budgets(namespace: string): readonly DisruptionBudget[] {
    return this.#budgets.get(namespace);
  }

  ticket(key: ObjectKey): Ticket | undefined {
    return this.#tickets.get(key);
  }

  tickets(): Iterable<Ticket> {
    return this.#tickets.values();
  }

  ticketOfVictim(uid: PodUid): Ticket | undefined {
    return this.#ticketsByVictim.get(uid);
  }

  ticketsOfOwner(ownerUid: string): readonly Ticket[] {
    return this.#ticketsByOwner.get(ownerUid);
  }

  checkpoint(key: ObjectKey): Checkpoint | undefined {
    return this.#checkpoints.get(key);
  }

  checkpoints(): Iterable<Checkpoint> {
    return this.#checkpoints.values();
  }

  checkpointsOfPod(uid: PodUid): readonly Checkpoint[] {
    return this.#checkpointsByPod.get(uid);
  }

  /** Both values are of `kind`; that is what the tables guarantee. */
  #change(kind: IndexedKind, before: unknown, after: unknown): void {
    switch (kind) {
      case 'pod':
        this.#pods.changePod(before as Pod | undefined, after as Pod | undefined, this.#generation);
        return;
      case 'node':
        this.#pods.changeNode(before as Node | undefined, after as Node | undefined, this.#generation);
        return;
      case 'namespace':
        this.#changeNamespace(before as Namespace | undefined, after as Namespace | undefined);
        return;
      case 'budget':
        this.#changeBudget(before as DisruptionBudget | undefined, after as DisruptionBudget | undefined);
        return;
      case 'policy':
        this.#policies = [...this.#tables.policy.values()].sort(comparePolicies);
        return;
      case 'checkpoint':
        this.#changeCheckpoint(before as Checkpoint | undefined, after as Checkpoint | undefined);
        return;
      case 'ticket':
        this.#changeTicket(before as Ticket | undefined, after as Ticket | undefined);
        return;
      default:
        kind satisfies never;
    }
  }

  #changeNamespace(before: Namespace | undefined, after: Namespace | undefined): void {
    if (before !== undefined && this.#namespaces.get(before.name)?.uid === before.uid)
      this.#namespaces.delete(before.name);
    if (after !== undefined && isCurrent(this.#namespaces.get(after.name), after))
      this.#namespaces.set(after.name, after);
  }

  #changeBudget(before: DisruptionBudget | undefined, after: DisruptionBudget | undefined): void {
    if (before !== undefined) this.#budgets.remove(before.namespace, before);
    if (after !== undefined) this.#budgets.add(after.namespace, after);
  }

  #changeCheckpoint(before: Checkpoint | undefined, after: Checkpoint | undefined): void {
    if (before !== undefined) {
      const key = objectKey(before.namespace, before.name);
      if (this.#checkpoints.get(key)?.uid === before.uid) this.#checkpoints.delete(key);
      this.#checkpointsByPod.remove(before.podUid, before);
    }
    if (after !== undefined) {
      const key = objectKey(after.namespace, after.name);
      if (isCurrent(this.#checkpoints.get(key), after)) this.#checkpoints.set(key, after);
      this.#checkpointsByPod.add(after.podUid, after);
    }
  }

  #changeTicket(before: Ticket | undefined, after: Ticket | undefined): void {
    if (before !== undefined) {
      const key = objectKey(before.namespace, before.name);
      if (this.#tickets.get(key)?.uid === before.uid) this.#tickets.delete(key);
      if (this.#ticketsByVictim.get(before.pod.uid)?.uid === before.uid) this.#ticketsByVictim.delete(before.pod.uid);
      if (before.owner !== null) this.#ticketsByOwner.remove(before.owner.uid, before);
    }
    if (after !== undefined) {
      const key = objectKey(after.namespace, after.name);
      if (isCurrent(this.#tickets.get(key), after)) this.#tickets.set(key, after);
      if (isCurrent(this.#ticketsByVictim.get(after.pod.uid), after)) this.#ticketsByVictim.set(after.pod.uid, after);
      if (after.owner !== null) this.#ticketsByOwner.add(after.owner.uid, after);
    }
  }
}
