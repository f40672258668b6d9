import type { IndexDiff } from '../index/types.ts';
import { sleep, type Clock } from '../ports/clock.ts';
import { KubeClient } from './client.ts';
import { Reflector, type ReflectorNotice } from './reflector.ts';
import { RESOURCES } from './resources.ts';
import type { KubeObject, KubeTransport } from './transport.ts';

/** One version of a Lease. The times in it are the clock of another machine, and prove nothing. */
export interface WatchedLease {
  readonly uid: string;
  readonly resourceVersion: string;
}

/** When the holder of a Lease counts as silent. */
export interface SilenceRules {
  /** How often Leases are looked at that have not changed for `suspectAfterMs`. */
  readonly lookEveryMs: number;
  readonly suspectAfterMs: number;
  /**
   * Reads of a Lease, one after the other, that must find it unchanged. A watch that is late, and an API server that no holder
   * reaches either, look like silence: while reads fail, or right after, no holder is called silent.
   */
  readonly looks: number;
  readonly silentAfterMs: number;
  /** Beyond so many all Leases are listed again, in slices, instead of one by one. */
  readonly maxSingleReads: number;
}

/** What the owner of a {@link LeaseWatch} has from outside. */
export interface LeaseWatchBase {
  readonly transport: KubeTransport;
  readonly clock: Clock;
  /** Of the Leases. */
  readonly namespace: string;
  readonly random?: () => number;
  readonly breathe?: () => Promise<void>;
  readonly onNotice?: (notice: ReflectorNotice) => void;
}

export interface LeaseWatchOptions<Key extends string, L extends WatchedLease> extends LeaseWatchBase {
  readonly labelSelector: string;
  readonly project: (object: KubeObject) => L;
  readonly keyOf: (lease: L) => Key;
  readonly nameOf: (key: Key) => string;
  readonly rules: SilenceRules;
  /** A holder fell silent, or is heard again. */
  readonly onChange: (key: Key, silent: boolean) => void;
  /** A Lease changed, came or went; after {@link onChange}. */
  readonly onSeen?: () => void;
  /** Called at each look for each Lease of a silent holder. */
  readonly whileSilent?: (lease: L) => void;
}

/** What was seen of one holder. */
interface Pulse<L> {
  lease: L;
  /** When its Lease was seen to change last, on the monotonic clock. */
  sinceMs: number;
  /** Reads in a row since then that found it unchanged. */
  looks: number;
  silent: boolean;
}

/**
 * Which holders are alive: those whose Lease changes. As client-go does, only the changes that this process sees are timed, by
 * its own monotonic clock: whatever the clocks of other machines say, and also after a hand-over, no holder is silent that was
 * not observed for `silentAfterMs`.
 */
export class LeaseWatch<Key extends string, L extends WatchedLease> {
  readonly #options: LeaseWatchOptions<Key, L>;
  readonly #client: KubeClient;
  readonly #reflector: Reflector<L>;
  readonly #pulses = new Map<Key, Pulse<L>>(); // holder -> its Lease
  readonly #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: LeaseWatchOptions<Key, L>) {
    const { transport, clock, namespace, labelSelector, project, random, breathe, onNotice } = options;
    this.#options = options;
    this.#client = new KubeClient(transport);
    this.#reflector = new Reflector<L>({
      resource: RESOURCES.leases,
      namespace,
      labelSelector,
      transport,
      clock,
      project,
      sink: {
        upsert: (lease) => this.#seen(lease),
        remove: (uid) => this.#removed(uid),
        replaceAll: (leases) => this.#replaceAll(leases),
      },
      ...(random && { random }),
      ...(breathe && { breathe }),
      ...(onNotice && { onNotice }),
    });
  }

  start(): void {
    this.#running = Promise.all([this.#reflector.run(this.#stop.signal), this.#lookOnAndOn()]);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Lists all Leases again; resolves when they are known as they were at some moment after this call. */
  relist(): Promise<void> {
    return this.#reflector.relist();
  }

  /** The Leases, and for how long each has not changed; `silent` ones included. */
  *leases(): Generator<{ readonly lease: L; readonly quietMs: number; readonly silent: boolean }> {
    for (const pulse of this.#pulses.values())
      yield { lease: pulse.lease, quietMs: this.#quietMs(pulse), silent: pulse.silent };
  }

  /** Holders that have a Lease, and those of them that are silent. */
  count(): { readonly all: number; readonly silent: number } {
    let silent = 0;
    for (const pulse of this.#pulses.values()) if (pulse.silent) silent++;
    return { all: this.#pulses.size, silent };
  }

  #seen(lease: L): void {
    const key = this.#options.keyOf(lease);
    const pulse = this.#pulses.get(key);
    // Any other version: a server that was restored from a backup counts from an older one on.
    const isSame = pulse?.lease.uid === lease.uid && pulse.lease.resourceVersion === lease.resourceVersion;
    if (isSame) return;
    const sinceMs = this.#options.clock.monotonic();
    this.#pulses.set(key, { lease, sinceMs, looks: 0, silent: false });
    if (pulse?.silent) this.#options.onChange(key, false);
    this.#options.onSeen?.();
  }

  #removed(uid: string): void {
    for (const [key, { lease, silent }] of this.#pulses) {
      if (lease.uid !== uid) continue;
      this.#pulses.delete(key);
      if (silent) this.#options.onChange(key, false);
      this.#options.onSeen?.();
    }
  }

  #replaceAll(leases: readonly L[]): IndexDiff {
    const listed = new Set(leases.map(({ uid }) => uid));
    const redundant = [...this.#pulses.values()].map(({ lease }) => lease.uid).filter((uid) => !listed.has(uid));
    for (const uid of redundant) this.#removed(uid);
    const held = new Set([...this.#pulses.values()].map(({ lease }) => lease.uid));
    for (const lease of leases) this.#seen(lease);
    return { missed: [...listed].filter((uid) => !held.has(uid)), redundant };
  }

  async #lookOnAndOn(): Promise<void> {
    const { signal } = this.#stop;
    const { clock, rules, whileSilent } = this.#options;
    while (!signal.aborted) {
      await sleep(clock, rules.lookEveryMs, signal).catch(() => undefined);
      const suspects = [...this.#pulses].filter(
        ([, pulse]) => !pulse.silent && this.#quietMs(pulse) >= rules.suspectAfterMs,
      );
      if (suspects.length > rules.maxSingleReads) await this.#lookAtAll(suspects);
      else await Promise.all(suspects.map(([key, pulse]) => this.#look(key, pulse)));
      for (const { lease, silent } of this.#pulses.values()) if (silent && !signal.aborted) whileSilent?.(lease);
    }
  }

  async #look(key: Key, pulse: Pulse<L>): Promise<void> {
    const { namespace, nameOf, project } = this.#options;
    try {
      const fieldSelector = `metadata.name=${nameOf(key)}`;
      const [found] = await this.#client.list(RESOURCES.leases, { namespace, fieldSelector });
      if (found !== undefined) this.#seen(project(found));
    } catch {
      pulse.looks = 0; // the reflector says what is wrong with the API server
      return;
    }
    this.#looked(key, pulse);
  }

  async #lookAtAll(suspects: readonly (readonly [Key, Pulse<L>])[]): Promise<void> {
    const askedMs = this.#options.clock.monotonic();
    const ended = new Promise<void>((resolve) =>
      this.#stop.signal.addEventListener('abort', () => resolve(), { once: true }),
    );
    await Promise.race([this.#reflector.relist(), ended]);
    // A listing that had to be tried for long says that the API server was away.
    const wasAway = this.#options.clock.monotonic() - askedMs > this.#options.rules.lookEveryMs;
    for (const [key, pulse] of suspects) {
      if (wasAway) pulse.looks = 0;
      else this.#looked(key, pulse);
    }
  }

  #looked(key: Key, pulse: Pulse<L>): void {
    // Another one stands there where the Lease has changed.
    if (this.#pulses.get(key) !== pulse || this.#stop.signal.aborted) return;
    const { rules, onChange, onSeen } = this.#options;
    pulse.looks++;
    if (pulse.looks < rules.looks || this.#quietMs(pulse) < rules.silentAfterMs) return;
    pulse.silent = true;
    onChange(key, true);
    onSeen?.();
  }

  #quietMs({ sinceMs }: Pulse<L>): number {
    return this.#options.clock.monotonic() - sinceMs;
  }
}
