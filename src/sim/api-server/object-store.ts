import { RESOURCES, type ResourceType } from '../../kube/resources.ts';
import type { Draft, StoredObject } from './api-object.ts';
import { Collection } from './collection.ts';
import { deepFreeze, sameJson } from './json.ts';
import { normalise } from './normalise.ts';

export interface StoreBackup {
  readonly version: number;
  readonly objects: ReadonlyMap<ResourceType, readonly StoredObject[]>;
}

/**
 * All objects under one resource version, as etcd keeps them. It knows nothing of kinds: what may be written is for the
 * handlers to say. Every write is atomic and is told to the listeners of its collection before it returns.
 */
export class ObjectStore {
  readonly #collections = new Map<ResourceType, Collection>();
  #version = 0;

  constructor(historyLimit: number) {
    for (const type of Object.values(RESOURCES)) this.#collections.set(type, new Collection(type, historyLimit));
  }

  /** The version of the latest write. */
  get version(): number {
    return this.#version;
  }

  collection(type: ResourceType): Collection {
    return this.#collections.get(type) as Collection;
  }

  create(type: ResourceType, draft: Draft): StoredObject {
    const object = this.#seal(type, draft, ++this.#version);
    this.collection(type).apply({ type: 'ADDED', object, previous: null, version: this.#version });
    return object;
  }

  /** What {@link create} would store; without a version, as the answer to a dry run. */
  sealed(type: ResourceType, draft: Draft): StoredObject {
    return deepFreeze(normalise(type, draft)) as StoredObject;
  }

  /** A write that changes nothing leaves the version alone and is told to nobody. */
  update(type: ResourceType, previous: StoredObject, draft: Draft): StoredObject {
    draft.metadata.resourceVersion = previous.metadata.resourceVersion;
    const normal = normalise(type, draft);
    if (sameJson(normal, previous)) return previous;
    const object = this.#seal(type, normal, ++this.#version);
    this.collection(type).apply({ type: 'MODIFIED', object, previous, version: this.#version });
    return object;
  }

  remove(type: ResourceType, previous: StoredObject): StoredObject {
    const version = ++this.#version;
    const metadata = { ...previous.metadata, resourceVersion: String(version) };
    const object = deepFreeze({ ...previous, metadata }) as StoredObject;
    this.collection(type).apply({ type: 'DELETED', object, previous, version });
    return object;
  }

  /** All objects as they are now. */
  backup(): StoreBackup {
    const objects = [...this.#collections].map(([type, collection]) => [type, collection.list(null)] as const);
    return { version: this.#version, objects: new Map(objects) };
  }

  /** As a restore of etcd: objects and version are those of the backup, and nothing is known of what came before or after. */
  restore({ version, objects }: StoreBackup): void {
    this.#version = version;
    for (const [type, collection] of this.#collections) collection.replace(objects.get(type) ?? [], version);
  }

  compact(): void {
    for (const collection of this.#collections.values()) collection.compact(this.#version);
  }

  #seal(type: ResourceType, draft: Draft, version: number): StoredObject {
    const object = normalise(type, draft);
    object.metadata.resourceVersion = String(version);
    return deepFreeze(object) as StoredObject;
  }
}
