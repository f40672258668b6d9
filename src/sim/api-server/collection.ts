import type { ResourceType } from '../../kube/resources.ts';
import type { StoredObject } from './api-object.ts';

/** One write, as the store tells it. `object` of a deletion is the last state, at the version of the deletion. */
export interface StoreEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: StoredObject;
  readonly previous: StoredObject | null;
  readonly version: number;
}

/** The objects of one kind, what happened to them lately, and who wants to know. */
export class Collection {
  readonly type: ResourceType;
  readonly #objects = new Map<string, Map<string, StoredObject>>(); // namespace ('' for the cluster) -> name -> object
  readonly #listeners = new Set<(event: StoreEvent) => void>();
  readonly #historyLimit: number;
  #history: StoreEvent[] = []; // by version
  #forgottenVersion = 0; // the version of the newest event that is no longer in the history

  constructor(type: ResourceType, historyLimit: number) {
    this.type = type;
    this.#historyLimit = historyLimit;
  }

  get(namespace: string | null, name: string): StoredObject | undefined {
    return this.#objects.get(namespace ?? '')?.get(name);
  }

  /** All objects, or those of one namespace, in the order of their keys in etcd. */
  list(namespace: string | null): StoredObject[] {
    const objects: StoredObject[] = [];
    for (const [key, byName] of this.#objects) {
      if (namespace === null || namespace === key) for (const object of byName.values()) objects.push(object);
    }
    return objects.sort(byKey);
  }

  /** The objects as they were at `version`; null where the history does not reach back that far. */
  listAt(version: number, namespace: string | null): StoredObject[] | null {
    const since = this.eventsSince(version);
    if (since === null) return null;
    const byName = new Map<string, StoredObject | null>();
    for (const object of this.list(namespace)) byName.set(keyOf(object), object);
    for (const event of since.toReversed()) {
      if (namespace !== null && event.object.metadata.namespace !== namespace) continue;
      byName.set(keyOf(event.object), event.previous);
    }
    return [...byName.values()].filter((object) => object !== null).sort(byKey);
  }

  /** What happened after `version`; null where some of it is forgotten. */
  eventsSince(version: number): readonly StoreEvent[] | null {
    if (version < this.#forgottenVersion) return null;
    return this.#history.slice(this.#history.findLastIndex((event) => event.version <= version) + 1);
  }

  get forgottenVersion(): number {
    return this.#forgottenVersion;
  }

  apply(event: StoreEvent): void {
    const { namespace = '', name } = event.object.metadata;
    let byName = this.#objects.get(namespace);
    if (byName === undefined) this.#objects.set(namespace, (byName = new Map()));
    if (event.type === 'DELETED') byName.delete(name);
    else byName.set(name, event.object);
    this.#history.push(event);
    // Dropping in blocks keeps the cost of a write constant.
    if (this.#history.length >= 2 * this.#historyLimit) this.#forget(this.#history.length - this.#historyLimit);
    for (const listener of this.#listeners) listener(event);
  }

  /** Forgets the history, as compaction does: watches and continued lists from before `version` get a 410. */
  compact(version: number): void {
    this.#history = [];
    this.#forgottenVersion = version;
  }

  /** Exactly these objects, without a history. */
  replace(objects: readonly StoredObject[], version: number): void {
    this.#objects.clear();
    for (const object of objects) {
      const { namespace = '', name } = object.metadata;
      const byName = this.#objects.get(namespace) ?? new Map<string, StoredObject>();
      this.#objects.set(namespace, byName.set(name, object));
    }
    this.compact(version);
  }

  subscribe(listener: (event: StoreEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #forget(count: number): void {
    this.#forgottenVersion = this.#history[count - 1]?.version ?? this.#forgottenVersion;
    this.#history = this.#history.slice(count);
  }
}

/** `namespace/name`; the order of these is the order of lists. */
export function keyOf(object: StoredObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}

function byKey(a: StoredObject, b: StoredObject): number {
  const [left, right] = [keyOf(a), keyOf(b)];
  return left < right ? -1 : Number(left > right);
}
