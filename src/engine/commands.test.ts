import { expect, it } from 'vitest';
import { makeDecision, makePod, makeTicket } from '../../test/support/builders.ts';
import type { PlannedVictim } from '../domain/ticket.ts';
import { commandKey } from './commands.ts';

const ticket = makeTicket();

it('lets one pod be claimed for by one ticket at a time', () => {
  const pod = makePod({ name: 'new' });
  const other = makeTicket({ name: 'other' });
  expect(commandKey({ kind: 'Claim', ticket, pod })).toBe(commandKey({ kind: 'Claim', ticket: other, pod }));
});

it('does not delete a ticket while its victim is being evicted', () => {
  const decision = makeDecision();
  const [victim] = decision.victims as [PlannedVictim];
  const order = { victim, frozenBy: null, thawAtMs: null, preemptor: decision.preemptor };
  expect(commandKey({ kind: 'DeleteTicket', ticket, because: '', whileStands: null })).toBe(
    commandKey({ kind: 'Evict', order, victim, decision, unsaved: null }),
  );
});
