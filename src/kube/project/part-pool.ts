import type { NodeSelector } from '../../domain/node-selector.ts';
import type { PodConstraints } from '../../domain/pod-constraints.ts';
import type { PodOwner, Toleration } from '../../domain/pod.ts';
import type { Resources } from '../../domain/resources.ts';

/** More different parts of one sort than a cluster has controllers; beyond, what follows begins a pool of its own. */
const MAX_PARTS = 50_000;

/**
 * Parts that many pods have alike: those of one template have the same labels, owner, requests and tolerations, those of one
 * node its name. Each pod comes with its own copy of all that, and keeps the first one that was seen instead: for 150,000
 * pods of 3,000 controllers that is 0.6 KB a pod, half of what it would take.
 */
export class PartPool {
  readonly #texts = new Map<string, string>();
  readonly #labels = new Map<string, Readonly<Record<string, string>>>(); // as JSON -> the labels
  readonly #owners = new Map<string, PodOwner>(); // as JSON -> the owner
  readonly #requests = new Map<string, Resources>(); // all amounts -> the requests
  readonly #tolerations = new Map<string, readonly Toleration[]>(); // as JSON -> the tolerations
  readonly #constraints = new Map<string, PodConstraints>(); // as JSON -> the constraints
  readonly #nodeSelectors = new Map<string, NodeSelector>(); // as JSON -> the node selector

  text<T extends string | null>(text: T): T {
    return (text === null ? null : pooled(this.#texts, text, text)) as T;
  }

  labels(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
    return pooled(this.#labels, JSON.stringify(labels), labels);
  }

  owner(owner: PodOwner | null): PodOwner | null {
    if (owner === null) return null;
    return pooled(this.#owners, JSON.stringify(owner), owner);
  }

  requests(requests: Resources): Resources {
    const { cpuMilli, memoryBytes, ephemeralBytes, pods, extended } = requests;
    if (extended !== null) return requests; // few have them
    return pooled(this.#requests, `${cpuMilli} ${memoryBytes} ${ephemeralBytes} ${pods}`, requests);
  }

  tolerations(tolerations: readonly Toleration[]): readonly Toleration[] {
    return pooled(this.#tolerations, JSON.stringify(tolerations), tolerations);
  }

  constraints(constraints: PodConstraints | null): PodConstraints | null {
    // Claims of a StatefulSet or of ephemeral volumes are those of one pod.
    if (constraints === null || constraints.volumeClaims.length > 0) return constraints;
    return pooled(this.#constraints, JSON.stringify(constraints), constraints);
  }

  nodeSelector(selector: NodeSelector | null): NodeSelector | null {
    if (selector === null) return null;
    return pooled(this.#nodeSelectors, JSON.stringify(selector), selector);
  }
}

/** Leaves every pod its own. */
export const NO_POOL: Pick<PartPool, keyof PartPool> = {
  text: (text) => text,
  labels: (labels) => labels,
  owner: (owner) => owner,
  requests: (requests) => requests,
  tolerations: (tolerations) => tolerations,
  nodeSelector: (selector) => selector,
  constraints: (constraints) => constraints,
};

function pooled<T>(pool: Map<string, T>, key: string, part: T): T {
  const first = pool.get(key);
  if (first !== undefined) return first;
  if (pool.size >= MAX_PARTS) pool.clear();
  pool.set(key, part);
  return part;
}
