import type { KubeTransport } from '../kube/transport.ts';
import type { Clock } from '../ports/clock.ts';
import { ClusterInformers } from './controllers/cluster-informers.ts';
import { startControllers } from './controllers/controllers.ts';
import type { Random } from './random.ts';
import type { ExtenderConfig } from './scheduler/extender.ts';
import { Scheduler } from './scheduler/scheduler.ts';

/** What {@link startControlPlane} needs. */
export interface ControlPlaneOptions {
  readonly transport: KubeTransport;
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler?: {
    readonly extenders?: readonly ExtenderConfig[];
    readonly onFatal?: (error: unknown) => void;
    /** A connection of its own, where the API server should tell the two apart. */
    readonly transport?: KubeTransport;
  };
}

/** The scheduler and the controllers of a simulated cluster. */
export interface ControlPlane {
  readonly scheduler: Scheduler;
  readonly informers: ClusterInformers;
  stop(): void;
}

/**
 * Starts scheduler, controllers and garbage collector over one set of informers. Everything else of a cluster (API
 * server, kubelets) comes from elsewhere.
 *
 * @example
 * const plane = startControlPlane({ transport: server, clock, random: new Random(1) });
 * await clock.advance(60_000);
 * console.log(plane.scheduler.statistics().bound);
 */
export function startControlPlane({
  transport,
  clock,
  random,
  scheduler: options = {},
}: ControlPlaneOptions): ControlPlane {
  const informers = new ClusterInformers(transport, clock);
  const controllers = startControllers(transport, clock, informers);
  const scheduler = new Scheduler({
    transport: options.transport ?? transport,
    clock,
    informers,
    random: random.fork('scheduler'),
    ...(options.extenders && { extenders: options.extenders }),
    ...(options.onFatal && { onFatal: options.onFatal }),
  });
  informers.start();
  return {
    scheduler,
    informers,
    stop() {
      scheduler.stop();
      controllers.stop();
      informers.stop();
    },
  };
}
