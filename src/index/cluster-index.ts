/**
 * The cluster in memory, as far as decisions read it.
 *
 *     watch events ─┐                    ┌─ tables      uid, name -> newest version; tombstones
 *                   ├─> apply(event) ────┼─ PodIndex    pending, gated, parked
 *     own writes ───┘        │           │    └─ NodeEntry  pods in eviction order, nominated, free
 *                            │           │         └─ VictimSheet  the same pods in flat arrays, for `preempt`
 *                            │           └─ records     tickets and checkpoints by victim, owner, pod, node
 *                            └─> listeners
 *
 *     questions <── ClusterView
 *
 * Everything is synchronous. A change costs O(log pods of the node); a question returns what is there.
 *
 * Memory, V8 without compressed pointers, 30 pods a node (benchmarks/results has it for the whole process):
 *
 *     a pod    value 270 + UID, name, version, two times 150 + by uid 50 + by name 130 + on its node 16 + sheet 64 = 0.7 KB,
 *              and its labels, owner, requests and tolerations, which pods of one template share (kube/project/part-pool.ts)
 *     a node   value, labels and resources 2 KB + entry and answer 0.5 KB
 */
import type { Checkpoint } from '../domain/checkpoint.ts';
import type { DisruptionBudget } from '../domain/disruption-budget.ts';
import { objectKey, type NodeName, type ObjectKey, type PodUid } from '../domain/ids.ts';
import type { Node } from '../domain/node.ts';
import type { Pod } from '../domain/pod.ts';
import type { Policy } from '../domain/policy.ts';
import { comparePolicies } from '../domain/protection.ts';
import type { Ticket } from '../domain/ticket.ts';
import { ASSUMED_REACH, type WebhookReach } from '../domain/webhook-reach.ts';
import { MultiMap } from './multi-map.ts';
import { compareVersions, ObjectTable } from './object-table.ts';
import { PodIndex } from './pod-index.ts';
import type {
  ClusterView,
  IndexDiff,
  IndexedKind,
  IndexedKinds,
  IndexEvent,
  IndexListener,
  Namespace,
  NodeSnapshot,
} from './types.ts';

const NO_LABELS: Readonly<Record<string, string>> = {};

export interface ClusterIndexOptions {
  /** Hears of listeners that throw. Without it their error leaves `apply`, after the change was made and all were told. */
  readonly onListenerError?: (error: unknown) => void;
}

export class ClusterIndex implements ClusterView {
  readonly #tables = {
    pod: new ObjectTable<Pod, ObjectKey>(keyOf),
    node: new ObjectTable<Node, NodeName>((node) => node.name),
    namespace: new ObjectTable<Namespace, string>((namespace) => namespace.name),
    budget: new ObjectTable<DisruptionBudget, ObjectKey>(keyOf),
    policy: new ObjectTable<Policy, string>((policy) => policy.name),
    checkpoint: new ObjectTable<Checkpoint, ObjectKey>(keyOf),
    ticket: new ObjectTable<Ticket, ObjectKey>(keyOf),
  } satisfies Record<IndexedKind, unknown>;
  readonly #pods = new PodIndex();
  readonly #budgets = new MultiMap<string, DisruptionBudget>(({ namespace }) => namespace); // namespace -> its budgets
  readonly #ticketsByVictim = new MultiMap<PodUid, Ticket>(({ pod }) => pod.uid); // displaced pod -> its tickets, usually one
  readonly #ticketsByOwner = new MultiMap<string, Ticket>(({ owner }) => owner?.uid ?? null); // uid of the controller -> tickets of its pods
  readonly #ticketsByClaimant = new MultiMap<PodUid, Ticket>(({ claim }) => claim?.uid ?? null); // claiming pod -> its tickets
  readonly #checkpointsByPod = new MultiMap<PodUid, Checkpoint>(({ podUid }) => podUid); // saved pod -> its checkpoints
  readonly #checkpointsByNode = new MultiMap<NodeName, Checkpoint>(({ nodeName }) => nodeName); // node -> checkpoints of its pods
  readonly #listeners = new Set<IndexListener>();
  readonly #onListenerError: ((error: unknown) => void) | null;
  readonly #silentAgents = new Set<NodeName>(); // nodes whose agents are not heard
  #policies: readonly Policy[] = []; // in order of precedence; another array whenever somebody may be ruled by another one
  #webhookReach = ASSUMED_REACH;

  constructor({ onListenerError }: ClusterIndexOptions = {}) {
    this.#onListenerError = onListenerError ?? null;
  }

  /**
   * Takes one change. Returns false, and does nothing, when it is not newer than what is known. An object that has the name of
   * another one takes its place; listeners hear of that as the other's deletion.
   */
  apply(reported: IndexEvent): boolean {
    const event = this.#withSilence(reported);
    const table = this.#tables[event.kind] as Table;
    if (event.type === 'delete') {
      const before = table.delete(event.uid, event.resourceVersion);
      if (before === undefined) return false;
      this.#changed(event, before, undefined);
      return true;
    }
    if (!table.isNews(event.value)) return false;
    this.#take(event);
    return true;
  }

  /** An object as it is now, whatever was known of it. */
  #take(event: IndexEvent & { readonly type: 'upsert' }): void {
    const { kind, value } = event;
    const table = this.#tables[kind] as Table;
    const former = table.formerOf(value);
    if (former !== undefined) {
      const isLater = compareVersions(former.resourceVersion, value.resourceVersion) > 0;
      const { resourceVersion } = isLater ? former : value;
      this.apply({ type: 'delete', kind, uid: former.uid, resourceVersion });
    }
    const before = table.get(value.uid);
    table.set(value);
    this.#changed(event, before, value);
  }

  /**
   * Takes a complete listing made at `resourceVersion`: applies what was missed, removes what is no longer there. Objects that
   * became known after the listing was made stay.
   */
  replaceAll<K extends IndexedKind>(kind: K, values: readonly IndexedKinds[K][], resourceVersion: string): IndexDiff {
    const replacing = this.replacing(kind, values, resourceVersion);
    for (;;) {
      const { done, value } = replacing.next();
      if (done) return value;
    }
  }

  /**
   * The same in small steps, between which other changes may come in: 150,000 objects at once would take a second. `wentBack`:
   * the API server holds an earlier state than before, so each listed object counts whatever its version, and nothing else does.
   */
  *replacing<K extends IndexedKind>(
    kind: K,
    values: readonly IndexedKinds[K][],
    resourceVersion: string,
    wentBack = false,
  ): Generator<void, IndexDiff> {
    const table = this.#tables[kind] as Table;
    if (wentBack) table.forgetDeletions();
    const listed = new Set<string>();
    const missed: IndexedKinds[K][] = [];
    for (const value of values) {
      listed.add(value.uid);
      if (wentBack || table.isNews(value)) missed.push(value);
      yield;
    }
    const redundant: { readonly uid: string; readonly resourceVersion: string }[] = [];
    for (const held of table.values()) {
      const isLater = compareVersions(held.resourceVersion, resourceVersion) > 0;
      if (!listed.has(held.uid) && (wentBack || !isLater))
        redundant.push({ uid: held.uid, resourceVersion: isLater ? held.resourceVersion : resourceVersion });
      yield;
    }
    for (const value of missed) {
      // TypeScript cannot see that the kind and the value of a generic `K` belong together.
      const event = { type: 'upsert', kind, value } as IndexEvent & { readonly type: 'upsert' };
      if (wentBack) this.#take(this.#withSilence(event) as typeof event);
      else this.apply(event);
      yield;
    }
    for (const gone of redundant) {
      this.apply({ type: 'delete', kind, ...gone });
      yield;
    }
    return { missed: missed.map(({ uid }) => uid), redundant: redundant.map(({ uid }) => uid) };
  }

  /** The agent of a node is not heard any more, or is again. Listeners hear of it as a change of the node. */
  setAgentSilent(name: NodeName, silent: boolean): void {
    if (silent === this.#silentAgents.has(name)) return;
    if (silent) this.#silentAgents.add(name);
    else this.#silentAgents.delete(name);
    const before = this.#tables.node.named(name);
    if (before === undefined) return;
    const value: Node = { ...before, agentSilent: silent };
    this.#tables.node.set(value);
    this.#changed({ type: 'upsert', kind: 'node', value }, before, value);
  }

  /** The API server does not say of a node whether its agent is heard. */
  #withSilence(event: IndexEvent): IndexEvent {
    if (event.type !== 'upsert' || event.kind !== 'node' || !this.#silentAgents.has(event.value.name)) return event;
    return { ...event, value: { ...event.value, agentSilent: true } };
  }

  /** Calls `listener` after each applied change; returns the function that ends it. A listener must not apply changes itself. */
  onChange(listener: IndexListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Objects held of each kind. */
  count(kind: IndexedKind): number {
    return this.#tables[kind].size;
  }

  pod(uid: PodUid): Pod | undefined {
    return this.#tables.pod.get(uid);
  }

  podNamed(namespace: string, name: string): Pod | undefined {
    return this.#tables.pod.named(objectKey(namespace, name));
  }

  pendingPods(): Iterable<Pod> {
    return this.#pods.pending();
  }

  gatedPods(): Iterable<Pod> {
    return this.#pods.gated();
  }

  unreviewedPodsOfOwner(ownerUid: string, sinceMs: number): readonly Pod[] {
    return this.#pods.unreviewedOfOwner(ownerUid, sinceMs);
  }

  gatedPodsOfOwner(ownerUid: string): readonly Pod[] {
    return this.#pods.gatedOfOwner(ownerUid);
  }

  podsOfTicket(ticket: ObjectKey): readonly Pod[] {
    return this.#pods.ofTicket(ticket);
  }

  parkedPods(): Iterable<Pod> {
    return this.#pods.parked();
  }

  node(name: NodeName): NodeSnapshot | undefined {
    return this.#pods.node(name);
  }

  nodes(): Iterable<NodeSnapshot> {
    return this.#pods.nodes();
  }

  bareNodes(): Iterable<Node> {
    return this.#tables.node.values();
  }

  namespaceLabels(name: string): Readonly<Record<string, string>> {
    return this.#tables.namespace.named(name)?.labels ?? NO_LABELS;
  }

  policies(): readonly Policy[] {
    return this.#policies;
  }

  webhookReach(): WebhookReach {
    return this.#webhookReach;
  }

  /** Listeners are not told: no object changed. */
  setWebhookReach(reach: WebhookReach): void {
    this.#webhookReach = reach;
    this.#policies = this.#policies.slice();
  }

  budgets(namespace: string): readonly DisruptionBudget[] {
    return this.#budgets.get(namespace);
  }

  ticket(key: ObjectKey): Ticket | undefined {
    return this.#tables.ticket.named(key);
  }

  tickets(): Iterable<Ticket> {
    return this.#tables.ticket.values();
  }

  ticketOfVictim(uid: PodUid): Ticket | undefined {
    return newest(this.#ticketsByVictim.get(uid));
  }

  ticketsOfVictim(uid: PodUid): readonly Ticket[] {
    return this.#ticketsByVictim.get(uid);
  }

  ticketsOfOwner(ownerUid: string): readonly Ticket[] {
    return this.#ticketsByOwner.get(ownerUid);
  }

  ticketsOfClaimant(uid: PodUid): readonly Ticket[] {
    return this.#ticketsByClaimant.get(uid);
  }

  checkpoint(key: ObjectKey): Checkpoint | undefined {
    return this.#tables.checkpoint.named(key);
  }

  checkpoints(): Iterable<Checkpoint> {
    return this.#tables.checkpoint.values();
  }

  checkpointsOfPod(uid: PodUid): readonly Checkpoint[] {
    return this.#checkpointsByPod.get(uid);
  }

  checkpointsOn(node: NodeName): readonly Checkpoint[] {
    return this.#checkpointsByNode.get(node);
  }

  #changed(
    event: IndexEvent,
    before: IndexedKinds[IndexedKind] | undefined,
    after: IndexedKinds[IndexedKind] | undefined,
  ): void {
    this.#follow(event.kind, before, after);
    let failure: { readonly error: unknown } | null = null;
    for (const listener of this.#listeners) {
      try {
        listener(event, before);
      } catch (error) {
        if (this.#onListenerError === null) failure ??= { error };
        else this.#onListenerError(error);
      }
    }
    if (failure !== null) throw failure.error;
  }

  /** Brings what is derived from the tables in step. Both values are of `kind`; that is what the tables guarantee. */
  #follow(kind: IndexedKind, before: unknown, after: unknown): void {
    switch (kind) {
      case 'pod':
        this.#pods.changePod(before as Pod | undefined, after as Pod | undefined);
        return;
      case 'node':
        this.#pods.changeNode(before as Node | undefined, after as Node | undefined);
        return;
      case 'namespace':
        this.#policies = this.#policies.slice();
        return;
      case 'budget':
        this.#budgets.change(before as DisruptionBudget | undefined, after as DisruptionBudget | undefined);
        return;
      case 'policy':
        this.#policies = [...this.#tables.policy.values()].sort(comparePolicies);
        return;
      case 'checkpoint':
        this.#checkpointsByPod.change(before as Checkpoint | undefined, after as Checkpoint | undefined);
        this.#checkpointsByNode.change(before as Checkpoint | undefined, after as Checkpoint | undefined);
        return;
      case 'ticket':
        this.#ticketsByVictim.change(before as Ticket | undefined, after as Ticket | undefined);
        this.#ticketsByOwner.change(before as Ticket | undefined, after as Ticket | undefined);
        this.#ticketsByClaimant.change(before as Ticket | undefined, after as Ticket | undefined);
        return;
      default:
        kind satisfies never;
    }
  }
}

/** A table whose kind is known at run time only. */
type Table = ObjectTable<IndexedKinds[IndexedKind], string>;

function keyOf({ namespace, name }: { readonly namespace: string; readonly name: string }): ObjectKey {
  return objectKey(namespace, name);
}

/** The ticket that was made last. Ours have one name per victim, so there are more only where somebody made them by hand. */
function newest(tickets: readonly Ticket[]): Ticket | undefined {
  let last = tickets[0];
  for (const ticket of tickets) {
    if (last === undefined || ticket === last) continue;
    if (ticket.creationMs > last.creationMs || (ticket.creationMs === last.creationMs && ticket.uid > last.uid)) {
      last = ticket;
    }
  }
  return last;
}
