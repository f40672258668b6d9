/**
 * What the index must show before anything is written for a displacement. A ticket proves nothing by standing there: it may have been
 * edited, restored from a damaged backup, or written by somebody who may write in one namespace and names pods of another one.
 *
 * So a displacement that is known from tickets alone does to a pod what kube-scheduler itself could do for the pending pod, and no more:
 *
 * - every pod has the namespace and the name that the record gives its UID (here); it stands on the node (`victim-state.ts`);
 * - the beneficiary is pending, free to preempt, and more important than each pod by the index (`causes/preemption.ts`);
 * - its place among displacements is that of the priority in the index (`causes/causes.ts`);
 * - no pod waits for it longer than its victims take to be saved at the worst (here).
 */
import { LONGEST_DELAY_MS, LONGEST_SAVE_MS, type Displacement } from '../../domain/displacement.ts';
import { longestHoldMs } from '../../domain/thaw-rule.ts';
import type { Ending } from '../causes/cause-rules.ts';
import type { World } from '../core/steps.ts';

/** Why what is recorded of the displacement cannot be true: the pods that it would have us evict are not evicted. Null: it may be. */
export function whyContradicted({ view, book, nowMs }: World, displacement: Displacement): Ending | null {
  const conflict = (message: string): Ending => ({ because: 'RecordsConflict', message });
  const { id, decidedMs, pods } = displacement;
  if (decidedMs > nowMs + LONGEST_CLOCK_ERROR_MS) return conflict('it was decided in the future');
  let saveMs = 0;
  for (const victim of pods) {
    const pod = view.pod(victim.uid);
    if (pod !== undefined && (pod.namespace !== victim.namespace || pod.name !== victim.name))
      return conflict(`the pod ${victim.uid} is not ${victim.namespace}/${victim.name}`);
    if (victim.plan === 'Save' && pod !== undefined) saveMs += longestHoldMs(pod, null);
    const ticket = view.ticketOfVictim(victim);
    if (ticket?.displacement.id !== id) continue;
    const flaw = ticket.flaw ?? (ticket.checkpoint === victim.checkpoint ? null : 'it names another checkpoint');
    if (flaw !== null) return conflict(`ticket ${ticket.name}: ${flaw}`);
  }
  const longestMs = Math.min(saveMs, LONGEST_SAVE_MS) + LONGEST_DELAY_MS;
  return book.isRecorded(id) && displacement.deadlineMs > decidedMs + longestMs
    ? conflict('its deadline is out of bounds')
    : null;
}

/** How far the clocks of two replicas may be apart, so that what one wrote lies ahead of the other. */
const LONGEST_CLOCK_ERROR_MS = 3_600_000;
