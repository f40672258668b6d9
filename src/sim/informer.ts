import { pathOf, type ResourceType } from '../kube/resources.ts';
import type { KubeObject, KubeTransport, WatchEvent } from '../kube/transport.ts';
import { sleep, type Clock } from '../ports/clock.ts';

/** client-go's informers wait 0.8 s at first; one round number keeps histories easy to read. */
const PAUSE_MS = 1000;

/** Both states of an object: `before` is null for a new one, `after` for one that is gone. Never both. */
export type ChangeHandler = (before: KubeObject | null, after: KubeObject | null, wentUnseen: boolean) => void;

/** What an {@link Informer} follows. */
export interface InformerOptions {
  readonly transport: KubeTransport;
  readonly clock: Clock;
  readonly resource: ResourceType;
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
  /** How long it waits before it lists again. */
  readonly pauseMs?: number;
}

/**
 * The informer of the simulated control plane: a list, then a watch from its version; when the watch ends for whatever
 * reason, a pause and a list again. Objects are kept raw, by UID and by name, in the order in which they were first seen,
 * which makes every loop over them deterministic.
 *
 * Separate from the reflector of `src/kube` on purpose: that one is under test here.
 */
export class Informer {
  readonly #options: InformerOptions;
  readonly #byUid = new Map<string, KubeObject>();
  readonly #byKey = new Map<string, KubeObject>(); // namespace/name
  readonly #handlers: ChangeHandler[] = [];
  readonly #stop = new AbortController();
  readonly #synced = Promise.withResolvers<void>();
  #isSynced = false;
  #relists = -1;

  constructor(options: InformerOptions) {
    this.#options = options;
  }

  /** Begins to follow the collection. */
  start(): this {
    void this.#run();
    return this;
  }

  /** Ends the watch. The objects stay as they were seen last. */
  stop(): void {
    this.#stop.abort(new Error('the informer was stopped'));
  }

  /** Resolves when everything was listed for the first time. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** Listings after the first one. */
  get relists(): number {
    return Math.max(0, this.#relists);
  }

  /** Handlers are called synchronously, in the order of their registration, after the informer's own state has changed. */
  onChange(handler: ChangeHandler): void {
    this.#handlers.push(handler);
  }

  /** All objects, oldest acquaintance first. */
  list(): readonly KubeObject[] {
    return [...this.#byUid.values()];
  }

  byUid(uid: string): KubeObject | null {
    return this.#byUid.get(uid) ?? null;
  }

  /** `namespace` is null for what has none. */
  byName(namespace: string | null, name: string): KubeObject | null {
    return this.#byKey.get(keyOf(namespace ?? '', name)) ?? null;
  }

  get size(): number {
    return this.#byUid.size;
  }

  async #run(): Promise<void> {
    const { clock, pauseMs } = this.#options;
    while (!this.#stop.signal.aborted) {
      try {
        await this.#listAndWatch();
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        // Anything but a broken answer or connection is a bug in a handler and must not be retried away.
        if (!(error instanceof Error) || !RETRIED.has(error.name)) throw error;
      }
      await sleep(clock, pauseMs ?? PAUSE_MS, this.#stop.signal).catch(() => undefined);
    }
  }

  async #listAndWatch(): Promise<void> {
    const { transport, resource, fieldSelector, labelSelector } = this.#options;
    const { signal } = this.#stop;
    const path = pathOf(resource);
    const query = { ...(fieldSelector && { fieldSelector }), ...(labelSelector && { labelSelector }) };
    const response = await transport.request({ method: 'GET', path, query, signal });
    if (response.status !== 200) throw new InformerError(`listing ${resource.plural}: HTTP ${response.status}`);
    const list = response.body as {
      readonly metadata: { resourceVersion: string };
      readonly items: KubeObject[] | null;
    };
    this.#replace(list.items ?? []);

    const { resourceVersion } = list.metadata;
    const watched = { ...query, watch: '1', resourceVersion, allowWatchBookmarks: 'true' };
    const watch = await transport.watch({ method: 'GET', path, query: watched, signal });
    if (watch.status !== 200) throw new InformerError(`watching ${resource.plural}: HTTP ${watch.status}`);
    for await (const event of watch.events) {
      if (signal.aborted) return;
      if (event.type === 'ERROR') return;
      this.#apply(event);
    }
  }

  #replace(items: readonly KubeObject[]): void {
    const uids = new Set(items.map(({ metadata }) => metadata.uid));
    for (const [uid, object] of this.#byUid) if (!uids.has(uid)) this.#remove(object, true);
    for (const object of items) this.#upsert(object);
    this.#relists++;
    this.#isSynced = true;
    this.#synced.resolve();
  }

  #apply({ type, object }: WatchEvent): void {
    if (type === 'ADDED' || type === 'MODIFIED') this.#upsert(object);
    else if (type === 'DELETED') this.#remove(object, false);
  }

  #upsert(object: KubeObject): void {
    const { uid = '', namespace = '', name, resourceVersion } = object.metadata;
    const before = this.#byUid.get(uid) ?? null;
    if (before?.metadata.resourceVersion === resourceVersion && before !== null) return;
    this.#byUid.set(uid, object);
    this.#byKey.set(keyOf(namespace, name), object);
    for (const handler of this.#handlers) handler(before, object, false);
  }

  #remove({ metadata: { uid = '', namespace = '', name } }: KubeObject, wentUnseen: boolean): void {
    const before = this.#byUid.get(uid);
    if (before === undefined) return;
    this.#byUid.delete(uid);
    // A relist may have seen the successor of the same name first.
    if (this.#byKey.get(keyOf(namespace, name)) === before) this.#byKey.delete(keyOf(namespace, name));
    for (const handler of this.#handlers) handler(before, null, wentUnseen);
  }
}

/** An answer other than 200: listed again after a pause. */
class InformerError extends Error {
  override readonly name = 'InformerError';
}

const RETRIED: ReadonlySet<string> = new Set(['InformerError', 'TransportError', 'KubeApiError']);

function keyOf(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}
