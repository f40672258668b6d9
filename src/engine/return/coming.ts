import type { NodeName } from '../../domain/ids.ts';
import type { Node } from '../../domain/node.ts';
import type { Pod } from '../../domain/pod.ts';
import { portsConflict, selectsPodOf } from '../../domain/pod-constraints.ts';
import { selects } from '../../domain/selector.ts';
import type { ClusterView } from '../../index/types.ts';
import { podFitOf } from '../fit/pod-fit.ts';
import type { ComingPod } from '../fit/topology.ts';

/** Whether a node may take a pod, of which resources, taints and labels say that it may. */
export type NodeRule = (node: NodeName) => boolean;

/** Of an admitted pod that has no node yet. */
export interface Expectation {
  /** The node that the last pass promised to the pod. */
  readonly former: NodeName | undefined;
  /** Another node may be searched for the pod. */
  readonly mayMove: boolean;
  /** kube-scheduler will place the pod at any moment. */
  readonly isSoon: boolean;
}

/**
 * Pods that have no node yet and that one pass expects on one. Two pods are **related** where the node of one decides which nodes the
 * other may take. A pod is admitted only when its relatives have their nodes: kube-scheduler may try pods in any order, and on other
 * nodes than Reprieve would choose.
 */
export class Coming {
  readonly #view: ClusterView;
  #pods: ComingPod[] = [];
  #isRepelling = false; // one of them has anti-affinity
  readonly #soon = new Kinds();
  readonly #soonDemanding = new Kinds(); // of those, the ones that have constraints

  constructor(view: ClusterView) {
    this.#view = view;
  }

  add(coming: ComingPod): void {
    this.#pods.push(coming);
    if ((coming.pod.constraints?.antiAffinity.length ?? 0) > 0) this.#isRepelling = true;
  }

  /** kube-scheduler will place the pod at any moment. */
  placeSoon(pod: Pod): void {
    this.#soon.add(pod);
    if (pod.constraints !== null) this.#soonDemanding.add(pod);
  }

  /** A related pod will be placed at any moment. */
  hasRelativeOf(pod: Pod): boolean {
    const kinds = pod.constraints === null ? this.#soonDemanding : this.#soon;
    return kinds.some((other) => dependsOn(pod, other, this.#view) || dependsOn(other, pod, this.#view));
  }

  /** What keeps the pod off nodes beside resources, taints and labels; null for most pods. */
  fitOf(pod: Pod, mayTake: (node: Node) => boolean): NodeRule | null {
    const view = this.#view;
    if (pod.constraints === null && !this.#isRepelling && view.repelling().size === 0) return null;
    const fit = podFitOf({ view, pod, mayTake, coming: this.#pods });
    if (fit === null) return null;
    return (name) => {
      const on = view.node(name);
      return on !== undefined && fit(on) === null;
    };
  }

  clear(): void {
    this.#pods = [];
    this.#isRepelling = false;
    this.#soon.clear();
    this.#soonDemanding.clear();
  }
}

/** One pod of each kind. Pods of one template have one object for their labels, and one for what they demand. */
class Kinds {
  readonly #byLabels = new Map<Pod['labels'], Pod[]>();

  add(pod: Pod): void {
    const known = this.#byLabels.get(pod.labels);
    if (known === undefined) this.#byLabels.set(pod.labels, [pod]);
    else if (
      !known.some(({ namespace, constraints }) => namespace === pod.namespace && constraints === pod.constraints)
    )
      known.push(pod);
  }

  some(is: (pod: Pod) => boolean): boolean {
    for (const pods of this.#byLabels.values()) if (pods.some(is)) return true;
    return false;
  }

  clear(): void {
    this.#byLabels.clear();
  }
}

function dependsOn({ namespace, constraints }: Pod, other: Pod, view: ClusterView): boolean {
  if (constraints === null) return false;
  const { hostPorts, affinity, antiAffinity, spread, volumeClaims } = constraints;
  const labelsOf = (name: string): Pod['labels'] => view.namespaceLabels(name);
  if ([...affinity, ...antiAffinity].some((term) => selectsPodOf(term, other, labelsOf))) return true;
  const theirs = other.constraints;
  if (theirs !== null && portsConflict(hostPorts, theirs.hostPorts)) return true;
  if (namespace !== other.namespace) return false;
  if (spread.some(({ selector }) => selects(selector, other.labels))) return true;
  return theirs !== null && volumeClaims.some((name) => theirs.volumeClaims.includes(name));
}
