import type { Clock, Timer } from '../ports/clock.ts';
import type { ClusterWriter, WriteOutcome } from '../ports/cluster-writer.ts';
import { commandKey, commandSignature, type Command } from './commands.ts';
import type { EngineEvents } from './engine-events.ts';

const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 30_000;
/** Nominations and wake-ups change nothing we can see when others undo them at once; this bounds such a quarrel. */
const PAUSES_MS: Partial<Record<Command['kind'], number>> = { Nominate: 1_000, Wake: 5_000 };
/** A pod that stays parked however often it is woken is left to kube-scheduler's own flush, which comes every five minutes. */
const LONGEST_PAUSES_MS: Partial<Record<Command['kind'], number>> = { Wake: 300_000 };

/** What is remembered of the last command about an object. */
interface Pause {
  readonly untilMs: number;
  /** Commands in a row that failed or changed nothing. */
  readonly failures: number;
  /** Signature of the command that succeeded; null when it did not. */
  readonly done: string | null;
}

export interface ExecutorOptions {
  readonly writer: ClusterWriter;
  readonly clock: Clock;
  readonly events: EngineEvents;
  /** Called when a command came back or a pause ended: the world should be looked at again. */
  readonly onSettled: () => void;
  readonly maxInFlight?: number;
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
  readonly #inFlight = new Map<string, { readonly command: Command; readonly sinceMs: number }>(); // object -> the command under way
  readonly #resting = new Map<string, Pause>(); // object -> its pause
  readonly #timers = new Set<Timer>(); // those that have not fired
  readonly #awaitingIdle: (() => void)[] = [];
  #stopped = false;

  constructor(options: ExecutorOptions) {
    this.#writer = options.writer;
    this.#clock = options.clock;
    this.#events = options.events;
    this.#onSettled = options.onSettled;
    this.#maxInFlight = options.maxInFlight ?? 32;
  }

  /** Starts what may start. Commands earlier in the list win where two are about one object. */
  run(commands: readonly Command[]): void {
    const nowMs = this.#clock.monotonic();
    for (const command of commands) {
      if (this.#stopped || this.#inFlight.size >= this.#maxInFlight) return;
      const key = commandKey(command);
      if (this.#inFlight.has(key)) continue;
      const pause = this.#resting.get(key);
      if (pause !== undefined && nowMs < pause.untilMs) continue;
      this.#inFlight.set(key, { command, sinceMs: nowMs });
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
    let outcome: WriteOutcome | 'failed';
    let error: unknown = null;
    try {
      outcome = await this.#write(command);
    } catch (thrown) {
      outcome = 'failed';
      error = thrown;
    }
    this.#inFlight.delete(key);
    if (this.#inFlight.size === 0) for (const resolve of this.#awaitingIdle.splice(0)) resolve();
    this.#rest(key, command, outcome);
    if (this.#stopped) return;
    this.#events.emit('command:done', { command, outcome, error, tookMs: this.#clock.monotonic() - startMs });
    this.#onSettled();
  }

  /**
   * Sets the pause before the next command about this object: none after a success, growing ones after failures. A success
   * that is asked for again at once had no effect that we can see: it counts like a failure, or we would write in a circle.
   */
  #rest(key: string, command: Command, outcome: WriteOutcome | 'failed'): void {
    const before = this.#resting.get(key);
    const signature = commandSignature(command);
    const isDone = outcome === 'done';
    const isVain = isDone ? before?.done === signature : true;
    const failures = isVain ? (before?.failures ?? 0) + 1 : 0;
    const lastMs = LONGEST_PAUSES_MS[command.kind] ?? LAST_RETRY_MS;
    const retryMs = failures === 0 ? 0 : Math.min(lastMs, FIRST_RETRY_MS * 2 ** (failures - 1));
    const pauseMs = Math.max(retryMs, isDone ? (PAUSES_MS[command.kind] ?? 0) : 0);
    const pause: Pause = { untilMs: this.#clock.monotonic() + pauseMs, failures, done: isDone ? signature : null };
    this.#resting.set(key, pause);
    if (pauseMs > 0) this.#after(pauseMs, () => this.#onSettled());
    // It outlives the pause, so that the next one is longer, but not for ever.
    this.#after(pauseMs + LAST_RETRY_MS, () => {
      if (this.#resting.get(key) === pause) this.#resting.delete(key);
    });
  }

  #after(delayMs: number, run: () => void): void {
    if (this.#stopped) return;
    const timer = this.#clock.setTimer(delayMs, () => {
      this.#timers.delete(timer);
      run();
    });
    this.#timers.add(timer);
  }

  async #write(command: Command): Promise<WriteOutcome> {
    const writer = this.#writer;
    switch (command.kind) {
      case 'CreateTicket':
        return writer.createTicket(command.order);
      case 'DeleteTicket':
        return writer.deleteTicket(command.ticket, command.whileStands);
      case 'AdoptTicket':
        return writer.adoptTicket(command.ticket, command.decision);
      case 'CreateCheckpoint':
        return writer.createCheckpoint(command.order);
      case 'DeleteCheckpoint':
        return writer.deleteCheckpoint(command.checkpoint, command.undo?.victim ?? null);
      case 'ReleaseCheckpoint':
        return writer.releaseCheckpoint(command.checkpoint);
      case 'Nominate':
        return writer.nominate(command.pod, command.node);
      case 'Wake':
        // Only a change of a nomination that is not empty wakes kube-scheduler (Kubernetes, pkg/scheduler/eventhandlers.go).
        if (command.pod.nominatedNodeName === null) {
          const outcome = await writer.nominate(command.pod, command.node);
          if (outcome !== 'done') return outcome;
        }
        return writer.nominate(command.pod, null);
      case 'Evict':
        return writer.evict(command.order);
      case 'EndPod':
        return writer.endPod(command.pod);
      case 'TellHeld':
        return writer.tellHeld(command.pod, command.ticket.said.message);
      case 'ClearDecision':
        return writer.clearDecision(command.ticket);
      case 'RecreatePod':
        return writer.recreatePod(command.ticket);
      case 'Claim':
        return writer.claim(command.ticket, command.pod, command.whileGone);
      case 'Ungate':
        return writer.ungate(command.pod, command.as, command.ended ?? null);
      case 'SetTicketPhase':
        return writer.setTicketPhase(command.ticket, command);
      case 'TellQueued':
        return writer.tellQueued(command.pod, command.reason, command.message);
      case 'SetPolicyStatus':
        return writer.setPolicyStatus(command.policy, command.report);
      default:
        return command satisfies never;
    }
  }
}
