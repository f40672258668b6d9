import type { FilterRequest, PrioritizeVerdict } from '../../engine/callbacks.ts';

/** `MaxExtenderPriority` of k8s.io/kube-scheduler. kube-scheduler does not check it, so that a larger score would outweigh all of its own. */
const MAX_SCORE = 10;

/** Answer to `prioritize`: `HostPriorityList`, one entry for each node of the request. */
export function hostPriorityList(request: FilterRequest, { scores }: PrioritizeVerdict): string {
  return JSON.stringify(request.nodeNames.map((Host) => ({ Host, Score: scoreOf(scores.get(Host)) })));
}

function scoreOf(score: number | undefined): number {
  return score === undefined || Number.isNaN(score) ? 0 : Math.min(MAX_SCORE, Math.max(0, Math.round(score)));
}
