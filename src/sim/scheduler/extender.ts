import { messageOf } from '../../domain/message-of.ts';
import type { WirePod } from '../controllers/objects.ts';
import {
  ExtenderError,
  filterAnswerOf,
  preemptAnswerOf,
  prioritizeAnswerOf,
  SchedulerPanic,
  type MetaVictims,
} from './extender-answer.ts';
import type { ExtenderTransport, ExtenderVerb } from './extender-transport.ts';
import type { NodeInfo, NodeSnapshot, PodInfo } from './pod-info.ts';

/** One entry of `extenders` in the KubeSchedulerConfiguration. */
export interface ExtenderConfig {
  readonly name?: string;
  readonly transport: ExtenderTransport;
  /** Which verbs are configured. */
  readonly verbs: readonly ExtenderVerb[];
  readonly weight?: number;
  /** A failed call is passed over. */
  readonly ignorable?: boolean;
  /** Names of nodes and UIDs of victims instead of whole objects. */
  readonly nodeCacheCapable?: boolean;
  /** Absent: interested in all pods. */
  readonly managedResources?: readonly string[];
}

/** What a preemption on one node costs. `pods` from the most important one down. */
export interface Victims {
  readonly pods: readonly PodInfo[];
  readonly numPdbViolations: number;
}

/** The answer to `filter`. A node that is in none of the three was left out, which counts as unresolvable. */
export interface FilterResult {
  readonly feasible: readonly NodeInfo[];
  readonly failed: Readonly<Record<string, string>>;
  readonly unresolvable: Readonly<Record<string, string>>;
}

/**
 * The client side of the protocol, after `extender.go` of 1.37: what is sent, what counts as a failure, and on what the
 * scheduler would crash. Every failure is an error; the caller looks at {@link isIgnorable}.
 */
export class Extender {
  readonly isIgnorable: boolean;
  readonly name: string;
  readonly #config: ExtenderConfig;

  constructor(config: ExtenderConfig) {
    this.#config = config;
    this.isIgnorable = config.ignorable ?? false;
    this.name = config.name ?? 'extender';
  }

  supports(verb: ExtenderVerb): boolean {
    return this.#config.verbs.includes(verb);
  }

  /** About the pod that is scheduled, never about victims. */
  isInterestedIn({ raw }: PodInfo): boolean {
    const managed = this.#config.managedResources;
    if (managed === undefined || managed.length === 0) return true;
    const { spec } = raw as WirePod;
    const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
    return containers.some(({ resources }) =>
      managed.some((name) => resources?.requests?.[name] !== undefined || resources?.limits?.[name] !== undefined),
    );
  }

  async filter(info: PodInfo, nodes: readonly NodeInfo[]): Promise<FilterResult> {
    const answer = filterAnswerOf(await this.#send('filter', this.#args(info, nodes)));
    if (answer.error !== '') throw new ExtenderError(answer.error);
    const byName = new Map(nodes.map((node) => [node.node.name as string, node]));
    // Neither of the two: all nodes are rejected.
    const names = (this.#config.nodeCacheCapable ? answer.nodeNames : null) ?? answer.nodes ?? [];
    const feasible = names.map((name) => {
      const node = byName.get(name);
      if (node !== undefined) return node;
      throw new ExtenderError(
        `extender "${this.name}" claims a filtered node "${name}" which is not found in the input node list`,
      );
    });
    return { feasible, failed: answer.failedNodes, unresolvable: answer.failedAndUnresolvableNodes };
  }

  /** What to add to the scores, by node. */
  async prioritize(info: PodInfo, nodes: readonly NodeInfo[]): Promise<ReadonlyMap<string, number>> {
    const answer = prioritizeAnswerOf(await this.#send('prioritize', this.#args(info, nodes)));
    // 0 to 10 becomes 0 to 100; nothing clamps it.
    return new Map(answer.map(({ host, score }) => [host, score * (this.#config.weight ?? 1) * 10]));
  }

  async preempt(
    info: PodInfo,
    candidates: ReadonlyMap<string, Victims>,
    snapshot: NodeSnapshot,
  ): Promise<Map<string, Victims>> {
    const offered = [...candidates];
    const args = this.#config.nodeCacheCapable
      ? {
          Pod: info.raw,
          NodeNameToVictims: null,
          NodeNameToMetaVictims: Object.fromEntries(offered.map(([node, victims]) => [node, metaVictimsOf(victims)])),
        }
      : {
          Pod: info.raw,
          NodeNameToVictims: Object.fromEntries(offered.map(([node, victims]) => [node, fullVictimsOf(victims)])),
          NodeNameToMetaVictims: null,
        };
    const answer = preemptAnswerOf(await this.#send('preempt', args));
    return new Map([...answer].map(([node, victims]) => [node, this.#victims(node, victims, snapshot)]));
  }

  /** `convertToVictims`: nodes and pods are looked up in the snapshot, whatever had been offered. */
  #victims(name: string, meta: MetaVictims, snapshot: NodeSnapshot): Victims {
    const node = snapshot.get(name);
    if (node === undefined) throw new ExtenderError(`nodeinfo not found for node name "${name}"`);
    if (meta === null) throw new SchedulerPanic(`nil MetaVictims for node "${name}" in the answer of ${this.name}`);
    const pods = meta.pods.map((metaPod) => {
      if (metaPod === null && node.pods.length > 0) {
        throw new SchedulerPanic(`nil MetaPod on node "${name}" in the answer of ${this.name}`);
      }
      const victim = node.pods.find(({ pod }) => pod.uid === metaPod?.uid);
      if (victim !== undefined) return victim;
      throw new ExtenderError(
        `extender: ${this.name} claims to preempt pod (UID: ${metaPod?.uid ?? ''}) on node: ${name}, but the pod is not found on that node`,
      );
    });
    return { pods, numPdbViolations: meta.numPdbViolations };
  }

  #args(info: PodInfo, nodes: readonly NodeInfo[]): object {
    return this.#config.nodeCacheCapable
      ? { Pod: info.raw, Nodes: null, NodeNames: nodes.map(({ node }) => node.name) }
      : { Pod: info.raw, Nodes: { metadata: {}, items: nodes.map(({ raw }) => raw) }, NodeNames: null };
  }

  async #send(verb: ExtenderVerb, args: object): Promise<string> {
    const { status, body } = await this.#call(verb, JSON.stringify(args));
    if (status !== 200) throw new ExtenderError(`failed ${verb} with extender ${this.name}, code ${status}`);
    return body;
  }

  async #call(verb: ExtenderVerb, body: string): Promise<{ readonly status: number; readonly body: string }> {
    try {
      return await this.#config.transport.call(verb, body);
    } catch (error) {
      throw new ExtenderError(messageOf(error), { cause: error });
    }
  }
}

/** Ignorable extenders come last, otherwise in the order of the configuration (`buildExtenders`). */
export function extendersOf(configs: readonly ExtenderConfig[]): readonly Extender[] {
  const extenders = configs.map((config) => new Extender(config));
  return [...extenders.filter((one) => !one.isIgnorable), ...extenders.filter((one) => one.isIgnorable)];
}

function metaVictimsOf({ pods, numPdbViolations }: Victims): object {
  return { Pods: pods.map(({ pod }) => ({ UID: pod.uid })), NumPDBViolations: numPdbViolations };
}

function fullVictimsOf({ pods, numPdbViolations }: Victims): object {
  return { Pods: pods.map(({ raw }) => raw), NumPDBViolations: numPdbViolations };
}
