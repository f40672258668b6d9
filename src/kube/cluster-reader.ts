import type { Ticket } from '../domain/ticket.ts';
import type { IndexDiff, IndexedKind, IndexedKinds, IndexEvent } from '../index/types.ts';
import type { Clock } from '../ports/clock.ts';
import { INDEXED_RESOURCES } from './project/kinds.ts';
import { PartPool } from './project/part-pool.ts';
import { pooledPodOf } from './project/pod.ts';
import type { TicketProgress } from './ticket-progress.ts';
import type { ReflectorStats } from './reflector-stats.ts';
import { Reflector, type ReflectorNotice, type ReflectorOptions } from './reflector.ts';
import type { KubeTransport } from './transport.ts';

/** The index, as far as it is written to here. */
export interface ReaderIndex {
  apply(event: IndexEvent): void;
  /** Goes on at each step; done when the index holds exactly these objects of that kind. */
  replacing<K extends IndexedKind>(
    kind: K,
    values: readonly IndexedKinds[K][],
    resourceVersion: string,
    wentBack: boolean,
  ): Generator<void, IndexDiff>;
}

export interface ClusterReaderOptions {
  readonly transport: KubeTransport;
  readonly clock: Clock;
  readonly index: ReaderIndex;
  /** Narrows what is read of a kind, for example pods to those that have not ended. */
  readonly selectors?: Partial<
    Record<IndexedKind, { readonly fieldSelector?: string; readonly labelSelector?: string }>
  >;
  readonly random?: () => number;
  readonly breathe?: () => Promise<void>;
  readonly relistEveryMs?: number;
  readonly onNotice?: (notice: ReflectorNotice) => void;
  /** A listing of some kind showed that the API server went back to an earlier state. */
  readonly onWentBack?: () => void;
  /** Told which tickets the index holds. */
  readonly tickets?: TicketProgress;
}

/** Keeps the index in step with the cluster: one {@link Reflector} for each kind it holds. */
export class ClusterReader {
  readonly #reflectors: ReadonlyMap<
    IndexedKind,
    {
      readonly synced: Promise<void>;
      run(signal: AbortSignal): Promise<void>;
      relist(wentBack?: boolean): Promise<void>;
      readonly watchingSinceMs: number | null;
      stats(): ReflectorStats;
    }
  >;
  readonly #stop = new AbortController();
  #running: Promise<unknown> | null = null;
  /** Resolves when every kind was listed once: the index may be asked. */
  readonly synced: Promise<void>;

  constructor(options: ClusterReaderOptions) {
    const kinds = Object.keys(INDEXED_RESOURCES) as IndexedKind[];
    this.#reflectors = new Map(kinds.map((kind) => [kind, reflectorOf(kind, options)]));
    this.synced = Promise.all([...this.#reflectors.values()].map((reflector) => reflector.synced)).then(
      () => undefined,
    );
  }

  start(): void {
    this.#running ??= Promise.all([...this.#reflectors.values()].map((reflector) => reflector.run(this.#stop.signal)));
  }

  isSynced(): boolean {
    for (const reflector of this.#reflectors.values()) if (!reflector.stats().synced) return false;
    return true;
  }

  /** Since when pods are watched without a break, on the monotonic clock; null while the watch is broken. */
  podsWatchedSinceMs(): number | null {
    return this.#reflectors.get('pod')?.watchingSinceMs ?? null;
  }

  /** Resolves when the index holds these kinds as they were at some moment after this call. */
  async relist(...kinds: readonly IndexedKind[]): Promise<void> {
    await Promise.all(kinds.map((kind) => this.#reflectors.get(kind)?.relist() ?? Promise.resolve()));
  }

  /** The same for all kinds, where the API server went back to an earlier state: each listing replaces everything that is held. */
  async replaceAll(): Promise<void> {
    await Promise.all([...this.#reflectors.values()].map((reflector) => reflector.relist(true)));
  }

  /** Ends all watches; resolves when nothing more will reach the index. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  stats(): Readonly<Record<IndexedKind, ReflectorStats>> {
    return Object.fromEntries([...this.#reflectors].map(([kind, reflector]) => [kind, reflector.stats()])) as Record<
      IndexedKind,
      ReflectorStats
    >;
  }
}

/** As the reflector's own slices: the event loop is given back this often. */
const SLICE_MS = 2;
/** Steps between two looks at the clock, of a few microseconds each. */
const STEPS = 64;

async function inSlices<T>(steps: Generator<void, T>, clock: Clock, breathe?: () => Promise<void>): Promise<T> {
  let sliceStartMs = clock.monotonic();
  for (let step = 1; ; step++) {
    const { done, value } = steps.next();
    if (done) return value;
    if (step % STEPS !== 0 || clock.monotonic() - sliceStartMs < SLICE_MS) continue;
    await breathe?.();
    sliceStartMs = clock.monotonic();
  }
}

function reflectorOf<K extends IndexedKind>(kind: K, options: ClusterReaderOptions): Reflector<IndexedKinds[K]> {
  const { transport, clock, index, selectors, random, breathe, relistEveryMs, onNotice, onWentBack } = options;
  const tickets = kind === 'ticket' ? options.tickets : undefined;
  const { type, project } = INDEXED_RESOURCES[kind];
  const projectPooled = kind === 'pod' ? (pooledPodOf(new PartPool()) as typeof project) : project;
  const reflectorOptions: ReflectorOptions<IndexedKinds[K]> = {
    resource: type,
    transport,
    clock,
    project: projectPooled,
    sink: {
      // TypeScript cannot see that the kind and the value of a generic `K` belong together.
      upsert: (value) => {
        index.apply({ type: 'upsert', kind, value } as IndexEvent);
        tickets?.upserted(value as Ticket);
      },
      remove: (uid, resourceVersion) => {
        index.apply({ type: 'delete', kind, uid, resourceVersion });
        tickets?.removed(resourceVersion);
      },
      replaceAll: async (values, resourceVersion, wentBack) => {
        const diff = await inSlices(index.replacing(kind, values, resourceVersion, wentBack), clock, breathe);
        tickets?.listed(values as readonly Ticket[], resourceVersion, wentBack);
        return diff;
      },
    },
    ...selectors?.[kind],
    ...(random && { random }),
    ...(breathe && { breathe }),
    ...(relistEveryMs !== undefined && { relistEveryMs }),
    ...(onNotice && { onNotice }),
    ...(onWentBack && { onWentBack }),
  };
  return new Reflector(reflectorOptions);
}
