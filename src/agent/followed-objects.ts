import { INDEXED_RESOURCES } from '../kube/project/kinds.ts';
import { Reflector, type ReflectorNotice } from '../kube/reflector.ts';
import type { KubeObject, KubeTransport } from '../kube/transport.ts';
import type { Clock } from '../ports/clock.ts';
import type { IndexDiff, IndexedKind } from '../index/types.ts';

/**
 * Both states of an object: `before` is null for a new one, `after` for one that is gone. Never both. `wentUnseen`: a listing lacks
 * the object, and no watch told of its deletion.
 */
type ChangeHandler = (before: KubeObject | null, after: KubeObject | null, wentUnseen: boolean) => void;

export interface FollowedObjectsOptions {
  readonly transport: KubeTransport;
  readonly clock: Clock;
  readonly kind: IndexedKind;
  /** Narrows what is followed: an agent sees its own node only. */
  readonly fieldSelector?: string;
  readonly onNotice: (notice: ReflectorNotice) => void;
}

/**
 * The objects of one kind that concern this node, raw and by UID, kept up to date by a {@link Reflector}. Whoever reads one
 * of them may project it: those that cannot be are left out, with a notice.
 */
export class FollowedObjects {
  readonly #byUid = new Map<string, KubeObject>();
  readonly #handlers: ChangeHandler[] = [];
  readonly #reflector: Reflector<KubeObject>;

  constructor({ kind, ...options }: FollowedObjectsOptions) {
    const { type, project } = INDEXED_RESOURCES[kind];
    this.#reflector = new Reflector({
      ...options,
      resource: type,
      project(object) {
        project(object);
        return object;
      },
      sink: {
        upsert: (object) => this.#upsert(object),
        remove: (uid) => this.#remove(uid, false),
        replaceAll: (objects, _version, wentBack) => this.#replaceAll(objects, wentBack),
      },
    });
  }

  /** Resolves when everything was listed for the first time. */
  get synced(): Promise<void> {
    return this.#reflector.synced;
  }

  /** Follows until the signal is aborted. */
  run(signal: AbortSignal): Promise<void> {
    return this.#reflector.run(signal);
  }

  /** Called at each change, after it can be seen here. */
  onChange(handler: ChangeHandler): void {
    this.#handlers.push(handler);
  }

  list(): readonly KubeObject[] {
    return [...this.#byUid.values()];
  }

  get(uid: string): KubeObject | undefined {
    return this.#byUid.get(uid);
  }

  #upsert(object: KubeObject, anyVersion = false): void {
    const uid = object.metadata.uid as string;
    const before = this.#byUid.get(uid) ?? null;
    if (!anyVersion && before !== null && before.metadata.resourceVersion === object.metadata.resourceVersion) return;
    this.#byUid.set(uid, object);
    for (const handler of this.#handlers) handler(before, object, false);
  }

  #remove(uid: string, wentUnseen: boolean): void {
    const before = this.#byUid.get(uid);
    if (before === undefined) return;
    this.#byUid.delete(uid);
    for (const handler of this.#handlers) handler(before, null, wentUnseen);
  }

  #replaceAll(objects: readonly KubeObject[], wentBack: boolean): IndexDiff {
    const listed = new Map(objects.map((object) => [object.metadata.uid as string, object]));
    const redundant = [...this.#byUid.keys()].filter((uid) => !listed.has(uid));
    const missed = [...listed]
      .filter(([uid, { metadata }]) => this.#byUid.get(uid)?.metadata.resourceVersion !== metadata.resourceVersion)
      .map(([uid]) => uid);
    for (const uid of redundant) this.#remove(uid, true);
    // After a restore of etcd, one version may stand for two states of an object.
    for (const object of listed.values()) this.#upsert(object, wentBack);
    return { missed, redundant };
  }
}
