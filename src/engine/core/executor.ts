import type { Clock, Timer } from '../../ports/clock.ts';
import type { ClusterWriter, Refusal, WriteOutcome } from '../../ports/cluster-writer.ts';
import { carryOut, commandKey, commandSignature, namespaceOf, pausesOf, type Command } from './commands.ts';
import type { EngineEvents } from '../engine-events.ts';

const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 30_000;
/** What the API server refused is tried again when something changes that it may depend on, and else after this, doubled each time. */
const FIRST_REFUSED_MS = 10_000;
const LAST_REFUSED_MS = 600_000;
/** A quota is raised, or its use falls, without a change that this process sees. */
const LAST_QUOTA_MS = 60_000;
/** However often something changes. */
const RETRIED_AGAIN_MS = 2_000;

/** What is remembered of the last command about an object. */
interface Pause {
  readonly untilMs: number;
  /** Commands in a row that failed or changed nothing. */
  readonly failures: number;
  /** Signature of the command that succeeded; null when it did not. */
  readonly done: string | null;
  /** What the API server refused: another command about the object need not wait. */
  readonly refused: { readonly signature: string; readonly namespace: string; readonly sinceMs: number } | null;
}

export interface ExecutorOptions {
  readonly writer: ClusterWriter;
  readonly clock: Clock;
  readonly events: EngineEvents;
  /** Called when a command came back or a pause ended: the world should be looked at again. */
  readonly onSettled: () => void;
  readonly maxInFlight?: number;
  /** Tells a write that was refused from one that may succeed when it is repeated. Absent: all are repeated. */
  readonly refusalOf?: (error: unknown) => Refusal | null;
}

/**
 * Carries commands out. While a command about an object is under way, no other about the same object starts (its
 * expectation); after a failure the object rests, twice as long each time. Commands that cannot start now are dropped:
 * the next pass derives them again if they are still right.
 */
export class Executor {
  readonly #writer: ClusterWriter;
  readonly #clock: Clock;
  readonly #events: EngineEvents;
  readonly #onSettled: () => void;
  readonly #maxInFlight: number;
  readonly #refusalOf: (error: unknown) => Refusal | null;
  readonly #inFlight = new Map<string, { readonly command: Command; readonly sinceMs: number }>(); // object -> the command under way
  readonly #resting = new Map<string, Pause>(); // object -> its pause
  readonly #refused = new Set<string>(); // objects about which the API server refused the last command
  readonly #timers = new Set<Timer>(); // those that have not fired
  readonly #awaitingIdle: (() => void)[] = [];
  #stopped = false;

  constructor(options: ExecutorOptions) {
    this.#writer = options.writer;
    this.#clock = options.clock;
    this.#events = options.events;
    this.#onSettled = options.onSettled;
    this.#maxInFlight = options.maxInFlight ?? 32;
    this.#refusalOf = options.refusalOf ?? (() => null);
  }

  /** Starts what may start. Commands earlier in the list win where two are about one object. */
  run(commands: readonly Command[]): void {
    const nowMs = this.#clock.monotonic();
    for (const command of commands) {
      if (this.#stopped || this.#inFlight.size >= this.#maxInFlight) return;
      const key = commandKey(command);
      if (this.#inFlight.has(key)) continue;
      const pause = this.#resting.get(key);
      if (pause !== undefined && nowMs < pause.untilMs && mustWait(command, pause)) continue;
      this.#inFlight.set(key, { command, sinceMs: nowMs });
      this.#events.emit('command:started', { command });
      void this.#carryOut(key, command, nowMs);
    }
  }

  /** How many commands are under way. */
  get inFlightCount(): number {
    return this.#inFlight.size;
  }

  /** Commands under way, for `/debug/state`. */
  inFlight(): readonly { readonly key: string; readonly kind: Command['kind']; readonly sinceMs: number }[] {
    return [...this.#inFlight].map(([key, { command, sinceMs }]) => ({ key, kind: command.kind, sinceMs }));
  }

  /** Objects that rest after a failure or a write in vain, for `/debug/state`. */
  resting(): readonly { readonly key: string; readonly failures: number; readonly untilMs: number }[] {
    const nowMs = this.#clock.monotonic();
    return [...this.#resting]
      .filter(([, { untilMs }]) => nowMs < untilMs)
      .map(([key, { failures, untilMs }]) => ({ key, failures, untilMs }));
  }

  /**
   * What the API server refused in this namespace (null: in every one) may be accepted now: it is tried again at once, or as soon as
   * it is not too often.
   */
  retryRefused(namespace: string | null): void {
    for (const key of this.#refused) {
      const pause = this.#resting.get(key);
      if (pause === undefined || pause.refused === null) {
        this.#refused.delete(key);
        continue;
      }
      if (namespace !== null && pause.refused.namespace !== namespace) continue;
      const untilMs = Math.max(this.#clock.monotonic(), pause.refused.sinceMs + RETRIED_AGAIN_MS);
      if (untilMs >= pause.untilMs) continue;
      this.#resting.set(key, { ...pause, untilMs });
      this.#after(untilMs - this.#clock.monotonic(), () => this.#onSettled());
    }
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    while (this.#inFlight.size > 0) await new Promise<void>((resolve) => this.#awaitingIdle.push(resolve));
  }

  /** Starts nothing more. What is under way comes back, unobserved. */
  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) timer.cancel();
  }

  async #carryOut(key: string, command: Command, startMs: number): Promise<void> {
    let outcome: WriteOutcome | 'failed' | 'refused';
    let error: unknown = null;
    let refusal: Refusal | null = null;
    try {
      outcome = await carryOut(this.#writer, command);
    } catch (thrown) {
      refusal = this.#refusalOf(thrown);
      outcome = refusal === null ? 'failed' : 'refused';
      error = thrown;
    }
    this.#inFlight.delete(key);
    if (this.#inFlight.size === 0) for (const resolve of this.#awaitingIdle.splice(0)) resolve();
    const restMs = this.#rest(key, command, outcome, refusal);
    if (this.#stopped) return;
    const tookMs = this.#clock.monotonic() - startMs;
    this.#events.emit('command:done', { command, outcome, error, refusal, tookMs, restMs });
    this.#onSettled();
  }

  /**
   * Sets the pause before the next command about this object: none after a success, growing ones after failures. A success
   * that is asked for again at once had no effect that we can see: it counts like a failure, or we would write in a circle.
   */
  #rest(key: string, command: Command, outcome: WriteOutcome | 'failed' | 'refused', refusal: Refusal | null): number {
    const before = this.#resting.get(key);
    const signature = commandSignature(command);
    const isDone = outcome === 'done';
    const isVain = isDone ? before?.done === signature : true;
    const failures = isVain ? (before?.failures ?? 0) + 1 : 0;
    const { pauseMs: restMs, longestPauseMs } = pausesOf(command);
    if (refusal === null) this.#refused.delete(key);
    else this.#refused.add(key);
    const { firstMs, lastMs } = refusal === null ? retriesWithin(longestPauseMs) : retriesAfter(refusal);
    const retryMs = failures === 0 ? 0 : Math.min(lastMs, firstMs * 2 ** (failures - 1));
    const pauseMs = Math.max(retryMs, isDone ? restMs : 0);
    const sinceMs = this.#clock.monotonic();
    const pause: Pause = {
      untilMs: sinceMs + pauseMs,
      failures,
      done: isDone ? signature : null,
      refused: refusal === null ? null : { signature, namespace: namespaceOf(command), sinceMs },
    };
    this.#resting.set(key, pause);
    if (pauseMs > 0) this.#after(pauseMs, () => this.#onSettled());
    // It outlives the pause, so that the next one is longer, but not for ever.
    this.#after(pauseMs + LAST_RETRY_MS, () => {
      const { refused } = this.#resting.get(key) ?? { refused: null };
      if (this.#resting.get(key) === pause || (refused !== null && refused === pause.refused))
        this.#resting.delete(key);
    });
    return pauseMs;
  }

  #after(delayMs: number, run: () => void): void {
    if (this.#stopped) return;
    const timer = this.#clock.setTimer(delayMs, () => {
      this.#timers.delete(timer);
      run();
    });
    this.#timers.add(timer);
  }
}

/** The first pause after a failure, and the longest. */
interface Retries {
  readonly firstMs: number;
  readonly lastMs: number;
}

function retriesWithin(longestPauseMs: number | null): Retries {
  return { firstMs: FIRST_RETRY_MS, lastMs: longestPauseMs ?? LAST_RETRY_MS };
}

function retriesAfter({ reason }: Refusal): Retries {
  return { firstMs: FIRST_REFUSED_MS, lastMs: reason === 'Quota' ? LAST_QUOTA_MS : LAST_REFUSED_MS };
}

function mustWait(command: Command, { refused }: Pause): boolean {
  return refused === null || refused.signature === commandSignature(command);
}
