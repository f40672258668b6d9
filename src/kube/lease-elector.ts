import { isDeepStrictEqual } from 'node:util';
import { messageOf } from '../domain/message-of.ts';
import { compareVersions } from '../index/object-table.ts';
import type { Clock } from '../ports/clock.ts';
import { sleep } from '../ports/clock.ts';
import { elapsedMs, instantOf, type Instant } from '../ports/instant.ts';
import type { Leadership } from '../ports/leadership.ts';
import { isAlreadyExists, isConflict, isNotFound } from './api-error.ts';
import { KubeClient } from './client.ts';
import { microTimestampOf } from './project/time.ts';
import { pathOf, RESOURCES } from './resources.ts';
import type { KubeObject, KubeTransport } from './transport.ts';

/** Followers spread their attempts by up to this share of the retry period, as client-go's JitterFactor. */
const JITTER = 1.2;

/** The part of `leaderElection` in the configuration that all candidates share. */
interface LeaseSettings {
  readonly leaseName: string;
  /** A follower waits this long after the last change it saw before it takes over. Whole seconds. */
  readonly leaseDurationMs: number;
  /** A leader that could not renew for this long stops to lead; less than `leaseDurationMs`. */
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
}

export interface LeaseElectorOptions {
  /** Its own connections: a renewal must not queue behind other writes. Its requests should time out within half of `renewDeadlineMs`. */
  readonly transport: KubeTransport;
  readonly clock: Clock;
  /** Of the Lease. */
  readonly namespace: string;
  readonly settings: LeaseSettings;
  /** Unique to this process: a restarted one is another candidate. */
  readonly identity: string;
  readonly random?: () => number;
  /** The term or the holder changed. Never called from within {@link LeaseElector.term}. */
  readonly onChange: () => void;
  readonly onNotice?: (message: string) => void;
}

/** A version of the Lease, and when we first saw it on the monotonic clock. The times inside are other machines' and prove nothing. */
interface Observed {
  readonly lease: KubeObject;
  readonly holder: string | null;
  readonly durationMs: number;
  readonly sinceMs: number;
}

interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly leaseTransitions?: number;
}

/**
 * Leader election over a `coordination.k8s.io/v1` Lease, with client-go's rules (tools/leaderelection):
 *
 *     follower ── lease free, released, or unchanged for leaseDuration ──> leader
 *        ^                                                                    │ renews every retryPeriod
 *        └── somebody else holds it, or no renewal for renewDeadline ─────────┘
 *
 * Every write carries the version it was decided on, so of two candidates one wins. Unlike client-go it also watches the
 * Lease, so that a released one is taken over at once, and a lapsed leader becomes a follower instead of ending.
 *
 * {@link term} does not wait for timers: it looks at the clocks itself. The renewal counts from the moment it was asked
 * for, on the clock that ran further: the wall clock goes on while a machine is suspended, the other cannot be set back.
 */
export class LeaseElector implements Leadership {
  readonly #options: LeaseElectorOptions;
  readonly #client: KubeClient;
  readonly #stop = new AbortController();
  #observed: Observed | null = null;
  /** The term won last, until it is lost. */
  #term: number | null = null;
  #terms = 0;
  /** When the renewal was asked for that was granted last. */
  #renewed: Instant = { wallMs: 0, monotonicMs: 0 };
  #running: Promise<unknown> | null = null;
  /** The Lease was given back or deleted since the last attempt: the next one need not wait. */
  #isFree = false;
  #endPause: (() => void) | null = null;
  #settledMs: number;

  constructor(options: LeaseElectorOptions) {
    this.#options = options;
    this.#settledMs = options.clock.monotonic();
    this.#client = new KubeClient(options.transport);
  }

  term(): number | null {
    if (
      this.#term !== null &&
      elapsedMs(this.#options.clock, this.#renewed) >= this.#options.settings.renewDeadlineMs
    ) {
      this.#lose('its lease could not be renewed in time');
    }
    return this.#term;
  }

  /** Identity of whoever holds the Lease as far as we know; null when nobody does. */
  holder(): string | null {
    return this.#observed?.holder ?? null;
  }

  /**
   * Milliseconds since this process last renewed the Lease, or read that another one holds it. A process of which this grows
   * beyond the duration of the Lease can neither lead nor follow.
   */
  settledAgeMs(): number {
    return this.#options.clock.monotonic() - this.#settledMs;
  }

  start(): void {
    this.#settledMs = this.#options.clock.monotonic();
    this.#running ??= Promise.all([this.#campaign(), this.#watch()]);
  }

  /** Stops to lead, and gives the Lease back, so that a follower need not wait for its end. Never rejects. */
  async release(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    const observed = this.#observed;
    if (this.term() === null || observed === null) return;
    this.#lose('it was told to stop');
    const now = microTimestampOf(this.#options.clock.now());
    const { leaseTransitions = 0 } = specOf(observed.lease);
    // As client-go leaves it: no holder, and a duration that nobody has to wait for.
    const spec = { leaseDurationSeconds: 1, leaseTransitions, acquireTime: now, renewTime: now };
    try {
      await this.#client.replace(RESOURCES.leases, this.#options.namespace, { ...observed.lease, spec });
    } catch (error) {
      this.#notice(`the lease could not be released: ${messageOf(error)}`);
    }
  }

  async #campaign(): Promise<void> {
    const { settings, random = Math.random } = this.#options;
    const { retryPeriodMs } = settings;
    while (!this.#stop.signal.aborted) {
      this.#isFree = false;
      try {
        await this.#attempt();
      } catch (error) {
        this.#notice(messageOf(error));
      }
      const pauseMs = this.term() === null ? retryPeriodMs * (1 + random() * JITTER) : retryPeriodMs;
      const expiryMs = this.#untilExpiryMs();
      await this.#pause(expiryMs > 0 ? Math.min(pauseMs, expiryMs) : pauseMs);
    }
  }

  async #pause(delayMs: number): Promise<void> {
    if (this.#isFree) return;
    const ended = new AbortController();
    this.#endPause = () => ended.abort();
    const signal = AbortSignal.any([ended.signal, this.#stop.signal]);
    await sleep(this.#options.clock, delayMs, signal).catch(() => undefined);
    this.#endPause = null;
  }

  /** Renews, or tries to win. One that is not ours to take is only looked at. */
  async #attempt(): Promise<void> {
    const asked = instantOf(this.#options.clock);
    const before = this.#observed;
    if (this.term() !== null && this.#observed !== null && (await this.#renew(this.#observed, asked))) return;
    let lease: KubeObject;
    try {
      const { namespace, settings } = this.#options;
      lease = await this.#client.get(RESOURCES.leases, namespace, settings.leaseName);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      await this.#create(asked);
      return;
    }
    // Nothing newer was seen since this was asked: an older version is no late answer, the API server itself went back.
    this.#observe(lease, this.#observed === before);
    const { identity } = this.#options;
    const observed = this.#observed as Observed;
    if (observed.holder !== null && observed.holder !== identity && this.#untilExpiryMs() > 0) {
      this.#settledMs = this.#options.clock.monotonic();
      if (this.#term !== null) this.#lose(`${observed.holder} holds the lease`);
      return;
    }
    await this.#renew(observed, asked);
  }

  /** Writes ourselves into the version of the Lease that we know; false when it has changed since. */
  async #renew({ lease, holder }: Observed, asked: Instant): Promise<boolean> {
    const { acquireTime, leaseTransitions = 0 } = specOf(lease);
    const isOurs = holder === this.#options.identity;
    const spec = this.#spec(isOurs ? acquireTime : undefined, isOurs ? leaseTransitions : leaseTransitions + 1);
    try {
      this.#win(await this.#client.replace(RESOURCES.leases, this.#options.namespace, { ...lease, spec }), asked);
      return true;
    } catch (error) {
      if (isConflict(error) || isNotFound(error)) return false;
      throw error;
    }
  }

  async #create(asked: Instant): Promise<void> {
    const { namespace, settings } = this.#options;
    try {
      const object = { metadata: { name: settings.leaseName, namespace }, spec: this.#spec(undefined, 0) };
      this.#win(await this.#client.create(RESOURCES.leases, namespace, object), asked);
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
  }

  #spec(acquireTime: string | undefined, leaseTransitions: number): object {
    const { identity, settings, clock } = this.#options;
    const now = microTimestampOf(clock.now());
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(settings.leaseDurationMs / 1000),
      acquireTime: acquireTime ?? now,
      renewTime: now,
      leaseTransitions,
    };
  }

  #win(lease: KubeObject, asked: Instant): void {
    this.#observe(lease);
    this.#settledMs = this.#options.clock.monotonic();
    this.#renewed = asked;
    this.#isFree = false;
    // The answer may have come so late that it says nothing any more.
    if (this.#term !== null || elapsedMs(this.#options.clock, asked) >= this.#options.settings.renewDeadlineMs) return;
    this.#term = ++this.#terms;
    this.#options.onChange();
  }

  #lose(why: string): void {
    this.#term = null;
    this.#notice(`does not lead any more: ${why}`);
    // Not at once: this may run inside a question of the very listener.
    queueMicrotask(this.#options.onChange);
  }

  /** Tells of changes within milliseconds. What it misses, the attempts see. */
  async #watch(): Promise<void> {
    const { transport, clock, namespace, settings } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const query = { fieldSelector: `metadata.name=${settings.leaseName}`, timeoutSeconds: '300' };
        const watch = await transport.watch({
          method: 'GET',
          path: pathOf(RESOURCES.leases, namespace),
          query,
          signal,
        });
        for await (const { type, object } of watch.events) {
          if (type === 'ADDED' || type === 'MODIFIED') this.#observe(object);
          else if (type === 'DELETED') this.#free();
        }
      } catch (error) {
        if (!signal.aborted) this.#notice(messageOf(error));
      }
      // A stream that ended by itself is opened again after a pause, too: this is a convenience, not a duty.
      await sleep(clock, settings.retryPeriodMs, signal).catch(() => undefined);
    }
  }

  /**
   * Takes a version of the Lease. Watch events and answers overtake each other, so an older version is passed over, unless
   * `mayGoBack`: after a restore of etcd all versions are older than those that were seen before.
   */
  #observe(lease: KubeObject, mayGoBack = false): void {
    const before = this.#observed;
    const { resourceVersion = '0', uid } = lease.metadata;
    if (before !== null && before.lease.metadata.uid === uid) {
      const newer = compareVersions(resourceVersion, before.lease.metadata.resourceVersion ?? '0');
      if (mayGoBack ? isDeepStrictEqual(lease, before.lease) : newer <= 0) return;
      if (newer < 0) this.#notice('the API server went back to an earlier version of the lease');
    }
    const { holderIdentity, leaseDurationSeconds = 0 } = specOf(lease);
    const holder = holderIdentity || null;
    this.#observed = {
      lease,
      holder,
      durationMs: leaseDurationSeconds * 1000,
      sinceMs: this.#options.clock.monotonic(),
    };
    if (this.#term !== null && holder !== this.#options.identity) this.#lose(`${holder ?? 'nobody'} holds the lease`);
    else if (holder !== before?.holder) queueMicrotask(this.#options.onChange);
    if (holder === null) this.#free();
  }

  #free(): void {
    this.#isFree = true;
    this.#endPause?.();
  }

  /** How long the Lease of another still holds; 0 when it may be taken, infinite when it is ours or unknown. */
  #untilExpiryMs(): number {
    const observed = this.#observed;
    if (observed === null || observed.holder === this.#options.identity) return Number.POSITIVE_INFINITY;
    if (observed.holder === null) return 0;
    return Math.max(0, observed.sinceMs + observed.durationMs - this.#options.clock.monotonic());
  }

  #notice(message: string): void {
    this.#options.onNotice?.(message);
  }
}

function specOf(lease: KubeObject): LeaseSpec {
  return (lease['spec'] as LeaseSpec | undefined) ?? {};
}
