import type { Pod } from './pod.ts';
import { selects, type LabelSelector } from './selector.ts';

/** A PodDisruptionBudget: what it selects and how many more of its pods may go now. */
export interface DisruptionBudget {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** Null selects nothing, an empty selector selects every pod of the namespace (policy/v1). */
  readonly selector: LabelSelector | null;
  readonly disruptionsAllowed: number;
  /** As many pods are healthy as the budget demands: the eviction API then lets a pod go that is not ready. */
  readonly isMet: boolean;
  /** `unhealthyPodEvictionPolicy: AlwaysAllow`: the eviction API lets every pod go that is not ready. */
  readonly ignoresUnhealthy: boolean;
  /** Names of pods whose eviction the API server has allowed and `disruptionsAllowed` already counts. */
  readonly disruptedPods: readonly string[];
}

/** Whether the budget is about a pod of its namespace. */
export function isAbout({ selector }: DisruptionBudget, { labels }: Pod): boolean {
  return selector !== null && selects(selector, labels);
}
