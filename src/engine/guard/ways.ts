import type { EvictionRequest } from '../../domain/displacement.ts';
import type { Node } from '../../domain/node.ts';
import type { Pod } from '../../domain/pod.ts';

/** What differs between the requests that kube-apiserver asks about. */
interface Way {
  /** A question is repeated within the seconds that an answer says, or by a new attempt of its client, which comes within this. */
  readonly repeatedWithinMs: number;
  /** What an answer says where waiting may last. Clients of Kubernetes ask ten times inside of one call, and look at no time limit then. */
  readonly longRetryS: number;
  /**
   * The index shows that somebody is about to remove the pod. Anybody may send a review to the webhook; what is shown here takes the right
   * to write the status of pods, or to cordon or taint nodes.
   */
  readonly isBorneOut: (pod: Pod, node: Node) => boolean;
}

export const WAYS: Readonly<Record<EvictionRequest, Way>> = {
  // kube-scheduler and the taint manager mark a pod before they delete it.
  Deletion: { repeatedWithinMs: 15_000, longRetryS: 5, isBorneOut: ({ disrupted }) => disrupted },
  // kubectl asks again after 5 s, Cluster Autoscaler and Karpenter after at most 10 s, Cluster API after 20 s. `kubectl drain --timeout`
  // is looked at between two calls: with a second each it is exceeded by ten at most.
  Eviction: { repeatedWithinMs: 30_000, longRetryS: 1, isBorneOut: (_pod, node) => isBeingDrained(node) },
};

/** Taints with which autoscalers mark a node before they evict its pods. kubectl and Cluster API cordon it. */
const DRAINED_BY: ReadonlySet<string> = new Set(['karpenter.sh/disrupted', 'ToBeDeletedByClusterAutoscaler']);

function isBeingDrained({ unschedulable, taints }: Node): boolean {
  return unschedulable || taints.some(({ key }) => DRAINED_BY.has(key));
}
