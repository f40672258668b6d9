import { expect, it } from 'vitest';
import { makeDisplacement, makePod, makeTicket } from '../../../test/support/builders.ts';
import type { DisplacedPod } from '../../domain/displacement.ts';
import { commandKey } from './commands.ts';

const ticket = makeTicket();

it('lets one pod be claimed for by one ticket at a time', () => {
  const pod = makePod({ name: 'new' });
  const other = makeTicket({ name: 'other' });
  expect(commandKey({ kind: 'Claim', ticket, pod })).toBe(commandKey({ kind: 'Claim', ticket: other, pod }));
});

it('does not delete a ticket while its victim is being evicted', () => {
  const displacement = makeDisplacement();
  const [victim] = displacement.pods as [DisplacedPod];
  const order = {
    victim,
    frozenBy: null,
    thawAtMs: null,
    disruption: { reason: 'PreemptionByScheduler', message: 'preempted' } as const,
  };
  expect(commandKey({ kind: 'DeleteTicket', ticket, because: '', whileStands: null })).toBe(
    commandKey({ kind: 'Evict', order, victim, displacement, unsaved: null }),
  );
});
