import type { TicketReason } from '../domain/condition-reasons.ts';
import { isFinal, type Ticket, type TicketPhase } from '../domain/ticket.ts';
import type { Condition } from './crd/schema.ts';
import { timestampOf } from './project/time.ts';

/**
 * The condition `Restored` of a ticket that enters `phase`: True once the work continues, False once it is certain that
 * it will not, Unknown until then. It changes its status at the end, so before that it dates from the creation; and once more where a person puts an ended ticket back.
 */
export function restoredCondition(
  ticket: Ticket,
  phase: TicketPhase,
  reason: TicketReason,
  message: string,
  nowMs: number,
): Condition {
  const status = phase === 'Restored' ? 'True' : isFinal(phase) ? 'False' : 'Unknown';
  return {
    type: 'Restored',
    status,
    observedGeneration: 1, // a ticket's spec never changes
    reason,
    message: message.slice(0, 32_768),
    lastTransitionTime: timestampOf(isFinal(phase) || isFinal(ticket.phase) ? nowMs : ticket.creationMs),
  };
}
