import type { NodeName } from '../../domain/ids.ts';
import { DEFAULT_NAMESPACE } from '../../domain/labels.ts';
import { Heartbeat } from '../../agent/heartbeat.ts';
import { CheckpointOrders } from '../../agent/orders/checkpoint-orders.ts';
import type { ServerTime } from '../../kube/server-time.ts';
import type { NodeApi } from '../../agent/node-api.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { Container } from './container.ts';
import { SimulatedPods, type SimulatedPodsOptions } from './simulated-pods.ts';

/** As `agent.keepUnknown` is set by default. */
const KEEP_UNKNOWN_MS = 24 * 3_600_000;

export interface AgentOptions extends SimulatedPodsOptions {
  readonly api: NodeApi;
  readonly serverTime: ServerTime;
}

/** The agent process of a simulated node: the real one's orders over simulated pods. It can die and be started again. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #pods: SimulatedPods;
  #orders: CheckpointOrders;
  #life = new AbortController(); // of the process that runs now

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#pods = new SimulatedPods(options);
    this.#orders = this.#begin();
  }

  /** A PodCheckpoint for this node was added or changed. */
  checkpointChanged(checkpoint: KubeObject): void {
    if (this.#options.node.agentAlive) this.#orders.changed(checkpoint);
  }

  /** It is gone without waiting for us, or because we were done. */
  checkpointRemoved(checkpoint: KubeObject, wentUnseen: boolean): void {
    this.#orders.removed(checkpoint, wentUnseen);
  }

  /** Renews its Lease from now on. To be called once its node is registered. */
  beat(): void {
    const { api, clock, node } = this.#options;
    const heartbeat = new Heartbeat({
      client: api.client,
      clock,
      nodeName: node.spec.name as NodeName,
      namespace: DEFAULT_NAMESPACE,
      random: () => 0.5,
      onError: () => undefined, // a simulated agent has no log
    });
    void heartbeat.run(this.#life.signal);
  }

  /** The kubelet killed a frozen container, as it must once the pod is being deleted. */
  killed(container: Container): void {
    if (container.frozenBy !== null) this.#orders.killed(container.frozenBy);
  }

  /** Dies: dumps end unfinished, frozen containers stand still, states stay on the disk. */
  crash(): void {
    this.#options.node.agentAlive = false;
    this.#options.node.agentRuns = false;
    this.#life.abort(new Error('the agent died'));
    this.#orders.stop();
  }

  /** Starts again; resolves when it has found its way back into what stands frozen, or has died again. */
  async restart(checkpoints: () => readonly KubeObject[]): Promise<void> {
    const { node } = this.#options;
    if (node.agentRuns) return;
    node.agentRuns = true;
    const orders = (this.#orders = this.#begin());
    for (const pod of this.#pods.all()) orders.found(pod);
    if (!(await orders.recover(checkpoints))) return;
    node.agentAlive = true;
    this.#life = new AbortController();
    this.beat();
  }

  #begin(): CheckpointOrders {
    const { node, api, clock, serverTime } = this.#options;
    const { name, compatibility } = node.spec;
    return new CheckpointOrders({
      nodeName: name,
      pods: this.#pods,
      api,
      clock,
      serverTime,
      compatibility: () => compatibility,
      keepUnknownMs: KEEP_UNKNOWN_MS,
      onUnknown: () => undefined,
      onMove: () => undefined,
      onError: () => undefined, // simulated faults
    });
  }
}
