import { RESTORED_CONDITION, TICKET_ANNOTATION } from '../../../src/domain/labels.ts';
import { KubeClient } from '../../../src/kube/client.ts';
import { RESOURCES, type ResourceType } from '../../../src/kube/resources.ts';
import type { KubeObject } from '../../../src/kube/transport.ts';
import { condition, field, type Version } from '../story/history.ts';
import type { Lab } from '../story/lab.ts';
import { bound, running, ticketIn, victimUidOf, wasEvicted, type RunningPod } from '../story/seen.ts';
import { pod, type PodShape } from '../story/workloads.ts';

const CPUS_OF_A_NODE = 4;

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
}

/** One owner on a node of its own, beside other rows in one cluster. The label `app` of all its pods is its name. */
export class OwnerRow {
  readonly name: string;
  readonly node: string;
  readonly lab: Lab;
  readonly client: KubeClient;
  /** Pods that take the room of others. */
  readonly #high: string[] = [];

  constructor(lab: Lab, name: string, node: string) {
    this.lab = lab;
    this.name = name;
    this.node = node;
    this.client = new KubeClient(lab.transport);
  }

  /** One of four pods that fill the node. */
  shape(more: Partial<PodShape> = {}): PodShape {
    const { name, node } = this;
    return { priorityClassName: 'batch', cpu: '1', state: '50Mi', node, labels: { app: name }, ...more };
  }

  create(object: object): Promise<KubeObject> {
    return this.client.create(typeOf(object as Manifest), 'default', object);
  }

  /** Merges into the object of the row's name. */
  async patch(type: ResourceType, patch: object, subresource?: 'status'): Promise<void> {
    const options = { type: 'merge', ...(subresource && { subresource }) } as const;
    await this.client.patch(type, 'default', this.name, patch, options);
  }

  /** The `count` pods that run first, once they do, by name. */
  async started(count: number): Promise<readonly RunningPod[]> {
    const found: RunningPod[] = [];
    while (found.length < count) {
      found.push(await this.runs((object) => found.every(({ uid }) => uid !== object.metadata.uid)));
    }
    return found.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** The first pod of the row that passes and runs. */
  runs(passes: (object: KubeObject) => boolean = () => true): Promise<RunningPod> {
    return running(this.lab, `a pod of ${this.name}`, (object) => this.#isOurs(object) && passes(object));
  }

  /** The first pod of the row that passes, in the version in which it does. */
  async seen(what: string, passes: (object: KubeObject) => boolean): Promise<KubeObject> {
    const isIt = (object: KubeObject): boolean => this.#isOurs(object) && passes(object);
    return (await this.lab.history.until('Pod', `${what} of ${this.name}`, isIt)).object;
  }

  /** A pod of higher priority takes that many CPUs; answers which of `pods` went for it, and waits until their tickets are in the queue. */
  async displaced(pods: readonly RunningPod[], cpus = CPUS_OF_A_NODE): Promise<readonly RunningPod[]> {
    const victims = await this.preempted(pods, cpus);
    for (const { uid } of victims) await ticketIn(this.lab, 'Waiting', uid);
    return victims;
  }

  /** The same, saved or not. */
  async preempted(pods: readonly RunningPod[], cpus = CPUS_OF_A_NODE): Promise<readonly RunningPod[]> {
    const high = `${this.name}-high-${this.#high.length}`;
    this.#high.push(high);
    await this.create(pod(high, { priorityClassName: 'serving', cpu: String(cpus), node: this.node }));
    await bound(this.lab, high);
    return pods.filter(({ uid }) => wasEvicted(this.lab, uid));
  }

  /** The pods that displaced them are deleted. */
  async leaves(): Promise<void> {
    for (const high of this.#high.splice(0)) {
      await this.client.delete(RESOURCES.pods, 'default', high, { gracePeriodSeconds: 0 });
    }
  }

  /** The pod that waits in the queue with the state of `victim`. */
  async waitsFor({ uid }: RunningPod): Promise<KubeObject> {
    const isIt = (ticket: KubeObject): boolean =>
      victimUidOf(ticket) === uid && field(ticket, 'status', 'claim') !== undefined;
    const { object: ticket } = await this.lab.history.until('Reprieve', `a claim of the state of ${uid}`, isIt);
    return this.seen('the claimant', ({ metadata }) => metadata.uid === field(ticket, 'status', 'claim', 'uid'));
  }

  /** The pod is deleted, and its object gone. */
  async goes(uid: unknown): Promise<void> {
    const isIt = ({ metadata }: KubeObject, { type }: Version): boolean => metadata.uid === uid && type === 'DELETED';
    await this.lab.history.until('Pod', `the end of ${String(uid)} of ${this.name}`, isIt);
  }

  /** UIDs of the pods that a node restored from a ticket. */
  restoredFrom(ticket: string): readonly unknown[] {
    return this.lab.history
      .of('Pod')
      .filter(({ object }) => this.#isOurs(object) && object.metadata.annotations?.[TICKET_ANNOTATION] === ticket)
      .filter(({ object }) => condition(object, RESTORED_CONDITION) === 'True')
      .map(({ object }) => object.metadata.uid);
  }

  /** Its pods that exist. */
  now(): KubeObject[] {
    const last = new Map(this.lab.history.of('Pod').map((version) => [version.object.metadata.uid, version]));
    return [...last.values()]
      .filter(({ type, object }) => type !== 'DELETED' && this.#isOurs(object))
      .map(({ object }) => object);
  }

  #isOurs({ metadata }: KubeObject): boolean {
    return metadata.labels?.['app'] === this.name;
  }
}

/** Of every kind that a row creates. */
function typeOf({ apiVersion, kind }: Manifest): ResourceType {
  const [version = '', group = ''] = apiVersion.split('/').reverse();
  return { group, version, kind, plural: `${kind.toLowerCase()}s`, namespaced: true };
}
