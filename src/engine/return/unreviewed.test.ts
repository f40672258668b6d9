import { describe, expect, it } from 'vitest';
import { makeCheckpoint, makeNode, makePod, makeTicket } from '../../../test/support/builders.ts';
import { TestWorld } from '../../../test/support/world.ts';
import { RESTORE_GATE, RUNTIME_CLASS } from '../../domain/labels.ts';

const SECOND = 1_000;
const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'uid-web' };
const gated = { owner, gates: [RESTORE_GATE], runtimeClassName: RUNTIME_CLASS, restoreShape: 'shape' };

/** A ticket of second 10 that waits for its replacement since second 12; now it is second 60. */
function world(more: Parameters<typeof makeTicket>[0] = {}): TestWorld {
  const world = new TestWorld();
  world.nowMs = 60 * SECOND;
  const checkpoint = makeCheckpoint({ name: 'pod-uid-pod-d1', ready: true });
  const ticket = makeTicket({ owner, creationMs: 10 * SECOND, phaseMs: 12 * SECOND, ...more });
  return world.put('node', makeNode()).put('checkpoint', checkpoint).put('ticket', ticket);
}

const NOT_GATED = 'SetTicketPhase pod-uid-pod ColdStarted NotGated';
const CLAIMED = 'Claim pod-uid-pod later';

describe('a replacement that the webhook did not review', () => {
  it('ends the ticket of its predecessor: the controller lacks nothing', () => {
    const replaced = world().put('pod', makePod({ name: 'replacement', owner, nodeName: 'n1', creationMs: 12_000 }));
    expect(replaced.commands()).toContain(NOT_GATED);
  });

  it('ends the ticket also where ticket, eviction and replacement are of one second', () => {
    const replacement = makePod({ name: 'replacement', owner, nodeName: 'n1', creationMs: 10_000 });
    expect(world({ evictedMs: 10_000 }).put('pod', replacement).commands()).toContain(NOT_GATED);
  });

  it('ends the ticket also while another pod of its controller waits behind the gate with a ticket of its own', () => {
    const replaced = world().put('pod', makePod({ name: 'replacement', owner, nodeName: 'n1', creationMs: 12_000 }));
    const other = makePod({ name: 'other', ...gated, creationMs: 11_000 });
    replaced.put('pod', other);
    replaced.put('ticket', makeTicket({ name: 'b', owner, creationMs: 9_000, phaseMs: 9_000, claim: other }));
    expect(replaced.commands()).toContain(NOT_GATED);
  });

  it('is observed for ten seconds first', () => {
    const replaced = world().put('pod', makePod({ name: 'replacement', owner, nodeName: 'n1', creationMs: 55_000 }));
    expect(replaced.commands()).not.toContain(NOT_GATED);
    expect(replaced.steps().wakeAtMs).toBeLessThanOrEqual(65_000);
  });

  it('leaves nothing to a pod that is created later, in place of another one', () => {
    const replaced = world().put('pod', makePod({ name: 'replacement', owner, nodeName: 'n1', creationMs: 12_000 }));
    replaced.put('pod', makePod({ name: 'later', ...gated, creationMs: 58_000 }));
    expect(replaced.commands()).toContain('Ungate later NoMatchingTicket');
    expect(replaced.commands()).not.toContain(CLAIMED);
  });

  it('takes one ticket only: the next replacement continues the other', () => {
    const two = world().put('ticket', makeTicket({ name: 'b', owner, creationMs: 11_000, phaseMs: 12_000 }));
    two.put('pod', makePod({ name: 'replacement', owner, nodeName: 'n1', creationMs: 12_000 }));
    two.put('pod', makePod({ name: 'later', ...gated, creationMs: 58_000 }));
    expect(two.commands()).toContain('Claim b later');
  });
});

describe('a ticket that was ended so', () => {
  const ended = { phase: 'ColdStarted', phaseMs: 30_000, said: { reason: 'NotGated', message: '' } } as const;

  it('keeps its replacement: no other ticket ends because of it', () => {
    const other = world(ended).put('ticket', makeTicket({ name: 'b', owner, creationMs: 11_000, phaseMs: 12_000 }));
    other.put('pod', makePod({ name: 'replacement', owner, nodeName: 'n1', creationMs: 12_000 }));
    expect(other.commands()).not.toContain('SetTicketPhase b ColdStarted NotGated');
    other.put('pod', makePod({ name: 'later', ...gated, creationMs: 58_000 }));
    expect(other.commands()).toContain('Claim b later');
  });

  it('takes none that was created later', () => {
    const other = world(ended).put('ticket', makeTicket({ name: 'b', owner, creationMs: 31_000, phaseMs: 32_000 }));
    other.put('pod', makePod({ name: 'replacement', owner, nodeName: 'n1', creationMs: 33_000 }));
    expect(other.commands()).toContain('SetTicketPhase b ColdStarted NotGated');
  });
});

describe('a ticket waits on for its replacement', () => {
  it.each([
    ['while all others are older than it', makePod({ name: 'sibling', owner, nodeName: 'n1', creationMs: 10_000 })],
    ['while another one failed', makePod({ name: 'failed', owner, phase: 'Failed', creationMs: 12_000 })],
    ['beside one that was reviewed and let go', makePod({ name: 'cold', ...gated, gates: [], creationMs: 12_000 })],
    ['beside one of another controller', makePod({ name: 'other', creationMs: 12_000, owner: { ...owner, uid: 'x' } })],
  ])('%s', (_, pod) => {
    const waiting = world().put('pod', pod);
    expect(waiting.commands()).not.toContain(NOT_GATED);
    waiting.put('pod', makePod({ name: 'later', ...gated, creationMs: 58_000 }));
    expect(waiting.commands()).toContain(CLAIMED);
  });

  it('beside those that were created while it was claimed', () => {
    const freed = world().put('pod', makePod({ name: 'scaled-up', owner, nodeName: 'n1', creationMs: 20_000 }));
    freed.freed.set('uid-pod-uid-pod', 50_000);
    expect(freed.commands()).not.toContain(NOT_GATED);
    freed.put('pod', makePod({ name: 'later', ...gated, creationMs: 58_000 }));
    expect(freed.commands()).toContain(CLAIMED);
  });
});
