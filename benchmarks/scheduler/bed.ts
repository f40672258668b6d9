import { join, dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { KubeClient } from '../../src/kube/client.ts';
import { HttpTransport } from '../../src/kube/http-transport.ts';
import { loadKubeConfig } from '../../src/kube/kube-config.ts';
import { pathOf, RESOURCES } from '../../src/kube/resources.ts';
import { ControlPlane } from '../../test/cluster/control-plane/control-plane.ts';
import { nodeName, nodeObject, nodeStatus, podObject, PRIORITY_CLASSES } from '../bed/population.ts';
import { Burst, BURST_LABEL } from './burst.ts';
import { cpuMs } from './cpu-time.ts';
import { schedulerConfigOf, type Asked } from './ways.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const NAMESPACE = 'default';
/** Requests under way at the same time while the cluster is filled. */
const WRITERS = 24;
/** Until everybody who watches has taken in what was just created. */
const SETTLE_MS = 500;

/**
 * A node has 32 CPUs and two resident pods of 10: a pod of the low class fits beside them many times, one of the high class
 * fits when one of the two has gone.
 */
const RESIDENTS_PER_NODE = 2;
const CPU = { resident: '10', low: '500m', high: '16' } as const;

export interface BurstResult {
  /** Pods bound a second. */
  readonly rate: number;
  /** Processor time for each pod. */
  readonly cpuMs: { readonly extender: number; readonly scheduler: number; readonly apiServer: number };
}

/** A real control plane without controllers and kubelets, with so many nodes, and pods on them that may be displaced. */
export class SchedulerBed implements AsyncDisposable {
  readonly cluster: ControlPlane;
  readonly #transport: HttpTransport;
  readonly #client: KubeClient;
  readonly #nodes: number;
  #bursts = 0;

  private constructor(cluster: ControlPlane, transport: HttpTransport, nodes: number) {
    this.cluster = cluster;
    this.#transport = transport;
    this.#client = new KubeClient(transport);
    this.#nodes = nodes;
  }

  static async start(nodes: number): Promise<SchedulerBed> {
    const cluster = await ControlPlane.start({
      controllerManagerFlags: null,
      // Nobody would take the taint off a new node again.
      apiServerFlags: ['--disable-admission-plugins=TaintNodesByCondition', '--delete-collection-workers=8'],
      schedulerFlags: ['-v=1'],
    });
    try {
      await cluster.stopScheduler();
      const transport = new HttpTransport({ access: await loadKubeConfig({ path: cluster.adminKubeconfigPath }) });
      const bed = new SchedulerBed(cluster, transport, nodes);
      await bed.#fill();
      return bed;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  /** kube-scheduler with this configuration, until {@link stopScheduler}. */
  async startScheduler(asks: Asked | null, url: string | null): Promise<void> {
    await this.cluster.startScheduler(({ kubeconfig }) => schedulerConfigOf(asks, url, kubeconfig));
  }

  async stopScheduler(): Promise<void> {
    await this.cluster.stopScheduler();
  }

  /**
   * kube-scheduler binds so many pods that are all there when it begins: it stands still while they are created, so that
   * what is measured is neither their creation nor the cache of whoever creates them.
   */
  async burst(priority: 'low' | 'high', pods: number, extenderPid: number | null): Promise<BurstResult> {
    const label = `b${this.#bursts++}`;
    const burst = await Burst.follow(this.#transport, label);
    try {
      this.cluster.signalScheduler('SIGSTOP');
      await inParallel(pods, (number) => this.#createPod(number, priority, label));
      await sleep(SETTLE_MS);
      const before = await this.#cpuOf(extenderPid);
      const startMs = performance.now();
      this.cluster.signalScheduler('SIGCONT');
      const tookMs = (await burst.bound(pods)) - startMs;
      const after = await this.#cpuOf(extenderPid);
      const used = after.map((ms, position) => (ms - (before[position] as number)) / pods);
      const [extender = 0, scheduler = 0, apiServer = 0] = used;
      return { rate: (pods * 1000) / tookMs, cpuMs: { extender, scheduler, apiServer } };
    } finally {
      this.cluster.signalScheduler('SIGCONT');
      burst.stop();
    }
  }

  async #cpuOf(extenderPid: number | null): Promise<readonly number[]> {
    const pids = [extenderPid, this.cluster.pidOf('scheduler'), this.cluster.pidOf('apiserver')];
    return Promise.all(pids.map(async (pid) => (pid === null ? 0 : cpuMs(pid))));
  }

  /** Removes the pods of all bursts, and puts back who was displaced by them. */
  async clear(): Promise<void> {
    const { status, body } = await this.#transport.request({
      method: 'DELETE',
      path: pathOf(RESOURCES.pods, NAMESPACE),
      query: { labelSelector: BURST_LABEL },
      body: { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0 },
    });
    if (status !== 200) throw new Error(`removing the pods of a burst: HTTP ${status} ${JSON.stringify(body)}`);
    const there = new Set((await this.#client.list(RESOURCES.pods)).map(({ metadata }) => metadata.name));
    const displaced = Array.from({ length: this.#nodes * RESIDENTS_PER_NODE }, (_, number) => number).filter(
      (number) => !there.has(residentName(number)),
    );
    await inParallel(displaced.length, (position) => this.#createResident(displaced[position] as number));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transport.close();
    await this.cluster.stop();
  }

  async #fill(): Promise<void> {
    const deployed = ['crds', 'namespace.yaml', 'runtimeclass.yaml', 'admission-policies.yaml'];
    await this.cluster.applyFiles(...deployed.map((path) => join(root, 'deploy', path)));
    await this.cluster.kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s');
    await this.cluster.kubectl('create', 'serviceaccount', 'default');
    for (const [name, value] of Object.entries(PRIORITY_CLASSES))
      await this.#client.create(RESOURCES.priorityClasses, null, { metadata: { name }, value });
    await inParallel(this.#nodes, (number) =>
      this.#client.create(RESOURCES.nodes, null, { ...nodeObject(number), status: nodeStatus() }),
    );
    await inParallel(this.#nodes * RESIDENTS_PER_NODE, (number) => this.#createResident(number));
  }

  #createResident(number: number): Promise<unknown> {
    const placed = { nodeName: nodeName(number % this.#nodes), priorityClassName: 'low' };
    return this.#create(number, { name: residentName(number), cpu: CPU.resident, labels: {}, spec: placed });
  }

  #createPod(number: number, priority: 'low' | 'high', label: string): Promise<unknown> {
    const spec = { nodeName: undefined, priorityClassName: priority };
    return this.#create(number, {
      name: `${label}-${number}`,
      cpu: CPU[priority],
      labels: { [BURST_LABEL]: label },
      spec,
    });
  }

  /** A pod of the usual size. Nobody ends its processes: it goes as soon as it is deleted. */
  #create(number: number, { name, cpu, labels, spec }: Shape): Promise<unknown> {
    const usual = podObject(number, this.#nodes) as UsualPod;
    const containers = usual.spec.containers.map((container) => ({
      ...container,
      volumeMounts: [],
      resources: { requests: { cpu, memory: '1Gi' } },
    }));
    const { namespace: _, ...metadata } = usual.metadata;
    return this.#client.create(RESOURCES.pods, NAMESPACE, {
      metadata: { ...metadata, name, labels: { ...metadata.labels, ...labels } },
      spec: {
        ...usual.spec,
        containers,
        volumes: [],
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 0,
        ...spec,
      },
    });
  }
}

interface Shape {
  readonly name: string;
  readonly cpu: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly spec: object;
}

interface UsualPod {
  readonly metadata: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> };
  readonly spec: { readonly containers: readonly object[] };
}

function residentName(number: number): string {
  return `resident-${number}`;
}

async function inParallel(count: number, run: (number: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await run(next++);
  };
  await Promise.all(Array.from({ length: WRITERS }, worker));
}
