/**
 * The cluster in memory, as far as decisions read it.
 *
 *     watch events ─┐                    ┌─ tables      uid, name -> newest version; tombstones
 *                   ├─> apply(event) ────┼─ PodIndex    pending, gated, parked
 *     own writes ───┘        │           │    └─ NodeEntry  pods in eviction order, nominated, free
 *                            │           │         └─ VictimSheet  the same pods in flat arrays, for `preempt`
 *                            │           └─ RecordIndex tickets and checkpoints by victim, owner, pod, node
 *                            └─> listeners
 *
 *     questions <── ClusterView (`held-cluster.ts`)
 *
 * Everything is synchronous. A change costs O(log pods of the node); a question returns what is there.
 *
 * Memory, V8 without compressed pointers, 30 pods a node (benchmarks/results has it for the whole process):
 *
 *     a pod    value 270 + UID, name, version, two times 150 + by uid 50 + by name 130 + on its node 16 + sheet 64 = 0.7 KB,
 *              and its labels, owner, requests and tolerations, which pods of one template share (kube/project/part-pool.ts)
 *     a node   value, labels and resources 2 KB + entry and answer 0.5 KB
 */
import type { NodeName, OwnerKey } from '../domain/ids.ts';
import { DEFAULT_NAMESPACE } from '../domain/labels.ts';
import type { Node } from '../domain/node.ts';
import type { OwnerFacts } from '../domain/owner-facts.ts';
import { HeldCluster } from './held-cluster.ts';
import { compareVersions, type ObjectTable } from './object-table.ts';
import type { IndexDiff, IndexedKind, IndexedKinds, IndexEvent, IndexListener } from './types.ts';

export interface ClusterIndexOptions {
  /** Where Reprieve runs, and operators pause it; default reprieve-system. */
  readonly ownNamespace?: string;
  /** Hears of listeners that throw. Without it their error leaves `apply`, after the change was made and all were told. */
  readonly onListenerError?: (error: unknown) => void;
}

export class ClusterIndex extends HeldCluster {
  readonly #listeners = new Set<IndexListener>();
  readonly #onListenerError: ((error: unknown) => void) | null;
  readonly #silentAgents = new Set<NodeName>(); // nodes whose agents are not heard

  constructor({ ownNamespace = DEFAULT_NAMESPACE, onListenerError }: ClusterIndexOptions = {}) {
    super(ownNamespace);
    this.#onListenerError = onListenerError ?? null;
  }

  /**
   * Takes one change. Returns false, and does nothing, when it is not newer than what is known. An object that has the name of
   * another one takes its place; listeners hear of that as the other's deletion.
   */
  apply(reported: IndexEvent): boolean {
    const event = this.#withSilence(reported);
    const table = this.tables[event.kind] as Table;
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
    const table = this.tables[kind] as Table;
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
    const table = this.tables[kind] as Table;
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
    const before = this.tables.node.named(name);
    if (before === undefined) return;
    const value: Node = { ...before, agentSilent: silent };
    this.tables.node.set(value);
    this.#changed({ type: 'upsert', kind: 'node', value }, before, value);
  }

  /** What was read of a controller; null: nothing is to be held of it any more. Listeners hear of it as a change of its tickets. */
  setOwner(owner: OwnerKey, facts: OwnerFacts | null): void {
    if (facts === null) this.owners.delete(owner);
    else this.owners.set(owner, facts);
    const limit = facts?.failsByEviction;
    if (limit != null && (limit.bears === 0 || limit.bearsOfIndex !== null)) this.failing.add(owner);
    else this.failing.delete(owner);
    for (const ticket of this.ticketsOfOwner(owner).slice())
      this.#changed({ type: 'upsert', kind: 'ticket', value: ticket }, ticket, ticket);
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

  #changed(
    event: IndexEvent,
    before: IndexedKinds[IndexedKind] | undefined,
    after: IndexedKinds[IndexedKind] | undefined,
  ): void {
    this.follow(event.kind, before, after);
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
}

/** A table whose kind is known at run time only. */
type Table = ObjectTable<IndexedKinds[IndexedKind], string>;
