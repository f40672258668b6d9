import { objectKey, type NodeName, type ObjectKey } from '../domain/ids.ts';
import { occupiesNode, type Pod } from '../domain/pod.ts';
import type { PodConstraints } from '../domain/pod-constraints.ts';
import { changeCount } from './counts.ts';
import { PodMatches, type PodQuestion } from './pod-matches.ts';

/** What pods that hold room keep other pods from: by required anti-affinity, by a volume, by being counted. */
export class ConstraintIndex {
  readonly #matches: PodMatches;
  readonly #repelling = new Map<PodConstraints, Map<NodeName, number>>(); // those with anti-affinity -> pods that have them, by node
  readonly #claimUsers = new Map<ObjectKey, Set<Pod>>(); // PersistentVolumeClaim -> pods that use it

  /** `pods` gives those that hold room on a node. */
  constructor(pods: () => Iterable<Pod>) {
    this.#matches = new PodMatches(pods);
  }

  count(question: PodQuestion): ReadonlyMap<NodeName, number> {
    return this.#matches.count(question);
  }

  repelling(): ReadonlyMap<PodConstraints, ReadonlyMap<NodeName, number>> {
    return this.#repelling;
  }

  usersOf(claim: ObjectKey): Iterable<Pod> {
    return this.#claimUsers.get(claim) ?? NOBODY;
  }

  changePod(before: Pod | undefined, after: Pod | undefined): void {
    if (before !== undefined && occupiesNode(before)) this.#change(before, -1);
    if (after !== undefined && occupiesNode(after)) this.#change(after, 1);
  }

  namespaceChanged(): void {
    this.#matches.forget();
  }

  #change(pod: Pod, by: 1 | -1): void {
    this.#matches.change(pod, by);
    const { constraints } = pod;
    if (constraints === null) return;
    if (constraints.antiAffinity.length > 0) this.#changeRepelling(constraints, pod.nodeName as NodeName, by);
    for (const name of constraints.volumeClaims) {
      const claim = objectKey(pod.namespace, name);
      const users = this.#claimUsers.get(claim);
      if (by > 0 && users === undefined) this.#claimUsers.set(claim, new Set([pod]));
      else if (by > 0) users?.add(pod);
      else if (users?.delete(pod) === true && users.size === 0) this.#claimUsers.delete(claim);
    }
  }

  #changeRepelling(constraints: PodConstraints, node: NodeName, by: 1 | -1): void {
    let byNode = this.#repelling.get(constraints);
    if (byNode === undefined) this.#repelling.set(constraints, (byNode = new Map()));
    changeCount(byNode, node, by);
    if (byNode.size === 0) this.#repelling.delete(constraints);
  }
}

const NOBODY: readonly Pod[] = [];
