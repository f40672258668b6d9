import type { Pod } from '../../domain/pod.ts';
import type { Ticket } from '../../domain/ticket.ts';
import type { Steps } from '../core/steps.ts';
import { replacePod } from './outcomes.ts';

/**
 * The claiming pod ended, or is being deleted, and its node never reported that it was restored. Only such a report shows that
 * the state was continued, so a pod that others ended gives the ticket back: a drained or tainted node, a preemption, a kubelet
 * that shut down or refused the pod. The state waits for the next pod. A bare pod whose deletion carries no `DisruptionTarget`
 * was deleted by its user: its ticket is abandoned when the object is gone.
 */
export function stepEnded(ticket: Ticket, pod: Pod, steps: Steps): void {
  const isGoing = pod.deletionMs !== null;
  const endedByOthers = pod.phase !== 'Succeeded' && (pod.disrupted || pod.neverStarted);
  if (endedByOthers || (isGoing && ticket.owner !== null)) {
    if (isGoing || ticket.owner !== null) {
      steps.do({ kind: 'Claim', ticket, pod: null });
      return;
    }
    replacePod(ticket, pod, 'Disrupted', `pod ${pod.name} ended before it was restored: it is made again`, steps);
  } else if (!isGoing)
    steps.move(ticket, 'ColdStarted', 'EndedUnreported', 'the pod ended, and its node never said that it was restored');
}

/** The pod was to continue the ticket, and ended before it was restored: its successor comes when the object is gone. */
export function endsUnrestored({ name }: Ticket, { ticket, restored, deletionMs, phase }: Pod): boolean {
  return ticket === name && restored === null && (deletionMs !== null || phase === 'Failed');
}

/** The pod was to continue the ticket, and started cold. It stands in the way where a person has the state tried again. */
export function startedCold({ name }: Ticket, { ticket, restored }: Pod): boolean {
  return ticket === name && restored?.succeeded === false;
}
