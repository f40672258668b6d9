import type { FilterRequest, PrioritizeVerdict } from '../../engine/preemption/callbacks.ts';

/** `MaxExtenderPriority` of k8s.io/kube-scheduler. kube-scheduler does not check it, so that a larger score would outweigh all of its own. */
const MAX_SCORE = 10;

/**
 * Answer to `prioritize`: `HostPriorityList`. kube-scheduler adds what an entry says to its own score, so a node that would
 * get 0 has none: where nothing is preferred the answer is `[]`, whatever the number of nodes.
 */
export function hostPriorityList(request: FilterRequest, { scores }: PrioritizeVerdict): string {
  if (scores.size === 0) return '[]';
  const entries: { readonly Host: string; readonly Score: number }[] = [];
  for (const Host of request.nodeNames) {
    const Score = scoreOf(scores.get(Host));
    if (Score > 0) entries.push({ Host, Score });
  }
  return JSON.stringify(entries);
}

function scoreOf(score: number | undefined): number {
  return score === undefined || Number.isNaN(score) ? 0 : Math.min(MAX_SCORE, Math.max(0, Math.round(score)));
}
