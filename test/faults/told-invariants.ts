/** What Reprieve says about pods that it evicts, and what it may promise. */
import { ticketCreated, WELL_BEHIND_MS, type Invariant } from './evidence.ts';

export const TOLD_INVARIANTS = {
  'whoever goes unsaved is told': (truth, seen) => {
    if (seen.kind !== 'second') return null;
    const untold = truth.unsaved.untold(truth);
    return untold === null ? null : `${untold.name} was evicted unsaved ${untold.sinceMs} ms ago, and no Event says so`;
  },

  'nobody is saved who would not come back': (truth, seen) => {
    const ticket = ticketCreated(seen);
    if (ticket === null || ticket.by !== truth.holder || ticket.owner === null) return null;
    const unreachedMs = truth.unreachedForMs(ticket.by, ticket.displacement.id) ?? 0;
    if (unreachedMs < WELL_BEHIND_MS) return null;
    return `${ticket.pod.name} is to be saved, and the webhook had not been called for ${unreachedMs} ms when that was decided`;
  },
} as const satisfies Record<string, Invariant>;
