import { apiVersionOf } from '../../kube/resources.ts';
import type { KubeObject, WatchEvent } from '../../kube/transport.ts';
import type { Clock, Timer } from '../../ports/clock.ts';
import type { StoredObject } from './api-object.ts';
import type { Collection, StoreEvent } from './collection.ts';
import { EventQueue } from './event-queue.ts';
import { isSelected, selectionOf, type Selection } from './list.ts';
import { expired, invalid } from './status-error.ts';

type Query = Readonly<Record<string, string>>;

interface WatcherOptions {
  readonly clock: Clock;
  readonly collection: Collection;
  readonly namespace: string | null;
  readonly query: Query;
  /** The version of the store. */
  version(): number;
  readonly bookmarkEveryMs: number;
  readonly signal: AbortSignal | undefined;
  onClose(watcher: Watcher): void;
}

/**
 * One watch. It begins with what the client missed (the history since its version), or with everything (no version, or
 * `sendInitialEvents`), and then follows the collection. A client with a selector sees an object that starts to match as
 * ADDED and one that ceases to match as DELETED.
 */
export class Watcher {
  readonly events: EventQueue;
  readonly #options: WatcherOptions;
  readonly #selection: Selection;
  #timeout: Timer | null = null;
  #nextBookmark: Timer | null = null;
  /** Version that the client knows; 0: none. */
  readonly #from: number;
  #unsubscribe: (() => void) | null = null;
  readonly #onAbort = (): void => this.close(this.#options.signal?.reason as Error);

  /** Throws a StatusError where the watch is refused. */
  constructor(options: WatcherOptions) {
    this.#options = options;
    const { collection, query, namespace } = options;
    this.#selection = selectionOf(collection.type, namespace, query);
    checkQuery(query);
    this.#from = Number(query['resourceVersion'] ?? 0);
    this.events = new EventQueue(() => this.close());
    if (!this.#start()) return;
    this.#unsubscribe = collection.subscribe((event) => this.#follow(event));
    options.signal?.addEventListener('abort', this.#onAbort, { once: true });
    this.#setTimers();
  }

  /** False after the watch ended, and from the start where it began too far back. */
  get isOpen(): boolean {
    return this.#unsubscribe !== null;
  }

  /** Ends the watch; with an error as a broken connection does. */
  close(error: Error | null = null): void {
    this.#unsubscribe?.();
    this.#unsubscribe = null;
    this.#timeout?.cancel();
    this.#nextBookmark?.cancel();
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.events.end(error);
    this.#options.onClose(this);
  }

  /** Returns false where the watch ended before it began. */
  #start(): boolean {
    const { collection, query, namespace } = this.#options;
    const from = this.#from;
    const wantsInitial = query['sendInitialEvents'];
    if (wantsInitial === 'true' || (wantsInitial === undefined && from === 0)) {
      for (const object of collection.list(namespace)) {
        if (isSelected(this.#selection, object)) this.events.push({ type: 'ADDED', object });
      }
      // The client knows by this bookmark that it has seen everything.
      if (wantsInitial === 'true') this.#bookmark({ 'k8s.io/initial-events-end': 'true' });
      return true;
    }
    if (from === 0) return true;
    const missed = collection.eventsSince(from);
    if (missed === null) {
      const { status } = expired(`too old resource version: ${from} (${collection.forgottenVersion})`);
      this.events.push({ type: 'ERROR', object: status as unknown as KubeObject });
      this.events.end();
      return false;
    }
    for (const event of missed) this.#follow(event);
    return true;
  }

  /** Whoever watches from a version that is still to come, as after a restore of etcd, hears of nothing until then. */
  #follow(event: StoreEvent): void {
    if (event.version <= this.#from) return;
    const translated = this.#translate(event);
    if (translated !== null) this.events.push(translated);
  }

  #translate({ type, object, previous }: StoreEvent): WatchEvent | null {
    const isNow = type !== 'DELETED' && isSelected(this.#selection, object);
    const wasBefore = previous !== null && isSelected(this.#selection, previous);
    if (isNow) return { type: wasBefore ? 'MODIFIED' : 'ADDED', object };
    if (!wasBefore) return null;
    return { type: 'DELETED', object: type === 'DELETED' ? object : asOf(previous, object) };
  }

  #setTimers(): void {
    const { clock, query, bookmarkEveryMs } = this.#options;
    const timeoutSeconds = Number(query['timeoutSeconds'] ?? 0);
    if (timeoutSeconds > 0) this.#timeout = clock.setTimer(timeoutSeconds * 1000, () => this.close());
    if (query['allowWatchBookmarks'] !== 'true') return;
    const again = (): void => {
      this.#nextBookmark = clock.setTimer(bookmarkEveryMs, () => {
        this.#bookmark();
        again();
      });
    };
    again();
  }

  #bookmark(annotations?: Record<string, string>): void {
    const { collection, query } = this.#options;
    if (query['allowWatchBookmarks'] !== 'true') return;
    const metadata = { resourceVersion: String(this.#options.version()), ...(annotations && { annotations }) };
    const object = { kind: collection.type.kind, apiVersion: apiVersionOf(collection.type), metadata };
    this.events.push({ type: 'BOOKMARK', object: object as unknown as KubeObject });
  }
}

/** The old state at the version of the write that made it stop matching. */
function asOf(previous: StoredObject, { metadata: { resourceVersion } }: StoredObject): StoredObject {
  return Object.freeze({ ...previous, metadata: Object.freeze({ ...previous.metadata, resourceVersion }) });
}

function checkQuery(query: Query): void {
  const wantsInitial = query['sendInitialEvents'];
  const match = query['resourceVersionMatch'];
  if (wantsInitial !== undefined && match !== 'NotOlderThan') {
    const detail = 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan';
    throw refused('resourceVersionMatch', detail);
  }
  if (wantsInitial === undefined && match !== undefined && match !== '') {
    throw refused(
      'resourceVersionMatch',
      'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
    );
  }
  const version = query['resourceVersion'] ?? '';
  if (!/^\d*$/.test(version)) throw refused('resourceVersion', `Invalid value: ${version}`);
}

function refused(field: string, detail: string): Error {
  return invalid({ group: 'meta.k8s.io', kind: 'ListOptions' }, '', [{ field, type: 'Forbidden', detail }]);
}
