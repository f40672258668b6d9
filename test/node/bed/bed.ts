import { mkdtemp } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { KubeObject, KubeTransport } from '../../../src/kube/transport.ts';
import { KUBELET_CLIENT, runFolder, type ControlPlane } from '../../cluster/control-plane/control-plane.ts';
import { condition, field, type History } from '../../cluster/story/history.ts';
import { ServedCluster, type ServedClusterOptions } from '../../cluster/story/served-cluster.ts';
import { AgentProcess } from './agent.ts';
import { Node, type NodeOptions } from './node.ts';
import { cgroupOf } from './setting.ts';

const checkout = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));

export interface NodeBedOptions
  extends Omit<ServedClusterOptions, 'dir'>, Pick<NodeOptions, 'stateDiskMiB' | 'images'> {
  /** Default 2, the most there can be. */
  readonly nodes?: number;
  /** An agent on each node, with these keys in the `agent` section of its configuration; absent: none. */
  readonly agents?: Readonly<Record<string, unknown>>;
}

export interface RunningPod {
  readonly name: string;
  readonly ip: string;
  readonly node: Node;
  /** Ids of the containers, as runc knows them, in the order of the pod's status. */
  readonly containers: readonly string[];
  /** Of all its containers. */
  readonly restarts: number;
}

interface PodStatus {
  readonly podIP?: string;
  readonly containerStatuses?: readonly { readonly containerID?: string; readonly restartCount: number }[];
}

/**
 * A real cluster on one machine: control plane, `reprieve serve`, and nodes with kubelet, containerd, runc and CRIU. Works
 * only inside the namespaces of `npm run test:node`.
 *
 * @example
 * await using bed = await NodeBed.start({ nodes: 2 });
 * const { ip, node } = await bed.runPod(hog('low', { node: 'node1' }));
 * await hogPast(ip, 10);
 */
export class NodeBed implements AsyncDisposable {
  readonly cluster: ControlPlane;
  readonly history: History;
  /** As the cluster's administrator. */
  readonly transport: KubeTransport;
  readonly served: ServedCluster;
  /** In order of their numbers. */
  readonly nodes: readonly Node[];
  readonly #agents = new Map<string, AgentProcess>(); // name of a node -> its agent

  private constructor(served: ServedCluster, nodes: readonly Node[]) {
    this.cluster = served.cluster;
    this.history = served.history;
    this.transport = served.transport;
    this.served = served;
    this.nodes = nodes;
  }

  /** Answers when all nodes are Ready and a replica leads. */
  static async start(options: NodeBedOptions = {}): Promise<NodeBed> {
    const { nodes: count = 2, stateDiskMiB, images = [], agents, ...serving } = options;
    const dir = await mkdtemp(join(runFolder(), 'bed-'));
    const served = await ServedCluster.start({
      ...serving,
      dir: join(dir, 'control-plane'),
      // As in any cluster with kubelets; the tests without them set an hour, for nodes that report once.
      controllerManagerFlags: ['--node-monitor-grace-period=50s', ...(serving.controllerManagerFlags ?? [])],
      apiServerFlags: ['--enable-admission-plugins=NodeRestriction', ...(serving.apiServerFlags ?? [])],
    });
    const nodes: Node[] = [];
    const bed = new NodeBed(served, nodes);
    try {
      await bed.cluster.applyObjects(kubeletAccess());
      for (let number = 1; number <= count; number++) {
        nodes.push(
          await Node.start({
            number,
            cluster: bed.cluster,
            dir: join(dir, `node${number}`),
            cgroup: cgroupOf(runFolder()),
            images,
            ...(stateDiskMiB !== undefined && { stateDiskMiB }),
          }),
        );
      }
      const names = nodes.map(({ name }) => `node/${name}`);
      for (const state of ['create', 'condition=Ready'])
        await bed.cluster.kubectl('wait', `--for=${state}`, ...names, '--timeout=90s');
      await served.leader();
      if (agents !== undefined) await bed.#startAgents(agents);
      return bed;
    } catch (error) {
      await bed[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** By its name. */
  node(name: string): Node {
    const found = this.nodes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`no node ${name}`);
    return found;
  }

  /** The agent of a node, running or not. */
  agent(name: string): AgentProcess {
    const found = this.#agents.get(name);
    if (found === undefined) throw new Error(`no agent on ${name}`);
    return found;
  }

  /** Creates a pod and waits until it is Ready. */
  async runPod(pod: object): Promise<RunningPod> {
    const { name } = (pod as KubeObject).metadata;
    await this.cluster.applyObjects(pod);
    await this.history.until('Pod', `${name} Ready`, ({ metadata }) => metadata.name === name && this.#isReady(name));
    return this.pod(name);
  }

  /** How a pod runs now. */
  pod(name: string): RunningPod {
    const pod = this.history.last('Pod', name);
    if (pod === undefined) throw new Error(`no pod ${name}`);
    const status = pod['status'] as PodStatus;
    const containers = (status.containerStatuses ?? []).map(({ containerID = '' }) =>
      containerID.replace(/^.*:\/\//, ''),
    );
    return {
      name,
      ip: status.podIP ?? '',
      node: this.node(String(field(pod, 'spec', 'nodeName'))),
      containers,
      restarts: (status.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0),
    };
  }

  #isReady(name: string): boolean {
    const pod = this.history.last('Pod', name);
    return pod !== undefined && condition(pod, 'Ready') === 'True';
  }

  /** Ends everything, and removes the disks with their memory images. Logs stay in the folder of the run. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
    await this.served[Symbol.asyncDispose]();
    for (const node of this.nodes) await node.wipe();
  }

  async #startAgents(settings: Readonly<Record<string, unknown>>): Promise<void> {
    await this.cluster.applyFiles(join(checkout, 'deploy/rbac-agent.yaml'));
    for (const node of this.nodes) {
      const agent = await AgentProcess.create(node, this.cluster, settings);
      this.#agents.set(node.name, agent);
      await agent.start();
    }
  }
}

/** Lets the API server reach kubelets, for logs and exec. */
function kubeletAccess(): object {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'kubelet-api-admin' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:kubelet-api-admin' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: KUBELET_CLIENT }],
  };
}
