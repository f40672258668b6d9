import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { KubeTransport } from '../../../src/kube/transport.ts';
import { KUBELET_CLIENT, runFolder, type ControlPlane } from '../../cluster/control-plane/control-plane.ts';
import type { History } from '../../cluster/story/history.ts';
import { ServedCluster, type ServedClusterOptions } from '../../cluster/story/served-cluster.ts';
import { Node, type NodeOptions } from './node.ts';
import { cgroupOf } from './setting.ts';

export interface NodeBedOptions extends Omit<ServedClusterOptions, 'dir'>, Partial<Pick<NodeOptions, 'stateDiskMiB'>> {
  /** Default 2, the most there can be. */
  readonly nodes?: number;
}

/**
 * A real cluster on one machine: control plane, `reprieve serve`, and nodes with kubelet, containerd, runc and CRIU. Works
 * only inside the namespaces of `npm run test:node`.
 *
 * @example
 * await using bed = await NodeBed.start({ nodes: 2 });
 * await bed.cluster.applyObjects(hog('low', { node: 'node1' }));
 */
export class NodeBed implements AsyncDisposable {
  readonly cluster: ControlPlane;
  readonly history: History;
  /** As the cluster's administrator. */
  readonly transport: KubeTransport;
  readonly served: ServedCluster;
  /** In order of their numbers. */
  readonly nodes: readonly Node[];
  readonly #dir: string;

  private constructor(served: ServedCluster, nodes: readonly Node[], dir: string) {
    this.cluster = served.cluster;
    this.history = served.history;
    this.transport = served.transport;
    this.served = served;
    this.nodes = nodes;
    this.#dir = dir;
  }

  /** Answers when all nodes are Ready and a replica leads. */
  static async start(options: NodeBedOptions = {}): Promise<NodeBed> {
    const { nodes: count = 2, stateDiskMiB, ...serving } = options;
    const dir = await mkdtemp(join(runFolder(), 'bed-'));
    const served = await ServedCluster.start({
      ...serving,
      dir: join(dir, 'control-plane'),
      // As in any cluster with kubelets; the tests without them set an hour, for nodes that report once.
      controllerManagerFlags: ['--node-monitor-grace-period=50s', ...(serving.controllerManagerFlags ?? [])],
      apiServerFlags: ['--enable-admission-plugins=NodeRestriction', ...(serving.apiServerFlags ?? [])],
    });
    const nodes: Node[] = [];
    const bed = new NodeBed(served, nodes, dir);
    try {
      await bed.cluster.applyObjects(kubeletAccess());
      for (let number = 1; number <= count; number++) {
        nodes.push(
          await Node.start({
            number,
            cluster: bed.cluster,
            dir: join(dir, `node${number}`),
            cgroup: cgroupOf(runFolder()),
            ...(stateDiskMiB !== undefined && { stateDiskMiB }),
          }),
        );
      }
      await bed.cluster.kubectl('wait', '--for=condition=Ready', 'node', '--all', '--timeout=90s');
      await served.leader();
      return bed;
    } catch (error) {
      await bed.#stop();
      throw error;
    }
  }

  /** By its name. */
  node(name: string): Node {
    const found = this.nodes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`no node ${name}`);
    return found;
  }

  /** Ends everything, and removes the folder with its disks and memory images. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
    await rm(this.#dir, { recursive: true, force: true });
  }

  async #stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
    await this.served[Symbol.asyncDispose]();
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
