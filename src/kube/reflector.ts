import { messageOf } from '../domain/message-of.ts';
import type { IndexDiff } from '../index/types.ts';
import { sleep, type Clock, type Timer } from '../ports/clock.ts';
import { KubeApiError } from './api-error.ts';
import { backoffMs } from './backoff.ts';
import { Collection, endsInitialEvents, errorIn, type CollectionOptions } from './collection.ts';
import { ReflectorTally, type ReflectorStats } from './reflector-stats.ts';
import { SeenVersions } from './seen-versions.ts';
import { TransportError, type KubeObject, type WatchEvent } from './transport.ts';

/** Statuses that say "I do not do watch-lists". 403, 404 and 5xx say something else, and the same for a list. */
const REFUSALS: ReadonlySet<number> = new Set([400, 405, 406, 415, 422, 501]);
/** A stream that ends sooner, without a word, is a failure and not the server's timeout. */
const SHORT_STREAM_MS = 1000;
/** Streams that break at one and the same place: something there cannot be read, only a listing leads past it. */
const MAX_BROKEN_IN_PLACE = 3;
/** The event loop is given back this often while lines are parsed: callbacks are answered in milliseconds, and two kinds may be large. */
const SLICE_MS = 2;

/** Receives what a reflector sees. */
interface ReflectorSink<T> {
  upsert(value: T): void;
  remove(uid: string, resourceVersion: string): void;
  /**
   * All there is, at that version: what is not among it is gone. `wentBack`: the API server holds an earlier state than it did
   * (etcd was restored), so versions do not tell what is newer, and only this listing is true.
   */
  replaceAll(values: readonly T[], resourceVersion: string, wentBack: boolean): IndexDiff | Promise<IndexDiff>;
}

/** Something an operator may want to read in the log. */
export interface ReflectorNotice {
  readonly resource: string;
  readonly kind: 'watch-list-refused' | 'retry' | 'expired' | 'invalid-object' | 'diverged' | 'went-back';
  readonly message: string;
}

export interface ReflectorOptions<T> extends CollectionOptions {
  readonly clock: Clock;
  readonly project: (object: KubeObject) => T;
  readonly sink: ReflectorSink<T>;
  /** 0 to 1; injected so that a simulation repeats itself. */
  readonly random?: () => number;
  /** Gives the event loop back. Only called when the clock has moved, so never in virtual time. */
  readonly breathe?: () => Promise<void>;
  /** Lists everything again this often, to find what watches lost; 0: only when it must. Default: an hour. */
  readonly relistEveryMs?: number;
  readonly onNotice?: (notice: ReflectorNotice) => void;
  /** A listing showed that the API server went back to an earlier state; called before the sink has that listing. */
  readonly onWentBack?: () => void;
}

/**
 * Keeps a sink in step with one collection of the API server (client-go's reflector, with the initial state streamed):
 *
 *     ┌─> list ──────────> watch ─┬─ stream ends: watch on from the last version seen
 *     │   (as one stream,         ├─ reset, 429, 5xx: the same, after a pause
 *     │    or in pages)           └─ 410, or an hour has passed ─┐
 *     └──────────────────────────────────────────────────────────┘
 *
 * Before a watch goes on from a version, the collection is asked for its present one ({@link SeenVersions}).
 *
 * The version to go on from moves with every event and with bookmarks, so that a quiet collection does not expire. Nothing
 * but the signal ends the loop.
 */
export class Reflector<T> {
  readonly #options: ReflectorOptions<T>;
  readonly #random: () => number;
  readonly #synced = Promise.withResolvers<void>();
  readonly #collection: Collection;
  readonly #versions = new SeenVersions();
  readonly #tally = new ReflectorTally();
  #watchingSinceMs: number | null = null;
  #refusesWatchList = false;
  /** A listing that begins from now on replaces everything, though its version may not show why. */
  #mustReplace = false;
  /** The listing under way does. */
  #replaces = false;
  #failures = 0; // in a row
  #brokenInPlace = 0; // streams in a row that broke before they said anything
  #unfinishedLists = 0; // streams in a row that ended before the initial events did
  #current: AbortController | null = null; // ends the check, the watch, or a pause, for a listing
  #relistTimer: Timer | null = null;
  #relistDue = false;
  readonly #awaitingRelist: (() => void)[] = []; // resolved, oldest first, by a listing that began after they asked
  #servedByListing = 0; // how many of them the listing under way serves
  #sliceStartMs = 0;
  #lines = 0; // of all streams, a listing in pages as one

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#collection = new Collection(options);
    this.#random = options.random ?? Math.random;
  }

  /** Resolves when the sink has everything for the first time. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  /**
   * Lists everything again; resolves when the sink has a listing that began after this call. Never rejects. `wentBack`: the API
   * server is known to have gone back to an earlier state, so that this listing replaces all that is held, whatever its version:
   * new writes may have overtaken the lost versions by now.
   */
  relist(wentBack = false): Promise<void> {
    this.#mustReplace ||= wentBack;
    this.#relistDue = true;
    this.#current?.abort();
    return new Promise((resolve) => this.#awaitingRelist.push(resolve));
  }

  /** Since when a watch is open without a break, on the monotonic clock; null while there is none, or everything is listed. */
  get watchingSinceMs(): number | null {
    return this.#watchingSinceMs;
  }

  stats(): ReflectorStats {
    return this.#tally.stats();
  }

  /** Runs until the signal is aborted. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      while (!signal.aborted) {
        const pauseMs = await this.#pass(signal);
        if (pauseMs > 0 && !signal.aborted) await this.#pause(pauseMs, signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#relistTimer?.cancel();
    }
  }

  /** Cut short when somebody asks for a listing: they know that the server answers again. */
  async #pause(pauseMs: number, signal: AbortSignal): Promise<void> {
    const current = new AbortController();
    this.#current = current;
    await sleep(this.#options.clock, pauseMs, AbortSignal.any([signal, current.signal])).catch(() => undefined);
  }

  /** Lists or watches until something ends it; returns how long to wait before the next pass. */
  async #pass(signal: AbortSignal): Promise<number> {
    const { clock } = this.#options;
    this.#current = null; // that of the last pause or watch says nothing about this pass
    const startMs = clock.monotonic();
    const linesBefore = this.#lines;
    try {
      if (this.#versions.next !== null && !this.#relistDue) await this.#checkVersion(signal);
      // Looked at after the check, too: a watch that is opened now would keep whoever asked meanwhile waiting for its end.
      if (this.#relistDue) this.#versions.startOver();
      if (this.#versions.next === null) {
        this.#servedByListing = this.#awaitingRelist.length;
        this.#replaces ||= this.#mustReplace;
        this.#mustReplace = false;
      }
      if (this.#versions.next === null && this.#refusesWatchList) await this.#listInPages(signal);
      else await this.#watch(signal);
      if (this.#lines > linesBefore || clock.monotonic() - startMs >= SHORT_STREAM_MS) return 0;
      return this.#pauseAfterFailure('the watch ended at once', null);
    } catch (error) {
      if (signal.aborted) return 0;
      if (this.#endedForListing()) return 0;
      return this.#pauseAfter(error);
    } finally {
      this.#watchingSinceMs = null;
    }
  }

  /** We ended this watch, or the check before it, ourselves. */
  #endedForListing(): boolean {
    return this.#relistDue && this.#current !== null && this.#current.signal.aborted;
  }

  #pauseAfter(error: unknown): number {
    const message = messageOf(error);
    if (error instanceof KubeApiError) {
      if (error.status === 410) {
        this.#versions.startOver();
        this.#notice('expired', message);
        this.#failures++;
        // The first one is everyday life after a quiet hour; one after the other is not.
        return this.#failures === 1 ? 0 : backoffMs(this.#failures, this.#random, error.retryAfterMs);
      }
      if (this.#versions.next === null && !this.#refusesWatchList && REFUSALS.has(error.status)) {
        this.#refusesWatchList = true;
        this.#notice('watch-list-refused', message);
        return 0;
      }
    }
    return this.#pauseAfterFailure(message, error instanceof KubeApiError ? error.retryAfterMs : null);
  }

  #pauseAfterFailure(message: string, retryAfterMs: number | null): number {
    this.#failures++;
    const pauseMs = backoffMs(this.#failures, this.#random, retryAfterMs);
    this.#notice('retry', `${message}; again in ${pauseMs} ms`);
    return pauseMs;
  }

  /** Forgets the version to go on from where the API server has not come so far: everything is listed then. */
  async #checkVersion(signal: AbortSignal): Promise<void> {
    const current = new AbortController();
    this.#current = current;
    const version = await this.#collection.version(AbortSignal.any([signal, current.signal]));
    this.#current = null;
    if (this.#versions.isBehind(version)) this.#versions.startOver();
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { resource, clock } = this.#options;
    const current = new AbortController();
    this.#current = current;
    // Between 5 and 10 minutes, as client-go: the load spreads over the servers again.
    const timeoutSeconds = 300 + Math.floor(this.#random() * 300);
    const from = this.#versions.next;
    const events = await this.#collection.watch(from, timeoutSeconds, AbortSignal.any([signal, current.signal]));
    this.#tally.streams++;
    if (from !== null) this.#watchingSinceMs = clock.monotonic();
    const linesBefore = this.#lines;
    let pending = from === null ? new Map<string, T>() : null; // uid -> value, until all initial ones have come
    try {
      for await (const event of events) {
        this.#lines++;
        this.#tally.lastEventMs = clock.monotonic();
        if (event.type === 'ERROR') throw errorIn(event, `watching ${resource.plural}`);
        if (pending !== null && endsInitialEvents(event)) {
          const values = [...pending.values()];
          pending = null;
          await this.#listed(values, event.object.metadata.resourceVersion ?? '');
        } else this.#take(event, pending);
        if (clock.monotonic() - this.#sliceStartMs >= SLICE_MS) await this.#breathe();
      }
    } catch (error) {
      if (error instanceof TransportError) this.#noteBroken(this.#lines === linesBefore);
      throw error;
    }
    if (pending !== null && !signal.aborted && ++this.#unfinishedLists >= MAX_BROKEN_IN_PLACE) {
      // It ignores what it does not know, instead of refusing it: no end of the initial events will ever come.
      this.#refusesWatchList = true;
      this.#notice('watch-list-refused', 'the server never ended its initial events');
    }
  }

  /** Handles one line. `pending` collects the initial state until its end is announced; null from then on. */
  #take({ type, object }: WatchEvent, pending: Map<string, T> | null): void {
    const { metadata } = object;
    const resourceVersion = metadata.resourceVersion ?? '';
    if (type === 'BOOKMARK') {
      if (pending === null) this.#advance(resourceVersion);
      return;
    }
    this.#tally.events++;
    const uid = metadata.uid ?? '';
    const value = type === 'DELETED' ? null : this.#projected(object);
    if (pending !== null) {
      if (value !== null) pending.set(uid, value);
      else pending.delete(uid);
      return;
    }
    if (value !== null) this.#options.sink.upsert(value);
    else if (type === 'DELETED') this.#options.sink.remove(uid, resourceVersion);
    this.#advance(resourceVersion);
  }

  async #listInPages(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const values: T[] = [];
    let version = '';
    for await (const { objects, resourceVersion } of this.#collection.pages(signal)) {
      this.#tally.lastEventMs = clock.monotonic();
      for (const object of objects) {
        this.#tally.events++;
        const value = this.#projected(object);
        if (value !== null) values.push(value);
        if (clock.monotonic() - this.#sliceStartMs >= SLICE_MS) await this.#breathe();
      }
      version = resourceVersion;
    }
    await this.#listed(values, version);
    this.#lines++;
  }

  async #listed(values: readonly T[], resourceVersion: string): Promise<void> {
    const { resource, clock, sink, onWentBack } = this.#options;
    const { highest } = this.#versions;
    const isBehind = this.#versions.isBehind(resourceVersion);
    const wentBack = isBehind || (this.#replaces && highest !== null);
    this.#replaces = false;
    if (wentBack) this.#versions.wentBack();
    if (isBehind) {
      this.#notice('went-back', `the API server went back from version ${highest} to ${resourceVersion}`);
      onWentBack?.();
    }
    const { missed, redundant } = await sink.replaceAll(values, resourceVersion, wentBack);
    this.#advance(resourceVersion);
    if (this.#tally.listings > 0) {
      this.#tally.missed += missed.length;
      this.#tally.redundant += redundant.length;
      if (missed.length + redundant.length > 0) {
        const counts = `${missed.length} missed, ${redundant.length} redundant`;
        this.#notice('diverged', `a listing of ${resource.plural} found ${counts}`);
      }
    }
    this.#tally.listings++;
    this.#watchingSinceMs = clock.monotonic();
    this.#unfinishedLists = 0;
    for (const resolve of this.#awaitingRelist.splice(0, this.#servedByListing)) resolve();
    this.#servedByListing = 0;
    this.#relistDue = this.#awaitingRelist.length > 0;
    this.#scheduleRelist();
    this.#synced.resolve();
  }

  #scheduleRelist(): void {
    const { clock, relistEveryMs = 3_600_000 } = this.#options;
    this.#relistTimer?.cancel();
    if (relistEveryMs <= 0) return;
    this.#relistTimer = clock.setTimer(relistEveryMs * (0.9 + 0.2 * this.#random()), () => {
      this.#relistDue = true;
      this.#current?.abort();
    });
  }

  /** An object that cannot be read is left out: one odd object must not blind us for all others. */
  #projected(object: KubeObject): T | null {
    try {
      return this.#options.project(object);
    } catch (error) {
      this.#tally.invalid++;
      const name = `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
      this.#notice('invalid-object', `${name}: ${messageOf(error)}`);
      return null;
    }
  }

  #advance(resourceVersion: string): void {
    this.#versions.advance(resourceVersion);
    this.#failures = 0;
    this.#brokenInPlace = 0;
  }

  #noteBroken(withoutProgress: boolean): void {
    this.#brokenInPlace = withoutProgress ? this.#brokenInPlace + 1 : 0;
    if (this.#brokenInPlace < MAX_BROKEN_IN_PLACE) return;
    this.#brokenInPlace = 0;
    this.#versions.startOver();
  }

  async #breathe(): Promise<void> {
    await this.#options.breathe?.();
    this.#sliceStartMs = this.#options.clock.monotonic();
  }

  #notice(kind: ReflectorNotice['kind'], message: string): void {
    this.#options.onNotice?.({ resource: this.#options.resource.plural, kind, message });
  }
}
