import type { PreemptCandidate, PreemptVerdict } from '../../engine/callbacks.ts';

/**
 * Answer to `preempt`: `ExtenderPreemptionResult`, always with UIDs, whatever `nodeCacheCapable` says; `{}` where there
 * is nothing to answer.
 *
 * The last guard before the wire: a null in here makes kube-scheduler panic and exit, and an empty victim list fails
 * the whole call (both tried, test/fixtures/wire/README.md). So a candidate that is not whole is left out, whoever made it.
 */
export function preemptionResult(verdict: PreemptVerdict): string {
  const entries = verdict.candidates.flatMap(entryOf);
  return entries.length === 0 ? '{}' : JSON.stringify({ NodeNameToMetaVictims: Object.fromEntries(entries) });
}

function entryOf(candidate: PreemptCandidate): [string, object][] {
  const { node, victims, numPdbViolations } = (candidate ?? {}) as Partial<PreemptCandidate>;
  if (!isText(node) || !Array.isArray(victims)) return [];
  const uids = new Set((victims as readonly unknown[]).filter(isText));
  // A list that lost a member would evict too little: kube-scheduler would preempt again for the rest, unasked.
  if (uids.size === 0 || uids.size !== new Set(victims).size) return [];
  const isCount = Number.isSafeInteger(numPdbViolations) && (numPdbViolations as number) >= 0;
  return [[node, { Pods: [...uids].map((UID) => ({ UID })), NumPDBViolations: isCount ? numPdbViolations : 0 }]];
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}
