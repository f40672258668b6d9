import type { ApiServer } from '../../src/sim/api-server/api-server.ts';
import type { Random } from '../../src/sim/random.ts';
import {
  NotSentError,
  TransportError,
  type KubeRequest,
  type KubeResponse,
  type KubeTransport,
  type KubeWatch,
  type WatchEvent,
} from '../../src/kube/transport.ts';
import { sleep, type Clock, type Timer } from '../../src/ports/clock.ts';

/** No answer within this is an error, though the request may still take effect (as `HttpTransport`). */
const REQUEST_TIMEOUT_MS = 10_000;
/** How long a refused request is under way when the network is cut. */
const CUT_OFF_MS = 3_000;

/** Nothing fails in no time: whoever tries again at once would stop the clock. */
const FAILURE_MS = 20;

/** What happens to one request on its way. */
export type Mishap =
  | { readonly kind: 'lost' }
  | { readonly kind: 'answer-lost' }
  | { readonly kind: 'refused'; readonly status: number; readonly reason: string }
  | { readonly kind: 'slow'; readonly ms: number };

/** What happens to one event of a watch on its way. `again` brings the last few once more, as after a stream that went back. */
export type StreamMishap =
  { readonly kind: 'lost' } | { readonly kind: 'again' } | { readonly kind: 'late'; readonly ms: number };

/** Something that goes wrong for a while. */
interface Trouble<Subject, What> {
  readonly draw: (subject: Subject) => What | null;
  readonly isOver: () => boolean;
}

export interface ProcessOptions {
  /** Unique among all processes that ever run; the user of its requests. */
  readonly name: string;
  readonly clock: Clock;
  readonly api: ApiServer;
  readonly random: Random;
  /** Of each request. */
  readonly latencyMs: number;
  /** How far its watch of a path is behind. Each has its own pace, so kinds are seen in another order than they were written. */
  readonly lagMs: (path: string) => number;
  /** Told of each request when it goes onto the wire; false: it never gets there. */
  readonly onSend: (request: KubeRequest) => boolean;
}

/**
 * One operating-system process as the world treats it: it can be killed between any two of its steps, stand still and go
 * on, be cut off from the API server, or have its requests lost, refused or delayed. What runs inside uses its `clock` and
 * its `transport` and nothing else, so a dead one does nothing more: its timers do not fire, its promises do not settle.
 *
 * Watches lag, break and have to start over, each for itself, so that kinds are seen in another order than they were written.
 * Within a stream events may be repeated, come late, or be missing until the next listing; none overtakes another, which no API
 * server lets happen.
 */
export class Process {
  readonly name: string;
  readonly clock: Clock;
  readonly transport: KubeTransport;
  readonly #options: ProcessOptions;
  #dead = false;
  #skewMs = 0;
  /** Settles when it goes on; null while it runs. */
  #standstill: PromiseWithResolvers<void> | null = null;
  #heldTimers: (() => void)[] = [];
  #isCut = false;
  readonly #watches = new Map<DeliveredWatch, string>(); // -> its path
  #mishaps: Trouble<KubeRequest, Mishap>[] = [];
  #streamMishaps: Trouble<WatchEvent, StreamMishap>[] = [];
  /** Paths of which events were lost that no listing has brought since. */
  readonly #lost = new Set<string>();
  /** Of these, those that are to be listed as soon as somebody goes on watching them. */
  readonly #expired = new Set<string>();
  #trap: { calls: number; readonly when: 'before' | 'after'; readonly run: () => void } | null = null;

  constructor(options: ProcessOptions) {
    this.#options = options;
    this.name = options.name;
    this.clock = {
      now: () => options.clock.now() + this.#skewMs,
      monotonic: () => options.clock.monotonic(),
      setTimer: (delayMs, run) => this.#setTimer(delayMs, run),
    };
    this.transport = { request: (request) => this.#request(request), watch: (request) => this.#watch(request) };
  }

  get isAlive(): boolean {
    return !this.#dead;
  }

  /** Alive, not standing still, connected, and nothing stands against its requests. */
  get isWell(): boolean {
    const isTroubled = [...this.#mishaps, ...this.#streamMishaps].some(({ isOver }) => !isOver());
    return !this.#dead && this.#standstill === null && !this.#isCut && !isTroubled && this.#lost.size === 0;
  }

  /** Its watch of that path has lost something that only a listing makes good. */
  hasLost(path: string): boolean {
    return this.#lost.has(path);
  }

  /** A watch of that path is open: what changes now reaches it. */
  isWatching(path: string): boolean {
    return [...this.#watches].some(([watch, watched]) => watched === path && !watch.hasFailed);
  }

  get isPaused(): boolean {
    return this.#standstill !== null;
  }

  get isCut(): boolean {
    return this.#isCut;
  }

  /** SIGKILL, or the power. */
  kill(): void {
    this.#dead = true;
    this.#heldTimers = [];
    for (const watch of this.#watches.keys()) watch.abandon();
    this.#watches.clear();
  }

  /** SIGSTOP, a long collection of garbage, a machine that swaps. Timers that come due wait, and so do answers. */
  pause(): void {
    this.#standstill ??= Promise.withResolvers();
  }

  resume(): void {
    this.#standstill?.resolve();
    this.#standstill = null;
    for (const run of this.#heldTimers.splice(0)) this.#options.clock.setTimer(0, () => this.#fire(run));
  }

  /** Resolves as soon as it runs; never where it is dead. */
  async running(): Promise<void> {
    while (this.#standstill !== null) await this.#standstill.promise;
    if (this.#dead) await new Promise(() => undefined);
  }

  /** Somebody sets its wall clock. */
  jumpClock(ms: number): void {
    this.#skewMs += ms;
  }

  /** Its clock is right again. */
  setClock(): void {
    if (this.#skewMs !== 0) this.jumpClock(-this.#skewMs);
  }

  /** Cuts it off from the API server, or ends that. Streams break when the cut ends: until then nobody knows. */
  setCut(isCut: boolean): void {
    this.#isCut = isCut;
    if (!isCut) this.breakWatches();
  }

  breakWatches(): void {
    for (const watch of this.#watches.keys()) watch.break();
  }

  /** Each request, and each watch that is opened, meets what `draw` says, until it is over. */
  harass(draw: (request: KubeRequest) => Mishap | null, isOver: () => boolean): void {
    this.#mishaps.push({ draw, isOver });
  }

  /** Each event of its watches meets what `draw` says, until it is over. What was lost stays so until {@link expireWatches}. */
  garble(draw: (event: WatchEvent) => StreamMishap | null, isOver: () => boolean): void {
    this.#streamMishaps.push({ draw, isOver });
  }

  /** Watches that have lost something end with a 410: everything is listed again. */
  expireWatches(): void {
    for (const path of this.#lost) this.#expired.add(path);
    for (const [watch, path] of this.#watches) if (this.#listAgain(path)) watch.expire();
  }

  /** Runs something before, or right after, its request number `calls` from now takes effect; null takes that back. */
  setTrap(trap: { readonly calls: number; readonly when: 'before' | 'after'; readonly run: () => void } | null): void {
    this.#trap = trap && { ...trap };
  }

  #setTimer(delayMs: number, run: () => void): Timer {
    let cancelled = false;
    const timer = this.#options.clock.setTimer(delayMs, () => {
      if (!cancelled) this.#fire(() => void (!cancelled && run()));
    });
    return {
      cancel: () => {
        cancelled = true;
        timer.cancel();
      },
    };
  }

  #fire(run: () => void): void {
    if (this.#dead) return;
    if (this.#standstill !== null) this.#heldTimers.push(run);
    else run();
  }

  async #request(request: KubeRequest): Promise<KubeResponse> {
    const { api, name, onSend, latencyMs, clock } = this.#options;
    await this.running();
    const isSprung = this.#isSprung();
    if (isSprung === 'before') {
      this.#spring();
      await this.running();
    }
    const mishap = await this.#depart(request);
    if (mishap?.kind === 'refused') return refusal(mishap.status, mishap.reason);
    if (request.maySend?.() === false) throw new NotSentError(`${request.method} ${request.path}: held back`);
    if (!onSend(request)) await new Promise(() => undefined);
    const connection = api.transport(name);
    const { signal: _, ...sent } = request; // on the wire it cannot be called back
    const delayMs = latencyMs + (mishap?.kind === 'slow' ? mishap.ms : 0);
    const limitMs = serverLimitMs(request);
    if (delayMs > limitMs) {
      // Slow is the server, which gives up what it was told to give up.
      await sleep(clock, Math.min(limitMs, REQUEST_TIMEOUT_MS), request.signal);
      await this.running();
      return refusal(504, 'Timeout');
    }
    // It takes effect whatever becomes of the process meanwhile.
    const answer = delayMs > 0 ? sleep(clock, delayMs).then(() => connection.request(sent)) : connection.request(sent);
    if (delayMs > REQUEST_TIMEOUT_MS) {
      answer.catch(() => undefined);
      await sleep(clock, REQUEST_TIMEOUT_MS, request.signal);
      await this.running();
      throw new TransportError(`${request.method} ${request.path}: no answer in time`);
    }
    let response: KubeResponse;
    try {
      response = await answer;
    } catch (error) {
      await this.running();
      throw error;
    }
    if (isSprung === 'after') this.#spring();
    await this.running();
    request.signal?.throwIfAborted();
    if (mishap?.kind === 'answer-lost' || this.#isCut) {
      throw new TransportError(`${request.method} ${request.path}: the answer was lost`);
    }
    return response;
  }

  /** What stands between the process and the wire. */
  async #depart(request: KubeRequest): Promise<Mishap | null> {
    const { clock } = this.#options;
    if (this.#isCut) {
      await sleep(clock, CUT_OFF_MS, request.signal);
      await this.running();
      throw new TransportError(`${request.method} ${request.path}: no route to host`);
    }
    const mishap = this.#draw(request);
    if (mishap?.kind === 'lost' || mishap?.kind === 'refused') await sleep(clock, FAILURE_MS, request.signal);
    if (mishap?.kind === 'lost') throw new TransportError(`${request.method} ${request.path}: connection reset`);
    return mishap;
  }

  #draw(request: KubeRequest): Mishap | null {
    this.#mishaps = this.#mishaps.filter(({ isOver }) => !isOver());
    return drawn(this.#mishaps, request);
  }

  /** Whether what was lost of it is to be made good now. */
  #listAgain(path: string): boolean {
    if (!this.#expired.delete(path)) return false;
    this.#lost.delete(path);
    return true;
  }

  #drawForEvent(path: string, event: WatchEvent): StreamMishap | null {
    this.#streamMishaps = this.#streamMishaps.filter(({ isOver }) => !isOver());
    const mishap = drawn(this.#streamMishaps, event);
    if (mishap?.kind === 'lost') this.#lost.add(path);
    return mishap;
  }

  #isSprung(): 'before' | 'after' | null {
    const trap = this.#trap;
    return trap !== null && --trap.calls <= 0 ? trap.when : null;
  }

  #spring(): void {
    const trap = this.#trap;
    this.#trap = null;
    trap?.run();
  }

  async #watch(request: KubeRequest): Promise<KubeWatch> {
    const { api, name, clock, lagMs } = this.#options;
    await this.running();
    const mishap = await this.#depart(request);
    if (!this.#options.onSend(request)) await new Promise(() => undefined);
    if (mishap?.kind === 'refused') return { ...refusal(mishap.status, mishap.reason), events: nothing() };
    const isListing = request.query?.['resourceVersion'] === undefined;
    if (isListing) this.#lost.delete(request.path);
    if (this.#listAgain(request.path) && !isListing) return { ...refusal(410, 'Expired'), events: nothing() };
    const opened = await api.transport(name).watch(request);
    await this.running();
    if (opened.status !== 200) return opened;
    const delivered: DeliveredWatch = new DeliveredWatch({
      source: opened.events,
      clock,
      lagMs: lagMs(request.path),
      running: () => this.running(),
      isStalled: () => this.#isCut,
      isListing: request.query?.['sendInitialEvents'] === 'true',
      draw: (event) => this.#drawForEvent(request.path, event),
      onEnd: () => this.#watches.delete(delivered),
      signal: request.signal,
    });
    this.#watches.set(delivered, request.path);
    return { ...opened, events: delivered.events() };
  }
}

function drawn<Subject, What>(troubles: readonly Trouble<Subject, What>[], subject: Subject): What | null {
  for (const { draw } of troubles) {
    const what = draw(subject);
    if (what !== null) return what;
  }
  return null;
}

async function* nothing(): AsyncGenerator<never> {}

/** `timeout` of a request. */
function serverLimitMs({ query }: KubeRequest): number {
  const timeout = query?.['timeout'];
  return timeout === undefined ? Infinity : Number(/^(\d+)ms$/.exec(timeout)?.[1]);
}

function refusal(code: number, reason: string): KubeResponse {
  const body = { kind: 'Status', status: 'Failure', code, reason, message: `injected ${reason}` };
  return { status: code, headers: code === 429 ? { 'retry-after': '1' } : {}, body };
}

interface DeliveredWatchOptions {
  readonly source: AsyncIterable<WatchEvent>;
  readonly clock: Clock;
  readonly lagMs: number;
  readonly running: () => Promise<void>;
  readonly isStalled: () => boolean;
  /** It begins with all there is, of which nothing is missing. */
  readonly isListing: boolean;
  readonly draw: (event: WatchEvent) => StreamMishap | null;
  readonly onEnd: () => void;
  readonly signal: AbortSignal | undefined;
}

const CHANGES: ReadonlySet<string> = new Set(['ADDED', 'MODIFIED', 'DELETED']);

const EXPIRED = {
  type: 'ERROR',
  object: { kind: 'Status', metadata: {}, status: 'Failure', code: 410, reason: 'Expired', message: 'too old' },
} as unknown as WatchEvent;

/** How many events a stream that goes back repeats. */
const REPEATED = 5;

/** A watch that is behind by a fixed time, and can break. */
class DeliveredWatch {
  readonly #options: DeliveredWatchOptions;
  #recent: WatchEvent[] = []; // the last few, oldest first
  #isListing: boolean;
  #isExpired = false;
  #hasFailed = false;
  readonly #arrived: { readonly event: WatchEvent; readonly readyMs: number }[] = [];
  #end: { readonly error: unknown } | null = null;
  #wake: (() => void) | null = null;
  readonly #iterator: AsyncIterator<WatchEvent>;

  constructor(options: DeliveredWatchOptions) {
    this.#options = options;
    this.#isListing = options.isListing;
    this.#iterator = options.source[Symbol.asyncIterator]();
    void this.#pump();
  }

  /** The API server has answered that it cannot go on from there, which may not have arrived yet. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  break(): void {
    if (this.#isExpired) return; // it ends anyway, and a stream that only broke would go on from after what was lost
    this.#finish(new TransportError('the stream broke'));
    this.#arrived.length = 0;
    void this.#iterator.return?.();
  }

  /** What it goes on from is too old. */
  expire(): void {
    this.#isExpired = true;
    this.#arrived.length = 0;
    this.#arrived.push({ event: EXPIRED, readyMs: this.#options.clock.now() });
    this.#wake?.();
  }

  /** Its reader is dead: nobody asks any more. */
  abandon(): void {
    void this.#iterator.return?.();
  }

  async *events(): AsyncGenerator<WatchEvent> {
    const { clock, running, isStalled, onEnd, signal } = this.#options;
    try {
      for (;;) {
        await running();
        signal?.throwIfAborted();
        const next = this.#arrived[0];
        if (next === undefined || isStalled()) {
          if (this.#end !== null && !isStalled()) {
            if (this.#end.error !== null) throw this.#end.error;
            return;
          }
          await new Promise<void>((resolve) => (this.#wake = resolve));
          continue;
        }
        const leftMs = next.readyMs - clock.now();
        if (leftMs > 0) {
          await new Promise<void>((resolve) => {
            const timer = clock.setTimer(leftMs, resolve);
            this.#wake = () => {
              if (this.#end?.error) {
                timer.cancel();
                resolve();
              }
            };
          });
          if (this.#end?.error) this.#arrived.length = 0;
          continue;
        }
        this.#arrived.shift();
        yield next.event;
      }
    } finally {
      onEnd();
      void this.#iterator.return?.();
    }
  }

  #arrive(event: WatchEvent): void {
    const { clock, lagMs, draw } = this.#options;
    if (event.type === 'ERROR') this.#hasFailed = true;
    const isChange = CHANGES.has(event.type) && !this.#isListing;
    if (event.type === 'BOOKMARK') this.#isListing = false; // the first one ends a listing
    const mishap = isChange ? draw(event) : null;
    if (mishap?.kind === 'lost') return;
    if (isChange) this.#recent = [...this.#recent.slice(1 - REPEATED), event];
    const readyMs = clock.now() + lagMs + (mishap?.kind === 'late' ? mishap.ms : 0);
    const events = mishap?.kind === 'again' ? [event, ...this.#recent] : [event];
    for (const arrived of events) this.#arrived.push({ event: arrived, readyMs });
    this.#wake?.();
  }

  async #pump(): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await this.#iterator.next();
        if (done) break;
        this.#arrive(value);
      }
      this.#finish(null);
    } catch (error) {
      this.#finish(error);
    }
  }

  #finish(error: unknown): void {
    this.#end ??= { error };
    this.#wake?.();
  }
}
