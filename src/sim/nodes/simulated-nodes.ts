import { isAlreadyExists } from '../../kube/api-error.ts';
import { checkpointOf } from '../../kube/project/checkpoint.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject, KubeTransport } from '../../kube/transport.ts';
import type { Clock } from '../../ports/clock.ts';
import { TimedTransport, type ServerTime } from '../../kube/server-time.ts';
import { Informer } from '../informer.ts';
import { Agent } from './agent.ts';
import { Kubelet } from './kubelet.ts';
import { NodeApi } from '../../agent/node-api.ts';
import type { NodeSpec } from './node-spec.ts';
import { Restorer } from './restorer.ts';
import { readyStatus, SimulatedNode } from './simulated-node.ts';
import type { NodeFaults } from './simulated-pods.ts';
import type { WorkLedger } from './work-ledger.ts';
import { nodeNameOf } from './workload.ts';

export interface SimulatedNodesOptions {
  readonly transport: KubeTransport;
  readonly clock: Clock;
  readonly nodes: readonly NodeSpec[];
  readonly ledger: WorkLedger;
  readonly faults?: NodeFaults;
  /** Nodes that others simulate, to fetch states from; absent: all nodes are here. */
  readonly peer?: (name: string) => SimulatedNode | undefined;
  /** The connection of the agents; absent: that of the kubelets. */
  readonly agentTransport?: KubeTransport;
  /** Of the agents; absent: that of the kubelets. */
  readonly agentClock?: Clock;
}

/**
 * Kubelets and agents of many nodes in one process, over any API server: the embedded one on virtual time, a real one on
 * the machine's clock. One watch of pods and one of PodCheckpoints serve all of them.
 */
export class SimulatedNodes {
  readonly #options: SimulatedNodesOptions;
  readonly #api: NodeApi;
  readonly #agentApi: NodeApi;
  readonly #serverTime: ServerTime;
  readonly #stopped = new AbortController();
  readonly #nodes = new Map<
    string,
    { readonly node: SimulatedNode; readonly kubelet: Kubelet; readonly agent: Agent }
  >();
  readonly #unsavedWork = new Set<string>();
  readonly #pods: Informer;
  readonly #checkpoints: Informer;

  constructor(options: SimulatedNodesOptions) {
    const { transport, clock, agentTransport = transport, agentClock = clock } = options;
    this.#options = options;
    this.#api = new NodeApi(transport, clock, this.#stopped.signal);
    const timed = new TimedTransport(agentTransport, agentClock);
    this.#serverTime = timed;
    this.#agentApi = new NodeApi(timed, agentClock, this.#stopped.signal);
    this.#pods = new Informer({ transport, clock, resource: RESOURCES.pods, fieldSelector: 'spec.nodeName!=' });
    this.#checkpoints = new Informer({ transport: timed, clock: agentClock, resource: RESOURCES.podCheckpoints });
    this.#pods.onChange((before, after) => this.#podChanged(before, after));
    this.#checkpoints.onChange((before, after, wentUnseen) => this.#checkpointChanged(before, after, wentUnseen));
  }

  /** Resolves when the nodes are registered and their pods known. */
  async start(): Promise<void> {
    for (const spec of this.#options.nodes) await this.addNode(spec);
    this.#pods.start();
    await this.#pods.synced; // first: an agent refuses to save a pod that it does not know
    this.#checkpoints.start();
    await this.#checkpoints.synced;
  }

  /** Nothing of the nodes runs on: no watch, no timer, no write that is tried again. */
  stop(): void {
    this.#pods.stop();
    this.#checkpoints.stop();
    for (const { agent, kubelet } of this.#nodes.values()) {
      agent.crash();
      kubelet.halt();
    }
    this.#stopped.abort(new Error('the nodes were stopped'));
  }

  /** Registers a node, or brings back one that died: its pods start anew, its disk is empty. */
  async addNode(spec: NodeSpec): Promise<void> {
    const { clock, agentClock = clock, ledger, faults = {}, peer } = this.#options;
    const node = new SimulatedNode(spec);
    const agent: Agent = new Agent({
      node,
      api: this.#agentApi,
      serverTime: this.#serverTime,
      clock: agentClock,
      ledger,
      faults,
      onFrozen: (container) => kubelet.frozen(container),
      onThawed: (container) => kubelet.resumed(container),
      onDeleted: (object) => kubelet.podChanged(object),
    });
    const nodeNamed = (other: string): SimulatedNode | undefined => this.node(other) ?? peer?.(other);
    const restorer = new Restorer({ node, api: this.#agentApi, clock, faults, nodeNamed });
    const kubelet = new Kubelet({
      node,
      agent,
      restorer,
      api: this.#api,
      clock,
      ledger,
      unsavedWork: this.#unsavedWork,
    });
    this.#nodes.set(spec.name, { node, kubelet, agent });
    const timestamp = this.#api.timestamp();
    try {
      await this.#api.client.create(RESOURCES.nodes, null, node.toObject(true, timestamp));
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      await this.#api.patchNode(spec.name, readyStatus(true, timestamp));
    }
    agent.beat();
    // What was assigned or ordered before there was anybody to see it.
    for (const pod of this.#pods.list()) if (nodeNameOf(pod) === spec.name) kubelet.podChanged(pod);
    for (const checkpoint of this.#checkpointsOf(spec.name)) agent.checkpointChanged(checkpoint);
  }

  /** The node dies with all that is on it; its objects stay until somebody removes them. */
  removeNode(name: string): void {
    const entry = this.#nodes.get(name);
    if (entry === undefined) return;
    this.#nodes.delete(name);
    entry.agent.crash();
    entry.kubelet.halt();
    const { store } = entry.node;
    for (const reference of store.references()) {
      const removed = store.remove(reference);
      if (removed !== null) this.#options.ledger.discard(removed.state.weight, removed.lostSeconds);
    }
  }

  /** Writes the Ready condition of a node; its pods run on, as they do when a kubelet merely loses the API server. */
  async setReady(name: string, ready: boolean): Promise<void> {
    await this.#api.patchNode(name, readyStatus(ready, this.#api.timestamp()));
  }

  /** The process of a pod dies by itself. */
  crashPod(node: string, podUid: string): void {
    this.#nodes.get(node)?.kubelet.crash(podUid);
  }

  /** The agent process of a node dies; containers stay as they are. */
  crashAgent(name: string): void {
    this.#nodes.get(name)?.agent.crash();
  }

  /** Resolves when it has found its way back into what stands frozen. */
  async restartAgent(name: string): Promise<void> {
    await this.#nodes.get(name)?.agent.restart(() => this.#checkpointsOf(name));
  }

  /** What a node really is, whatever its objects say: its containers and its disk. */
  node(name: string): SimulatedNode | undefined {
    return this.#nodes.get(name)?.node;
  }

  /** Seconds of work done by the container of a pod; 0 where none runs. */
  progressOf(podUid: string): number {
    for (const { node } of this.#nodes.values()) {
      const container = node.containers.get(podUid);
      if (container !== undefined) return container.progressSeconds;
    }
    return 0;
  }

  /** Containers that stand still now, by node. */
  frozen(): readonly { readonly node: string; readonly pod: string }[] {
    return [...this.#nodes.values()].flatMap(({ node }) =>
      [...node.containers.values()]
        .filter(({ state }) => state === 'frozen')
        .map(({ pod }) => ({ node: node.spec.name, pod: pod.metadata.name })),
    );
  }

  #checkpointsOf(node: string): readonly KubeObject[] {
    return this.#checkpoints.list().filter((checkpoint) => checkpointNodeOf(checkpoint) === node);
  }

  #podChanged(before: KubeObject | null, after: KubeObject | null): void {
    const pod = (after ?? before) as KubeObject;
    const entry = this.#nodes.get(nodeNameOf(pod) ?? '');
    if (after !== null) entry?.kubelet.podChanged(after);
    else entry?.kubelet.podRemoved(pod);
  }

  #checkpointChanged(before: KubeObject | null, after: KubeObject | null, wentUnseen: boolean): void {
    const checkpoint = (after ?? before) as KubeObject;
    const entry = this.#nodes.get(checkpointNodeOf(checkpoint));
    if (after !== null) entry?.agent.checkpointChanged(after);
    else entry?.agent.checkpointRemoved(checkpoint, wentUnseen);
  }
}

function checkpointNodeOf(checkpoint: KubeObject): string {
  return checkpointOf(checkpoint).nodeName;
}
