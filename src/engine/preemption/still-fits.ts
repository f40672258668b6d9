import type { PodUid } from '../../domain/ids.ts';
import { whyExcluded } from '../../domain/node-fit.ts';
import type { Pod } from '../../domain/pod.ts';
import { shortResource } from '../../domain/resources.ts';
import { freeAfter } from '../../index/node-capacity.ts';
import { selectsNode } from '../../domain/node-selector.ts';
import type { Node } from '../../domain/node.ts';
import type { ClusterView, NodeSnapshot } from '../../index/types.ts';
import { countedRequests } from '../fit/counted-requests.ts';
import { FIT_OBSTACLES, podFitOf } from '../fit/pod-fit.ts';

/**
 * Why a preemptor will not fit a node when the pods in `leaving` are gone, as the end of a sentence about the node; null when it
 * will. The last look before the first eviction: what kube-scheduler saw when it asked may have changed while victims were saved.
 *
 * kube-scheduler offered the node, so a resource that the node does not list is one that kube-scheduler does not count.
 */
export function whyNoLongerFits(
  view: ClusterView,
  preemptor: Pod,
  on: NodeSnapshot,
  leaving: ReadonlySet<PodUid>,
): string | null {
  const excluded = whyExcluded(on.node, preemptor);
  if (excluded !== null) return excluded;
  const { gone, respects } = afterwards(preemptor, on, leaving);
  const room = freeAfter(on, ({ uid }) => gone.has(uid), respects);
  const short = shortResource(countedRequests(view, preemptor), room, on.node.allocatable);
  if (short !== null) return `has not enough ${short} for it, even without its victims`;
  if (preemptor.nodeName !== null) return null; // it stands there already
  // Its devices kube-scheduler has looked at.
  const pod = preemptor.constraints?.hasResourceClaims === true ? withoutClaims(preemptor) : preemptor;
  const mayTake = (node: Node): boolean => pod.nodeSelector === null || selectsNode(pod.nodeSelector, node);
  const obstacle = podFitOf({ view, pod, mayTake, leaving: gone, respects })?.(on) ?? null;
  return obstacle === null ? null : `does not take it even without its victims: ${FIT_OBSTACLES[obstacle]}`;
}

/**
 * Who will be gone from the node, and which nominated pods count, for resources and for everything else. Gone are the victims, and pods
 * that are being deleted already. Only a more important pod that is nominated here counts: pods of one priority are nominated to the
 * same node when they are woken, and kube-scheduler takes that back as it tries the next one.
 */
function afterwards(
  preemptor: Pod,
  on: NodeSnapshot,
  leaving: ReadonlySet<PodUid>,
): { readonly gone: ReadonlySet<PodUid>; readonly respects: (nominated: Pod) => boolean } {
  const gone = new Set([...leaving, preemptor.uid]); // a preemptor that stands here wants to grow: what it has is its own
  for (const { uid, deletionMs } of on.pods) if (deletionMs !== null) gone.add(uid);
  return { gone, respects: ({ priority }) => priority > preemptor.priority };
}

function withoutClaims(pod: Pod): Pod {
  return pod.constraints === null ? pod : { ...pod, constraints: { ...pod.constraints, hasResourceClaims: false } };
}
