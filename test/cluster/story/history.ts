import { setTimeout as sleep } from 'node:timers/promises';
import { pathOf, type ResourceType } from '../../../src/kube/resources.ts';
import { TransportError, type KubeObject, type KubeTransport } from '../../../src/kube/transport.ts';
import { compareVersions } from '../../../src/index/object-table.ts';

/** One version of one object, as the API server told it. */
export interface Version {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly kind: string;
  readonly object: KubeObject;
  /** Place in the one sequence of all changes of the cluster. */
  readonly at: string;
  /** When it was seen here, by the clock of this process. */
  readonly seenMs: number;
}

/**
 * Watches kinds from the first object on and keeps every version: what was written, and in which order, not only how it
 * ended. Orders across kinds are right because all resourceVersions are of one sequence.
 */
export class History {
  readonly versions: Version[] = [];
  readonly #stop = new AbortController();
  #current = new AbortController(); // ends what is followed, for a listing
  readonly #watches: Promise<void>[] = [];
  readonly #waiting = new Set<() => void>();

  static async of(transport: KubeTransport, types: readonly ResourceType[]): Promise<History> {
    const history = new History();
    for (const type of types) await history.#watch(transport, type);
    return history;
  }

  /** Versions of one object, or of all of a kind, in order. */
  of(kind: string, name?: string): readonly Version[] {
    return this.versions
      .filter((version) => version.kind === kind && (name === undefined || version.object.metadata.name === name))
      .sort((a, b) => compareVersions(a.at, b.at));
  }

  /** The newest version of an object; undefined where there is none now. */
  last(kind: string, name: string, namespace = 'default'): KubeObject | undefined {
    const found = this.versions.findLast(
      ({ kind: its, object }) =>
        its === kind && object.metadata.name === name && object.metadata.namespace === namespace,
    );
    return found?.type === 'DELETED' ? undefined : found?.object;
  }

  /** The first version that passes; waits for it. Fails after `seconds` with the last versions seen of that kind. */
  async until(
    kind: string,
    what: string,
    passes: (object: KubeObject, version: Version) => boolean,
    seconds = 60,
  ): Promise<Version> {
    const deadline = Date.now() + seconds * 1000;
    for (;;) {
      const found = this.of(kind).find((version) => passes(version.object, version));
      if (found !== undefined) return found;
      const leftMs = deadline - Date.now();
      if (leftMs <= 0) {
        const last = this.of(kind)
          .slice(-4)
          .map(({ type, object }) => `${type} ${object.metadata.name} ${JSON.stringify(object['status'])}`);
        throw new Error(`${kind}: not seen within ${seconds} s: ${what}. Last seen:\n${last.join('\n')}`);
      }
      await this.#change(leftMs);
    }
  }

  /**
   * etcd was restored, and versions went back: what was seen before is forgotten, and everything is listed again. A watch from a
   * version that is still to come would be silent.
   */
  startOver(): void {
    this.versions.length = 0;
    this.#current.abort();
    this.#current = new AbortController();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#watches);
  }

  async #watch(transport: KubeTransport, type: ResourceType): Promise<void> {
    this.#watches.push(this.#follow(transport, type, await this.#list(transport, type)));
  }

  /** Over restarts of the server: each stream goes on where the last one ended, or from a new listing where that is forgotten. */
  async #follow(transport: KubeTransport, type: ResourceType, from: string): Promise<void> {
    const { signal } = this.#stop;
    let resourceVersion = from;
    while (!signal.aborted) {
      const current = this.#current.signal;
      try {
        const query = { resourceVersion, allowWatchBookmarks: 'true' };
        const either = AbortSignal.any([signal, current]);
        const watch = await transport.watch({ method: 'GET', path: pathOf(type), query, signal: either });
        if (watch.status === 410) resourceVersion = await this.#list(transport, type);
        for await (const { type: change, object } of watch.events) {
          if (change === 'ERROR') {
            resourceVersion = await this.#list(transport, type);
            break;
          }
          resourceVersion = object.metadata.resourceVersion ?? resourceVersion;
          if (change !== 'BOOKMARK') this.#add({ type: change, kind: type.kind, object, at: resourceVersion });
        }
      } catch (error) {
        if (!signal.aborted && !current.aborted && !(error instanceof TransportError)) throw error;
      }
      if (current.aborted && !signal.aborted) resourceVersion = await this.#list(transport, type);
      if (!signal.aborted) await sleep(100);
    }
  }

  /** Adds what is new since the last version seen of each object; answers where to watch from. */
  async #list(transport: KubeTransport, type: ResourceType): Promise<string> {
    const { body } = await served(() => transport.request({ method: 'GET', path: pathOf(type) }));
    const list = body as {
      readonly metadata: { readonly resourceVersion: string };
      readonly items: readonly KubeObject[];
    };
    const { kind } = type;
    const known = new Map<string | undefined, Version>(); // uid -> its last version
    for (const version of this.versions) if (version.kind === kind) known.set(version.object.metadata.uid, version);
    for (const object of list.items) {
      const { uid, resourceVersion: at = '0' } = object.metadata;
      const before = known.get(uid);
      known.delete(uid);
      if (before?.at !== at) this.#add({ type: before === undefined ? 'ADDED' : 'MODIFIED', kind, object, at });
    }
    const { resourceVersion: at } = list.metadata;
    for (const { type: last, object } of known.values()) {
      if (last !== 'DELETED') this.#add({ type: 'DELETED', kind, object, at });
    }
    return at;
  }

  #add(version: Omit<Version, 'seenMs'>): void {
    this.versions.push({ ...version, seenMs: Date.now() });
    for (const wake of this.#waiting) wake();
  }

  #change(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, Math.min(withinMs, 1000));
      this.#waiting.add(wake);
    });
  }
}

/** An answer of 200; a resource that was just defined is refused for a second or so (429). */
async function served<T extends { readonly status: number }>(ask: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const answer = await ask();
    if (answer.status === 200) return answer;
    if (attempt === 50) throw new Error(`not served: HTTP ${answer.status}`);
    await sleep(200);
  }
}

/** A field of an object by its path, or undefined. */
export function field(object: KubeObject, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], object);
}

/** Status of a condition, `True`, `False` or `Unknown`; undefined where there is none. */
export function condition(object: KubeObject, type: string): string | undefined {
  const conditions = field(object, 'status', 'conditions') as readonly { type: string; status: string }[] | undefined;
  return conditions?.find((candidate) => candidate.type === type)?.status;
}
