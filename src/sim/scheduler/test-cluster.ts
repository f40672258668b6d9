import { KubeClient } from '../../kube/client.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { ApiServer } from '../api-server/api-server.ts';
import { startControlPlane } from '../control-plane.ts';
import { Random } from '../random.ts';
import { VirtualClock } from '../virtual-clock.ts';
import type { WirePod } from '../controllers/objects.ts';
import { InProcessExtender, type ExtenderVerb } from './extender-transport.ts';
import type { ExtenderConfig } from './extender.ts';

/** What a test says about a pod. */
export interface TestPod {
  readonly name: string;
  readonly cpu?: number;
  readonly priority?: number;
  readonly node?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly startSecond?: number;
  readonly spec?: object;
}

/** A control plane over an API server, and the hands of a kubelet: what a test moves itself. */
export class TestCluster {
  readonly clock = new VirtualClock();
  readonly server = new ApiServer({ clock: this.clock });
  readonly client = new KubeClient(this.server);
  readonly plane;
  readonly fatal: unknown[] = [];

  constructor(extenders: readonly ExtenderConfig[] = []) {
    this.plane = startControlPlane({
      transport: this.server,
      clock: this.clock,
      random: new Random(7),
      scheduler: { extenders, onFatal: (error) => this.fatal.push(error) },
    });
  }

  async node(name: string, cpu = 4, extra: { spec?: object; labels?: object; taints?: object[] } = {}): Promise<void> {
    const amounts = { cpu: String(cpu), memory: '16Gi', pods: '110' };
    await this.client.create(RESOURCES.nodes, null, {
      metadata: { name, labels: { 'kubernetes.io/hostname': name, ...extra.labels } },
      spec: { ...extra.spec, ...(extra.taints && { taints: extra.taints }) },
      status: { capacity: amounts, allocatable: amounts, conditions: [{ type: 'Ready', status: 'True' }] },
    });
  }

  async pod(pod: TestPod): Promise<KubeObject> {
    const { name, cpu = 1, priority = 0, node, labels, startSecond, spec } = pod;
    const priorityClassName = priority === 0 ? undefined : await this.priorityClass(priority);
    const created = await this.client.create(RESOURCES.pods, 'default', {
      metadata: { name, ...(labels && { labels }) },
      spec: {
        ...(node !== undefined && { nodeName: node }),
        ...(priorityClassName !== undefined && { priorityClassName }),
        containers: [{ name: 'main', image: 'main:1', resources: { requests: { cpu: String(cpu) } } }],
        ...spec,
      },
    });
    if (startSecond === undefined) return created;
    const startTime = new Date(this.clock.now() - 3_600_000 + startSecond * 1000).toISOString();
    return this.setStatus(name, { phase: 'Running', startTime });
  }

  async priorityClass(value: number): Promise<string> {
    const name = value < 0 ? `minus-${-value}` : `p${value}`;
    if (!this.server.list(RESOURCES.priorityClasses).some(({ metadata }) => metadata.name === name)) {
      await this.client.create(RESOURCES.priorityClasses, null, { metadata: { name }, value });
    }
    return name;
  }

  setStatus(name: string, status: object): Promise<KubeObject> {
    return this.client.patch(RESOURCES.pods, 'default', name, { status }, { type: 'merge', subresource: 'status' });
  }

  /** The pod is gone, as after the kubelet has ended it. */
  async gone(name: string): Promise<void> {
    await this.client.delete(RESOURCES.pods, 'default', name, { gracePeriodSeconds: 0 });
  }

  pods(): readonly (WirePod & KubeObject)[] {
    return this.server.list(RESOURCES.pods);
  }

  find(name: string): (WirePod & KubeObject) | undefined {
    return this.pods().find(({ metadata }) => metadata.name === name);
  }

  /** Where a pod runs, or null. */
  nodeOf(name: string): string | null {
    return this.find(name)?.spec?.nodeName ?? null;
  }

  /** Names of the pods that the scheduler has evicted. */
  evicted(): readonly string[] {
    return this.plane.scheduler
      .statistics()
      .evictions.map(({ name }) => name)
      .sort();
  }

  messageOf(name: string): string {
    return this.find(name)?.status?.conditions?.find(({ type }) => type === 'PodScheduled')?.message ?? '';
  }
}

/** An extender that answers `preempt` (and the other verbs where given) with a JSON value, or with a status and a text. */
export function extenderOf(
  answer: (verb: ExtenderVerb, args: Record<string, unknown>) => unknown,
  config: Partial<ExtenderConfig> = {},
): ExtenderConfig & { readonly calls: Record<string, unknown>[] } {
  const calls: Record<string, unknown>[] = [];
  const transport = new InProcessExtender((verb, body) => {
    const args = JSON.parse(body) as Record<string, unknown>;
    calls.push(args);
    const value = answer(verb, args);
    if (value instanceof Error) return Promise.reject(value);
    if (typeof value === 'number') return Promise.resolve({ status: value, body: '' });
    return Promise.resolve({ status: 200, body: typeof value === 'string' ? value : JSON.stringify(value) });
  });
  return { transport, verbs: ['preempt'], nodeCacheCapable: true, ...config, calls };
}
