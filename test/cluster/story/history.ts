import { pathOf, type ResourceType } from '../../../src/kube/resources.ts';
import type { KubeObject, KubeTransport } from '../../../src/kube/transport.ts';
import { compareVersions } from '../../../src/index/object-table.ts';

/** One version of one object, as the API server told it. */
export interface Version {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly kind: string;
  readonly object: KubeObject;
  /** Place in the one sequence of all changes of the cluster. */
  readonly at: string;
}

/**
 * Watches kinds from the first object on and keeps every version: what was written, and in which order, not only how it
 * ended. Orders across kinds are right because all resourceVersions are of one sequence.
 */
export class History {
  readonly versions: Version[] = [];
  readonly #stop = new AbortController();
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
          .map(({ type, object }) => `${type} ${JSON.stringify({ ...object, spec: undefined })}`);
        throw new Error(`${kind}: not seen within ${seconds} s: ${what}. Last seen:\n${last.join('\n')}`);
      }
      await this.#change(leftMs);
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#watches);
  }

  async #watch(transport: KubeTransport, type: ResourceType): Promise<void> {
    const { body } = await transport.request({ method: 'GET', path: pathOf(type) });
    const list = body as {
      readonly metadata: { readonly resourceVersion: string };
      readonly items: readonly KubeObject[];
    };
    const { resourceVersion } = list.metadata;
    for (const object of list.items) {
      this.#add({ type: 'ADDED', kind: type.kind, object, at: object.metadata.resourceVersion ?? '0' });
    }
    const watch = await transport.watch({
      method: 'GET',
      path: pathOf(type),
      query: { watch: '1', resourceVersion },
      signal: this.#stop.signal,
    });
    this.#watches.push(this.#read(type, watch.events));
  }

  async #read(
    type: ResourceType,
    events: AsyncIterable<{ readonly type: string; readonly object: KubeObject }>,
  ): Promise<void> {
    try {
      for await (const { type: change, object } of events) {
        if (change !== 'ADDED' && change !== 'MODIFIED' && change !== 'DELETED') continue;
        this.#add({ type: change, kind: type.kind, object, at: object.metadata.resourceVersion ?? '0' });
      }
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error;
    }
  }

  #add(version: Version): void {
    this.versions.push(version);
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

/** A field of an object by its path, or undefined. */
export function field(object: KubeObject, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], object);
}

/** Status of a condition, `True`, `False` or `Unknown`; undefined where there is none. */
export function condition(object: KubeObject, type: string): string | undefined {
  const conditions = field(object, 'status', 'conditions') as readonly { type: string; status: string }[] | undefined;
  return conditions?.find((candidate) => candidate.type === type)?.status;
}
