import type { Clock, Timer } from '../ports/clock.ts';
import type { ClusterWriter, WriteOutcome } from '../ports/cluster-writer.ts';
import { commandKey, type Command } from './commands.ts';
import type { EngineEvents } from './engine-events.ts';

const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 30_000;
/** Nominations and wake-ups change nothing we can see when others undo them at once; this bounds such a quarrel. */
const NOMINATION_PAUSE_MS = 1_000;
const WAKE_PAUSE_MS = 5_000;

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
  readonly #inFlight = new Map<string, Command>(); // object -> the command under way
  readonly #resting = new Map<string, { readonly untilMs: number; readonly failures: number }>(); // object -> its pause
  readonly #timers = new Set<Timer>(); // those that have not fired
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
    const nowMs = this.#clock.now();
    for (const command of commands) {
      if (this.#stopped || this.#inFlight.size >= this.#maxInFlight) return;
      const key = commandKey(command);
      if (this.#inFlight.has(key)) continue;
      const pause = this.#resting.get(key);
      if (pause !== undefined && nowMs < pause.untilMs) continue;
      this.#inFlight.set(key, command);
      void this.#carryOut(key, command);
    }
  }

  /** Commands under way, for `/debug/state`. */
  inFlight(): readonly { readonly key: string; readonly kind: string }[] {
    return [...this.#inFlight].map(([key, command]) => ({ key, kind: command.kind }));
  }

  /** Starts nothing more. What is under way comes back, unobserved. */
  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) timer.cancel();
  }

  async #carryOut(key: string, command: Command): Promise<void> {
    let outcome: WriteOutcome | 'failed';
    let error: unknown = null;
    try {
      outcome = await this.#write(command);
    } catch (thrown) {
      outcome = 'failed';
      error = thrown;
    }
    this.#inFlight.delete(key);
    this.#rest(key, command, outcome);
    if (this.#stopped) return;
    this.#events.emit('command:done', { command, outcome, error });
    this.#onSettled();
  }

  #rest(key: string, command: Command, outcome: WriteOutcome | 'failed'): void {
    let pauseMs = 0;
    let failures = 0;
    if (outcome === 'done') {
      if (command.kind === 'Nominate') pauseMs = NOMINATION_PAUSE_MS;
      if (command.kind === 'Wake') pauseMs = WAKE_PAUSE_MS;
    } else {
      failures = (this.#resting.get(key)?.failures ?? 0) + 1;
      pauseMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1));
    }
    if (pauseMs === 0) {
      this.#resting.delete(key);
      return;
    }
    const pause = { untilMs: this.#clock.now() + pauseMs, failures };
    this.#resting.set(key, pause);
    this.#after(pauseMs, () => this.#onSettled());
    // The count of failures outlives the pause, so that the next one is longer, but not for ever.
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
        return writer.deleteTicket(command.ticket);
      case 'CreateCheckpoint':
        return writer.createCheckpoint(command.order);
      case 'DeleteCheckpoint':
        return writer.deleteCheckpoint(command.checkpoint);
      case 'ReleaseCheckpoint':
        return writer.releaseCheckpoint(command.checkpoint);
      case 'Nominate':
        return writer.nominate(command.pod, command.node);
      case 'Wake':
        // Only a change of a nomination that is not empty wakes kube-scheduler (facts: 3.2 #3).
        if (command.pod.nominatedNodeName === null) await writer.nominate(command.pod, command.node);
        return writer.nominate(command.pod, null);
      case 'Evict':
        return writer.evict(command.order);
      case 'RecreatePod':
        return writer.recreatePod(command.ticket);
      case 'Claim':
        return writer.claim(command.ticket, command.pod);
      case 'Ungate':
        return writer.ungate(command.pod, command.as);
      case 'SetTicketPhase':
        return writer.setTicketPhase(command.ticket, command.phase, command.reason, command.message);
      default:
        return command satisfies never;
    }
  }
}
