import { byDescendingPriority, byEvictionOrder } from '../domain/eviction-order.ts';
import type { Node } from '../domain/node.ts';
import type { Pod } from '../domain/pod.ts';
import { addResources, NO_RESOURCES, subtractResources, type Resources } from '../domain/resources.ts';
import type { NodeSnapshot } from './types.ts';

/**
 * What stands on one node. Pods are kept in eviction order by binary insertion, and their sum is kept beside them, so that
 * an event costs O(log pods) comparisons and a question costs nothing.
 */
export class NodeEntry {
  /** Null while pods name a node that was not seen yet, or is gone. */
  #node: Node | null = null;
  readonly #pods: Pod[] = []; // holding room, in eviction order
  readonly #nominated: Pod[] = []; // pending, highest priority first
  #used: Resources = NO_RESOURCES;
  #generation = 0;
  /** The answer of this generation; null until somebody asks. */
  #snapshot: NodeSnapshot | null = null;

  get node(): Node | null {
    return this.#node;
  }

  get isEmpty(): boolean {
    return this.#node === null && this.#pods.length === 0 && this.#nominated.length === 0;
  }

  setNode(node: Node | null, generation: number): void {
    this.#node = node;
    this.#touch(generation);
  }

  addPod(pod: Pod, generation: number): void {
    insert(this.#pods, pod, byEvictionOrder);
    this.#used = addResources(this.#used, pod.requests);
    this.#touch(generation);
  }

  removePod(pod: Pod, generation: number): void {
    remove(this.#pods, pod, byEvictionOrder);
    this.#used = this.#pods.length === 0 ? NO_RESOURCES : subtractResources(this.#used, pod.requests);
    this.#touch(generation);
  }

  addNominated(pod: Pod, generation: number): void {
    insert(this.#nominated, pod, byDescendingPriority);
    this.#touch(generation);
  }

  removeNominated(pod: Pod, generation: number): void {
    remove(this.#nominated, pod, byDescendingPriority);
    this.#touch(generation);
  }

  /** The node with all that stands on it; null while the node itself is unknown. */
  snapshot(): NodeSnapshot | null {
    if (this.#node === null) return null;
    this.#snapshot ??= {
      node: this.#node,
      pods: this.#pods.slice(),
      nominated: this.#nominated.slice(),
      free: subtractResources(this.#node.allocatable, this.#used),
      generation: this.#generation,
    };
    return this.#snapshot;
  }

  #touch(generation: number): void {
    this.#generation = generation;
    this.#snapshot = null;
  }
}

function insert(pods: Pod[], pod: Pod, compare: (a: Pod, b: Pod) => number): void {
  pods.splice(positionOf(pods, pod, compare), 0, pod);
}

function remove(pods: Pod[], pod: Pod, compare: (a: Pod, b: Pod) => number): void {
  pods.splice(positionOf(pods, pod, compare), 1);
}

/** Where `pod` stands, or would stand: the order is total, so there is one place. */
function positionOf(pods: readonly Pod[], pod: Pod, compare: (a: Pod, b: Pod) => number): number {
  let low = 0;
  let high = pods.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compare(pods[middle] as Pod, pod) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
