import type { ReprieveConfiguration } from '../config/configuration.ts';
import { KubeClient } from '../kube/client.ts';
import { FencedTransport } from '../kube/fenced-transport.ts';
import { HttpTransport } from '../kube/http-transport.ts';
import type { ClusterAccess } from '../kube/kube-config.ts';
import { takeLeaderLabel } from '../kube/leader-label.ts';
import { LeaseElector } from '../kube/lease-elector.ts';
import type { Log } from '../observe/log.ts';
import { sleep, type Clock } from '../ports/clock.ts';
import type { Leadership } from '../ports/leadership.ts';

export interface LeaderElectionOptions {
  readonly access: ClusterAccess;
  readonly settings: ReprieveConfiguration['leaderElection'];
  readonly namespace: string;
  readonly identity: string;
  /** The pod of this process, which gets the leader's label; null outside of a cluster. */
  readonly podName: string | null;
  readonly clock: Clock;
  readonly log: Log;
}

/** Pause after the label could not be written. */
const LABEL_RETRY_MS = 2_000;
/** A label that somebody removed, or that a restore of etcd put back on a former leader, stands no longer than this. */
const LABEL_CHECK_MS = 15_000;

/** The elector of one process, on connections of its own, and the leader's label on its pod. */
export class LeaderElection implements Leadership {
  readonly #elector: LeaseElector;
  readonly #transport: HttpTransport;
  readonly #options: LeaderElectionOptions;
  readonly #listeners: (() => void)[] = [];
  #toldTerm: number | null = null;

  constructor(options: LeaderElectionOptions) {
    const { access, settings, namespace, identity, clock, log } = options;
    this.#options = options;
    // As client-go: an attempt that hangs leaves time for another one before the deadline.
    this.#transport = new HttpTransport({ access, requestTimeoutMs: settings.renewDeadlineMs / 2 });
    this.#elector = new LeaseElector({
      transport: this.#transport,
      clock,
      namespace,
      settings,
      identity,
      onChange: () => this.#changed(),
      onNotice: (message) => log.warn({ lease: `${namespace}/${settings.leaseName}` }, message),
    });
  }

  term(): number | null {
    return this.#elector.term();
  }

  /** Who leads, as far as this process knows. */
  holder(): string | null {
    return this.#elector.holder();
  }

  /** See {@link LeaseElector.settledAgeMs}. */
  settledAgeMs(): number {
    return this.#elector.settledAgeMs();
  }

  /** Nothing about the Lease has been certain for longer than it lasts: this replica can neither lead nor follow. */
  get isStuck(): boolean {
    return this.settledAgeMs() > this.#options.settings.leaseDurationMs;
  }

  /** `listener` is called each time this replica began or ceased to lead. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  start(): void {
    this.#elector.start();
  }

  /** Gives the Lease back, for another replica to take it at once. */
  async release(): Promise<void> {
    await this.#elector.release();
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }

  #changed(): void {
    const term = this.term();
    if (term === this.#toldTerm) return;
    this.#toldTerm = term;
    const { log, identity } = this.#options;
    log.info({ term, identity, holder: this.holder() }, term === null ? 'following' : 'leading');
    if (term !== null) void this.#takeLabel(term);
    for (const listener of this.#listeners) listener();
  }

  /** Keeps the label for as long as the term lasts. */
  async #takeLabel(term: number): Promise<void> {
    const { podName, namespace, clock, log } = this.#options;
    if (podName === null) return;
    const client = new KubeClient(new FencedTransport(this.#transport, this));
    while (this.term() === term) {
      try {
        await takeLeaderLabel(client, namespace, podName);
        await sleep(clock, LABEL_CHECK_MS);
      } catch (error) {
        log.warn({ err: error }, 'the leader label could not be written');
        await sleep(clock, LABEL_RETRY_MS);
      }
    }
  }
}
