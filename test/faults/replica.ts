import { Reprieve } from '../../src/app/reprieve.ts';
import type { EngineSettings } from '../../src/engine/core/steps.ts';
import { LeaseElector } from '../../src/kube/lease-elector.ts';
import type { Random } from '../../src/sim/random.ts';
import type { Process } from './process.ts';

export const LEASE = { namespace: 'kube-system', name: 'reprieve' } as const;

/** `reprieve serve` without its HTTP server: one candidate for leadership, in a process of its own. */
export class Replica {
  readonly process: Process;
  readonly reprieve: Reprieve;
  readonly #elector: LeaseElector;

  constructor(options: {
    readonly process: Process;
    readonly random: Random;
    readonly settings: Partial<EngineSettings>;
    /** It has begun to lead, and now takes the leader's label. */
    readonly onLeading: (replica: Replica) => void;
    readonly onError: (error: unknown) => void;
  }) {
    const { process, random, settings, onLeading, onError } = options;
    this.process = process;
    const draw = (): number => random.next();
    // The durations of the shipped configuration.
    this.#elector = new LeaseElector({
      transport: process.transport,
      clock: process.clock,
      namespace: LEASE.namespace,
      settings: { leaseName: LEASE.name, leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 },
      identity: process.name,
      random: draw,
      onChange: () => {
        if (this.#elector.term() !== null) onLeading(this);
        void this.reprieve.leadershipChanged();
      },
    });
    this.reprieve = new Reprieve({
      transport: process.transport,
      clock: process.clock,
      leadership: this.#elector,
      instance: process.name,
      settings,
      random: draw,
      onListenerError: onError,
    });
  }

  start(): void {
    void this.reprieve.start().then(() => this.#elector.start());
  }

  /** SIGTERM, as `serve` answers it. */
  async stop(): Promise<void> {
    await this.reprieve.handOver(() => this.#elector.release());
    await this.reprieve.stop();
  }
}
