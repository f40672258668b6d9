/**
 * What keeps a pod off a node beside taints, labels and amounts of resources, as kube-scheduler's plugins will say it. Begin with this
 * file.
 *
 *     podFitOf(pod, who leaves, who comes) ──> null: nothing, on any node
 *                                        └──> PodFit: asked of each node ──> the first obstacle, or null
 *
 * - `pod-fit.ts`: which rules a pod has, and host ports.
 * - `topology.ts`: affinity, anti-affinity and spread over domains; `volumes.ts`: claims and volumes;
 *   `attach-limits.ts`: how many volumes a node can attach.
 * - `counted-requests.ts`: which requests kube-scheduler compares with nodes. The comparison is `src/index/node-capacity.ts`.
 *
 * Invariants:
 * 1. kube-scheduler has the last word. An answer here spares a pod an eviction or an admission that would be in vain.
 * 2. Who leaves, who comes and which nominations count is given by the caller, who compares resources with the same pods: the same
 *    rules answer for the present and for what is planned.
 * 3. A pod that has no such rule, and that no other pod repels, costs nothing.
 * 4. What the index does not know keeps the pod off: a missing claim, the devices of a ResourceClaim.
 */
import type { PodUid } from '../../domain/ids.ts';
import type { Node } from '../../domain/node.ts';
import type { Pod } from '../../domain/pod.ts';
import { portsConflict, type HostPort } from '../../domain/pod-constraints.ts';
import type { ClusterView, NodeSnapshot } from '../../index/types.ts';
import { attachRule } from './attach-limits.ts';
import { volumesRule } from './volumes.ts';
import { affinityRule, antiAffinityRule, repelledRule, spreadRule, type ComingPod, type PodsThen } from './topology.ts';

/** In words, for a pod that waits and for a preemptor. */
export const FIT_OBSTACLES = {
  hostPort: 'a host port is taken',
  podAffinity: 'its pod affinity selects no pod there',
  podAntiAffinity: 'the anti-affinity of the pod, or of a pod there, excludes it',
  topologySpread: 'a topology spread constraint would be broken',
  volume: 'a volume of it cannot be used there',
  attachLimit: 'its driver can attach no more volumes',
  resourceClaims: 'what it asks for with ResourceClaims is not known',
} as const;

/** What keeps a pod off a node beside resources, taints and labels. */
export type FitObstacle = keyof typeof FIT_OBSTACLES;

export interface FitQuestion {
  readonly view: ClusterView;
  readonly pod: Pod;
  /** Whether the labels of a node let it take the pod. */
  readonly mayTake: (node: Node) => boolean;
  /** Pods that will be gone. */
  readonly leaving?: ReadonlySet<PodUid>;
  /** Pods that will be there. */
  readonly coming?: readonly ComingPod[];
  /** A pod nominated to the node whose claim is respected; absent: each. */
  readonly respects?: (nominated: Pod) => boolean;
}

/** Why a node does not take the pod; null where it does. */
export type PodFit = (on: NodeSnapshot) => FitObstacle | null;

/**
 * What kube-scheduler's plugins NodePorts, VolumeBinding, NodeVolumeLimits, InterPodAffinity and PodTopologySpread will say, at the
 * price of one look at the pods that are selected. Null for a pod that has none of this and that no other pod repels: then it costs nothing.
 *
 * Of the devices of a ResourceClaim the index knows nothing: no node is known to take such a pod.
 */
export function podFitOf(question: FitQuestion): PodFit | null {
  const { view, pod, mayTake, leaving = NONE_LEAVES, coming = NONE_COMES, respects = () => true } = question;
  const { constraints } = pod;
  const then: PodsThen = { view, leaving, coming };
  const isRepelling = view.repelling().size > 0 || coming.some((other) => hasAntiAffinity(other.pod));
  if (constraints === null && !isRepelling) return null;
  const rules: [FitObstacle, (on: NodeSnapshot) => boolean][] = [];
  const add = (obstacle: FitObstacle, rule: ((node: Node) => boolean) | null): void => {
    if (rule !== null) rules.push([obstacle, ({ node }) => rule(node)]);
  };
  if (isRepelling) add('podAntiAffinity', repelledRule(then, pod));
  if (constraints !== null) {
    const { hostPorts, affinity, antiAffinity, spread, volumeClaims, hasResourceClaims } = constraints;
    if (hasResourceClaims) add('resourceClaims', () => false);
    if (hostPorts.length > 0) {
      const isTaken = (other: Pod): boolean => takesPort(other, hostPorts) && other.uid !== pod.uid;
      rules.push(['hostPort', (on) => !holdersOn(then, on, respects).some(isTaken)]);
    }
    if (volumeClaims.length > 0) {
      add('volume', volumesRule(then, pod, volumeClaims));
      const attaches = attachRule(view, pod, (on) => holdersOn(then, on, respects));
      if (attaches !== null) rules.push(['attachLimit', attaches]);
    }
    if (affinity.length > 0) add('podAffinity', affinityRule(then, pod, affinity));
    if (antiAffinity.length > 0) add('podAntiAffinity', antiAffinityRule(then, antiAffinity));
    if (spread.length > 0) add('topologySpread', spreadRule(then, pod, spread, mayTake));
  }
  if (rules.length === 0) return null;
  return (on) => {
    for (const [obstacle, allows] of rules) if (!allows(on)) return obstacle;
    return null;
  };
}

const NONE_LEAVES: ReadonlySet<PodUid> = new Set();
const NONE_COMES: readonly ComingPod[] = [];

function hasAntiAffinity({ constraints }: Pod): boolean {
  return constraints !== null && constraints.antiAffinity.length > 0;
}

/** Who will have a node: pods that stay, pods that come, and nominated pods that are respected. */
function holdersOn({ leaving, coming }: PodsThen, on: NodeSnapshot, respects: (pod: Pod) => boolean): readonly Pod[] {
  const staying = on.pods.filter(({ uid }) => !leaving.has(uid));
  const arriving = coming.filter(({ node }) => node.name === on.node.name).map(({ pod }) => pod);
  return [...staying, ...arriving, ...on.nominated.filter(respects)];
}

function takesPort({ constraints }: Pod, ports: readonly HostPort[]): boolean {
  return constraints !== null && portsConflict(ports, constraints.hostPorts);
}
