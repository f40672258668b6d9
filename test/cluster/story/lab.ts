import type { KubeTransport } from '../../../src/kube/transport.ts';
import { systemClock } from '../../../src/ports/clock.ts';
import type { NodeFaults } from '../../../src/sim/nodes/simulated-pods.ts';
import { nodeSpec, type NodeSpec } from '../../../src/sim/nodes/node-spec.ts';
import { SimulatedNodes } from '../../../src/sim/nodes/simulated-nodes.ts';
import { WorkLedger } from '../../../src/sim/nodes/work-ledger.ts';
import type { ControlPlane } from '../control-plane/control-plane.ts';
import type { History } from './history.ts';
import type { ConfigurationSections, Replica } from './replica.ts';
import { ServedCluster, type ServedClusterOptions } from './served-cluster.ts';

export interface LabOptions extends ServedClusterOptions {
  /** Each has 4 CPUs. */
  readonly nodes: number;
  /** Of the simulated agents. */
  readonly faults?: NodeFaults;
}

/** A lease that expires fast enough for a test to wait for it. */
export const QUICK_LEASE: ConfigurationSections = {
  leaderElection: { leaseDuration: '3s', renewDeadline: '2s', retryPeriod: '500ms' },
};

/** A real control plane with `reprieve serve`, and simulated nodes. */
export class Lab implements AsyncDisposable {
  readonly cluster: ControlPlane;
  readonly history: History;
  readonly nodes: SimulatedNodes;
  readonly replicas: readonly Replica[];
  /** What became of the pods' work, from the true state of the nodes. */
  readonly ledger: WorkLedger;
  /** As the cluster's administrator. */
  readonly transport: KubeTransport;
  readonly served: ServedCluster;

  private constructor(served: ServedCluster, nodes: SimulatedNodes, ledger: WorkLedger) {
    this.cluster = served.cluster;
    this.history = served.history;
    this.replicas = served.replicas;
    this.transport = served.transport;
    this.served = served;
    this.nodes = nodes;
    this.ledger = ledger;
  }

  static async start(wanted: number | LabOptions): Promise<Lab> {
    const options = typeof wanted === 'number' ? { nodes: wanted } : wanted;
    const served = await ServedCluster.start(options);
    const ledger = new WorkLedger();
    const nodes = new SimulatedNodes({
      transport: served.transport,
      clock: systemClock,
      ledger,
      nodes: Array.from({ length: options.nodes }, (_, index) => labNode(`node-${index + 1}`)),
      ...(options.faults && { faults: options.faults }),
    });
    const lab = new Lab(served, nodes, ledger);
    try {
      await nodes.start();
      await lab.leader();
      return lab;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The replica whose pod has the leader's label now; waits for one that runs. */
  async leader(): Promise<Replica> {
    return this.served.leader();
  }

  /** A node, or one that was removed, with an empty disk. */
  async addNode(name: string): Promise<void> {
    await this.nodes.addNode(labNode(name));
  }

  /** What the replicas have logged so far. */
  async reprieveLog(): Promise<string> {
    return this.served.reprieveLog();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.nodes.stop();
    await this.served[Symbol.asyncDispose]();
  }
}

function labNode(name: string): NodeSpec {
  return nodeSpec(name, { allocatable: { cpu: '4', memory: '16Gi', pods: 50 }, coldStartMs: 200 });
}
