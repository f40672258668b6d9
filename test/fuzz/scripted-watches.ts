import type { KubeRequest, KubeResponse, KubeTransport, KubeWatch, WatchEvent } from '../../src/kube/transport.ts';

const END_OF_LIST: WatchEvent = {
  type: 'BOOKMARK',
  object: { metadata: { name: '', resourceVersion: '1', annotations: { 'k8s.io/initial-events-end': 'true' } } },
};

/** An API server of which every collection is empty at first; lines are sent to its watches one by one. */
export class ScriptedWatches implements KubeTransport {
  readonly #streams = new Map<string, Stream>(); // plural of the resource -> its open watch

  /** A reflector asks for the present version before it watches on: it is higher than that of any line. */
  request({ path, query }: KubeRequest): Promise<KubeResponse> {
    if (query?.['limit'] !== '1') throw new Error(`nobody should ask for ${path}`);
    const body = { metadata: { resourceVersion: String(Number.MAX_SAFE_INTEGER) }, items: [] };
    return Promise.resolve({ status: 200, headers: {}, body });
  }

  watch({ path, query, signal }: KubeRequest): Promise<KubeWatch> {
    const stream = new Stream(query?.['sendInitialEvents'] === 'true');
    signal?.addEventListener('abort', () => stream.close(), { once: true });
    this.#streams.set(path.split('/').at(-1) ?? '', stream);
    return Promise.resolve({ status: 200, headers: {}, events: stream });
  }

  /** Resolves when the line was handled; true when its reader has left the stream over it. */
  async send(plural: string, line: unknown): Promise<boolean> {
    const stream = this.#streams.get(plural);
    if (stream === undefined) throw new Error(`nobody watches ${plural}`);
    return await stream.send(line as WatchEvent);
  }

  isWatching(plural: string): boolean {
    return this.#streams.get(plural)?.isOpen ?? false;
  }
}

class Stream implements AsyncIterable<WatchEvent> {
  #line = Promise.withResolvers<WatchEvent | null>(); // null: closed
  #handled = Promise.withResolvers<boolean>();
  readonly #isInitial: boolean;
  isOpen = true;

  constructor(isInitial: boolean) {
    this.#isInitial = isInitial;
  }

  send(line: WatchEvent): Promise<boolean> {
    this.#handled = Promise.withResolvers();
    this.#line.resolve(line);
    return this.#handled.promise;
  }

  close(): void {
    this.#line.resolve(null);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<WatchEvent> {
    try {
      if (this.#isInitial) yield END_OF_LIST;
      for (;;) {
        const line = await this.#line.promise;
        this.#line = Promise.withResolvers();
        if (line === null) return;
        yield line;
        this.#handled.resolve(false);
      }
    } finally {
      this.isOpen = false;
      this.#handled.resolve(true);
    }
  }
}
