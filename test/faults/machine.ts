import type { NodeSpec } from '../../src/sim/nodes/node-spec.ts';
import type { SimulatedNode } from '../../src/sim/nodes/simulated-node.ts';
import type { NodeFaults } from '../../src/sim/nodes/simulated-pods.ts';
import { SimulatedNodes } from '../../src/sim/nodes/simulated-nodes.ts';
import type { WorkLedger } from '../../src/sim/nodes/work-ledger.ts';
import type { Process } from './process.ts';

/** One boot of a machine: its kubelet, and its agent with a connection of its own. */
export class Machine {
  readonly spec: NodeSpec;
  readonly kubelet: Process;
  readonly agent: Process;
  readonly nodes: SimulatedNodes;
  #unwellMs: number;
  #agentStoppedMs: number;
  #agentHeardMs: number;
  #kubeletHeardMs: number;

  constructor(options: {
    readonly spec: NodeSpec;
    readonly kubelet: Process;
    readonly agent: Process;
    readonly ledger: WorkLedger;
    readonly faults: NodeFaults;
    readonly peer: (name: string) => SimulatedNode | undefined;
  }) {
    const { spec, kubelet, agent, ledger, faults, peer } = options;
    this.spec = spec;
    this.kubelet = kubelet;
    this.agent = agent;
    this.#unwellMs = kubelet.clock.monotonic();
    this.#agentStoppedMs = this.#agentHeardMs = this.#kubeletHeardMs = this.#unwellMs;
    this.nodes = new SimulatedNodes({
      transport: kubelet.transport,
      agentTransport: agent.transport,
      agentClock: agent.clock,
      clock: kubelet.clock,
      nodes: [spec],
      ledger,
      faults,
      peer,
    });
  }

  get isUp(): boolean {
    return this.kubelet.isAlive;
  }

  get state(): SimulatedNode | undefined {
    return this.isUp ? this.nodes.node(this.spec.name) : undefined;
  }

  /** Everything of it has worked for that long, so that whatever it has to do must be done by now. */
  hasBeenWell(ms: number): boolean {
    return this.isUp && this.kubelet.clock.monotonic() - this.#unwellMs >= ms;
  }

  /** The process of its agent has run for that long, connected or not. */
  agentHasRun(ms: number): boolean {
    return this.isUp && this.kubelet.clock.monotonic() - this.#agentStoppedMs >= ms;
  }

  /** Looked at every second. */
  look(): void {
    const runs = this.state?.agentRuns === true && !this.agent.isPaused && !this.kubelet.isPaused;
    if (!runs) this.#agentStoppedMs = this.kubelet.clock.monotonic();
    const isWell = this.agentAlive && this.kubelet.isWell && this.agent.isWell;
    if (!isWell) this.#unwellMs = this.kubelet.clock.monotonic();
    if (this.agentAlive && !this.agent.isPaused && !this.agent.isCut)
      this.#agentHeardMs = this.kubelet.clock.monotonic();
    if (!this.kubelet.isPaused && !this.kubelet.isCut) this.#kubeletHeardMs = this.kubelet.clock.monotonic();
  }

  /** How long its kubelet has been still, or cut off from the API server. */
  get kubeletSilentMs(): number {
    return this.kubelet.clock.monotonic() - this.#kubeletHeardMs;
  }

  /** How long its agent has been dead, still, or cut off from the API server. */
  get agentSilentMs(): number {
    return this.kubelet.clock.monotonic() - this.#agentHeardMs;
  }

  get agentAlive(): boolean {
    return this.state?.agentAlive ?? false;
  }

  crashAgent(): void {
    this.nodes.crashAgent(this.spec.name);
  }

  async restartAgent(): Promise<void> {
    await this.nodes.restartAgent(this.spec.name);
  }

  /** The power fails: nothing of it does anything any more. */
  kill(): void {
    this.kubelet.kill();
    this.agent.kill();
  }
}
