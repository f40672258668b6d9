import type { NodeName } from '../domain/ids.ts';
import type { IndexDiff } from '../index/types.ts';
import { sleep, type Clock } from '../ports/clock.ts';
import { AGENT_LEASES, agentLeaseName, agentLeaseOf, SILENT_AFTER_MS, type AgentLease } from './agent-lease.ts';
import { KubeClient } from './client.ts';
import { Reflector, type ReflectorNotice } from './reflector.ts';
import { RESOURCES } from './resources.ts';
import type { KubeTransport } from './transport.ts';

/** How often Leases are looked at that have not changed for a while. */
const LOOK_EVERY_MS = 5_000;
const SUSPECT_AFTER_MS = 25_000;
/**
 * Reads of a Lease, one after the other, that must find it unchanged. A watch that is late, and an API server that no agent
 * reaches either, look like silence: while reads fail, or right after, nobody is called silent.
 */
const LOOKS = 3;
/** Beyond it all Leases are listed again, in slices, instead of one by one. */
const MAX_SINGLE_READS = 16;

export interface AgentWatchOptions {
  readonly transport: KubeTransport;
  readonly clock: Clock;
  /** Of the Leases. */
  readonly namespace: string;
  /** An agent fell silent, or is heard again. */
  readonly onChange: (node: NodeName, silent: boolean) => void;
  readonly random?: () => number;
  readonly breathe?: () => Promise<void>;
  readonly onNotice?: (notice: ReflectorNotice) => void;
}

/** What was seen of one agent. */
interface Pulse {
  lease: AgentLease;
  /** When its Lease was seen to change last, on the clock that nobody sets. */
  sinceMs: number;
  /** Reads in a row since then that found it unchanged. */
  looks: number;
  silent: boolean;
}

/**
 * Which agents are alive: those whose Lease changes. As client-go does, only the changes that this process sees are timed, by
 * its own monotonic clock: whatever the clocks of nodes say, and also after a hand-over, no agent is silent that was not observed
 * for {@link SILENT_AFTER_MS}. A node without a Lease has an agent of before there were any, or none: nothing is said of it.
 */
export class AgentWatch {
  readonly #options: AgentWatchOptions;
  readonly #client: KubeClient;
  readonly #reflector: Reflector<AgentLease>;
  readonly #pulses = new Map<NodeName, Pulse>(); // node -> its agent
  readonly #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: AgentWatchOptions) {
    const { transport, clock, namespace, random, breathe, onNotice } = options;
    this.#options = options;
    this.#client = new KubeClient(transport);
    this.#reflector = new Reflector<AgentLease>({
      resource: RESOURCES.leases,
      namespace,
      labelSelector: AGENT_LEASES,
      transport,
      clock,
      project: agentLeaseOf,
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

  /** Agents that have a Lease, and those of them that are silent. */
  count(): { readonly all: number; readonly silent: number } {
    let silent = 0;
    for (const pulse of this.#pulses.values()) if (pulse.silent) silent++;
    return { all: this.#pulses.size, silent };
  }

  #seen(lease: AgentLease): void {
    const pulse = this.#pulses.get(lease.node);
    // Any other version: a server that was restored from a backup counts from an older one on.
    const isSame = pulse?.lease.uid === lease.uid && pulse.lease.resourceVersion === lease.resourceVersion;
    if (isSame) return;
    const sinceMs = this.#options.clock.monotonic();
    this.#pulses.set(lease.node, { lease, sinceMs, looks: 0, silent: false });
    if (pulse?.silent) this.#options.onChange(lease.node, false);
  }

  #removed(uid: string): void {
    for (const [node, { lease, silent }] of this.#pulses) {
      if (lease.uid !== uid) continue;
      this.#pulses.delete(node);
      if (silent) this.#options.onChange(node, false);
    }
  }

  #replaceAll(leases: readonly AgentLease[]): IndexDiff {
    const listed = new Set(leases.map(({ uid }) => uid));
    const redundant = [...this.#pulses.values()].map(({ lease }) => lease.uid).filter((uid) => !listed.has(uid));
    for (const uid of redundant) this.#removed(uid);
    const held = new Set([...this.#pulses.values()].map(({ lease }) => lease.uid));
    for (const lease of leases) this.#seen(lease);
    return { missed: [...listed].filter((uid) => !held.has(uid)), redundant };
  }

  async #lookOnAndOn(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await sleep(this.#options.clock, LOOK_EVERY_MS, signal).catch(() => undefined);
      const suspects = [...this.#pulses].filter(
        ([, pulse]) => !pulse.silent && this.#quietMs(pulse) >= SUSPECT_AFTER_MS,
      );
      if (suspects.length > MAX_SINGLE_READS) await this.#lookAtAll(suspects);
      else await Promise.all(suspects.map(([node, pulse]) => this.#look(node, pulse)));
    }
  }

  async #look(node: NodeName, pulse: Pulse): Promise<void> {
    const { namespace } = this.#options;
    try {
      const fieldSelector = `metadata.name=${agentLeaseName(node)}`;
      const [found] = await this.#client.list(RESOURCES.leases, { namespace, fieldSelector });
      if (found !== undefined) this.#seen(agentLeaseOf(found));
    } catch {
      pulse.looks = 0; // the reflector says what is wrong with the API server
      return;
    }
    this.#looked(node, pulse);
  }

  async #lookAtAll(suspects: readonly (readonly [NodeName, Pulse])[]): Promise<void> {
    const askedMs = this.#options.clock.monotonic();
    const ended = new Promise<void>((resolve) =>
      this.#stop.signal.addEventListener('abort', () => resolve(), { once: true }),
    );
    await Promise.race([this.#reflector.relist(), ended]);
    // A listing that had to be tried for long says that the API server was away.
    const wasAway = this.#options.clock.monotonic() - askedMs > LOOK_EVERY_MS;
    for (const [node, pulse] of suspects) {
      if (wasAway) pulse.looks = 0;
      else this.#looked(node, pulse);
    }
  }

  #looked(node: NodeName, pulse: Pulse): void {
    // Another one stands there where the Lease has changed.
    if (this.#pulses.get(node) !== pulse || this.#stop.signal.aborted) return;
    pulse.looks++;
    if (pulse.looks < LOOKS || this.#quietMs(pulse) < SILENT_AFTER_MS) return;
    pulse.silent = true;
    this.#options.onChange(node, true);
  }

  #quietMs({ sinceMs }: Pulse): number {
    return this.#options.clock.monotonic() - sinceMs;
  }
}
