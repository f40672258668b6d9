import { Reprieve } from '../app/reprieve.ts';
import { handleAdmission } from '../http/admission.ts';
import { handleExtender } from '../http/extender-handler.ts';
import { KubeClient } from '../kube/client.ts';
import type { AdmissionReview } from './api-server/admission.ts';
import { ApiServer } from './api-server/api-server.ts';
import { startControlPlane, type ControlPlane } from './control-plane.ts';
import type { NodeSpec } from './nodes/node-spec.ts';
import type { NodeFaults } from './nodes/agent.ts';
import { SimulatedNodes } from './nodes/simulated-nodes.ts';
import { WorkLedger } from './nodes/work-ledger.ts';
import { Random } from './random.ts';
import { InProcessExtender, type ExtenderTransport } from './scheduler/extender-transport.ts';
import type { VirtualClock } from './virtual-clock.ts';

export interface EmbeddedClusterOptions {
  readonly clock: VirtualClock;
  readonly seed: number;
  readonly nodes: readonly NodeSpec[];
  /** False: kube-scheduler preempts natively, and nothing of Reprieve runs. */
  readonly withReprieve: boolean;
  /** How the scheduler reaches the engine; absent: by a function call. */
  readonly extender?: (reprieve: Reprieve) => Promise<ExtenderTransport>;
  readonly faults?: NodeFaults;
}

/**
 * A whole cluster in this process, on virtual time: API server, kube-scheduler, controllers, nodes with agents, and
 * Reprieve with the adapters it uses on a real cluster.
 */
export class EmbeddedCluster {
  readonly clock: VirtualClock;
  readonly api: ApiServer;
  readonly client: KubeClient;
  readonly ledger = new WorkLedger();
  readonly nodes: SimulatedNodes;
  readonly reprieve: Reprieve | null;
  #controlPlane: ControlPlane | null = null;
  readonly #options: EmbeddedClusterOptions;
  readonly #random: Random;

  constructor(options: EmbeddedClusterOptions) {
    const { clock, seed } = options;
    this.#options = options;
    this.#random = new Random(seed);
    this.clock = clock;
    this.api = new ApiServer({ clock, seed });
    this.client = new KubeClient(this.api);
    this.nodes = new SimulatedNodes({
      transport: this.api.transport('system:nodes'),
      clock,
      nodes: options.nodes,
      ledger: this.ledger,
      ...(options.faults && { faults: options.faults }),
    });
    const random = this.#random.fork('reprieve');
    this.reprieve = options.withReprieve
      ? new Reprieve({
          transport: this.api.transport('system:serviceaccount:reprieve-system:reprieve'),
          clock,
          instance: `reprieve-${seed}`,
          random: () => random.next(),
          onListenerError: (error) => {
            throw error;
          },
        })
      : null;
  }

  /** Starts everything; needs the clock to run meanwhile. */
  async start(): Promise<void> {
    const { reprieve } = this;
    let extender: ExtenderTransport | null = null;
    if (reprieve !== null) {
      extender = this.#options.extender
        ? await this.#options.extender(reprieve)
        : new InProcessExtender(async (verb, body) => handleExtender(reprieve.engine, verb, body));
      this.api.hooks.admitPod = async (review) => {
        const { body } = await handleAdmission(reprieve.engine, JSON.stringify(review));
        return JSON.parse(body) as AdmissionReview;
      };
      await reprieve.start();
    }
    await this.nodes.start();
    this.#controlPlane = startControlPlane({
      transport: this.api.transport('system:control-plane'),
      clock: this.clock,
      random: this.#random.fork('control-plane'),
      scheduler: { extenders: extender === null ? [] : extendersOf(extender) },
    });
  }

  get scheduler(): ControlPlane['scheduler'] {
    if (this.#controlPlane === null) throw new Error('the cluster is not started');
    return this.#controlPlane.scheduler;
  }

  async stop(): Promise<void> {
    this.#controlPlane?.stop();
    this.nodes.stop();
    await this.reprieve?.stop();
  }
}

/** As config/kube-scheduler.yaml has them: preempt fails closed, the other two fail open. */
function extendersOf(transport: ExtenderTransport) {
  return [
    { transport, verbs: ['preempt'], ignorable: false, nodeCacheCapable: true },
    { transport, verbs: ['filter', 'prioritize'], weight: 1, ignorable: true, nodeCacheCapable: true },
  ] as const;
}
