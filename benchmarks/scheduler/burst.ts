import { performance } from 'node:perf_hooks';
import { pathOf, RESOURCES } from '../../src/kube/resources.ts';
import type { KubeTransport } from '../../src/kube/transport.ts';

/** Label by which the pods of one burst are told apart. */
export const BURST_LABEL = 'bench-burst';
/** Far beyond what any burst takes: one that does not come to its end fails with what it has. */
const OVERDUE_MS = 180_000;

/** Follows the pods of one burst, and knows when they were bound. */
export class Burst {
  readonly #stop = new AbortController();
  readonly #label: string;
  readonly #bound = new Set<string>();
  #lastBoundMs = 0;
  #onChange: () => void = () => undefined;
  #failure: Error | null = null;

  private constructor(label: string) {
    this.#label = label;
  }

  /** To be called before the first of its pods is created. */
  static async follow(transport: KubeTransport, label: string): Promise<Burst> {
    const burst = new Burst(label);
    const watch = await transport.watch({
      method: 'GET',
      path: pathOf(RESOURCES.pods),
      query: { labelSelector: `${BURST_LABEL}=${label}`, allowWatchBookmarks: 'true', timeoutSeconds: '3600' },
      signal: burst.#stop.signal,
    });
    if (watch.status !== 200) throw new Error(`watching the pods of a burst: HTTP ${watch.status}`);
    void burst.#read(watch.events);
    return burst;
  }

  /** When the last of so many pods was seen bound, on the clock of `performance.now()`. */
  async bound(count: number): Promise<number> {
    const overdue = Date.now() + OVERDUE_MS;
    while (this.#bound.size < count) {
      if (this.#failure !== null) throw this.#failure;
      if (Date.now() > overdue) throw new Error(`burst ${this.#label}: ${this.#bound.size} of ${count} pods are bound`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000);
        this.#onChange = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this.#lastBoundMs;
  }

  stop(): void {
    this.#stop.abort();
  }

  async #read(events: Awaited<ReturnType<KubeTransport['watch']>>['events']): Promise<void> {
    try {
      for await (const { type, object } of events) {
        if (type !== 'MODIFIED' || (object['spec'] as { readonly nodeName?: string }).nodeName === undefined) continue;
        if (this.#bound.has(object.metadata.name)) continue;
        this.#bound.add(object.metadata.name);
        this.#lastBoundMs = performance.now();
        this.#onChange();
      }
      this.#failure = new Error(`burst ${this.#label}: the watch ended`);
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#failure = error as Error;
    }
    this.#onChange();
  }
}
