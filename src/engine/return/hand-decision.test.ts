import { describe, expect, it } from 'vitest';
import { makeCheckpoint, makeNode, makePod, makeTicket } from '../../../test/support/builders.ts';
import { TestWorld, uidOf } from '../../../test/support/world.ts';
import { RESTORE_GATE } from '../../domain/labels.ts';
import type { NodeName } from '../../domain/ids.ts';
import type { Ticket } from '../../domain/ticket.ts';

const owner = { apiVersion: 'batch/v1', kind: 'Job', name: 'train', uid: 'uid-train' };
const checkpoint = makeCheckpoint({
  name: makeTicket().checkpoint,
  ready: true,
  location: { node: 'n1' as NodeName, reference: 'x' },
});
const claim = { name: 'new', uid: uidOf('new') };
const decided = (decide: string, overrides: Partial<Ticket> = {}): Ticket =>
  makeTicket({ owner, phase: 'Held', phaseMs: 9_000, claim, decide, ...overrides });
const waiting = makePod({ name: 'new', owner, gates: [RESTORE_GATE], toldHeld: true, ticket: 'pod-uid-pod' });

function world(ticket: Ticket): TestWorld {
  return new TestWorld().put('node', makeNode()).put('checkpoint', checkpoint).put('ticket', ticket);
}

describe('reprieve.dev/decide', () => {
  it('retry puts a held ticket back into the queue, on any node, and is removed', () => {
    const w = world(decided('retry')).put('pod', waiting);
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Waiting Queued']);
    expect(w.steps().commands).toMatchObject([{ afresh: true }]);
    w.put('ticket', decided('retry', { phase: 'Waiting' }));
    expect(w.commands()).toEqual(['ClearDecision pod-uid-pod taken', 'Ungate new Admitted']);
  });

  it('retry waits for the next pod of that name while the one that started cold stands', () => {
    const set = { ...owner, kind: 'StatefulSet' };
    const cold = makePod({
      name: 'pod',
      uid: 'uid-anew',
      owner: set,
      nodeName: 'n1',
      phase: 'Running',
      ticket: 'pod-uid-pod',
      restored: { succeeded: false, reason: 'Incompatible', message: 'another class' },
    });
    const w = world(decided('retry', { owner: set, phase: 'Waiting', claim: null })).put('pod', cold);
    expect(w.commands()).toEqual(['ClearDecision pod-uid-pod taken']);
    w.put('ticket', decided('retry', { owner: set, phase: 'Waiting', claim: null, decide: null }));
    expect(w.commands()).toEqual([]);
    const gates = [RESTORE_GATE];
    const next = makePod({ name: 'pod', uid: 'uid-next', owner: set, gates, restoreShape: makeTicket().restoreShape });
    w.remove('pod', cold).put('pod', next);
    expect(w.commands()).toEqual(['Claim pod-uid-pod pod']);
  });

  it.each([
    ['cold', 'ColdStarted'],
    ['abandon', 'Abandoned'],
  ])('%s ends a held and a waiting ticket', (decide, phase) => {
    for (const from of ['Held', 'Waiting'] as const) {
      const w = world(decided(decide, { phase: from })).put('pod', waiting);
      expect(w.commands()).toContain(`SetTicketPhase pod-uid-pod ${phase} DecidedByHand`);
      w.put('ticket', decided(decide, { phase: phase as 'ColdStarted', phaseMs: 10_000 }));
      expect(w.commands()).toEqual(['Ungate new TicketEnded', 'ClearDecision pod-uid-pod taken']);
    }
  });

  it('cold creates a bare pod again before it ends its ticket', () => {
    const w = world(decided('cold', { owner: null, claim: null }));
    expect(w.commands()).toEqual(['RecreatePod pod-uid-pod']);
  });

  it.each(['ColdStarted', 'Abandoned'] as const)('retry puts a %s ticket back whose checkpoint is kept', (phase) => {
    const ended = decided('retry', { phase });
    expect(world(ended).commands()).toEqual(['SetTicketPhase pod-uid-pod Waiting Queued']);
  });

  const refusals: Record<string, { ticket: Ticket; world?: (w: TestWorld) => TestWorld; why: string }> = {
    'an unknown word': { ticket: decided('yes'), why: '"yes" is no decision; allowed: retry, cold, abandon' },
    'a word in the wrong phase': {
      ticket: decided('cold', { phase: 'Restoring' }),
      why: 'cold is not possible: the ticket is Restoring; it must be Held or Waiting',
    },
    'a retry without a checkpoint': {
      ticket: decided('retry', { phase: 'Abandoned' }),
      world: (w) => w.remove('checkpoint', checkpoint),
      why: 'retry is not possible: its checkpoint is gone',
    },
    'a retry beside the displaced pod': {
      ticket: decided('retry', { phase: 'Abandoned' }),
      world: (w) => w.put('pod', makePod({ name: 'pod', nodeName: 'n1', deletionMs: 9_000 })),
      why: 'retry is not possible: the displaced pod still exists',
    },
    'a retry beside a pod that continues it': {
      ticket: decided('retry', { phase: 'ColdStarted' }),
      world: (w) =>
        w.put(
          'pod',
          makePod({
            name: 'new',
            owner,
            nodeName: 'n1',
            restored: { succeeded: true, reason: 'Restored', message: '' },
          }),
        ),
      why: 'retry is not possible: pod new continues it',
    },
  };
  for (const [sentence, { ticket, world: change = (w: TestWorld) => w, why }] of Object.entries(refusals)) {
    it(`refuses ${sentence}, says what is allowed, and removes it`, () => {
      expect(change(world(ticket)).commands()).toContain(`ClearDecision pod-uid-pod ${why}`);
    });
  }
});
