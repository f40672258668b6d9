import { Reprieve } from '../app/reprieve.ts';
import type { Engine } from '../engine/engine.ts';
import { handleAdmission } from '../http/admission.ts';
import { handleExtender } from '../http/extender-handler.ts';
import { KubeClient } from '../kube/client.ts';
import type { KubeRequest, KubeResponse, KubeTransport, KubeWatch } from '../kube/transport.ts';
import type { AdmissionReview } from './api-server/admission.ts';
import { ApiServer } from './api-server/api-server.ts';
import { startControlPlane, type ControlPlane } from './control-plane.ts';
import type { NodeSpec } from './nodes/node-spec.ts';
import type { NodeFaults } from './nodes/simulated-pods.ts';
import { SimulatedNodes } from './nodes/simulated-nodes.ts';
import { WorkLedger } from './nodes/work-ledger.ts';
import { Random } from './random.ts';
import { InProcessExtender, type ExtenderTransport } from './scheduler/extender-transport.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** Who writes, for hooks of the API server that look at one writer only. */
export const REPRIEVE_USER = 'system:serviceaccount:reprieve-system:reprieve';

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
  #reprieve: Reprieve | null = null;
  #connection: ProcessConnection | null = null;
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
    if (options.withReprieve) this.#reprieve = this.#newLeader();
  }

  /** The process that runs now; null without Reprieve, and between a crash and a restart. */
  get reprieve(): Reprieve | null {
    return this.#reprieve;
  }

  /** Ends Reprieve's process as SIGKILL would: between two of its requests, also in the middle of a step that needs several. */
  async crashReprieve(): Promise<void> {
    this.#connection?.cut();
    const reprieve = this.#reprieve;
    this.#reprieve = null;
    await reprieve?.stop();
  }

  /** A new process with nothing in memory. */
  async restartReprieve(): Promise<void> {
    await this.crashReprieve();
    this.#reprieve = this.#newLeader();
    await this.#reprieve.start();
  }

  #newLeader(): Reprieve {
    this.#connection = new ProcessConnection(this.api.transport(REPRIEVE_USER));
    return this.#newReprieve(this.#connection);
  }

  #newReprieve(transport: KubeTransport): Reprieve {
    const random = this.#random.fork('reprieve');
    return new Reprieve({
      transport,
      clock: this.clock,
      instance: `reprieve-${this.#options.seed}`,
      random: () => random.next(),
      onListenerError: (error) => {
        throw error;
      },
    });
  }

  /** Starts everything; needs the clock to run meanwhile. */
  async start(): Promise<void> {
    const reprieve = this.#reprieve;
    let extender: ExtenderTransport | null = null;
    if (reprieve !== null) {
      extender = this.#options.extender
        ? await this.#options.extender(reprieve)
        : new InProcessExtender(async (verb, body) => handleExtender(this.#running(), verb, body));
      // A second replica: it does not lead, and answers the webhook from the API server.
      const standby = this.#newReprieve(this.api.transport(REPRIEVE_USER));
      this.api.hooks.admitPod = async (review) => {
        const { body } = await handleAdmission((this.#reprieve ?? standby).engine, JSON.stringify(review));
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

  /** Who answers now; a call to a dead process fails. */
  #running(): Engine {
    if (this.#reprieve === null) throw new Error('connection refused');
    return this.#reprieve.engine;
  }

  async stop(): Promise<void> {
    this.#controlPlane?.stop();
    this.nodes.stop();
    await this.crashReprieve();
  }
}

/** What a process has of the API server: nothing any more once it is dead. */
class ProcessConnection implements KubeTransport {
  readonly #transport: KubeTransport;
  #isCut = false;

  constructor(transport: KubeTransport) {
    this.#transport = transport;
  }

  cut(): void {
    this.#isCut = true;
  }

  async request(request: KubeRequest): Promise<KubeResponse> {
    this.#assertAlive();
    return this.#transport.request(request);
  }

  async watch(request: KubeRequest): Promise<KubeWatch> {
    this.#assertAlive();
    return this.#transport.watch(request);
  }

  #assertAlive(): void {
    if (this.#isCut) throw new Error('the process is dead');
  }
}

/** As config/kube-scheduler.yaml has them: preempt fails closed, the other two fail open. */
function extendersOf(transport: ExtenderTransport) {
  return [
    { transport, verbs: ['preempt'], ignorable: false, nodeCacheCapable: true },
    { transport, verbs: ['filter', 'prioritize'], weight: 1, ignorable: true, nodeCacheCapable: true },
  ] as const;
}
