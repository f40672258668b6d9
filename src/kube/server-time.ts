import type { Clock } from '../ports/clock.ts';
import type { KubeRequest, KubeResponse, KubeTransport, KubeWatch } from './transport.ts';

/** What time it is on the API server: between the two. Neither changes when the clock of this machine is set. */
export interface ServerTime {
  earliestMs(): number;
  latestMs(): number;
}

/** The header counts whole seconds. */
const DATE_UNIT_MS = 1_000;

interface Answer {
  readonly dateMs: number;
  /** On the clock that nobody sets. */
  readonly sentMs: number;
  readonly receivedMs: number;
}

/**
 * Reads the time of the API server from the `date` header of its newest answer. Before the first answer, and where something on
 * the way removes the header, the wall clock of this machine has to do.
 */
export class TimedTransport implements KubeTransport, ServerTime {
  readonly #transport: KubeTransport;
  readonly #clock: Clock;
  #newest: Answer | null = null;

  constructor(transport: KubeTransport, clock: Clock) {
    this.#transport = transport;
    this.#clock = clock;
  }

  earliestMs(): number {
    if (this.#newest === null) return this.#clock.now();
    return this.#newest.dateMs + this.#clock.monotonic() - this.#newest.receivedMs;
  }

  latestMs(): number {
    if (this.#newest === null) return this.#clock.now();
    return this.#newest.dateMs + DATE_UNIT_MS + this.#clock.monotonic() - this.#newest.sentMs;
  }

  async request(request: KubeRequest): Promise<KubeResponse> {
    const sentMs = this.#clock.monotonic();
    const response = await this.#transport.request(request);
    this.#answered(response, sentMs);
    return response;
  }

  async watch(request: KubeRequest): Promise<KubeWatch> {
    const sentMs = this.#clock.monotonic();
    const watch = await this.#transport.watch(request);
    this.#answered(watch, sentMs);
    return watch;
  }

  #answered({ headers }: Pick<KubeResponse, 'headers'>, sentMs: number): void {
    const dateMs = Date.parse(headers['date'] ?? '');
    if (!Number.isNaN(dateMs)) this.#newest = { dateMs, sentMs, receivedMs: this.#clock.monotonic() };
  }
}

/**
 * A clock that shows the time of the API server: records are compared with times that the API server wrote, and nobody who sets the
 * clock of this machine moves them. It keeps its distance from the monotonic clock until an answer contradicts it, so it runs evenly.
 */
export function serverClock(time: ServerTime, clock: Clock): Clock {
  let offsetMs = clock.now() - clock.monotonic();
  return {
    now: () => {
      const steadyMs = clock.monotonic();
      offsetMs = Math.min(Math.max(offsetMs, time.earliestMs() - steadyMs), time.latestMs() - steadyMs);
      return Math.floor(offsetMs + steadyMs);
    },
    monotonic: () => clock.monotonic(),
    setTimer: (delayMs, run) => clock.setTimer(delayMs, run),
  };
}
