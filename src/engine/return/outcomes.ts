/** What several steps come to with a ticket. */
import type { TicketReason } from '../../domain/condition-reasons.ts';
import type { Pod } from '../../domain/pod.ts';
import type { ReplacedBecause, Ticket } from '../../domain/ticket.ts';
import type { Steps, World } from '../core/steps.ts';

export const WAITS_FOR_CAPACITY = 'waits for capacity on a compatible node';
export const HELD_UNTIL = 'held until reprieve.dev/decide says retry, cold or abandon';

export function continuesIn({ name, nodeName }: Pod): string {
  return `continues in ${name} on ${nodeName ?? 'a node'}`;
}

/** No node can restore it: the pod starts cold, or waits for a person where the policy says `onFailure: Hold`. */
export function startColdOrHold(ticket: Ticket, reason: TicketReason, what: string, steps: Steps): void {
  if (ticket.restore.onFailure === 'Hold') steps.move(ticket, 'Held', 'Held', `${what}: ${HELD_UNTIL}`);
  else steps.move(ticket, 'ColdStarted', reason, what);
}

/** `pod` came in the place of the displaced one and cannot continue it: the ticket ends with that pod, which starts cold. */
export function endWith(ticket: Ticket, pod: Pod, reason: TicketReason, message: string, steps: Steps): void {
  const claim = { namespace: pod.namespace, name: pod.name, uid: pod.uid };
  steps.do({ kind: 'SetTicketPhase', ticket, phase: 'ColdStarted', reason, message, claim });
}

/** `pod` makes way: `endFailedPods` deletes it, and another pod continues the ticket. The pod is asked for once more before that. */
export function replacePod(ticket: Ticket, pod: Pod, reason: ReplacedBecause, message: string, steps: Steps): void {
  const replaced = { pod: pod.uid, reason };
  steps.do({ kind: 'SetTicketPhase', ticket, phase: 'Waiting', reason, message, replaced, whileAt: pod });
}

/** The record stays for people to read; with it, unless the ticket is Restored, its state (`retention.ts`). */
export function stepFinal(world: World, ticket: Ticket, steps: Steps): void {
  const forgetAtMs = ticket.phaseMs + world.settings.ticketRetentionMs;
  if (world.nowMs < forgetAtMs) steps.lookAgainAt(forgetAtMs);
  else steps.do({ kind: 'DeleteTicket', ticket, because: 'kept long enough', whileStands: null });
}
