import { compareVersions } from '../index/object-table.ts';
import { sleep, type Clock } from '../ports/clock.ts';
import { elapsedMs, instantOf, type Instant } from '../ports/instant.ts';
import { isAlreadyExists, isConflict, isNotFound } from './api-error.ts';
import type { KubeClient } from './client.ts';
import { answeredWithin } from './in-time.ts';
import { APART_AFTER_MS, RENEW_EVERY_MS, replicaLease, replicaLeaseName } from './replica-lease.ts';
import { renewOnAndOn } from './renew-on-and-on.ts';
import { RESOURCES } from './resources.ts';
import type { TicketProgress } from './ticket-progress.ts';
import type { KubeObject } from './transport.ts';

/** After a renewal that failed, or had no answer for {@link PATIENCE_MS}. */
const RETRY_MS = 1_000;
const PATIENCE_MS = 4_000;
/** The last write of a process that stops. */
const LEAVE_WITHIN_MS = 1_000;

export interface MembershipOptions {
  /** Its own writes go on while this replica does not lead. */
  readonly client: KubeClient;
  readonly clock: Clock;
  /** Of the Lease. */
  readonly namespace: string;
  readonly instance: string;
  readonly tickets: TicketProgress;
  /** Resolves when the index holds the tickets as they were at some moment after the call. */
  readonly relistTickets: () => Promise<void>;
  /** The version of the Lease went back: etcd was restored. */
  readonly onWentBack: () => void;
  /** Told of the first failure of several in a row. */
  readonly onError: (error: unknown) => void;
}

type State =
  /** Displacements do not wait for this replica, as its Lease says or will say when it can be written. */
  | { readonly kind: 'apart'; readonly why: string }
  /** Displacements wait for it; the tickets of before that are listed. */
  | { readonly kind: 'joining' }
  | { readonly kind: 'member' };

interface Written {
  readonly written: KubeObject;
}

/** The Lease is not as we left it: `found` is how it is now, null where it does not exist. */
interface Lost {
  readonly lost: string;
  readonly found: KubeObject | null;
}

/**
 * The part of one replica in the commit barrier: no pod of a displacement is evicted before each member has published that its index
 * holds the tickets, so a member answers the webhook from its index alone. Every other replica reads from the API server.
 *
 *     apart ── Lease says from when on displacements wait for us ──> joining ── tickets listed again after that ──> member
 *       ^                                                           │                                            │
 *       └── Lease not renewed for 10 s, changed or removed by others, versions went back, or the watch is behind ─┘
 *
 * The Lease is written every 5 s, and at once when the index has taken a ticket that a displacement may wait for; one write at a time,
 * each at the version of the one before. A version that is lower than the last one proves that etcd was restored.
 */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #stop = new AbortController();
  #state: State = { kind: 'apart', why: 'its Lease is not written yet' };
  /** The last version of the Lease that is known; null: it does not exist. */
  #lease: KubeObject | null = null;
  /** The highest version of the Lease that was seen, also of one that was removed. */
  #highest: string | null = null;
  /** When the renewal was asked for that was granted last. */
  #renewed: Instant;
  /** Of the attempt that counts: an answer to an earlier one came too late. */
  #attempts = 0;
  #isDue = false;
  #endPause: (() => void) | null = null;
  #isCatchingUp = false;
  #running: Promise<void> | null = null;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#renewed = instantOf(options.clock);
    options.tickets.onAwaited = () => this.#renewNow();
  }

  /** Whether the index holds every ticket whose victim may be evicted. Looks at the clocks itself: a paused process is none any more. */
  get knowsTickets(): boolean {
    if (this.#stop.signal.aborted) return false; // its Lease goes, and no eviction waits for it
    return this.#state.kind === 'member' && !this.#isOutdated && !this.#options.tickets.isBehind;
  }

  /** Why this replica should not be asked; null where it may be. One that joins reads from the API server meanwhile. */
  get problem(): string | null {
    if (this.#running === null) return null;
    if (this.#isOutdated) return `its Lease ${this.#name} was not renewed for ${APART_AFTER_MS / 1000} s`;
    return this.#options.tickets.isBehind ? 'its watch of Reprieves is behind' : null;
  }

  /** For `/debug/state`. */
  describe(): { readonly state: State['kind']; readonly why: string | null; readonly seen: string } {
    const { state, tickets } = { state: this.#state, tickets: this.#options.tickets };
    const why = this.problem ?? (state.kind === 'apart' ? state.why : null);
    return { state: state.kind, why, seen: tickets.seen };
  }

  /** To be called once the index is complete. */
  start(): void {
    this.#renewed = instantOf(this.#options.clock);
    this.#running ??= this.#renewOnAndOn();
  }

  /** Removes the Lease, so that no displacement waits for this replica. Never rejects. */
  async stop(): Promise<void> {
    this.#stop.abort();
    const { client, clock, namespace } = this.#options;
    await Promise.race([this.#running, sleep(clock, LEAVE_WITHIN_MS)]);
    this.#attempts++;
    if (this.#lease === null) return;
    const { uid = '' } = this.#lease.metadata;
    const removed = client.delete(RESOURCES.leases, namespace, this.#name, { uid });
    await answeredWithin(clock, LEAVE_WITHIN_MS, removed, 'no answer').catch(() => undefined);
  }

  /** From now on this replica reads from the API server, until it has joined again. */
  leave(why: string): void {
    this.#state = { kind: 'apart', why };
  }

  get #name(): string {
    return replicaLeaseName(this.#options.instance);
  }

  get #isOutdated(): boolean {
    return elapsedMs(this.#options.clock, this.#renewed) >= APART_AFTER_MS;
  }

  #renewNow(): void {
    this.#isDue = true;
    this.#endPause?.();
  }

  #renewOnAndOn(): Promise<void> {
    const { clock, onError } = this.#options;
    return renewOnAndOn({
      clock,
      signal: this.#stop.signal,
      name: `the Lease ${this.#name}`,
      patienceMs: PATIENCE_MS,
      renew: () => {
        this.#isDue = false;
        return this.#renew();
      },
      pause: (hasFailed) => this.#pause(hasFailed),
      onError,
    });
  }

  /** The wait after a failure is not cut short. */
  async #pause(hasFailed: boolean): Promise<void> {
    if (this.#isDue && !hasFailed) return;
    const ended = new AbortController();
    if (!hasFailed) this.#endPause = () => ended.abort();
    const signal = AbortSignal.any([ended.signal, this.#stop.signal]);
    await sleep(this.#options.clock, hasFailed ? RETRY_MS : RENEW_EVERY_MS, signal).catch(() => undefined);
    this.#endPause = null;
  }

  async #renew(): Promise<void> {
    const { clock, tickets } = this.#options;
    if (this.#state.kind !== 'apart' && this.#isOutdated) this.leave('its Lease was not renewed in time');
    if (tickets.isBehind) {
      this.leave('its watch of Reprieves is behind');
      void this.#catchUp();
    }
    const asked = instantOf(clock);
    const attempt = ++this.#attempts;
    const joins = this.#lease !== null && !tickets.isBehind;
    const outcome = await this.#attempt(joins ? tickets.seen : null);
    if (attempt !== this.#attempts) return;
    if ('lost' in outcome) {
      this.leave(outcome.lost);
      if (outcome.found === null) this.#lease = null;
      else this.#took(outcome.found);
      this.#isDue = true;
      return;
    }
    const wasCreated = this.#lease === null;
    this.#took(outcome.written);
    this.#renewed = asked;
    if (wasCreated) this.#isDue = true;
    else if (joins && this.#state.kind === 'apart') void this.#join();
  }

  /** One that is created says at first that nothing waits for us: what was known of an etcd that was restored since is not true in it. */
  async #attempt(seen: string | null): Promise<Written | Lost> {
    const { client, clock, namespace, instance } = this.#options;
    const lease = replicaLease(instance, seen, clock.now(), this.#lease ?? undefined) as KubeObject;
    try {
      if (this.#lease === null) return { written: await client.create(RESOURCES.leases, namespace, lease) };
      return { written: await client.replace(RESOURCES.leases, namespace, lease) };
    } catch (error) {
      if (isNotFound(error)) return { lost: 'its Lease was removed', found: null };
      if (isConflict(error) || isAlreadyExists(error))
        return { lost: 'its Lease was changed by another client', found: await this.#read() };
      throw error;
    }
  }

  async #read(): Promise<KubeObject | null> {
    const { client, namespace } = this.#options;
    const fieldSelector = `metadata.name=${this.#name}`;
    const [found] = await client.list(RESOURCES.leases, { namespace, fieldSelector });
    return found ?? null;
  }

  #took(lease: KubeObject): void {
    const { resourceVersion = '' } = lease.metadata;
    const wentBack = this.#highest !== null && compareVersions(resourceVersion, this.#highest) < 0;
    this.#lease = lease;
    this.#highest = resourceVersion;
    if (wentBack) this.#options.onWentBack();
  }

  /** Whatever was created before displacements began to wait for us is in the listing. */
  async #join(): Promise<void> {
    const joining: State = { kind: 'joining' };
    this.#state = joining;
    await this.#options.relistTickets();
    if (this.#state === joining) this.#state = { kind: 'member' };
  }

  async #catchUp(): Promise<void> {
    if (this.#isCatchingUp) return;
    this.#isCatchingUp = true;
    await this.#options.relistTickets();
    this.#isCatchingUp = false;
  }
}
