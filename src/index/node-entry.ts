import { byDescendingPriority, byEvictionOrder } from '../domain/eviction-order.ts';
import type { Node } from '../domain/node.ts';
import type { Pod } from '../domain/pod.ts';
import { remainder } from '../domain/resources.ts';
import { insert, remove } from './sorted.ts';
import type { NodeSnapshot } from './types.ts';
import { VictimSheet } from './victim-sheet.ts';

/**
 * What stands on one node. Pods are kept in eviction order by binary insertion. An answer is made when somebody asks after a
 * change, and given again until the next one: events cost O(log pods) comparisons, repeated questions cost nothing. What is
 * free is summed up then, not carried along: no sum can drift, whatever amounts came and went.
 */
export class NodeEntry {
  /** Null while pods name a node that was not seen yet, or is gone. */
  #node: Node | null = null;
  readonly #pods: Pod[] = []; // holding room, in eviction order
  readonly #nominated: Pod[] = []; // pending, highest priority first
  /** The present answer; null until somebody asks. */
  #snapshot: NodeSnapshot | null = null;

  get isEmpty(): boolean {
    return this.#node === null && this.#pods.length === 0 && this.#nominated.length === 0;
  }

  /** Those that hold room here, in eviction order; valid until the next change. */
  get pods(): readonly Pod[] {
    return this.#pods;
  }

  setNode(node: Node | null): void {
    this.#node = node;
    this.#snapshot = null;
  }

  addPod(pod: Pod): void {
    insert(this.#pods, pod, byEvictionOrder);
    this.#snapshot = null;
  }

  removePod(pod: Pod): void {
    remove(this.#pods, pod, byEvictionOrder);
    this.#snapshot = null;
  }

  addNominated(pod: Pod): void {
    insert(this.#nominated, pod, byDescendingPriority);
    this.#snapshot = null;
  }

  removeNominated(pod: Pod): void {
    remove(this.#nominated, pod, byDescendingPriority);
    this.#snapshot = null;
  }

  /** The node with all that stands on it; undefined while the node itself is unknown. */
  snapshot(): NodeSnapshot | undefined {
    if (this.#node === null) return undefined;
    this.#snapshot ??= this.#answer(this.#node, this.#pods.slice());
    return this.#snapshot;
  }

  #answer(node: Node, pods: readonly Pod[]): NodeSnapshot {
    return {
      node,
      pods,
      continuing: pods.some(isContinuing) ? pods.filter(isContinuing) : NONE,
      nominated: this.#nominated.slice(),
      free: remainder(node.allocatable, pods),
      sheet: new VictimSheet(node, pods),
    };
  }
}

const NONE: NodeSnapshot['continuing'] = [];

function isContinuing(pod: Pod): pod is NodeSnapshot['continuing'][number] {
  return pod.ticket !== null && pod.restored === null;
}
