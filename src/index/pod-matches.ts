import type { NodeName } from '../domain/ids.ts';
import type { Pod } from '../domain/pod.ts';
import { changeCount } from './counts.ts';

/** Which pods are counted; equal questions have equal keys. */
export interface PodQuestion {
  readonly key: string;
  readonly asks: (pod: Pod) => boolean;
}

type Counts = Map<NodeName, number>;

/** Questions that are remembered; the ones asked longest ago are forgotten. */
const MAX_QUESTIONS = 128;

/**
 * How many pods on each node some question is about (`selects app=web in namespace a`). The first time it costs a look at every pod
 * that holds room; from then on a change of a pod is compared with each question that is remembered. While nobody asks, it
 * costs nothing: pods without affinity and topology spread ask nothing.
 */
export class PodMatches {
  readonly #counts = new Map<string, { readonly question: PodQuestion; readonly byNode: Counts }>(); // asked longest ago first
  readonly #pods: () => Iterable<Pod>;

  /** `pods` gives those that hold room on a node. */
  constructor(pods: () => Iterable<Pod>) {
    this.#pods = pods;
  }

  count(question: PodQuestion): ReadonlyMap<NodeName, number> {
    let known = this.#counts.get(question.key);
    if (known === undefined) {
      known = { question, byNode: new Map() };
      for (const pod of this.#pods()) if (question.asks(pod)) add(known.byNode, pod, 1);
      const [oldest] = this.#counts.keys();
      if (this.#counts.size >= MAX_QUESTIONS && oldest !== undefined) this.#counts.delete(oldest);
    } else this.#counts.delete(question.key);
    this.#counts.set(question.key, known);
    return known.byNode;
  }

  /** A pod came to hold room on its node, or holds it no longer. */
  change(pod: Pod, by: 1 | -1): void {
    for (const { question, byNode } of this.#counts.values()) if (question.asks(pod)) add(byNode, pod, by);
  }

  /** Answers depend on something else that changed: the labels of namespaces. */
  forget(): void {
    this.#counts.clear();
  }
}

function add(counts: Counts, { nodeName }: Pod, by: 1 | -1): void {
  if (nodeName !== null) changeCount(counts, nodeName, by);
}
