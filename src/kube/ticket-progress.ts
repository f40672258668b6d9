import { isOpenAndFree, podsMakingWay, type Ticket } from '../domain/ticket.ts';
import { compareVersions } from '../index/object-table.ts';
import { WATCH_LAG_MS } from '../engine/core/steps.ts';
import type { Clock } from '../ports/clock.ts';

/** Below every version. */
export const NO_VERSION = '0';

/**
 * Which tickets the index holds: all up to a version, since a watch brings them in the order of their versions, and versions of one
 * kind can be compared (KEP-5504).
 *
 *     seen      the highest version of a ticket that the watch or a listing brought
 *     reached   the same, or the version of the last listing, which may be higher than that of any ticket in it
 *     known     the highest version of a ticket that is known to exist: from answers to own writes, and from other replicas
 */
export class TicketProgress {
  readonly #clock: Clock;
  #seen = NO_VERSION;
  #reached = NO_VERSION;
  #known = NO_VERSION;
  /** The version that the watch should have brought, and since when; null while it has brought all that is known. */
  #awaited: { readonly version: string; readonly sinceMs: number } | null = null;
  /** Versions went back: what was seen counts for nothing until the next listing. */
  #mustList = false;
  /** Called after the index has taken a ticket that a displacement may wait for. */
  onAwaited: () => void = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get seen(): string {
    return this.#seen;
  }

  upserted(ticket: Ticket): void {
    this.#advance(ticket.resourceVersion);
    if (mayBeAwaited(ticket)) this.onAwaited();
  }

  removed(resourceVersion: string): void {
    this.#advance(resourceVersion);
  }

  /** The API server went back to an earlier state. */
  forget(): void {
    this.#seen = this.#reached = this.#known = NO_VERSION;
    this.#awaited = null;
    this.#mustList = true;
  }

  listed(tickets: readonly Ticket[], resourceVersion: string, wentBack: boolean): void {
    if (wentBack) this.forget();
    this.#mustList = false;
    for (const ticket of tickets) this.#seen = later(this.#seen, ticket.resourceVersion);
    this.#reach(later(this.#seen, resourceVersion));
    this.onAwaited();
  }

  /** A ticket or its deletion has this version, whether or not the watch has brought it. */
  exists(resourceVersion: string): void {
    if (this.#mustList) return;
    this.#known = later(this.#known, resourceVersion);
    this.#await();
  }

  /** The watch has not brought for a while what is known to exist: only a listing leads past whatever keeps it. */
  get isBehind(): boolean {
    return this.#awaited !== null && this.#clock.monotonic() - this.#awaited.sinceMs >= WATCH_LAG_MS;
  }

  #advance(resourceVersion: string): void {
    if (this.#mustList) return;
    this.#seen = later(this.#seen, resourceVersion);
    this.#reach(this.#seen);
  }

  #reach(resourceVersion: string): void {
    this.#reached = later(this.#reached, resourceVersion);
    if (this.#awaited !== null && compareVersions(this.#reached, this.#awaited.version) >= 0) this.#awaited = null;
    this.#await();
  }

  #await(): void {
    if (this.#awaited !== null || compareVersions(this.#known, this.#reached) <= 0) return;
    this.#awaited = { version: this.#known, sinceMs: this.#clock.monotonic() };
  }
}

/** Its victim is about to be evicted, or a pod whose restore failed is about to make way for another one. */
function mayBeAwaited(ticket: Ticket): boolean {
  return isOpenAndFree(ticket) && (ticket.phase === 'Saving' || podsMakingWay(ticket).length > 0);
}

function later(a: string, b: string): string {
  return compareVersions(a, b) >= 0 ? a : b;
}
