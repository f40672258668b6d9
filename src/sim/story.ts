import type { Reprieve } from '../app/reprieve.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';
import type { NodeFaults } from './nodes/simulated-pods.ts';
import { Random } from './random.ts';
import { demoScenario, SERVING_PRIORITY, type Scenario, type ScenarioAction } from './scenario.ts';
import type { ExtenderTransport } from './scheduler/extender-transport.ts';
import { VirtualClock } from './virtual-clock.ts';

/** What one run of a scenario came to. */
export interface StoryFigures {
  /** Serving pods that were bound and had needed room to be made. */
  readonly preemptions: number;
  readonly saved: number;
  readonly restored: number;
  readonly coldStarted: number;
  readonly abandoned: number;
  /** See `WorkLedger`. */
  readonly lostNodeSeconds: number;
  /** From creation to binding, of the pods that `preemptions` counts. */
  readonly waitSeconds: { readonly p50: number; readonly p95: number };
}

export interface StoryOptions {
  readonly seed: number;
  readonly withReprieve: boolean;
  /** Absent: the demo's. */
  readonly scenario?: Scenario;
  /** Absent: as fast as the machine can. */
  readonly speed?: number;
  readonly extender?: (reprieve: Reprieve, clock: VirtualClock) => Promise<ExtenderTransport>;
  readonly faults?: NodeFaults;
}

/**
 * Plays a scenario on an embedded cluster. One seed gives one history, with or without pacing, whether the extender is
 * called over HTTP or not.
 */
export class Story {
  readonly cluster: EmbeddedCluster;
  readonly scenario: Scenario;
  readonly #clock: VirtualClock;
  readonly #startMs: number;
  readonly #failures: unknown[] = [];

  constructor({ seed, withReprieve, scenario, speed, extender, faults }: StoryOptions) {
    this.#clock = new VirtualClock(speed === undefined ? {} : { speed });
    this.#startMs = this.#clock.monotonic();
    this.scenario = scenario ?? demoScenario(new Random(seed).fork('scenario'));
    const clock = this.#clock;
    this.cluster = new EmbeddedCluster({
      clock,
      seed,
      withReprieve,
      nodes: this.scenario.nodes,
      ...(extender && { extender: (reprieve: Reprieve) => extender(reprieve, clock) }),
      ...(faults && { faults }),
    });
  }

  /** Milliseconds since the story began. */
  get elapsedMs(): number {
    return this.#clock.monotonic() - this.#startMs;
  }

  async start(): Promise<void> {
    await this.cluster.start();
    for (const action of this.scenario.actions) this.plan(action);
  }

  /** Plays up to a time of the story; to its end without one. */
  async play(untilMs = this.scenario.endMs): Promise<void> {
    await this.#clock.runUntil(this.#startMs + untilMs);
    if (this.#failures.length > 0) throw this.#failures[0];
  }

  /** Adds what is to happen at `action.atMs`. */
  plan(action: ScenarioAction): void {
    this.#clock.setTimer(action.atMs - this.elapsedMs, () => {
      this.#do(action).catch((error: unknown) => this.#failures.push(error));
    });
  }

  async #do(action: ScenarioAction): Promise<void> {
    const { client } = this.cluster;
    const namespace = action.type.namespaced ? 'default' : null;
    if (action.kind === 'create') await client.create(action.type, namespace, action.object);
    else await client.delete(action.type, namespace, action.name);
  }

  figures(): StoryFigures {
    const { ledger, scheduler, reprieve } = this.cluster;
    const waits = scheduler
      .statistics()
      .bound.filter(({ priority, neededPreemption }) => neededPreemption && priority >= SERVING_PRIORITY)
      .map(({ waitMs }) => waitMs / 1000)
      .sort((a, b) => a - b);
    const tickets = reprieve === null ? [] : [...reprieve.index.tickets()];
    return {
      preemptions: waits.length,
      saved: ledger.count('saved'),
      restored: ledger.count('restored'),
      coldStarted: tickets.filter(({ phase }) => phase === 'ColdStarted').length,
      abandoned: tickets.filter(({ phase }) => phase === 'Abandoned').length,
      lostNodeSeconds: round(ledger.lost.total),
      waitSeconds: { p50: round(percentile(waits, 0.5)), p95: round(percentile(waits, 0.95)) },
    };
  }
}

/** Nearest rank; 0 of nothing. */
function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

/** Tenths are as fine as anybody can use them. */
function round(value: number): number {
  return Math.round(value * 10) / 10;
}
