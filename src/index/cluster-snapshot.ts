import { byEvictionOrder } from '../domain/eviction-order.ts';
import type { NodeName } from '../domain/ids.ts';
import type { Pod } from '../domain/pod.ts';
import { addResources, subtractResources } from '../domain/resources.ts';
import type { ClusterView, NodeSnapshot } from './types.ts';

/** Takes back one simulated change. Changes are taken back in reverse order. */
export type Undo = () => void;

/**
 * The nodes at one generation, for "what if": evictions and placements can be tried and taken back. Nodes that were not
 * touched are shared with the index and with other snapshots.
 */
export class ClusterSnapshot {
  readonly generation: number;
  readonly #base: ReadonlyMap<NodeName, NodeSnapshot>; // node -> as it is at this generation
  readonly #changed = new Map<NodeName, NodeSnapshot>(); // node -> as it would be
  #depth = 0;

  private constructor(generation: number, base: ReadonlyMap<NodeName, NodeSnapshot>) {
    this.generation = generation;
    this.#base = base;
  }

  static of(view: Pick<ClusterView, 'generation' | 'nodes'>): ClusterSnapshot {
    const base = new Map<NodeName, NodeSnapshot>();
    for (const on of view.nodes()) base.set(on.node.name, on);
    return new ClusterSnapshot(view.generation, base);
  }

  /** The same generation without the simulated changes of this one. */
  fresh(): ClusterSnapshot {
    return new ClusterSnapshot(this.generation, this.#base);
  }

  node(name: NodeName): NodeSnapshot | undefined {
    return this.#changed.get(name) ?? this.#base.get(name);
  }

  *nodes(): Iterable<NodeSnapshot> {
    for (const [name, on] of this.#base) yield this.#changed.get(name) ?? on;
  }

  /**
   * As if these pods had left their nodes. Pods that do not stand there are passed over.
   *
   * @example
   * const undo = snapshot.evict(victims);
   * try {
   *   return fits(pod.requests, snapshot.node(name).free);
   * } finally {
   *   undo();
   * }
   */
  evict(pods: readonly Pod[]): Undo {
    return this.#simulate(pods.map((pod) => [pod.nodeName, (on) => without(on, pod)]));
  }

  /** As if this pod stood on `node`. Unknown nodes are passed over. */
  place(pod: Pod, node: NodeName): Undo {
    return this.#simulate([[node, (on) => withPod(on, pod)]]);
  }

  #simulate(changes: readonly (readonly [NodeName | null, (on: NodeSnapshot) => NodeSnapshot])[]): Undo {
    const before = new Map<NodeName, NodeSnapshot | undefined>();
    for (const [name, change] of changes) {
      const on = name === null ? undefined : this.node(name);
      if (name === null || on === undefined) continue;
      if (!before.has(name)) before.set(name, this.#changed.get(name));
      this.#changed.set(name, change(on));
    }
    const depth = ++this.#depth;
    return () => {
      if (this.#depth !== depth) throw new Error('simulated changes must be undone once, and in reverse order');
      this.#depth--;
      for (const [name, on] of before) {
        if (on === undefined) this.#changed.delete(name);
        else this.#changed.set(name, on);
      }
    };
  }
}

function without(on: NodeSnapshot, pod: Pod): NodeSnapshot {
  if (!on.pods.some((candidate) => candidate.uid === pod.uid)) return on;
  return {
    ...on,
    pods: on.pods.filter((candidate) => candidate.uid !== pod.uid),
    free: addResources(on.free, pod.requests),
  };
}

function withPod(on: NodeSnapshot, pod: Pod): NodeSnapshot {
  return { ...on, pods: [...on.pods, pod].sort(byEvictionOrder), free: subtractResources(on.free, pod.requests) };
}
