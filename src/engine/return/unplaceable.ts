import type { PodConstraints } from '../../domain/pod-constraints.ts';
import type { Queued } from './queue.ts';

/** One of each kind of pods that one pass has found no node for because of ports, volumes or other pods: the others need no search. */
export class Unplaceable {
  readonly #kinds = new Map<PodConstraints, Queued[]>();

  /** Pods of one template have one object for what they demand and for their labels. */
  has({ pod, sort }: Queued): boolean {
    const kinds = pod.constraints === null ? undefined : this.#kinds.get(pod.constraints);
    return kinds?.some((other) => other.pod.labels === pod.labels && other.sort === sort) ?? false;
  }

  note(entry: Queued): void {
    const { constraints } = entry.pod;
    if (constraints !== null) this.#kinds.set(constraints, [...(this.#kinds.get(constraints) ?? []), entry]);
  }

  clear(): void {
    this.#kinds.clear();
  }
}
