import type { PodKey } from '../../domain/ids.ts';
import { interruptionsOf, type Ticket } from '../../domain/ticket.ts';
import type { ClusterView } from '../../index/types.ts';

export const HOUR_MS = 3_600_000;
/** Of one piece of work within an hour; more are counted as so many. */
const MOST_COUNTED = 64;

/**
 * When the work of a ticket was displaced since `sinceMs`, latest first. Each displacement has left a ticket, which names the pod that
 * continued it, and that pod is the one that the next ticket displaced; tickets are kept for `ticketRetention` after they ended. A pod that
 * was displaced while it was restored left no ticket of its own. Nothing says when that was, but it was before its ticket entered its phase.
 */
export function recentDisplacements(view: ClusterView, ticket: Ticket, sinceMs: number): readonly number[] {
  const times: number[] = [];
  let last: Ticket | undefined = ticket;
  while (last !== undefined && last.phaseMs > sinceMs && times.length < MOST_COUNTED) {
    for (let count = interruptionsOf(last); count > 0; count--) times.push(last.phaseMs);
    const { namespace, pod, creationMs }: Ticket = last;
    if (creationMs <= sinceMs) break;
    times.push(creationMs);
    last = view
      .ticketsOfClaimant({ namespace, uid: pod.uid })
      .find((before) => before.creationMs <= creationMs && before !== last);
  }
  return times;
}

/** How often the work in a pod was displaced since `sinceMs`. */
export function displacementsOf(view: ClusterView, pod: PodKey, sinceMs: number): number {
  const [continued] = view.ticketsOfClaimant(pod);
  return continued === undefined ? 0 : recentDisplacements(view, continued, sinceMs).length;
}
