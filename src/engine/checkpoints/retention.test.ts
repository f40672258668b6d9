import { describe, expect, it } from 'vitest';
import {
  makeCheckpoint,
  makeDisplacement,
  makeNode,
  makePod,
  makePolicy,
  makeTicket,
  makeVictim,
} from '../../../test/support/builders.ts';
import { TestWorld } from '../../../test/support/world.ts';
import type { Checkpoint } from '../../domain/checkpoint.ts';
import type { Ticket, TicketPhase } from '../../domain/ticket.ts';

const RETENTION_MS = 3_600_000;
const TTL_MS = 86_400_000;
const ENDED_MS = 9_000;
const owner = { apiVersion: 'batch/v1', kind: 'Job', name: 'train', uid: 'uid-train' };
const saved = makeCheckpoint({ name: makeTicket().checkpoint, ready: true, takenMs: 1_000 });
const manual: Checkpoint = { ...saved, owner: null, keepFrozen: false };
const failure = { reason: 'DumpFailed', message: 'criu said no', atMs: 2_000 };
const DELETED = `DeleteCheckpoint ${saved.name}`;

const ticketIn = (phase: TicketPhase, overrides: Partial<Ticket> = {}): Ticket =>
  makeTicket({ owner, phase, phaseMs: ENDED_MS, ...overrides });
const world = (...checkpoints: readonly Checkpoint[]): TestWorld =>
  new TestWorld().put('node', makeNode()).put('checkpoint', ...checkpoints);
const deletes = (w: TestWorld): readonly string[] =>
  w.commands().filter((command) => command.startsWith('DeleteCheckpoint'));

/** When the checkpoint goes by itself: the world is looked at whenever it asks for that. Infinity: it is kept. */
function keptUntil(w: TestWorld): number {
  for (let looks = 0; looks < 10; looks++) {
    if (deletes(w).length > 0) return w.nowMs;
    const { wakeAtMs } = w.steps();
    if (wakeAtMs === Infinity) return Infinity;
    w.nowMs = wakeAtMs;
  }
  return Infinity;
}

describe('a checkpoint that was made for a ticket', () => {
  const ends: Record<string, { ticket: Ticket; checkpoint?: Checkpoint; until: number }> = {
    'goes at once when the ticket is Restored': { ticket: ticketIn('Restored'), until: 10_000 },
    'stays as long as a ticket that started cold': { ticket: ticketIn('ColdStarted'), until: ENDED_MS + RETENTION_MS },
    'stays as long as an abandoned ticket': { ticket: ticketIn('Abandoned'), until: ENDED_MS + RETENTION_MS },
    'stays with its ticket when it failed, to be read': {
      ticket: ticketIn('Abandoned'),
      checkpoint: { ...saved, ready: false, failure },
      until: ENDED_MS + RETENTION_MS,
    },
    'goes at once when its pod was thawed, as the state is old': {
      ticket: ticketIn('Abandoned'),
      checkpoint: { ...saved, thawed: true },
      until: 10_000,
    },
  };
  for (const [sentence, { ticket, checkpoint = saved, until }] of Object.entries(ends)) {
    it(sentence, () => expect(keptUntil(world(checkpoint).put('ticket', ticket))).toBe(until));
  }

  for (const phase of ['Saving', 'Displacing', 'Waiting', 'Admitted', 'Restoring'] as const) {
    it(`stays while the ticket is ${phase}`, () => {
      const w = world(saved).put('ticket', ticketIn(phase));
      w.nowMs = 1e12;
      expect(deletes(w)).toEqual([]);
    });
  }

  it('stays for the open one of two tickets', () => {
    const forged = ticketIn('Restored', { name: 'forged', creationMs: 5_000 });
    const w = world(saved).put('ticket', ticketIn('Waiting'), forged);
    expect(deletes(w)).toEqual([]);
    expect(deletes(w.remove('ticket', ticketIn('Waiting')))).toEqual([DELETED]);
  });

  it('is there again for a ticket that was put back into the queue', () => {
    const w = world(saved).put('ticket', ticketIn('ColdStarted'));
    w.nowMs = ENDED_MS + RETENTION_MS - 1;
    expect(deletes(w)).toEqual([]);
    w.put('ticket', ticketIn('Waiting'));
    w.nowMs += 1;
    expect(deletes(w)).toEqual([]);
  });

  it('goes before the record of its ticket does', () => {
    const w = world(saved).put('ticket', ticketIn('ColdStarted'));
    w.nowMs = ENDED_MS + RETENTION_MS;
    expect(w.commands()).toEqual([DELETED, 'DeleteTicket pod-uid-pod']);
  });

  it('goes when its ticket is gone: no garbage collector removes it', () => {
    expect(keptUntil(world(saved))).toBe(10_000);
  });

  it('is kept when it failed and its ticket is gone, long enough to be read', () => {
    expect(keptUntil(world({ ...saved, ready: false, failure }))).toBe(failure.atMs + RETENTION_MS);
  });

  it('is kept when it failed and its displacement is off: only the ticket goes', () => {
    const w = world({ ...saved, ready: false, failure })
      .put('pod', makePod({ name: 'pod', nodeName: 'n1' }))
      .put('ticket', ticketIn('Saving'));
    w.book.close(makeDisplacement());
    expect(w.commands()).toEqual(['DeleteTicket pod-uid-pod']);
  });
});

describe('a checkpoint that is released', () => {
  const held = { ...saved, frozen: true, deadlineMs: 500_000 };
  const asked = { ...held, release: 'the preemption is off' };
  const thawed = { ...asked, frozen: false, thawed: true, released: true };
  const killed = { ...asked, frozen: false, released: true };
  const pod = makePod({ name: 'pod', nodeName: 'n1' });

  it('is released before it is deleted, while its pod stands', () => {
    const w = world(held).put('pod', pod);
    expect(w.commands()).toEqual([`ReleaseCheckpoint ${saved.name}`]);
    expect(w.remove('pod', pod).commands()).toEqual([DELETED]);
  });

  it('stays until its agent says that the pod was thawed', () => {
    expect(keptUntil(world(asked).put('pod', pod))).toBe(560_000);
    expect(keptUntil(world(thawed).put('pod', pod))).toBe(10_000);
  });

  it('does not wait for an agent that is silent, or gone with its node', () => {
    const w = world(asked).put('pod', pod);
    expect(keptUntil(w.put('node', { ...makeNode(), agentSilent: true }))).toBe(10_000);
    expect(keptUntil(w.remove('node', makeNode()))).toBe(10_000);
  });

  it('of a pod that is being deleted stays with its ticket, also without a word of its agent: the pod may be killed frozen', () => {
    const silent = { ...makeNode(), agentSilent: true };
    const w = world(asked)
      .put('node', silent)
      .put('pod', makePod({ ...pod, deletionMs: 9_500 }))
      .put('ticket', ticketIn('Abandoned'));
    expect(keptUntil(w)).toBe(ENDED_MS + RETENTION_MS);
  });

  it('goes also while its ticket is open, where its pod was thawed or not saved', () => {
    expect(keptUntil(world(thawed).put('ticket', ticketIn('Saving')))).toBe(10_000);
    expect(keptUntil(world({ ...thawed, ready: false }).put('ticket', ticketIn('Saving')))).toBe(10_000);
  });

  it('stays with its ticket where the pod was killed before it could be thawed', () => {
    expect(deletes(world(killed).put('ticket', ticketIn('Waiting')))).toEqual([]);
    expect(keptUntil(world(killed).put('ticket', ticketIn('ColdStarted')))).toBe(ENDED_MS + RETENTION_MS);
  });

  it('of a user stays for its ttl where it was saved, and goes where it was not', () => {
    const policy = makePolicy();
    expect(keptUntil(world({ ...thawed, owner: null }).put('policy', policy))).toBe(1_000 + TTL_MS);
    const unsaved = { ...thawed, owner: null, ready: false, takenMs: null };
    expect(keptUntil(world(unsaved).put('policy', policy))).toBe(10_000);
  });
});

describe('a checkpoint that a user made', () => {
  const policy = makePolicy();
  const pod = makePod({ name: 'pod', nodeName: 'n1' });

  it('stays for the ttl of the policy of its pod', () => {
    expect(keptUntil(world(manual).put('policy', policy).put('pod', pod))).toBe(1_000 + TTL_MS);
    const short = makePolicy({ store: { ttlMs: 60_000 } });
    expect(keptUntil(world(manual).put('policy', short).put('pod', pod))).toBe(61_000);
  });

  it('stays for the longest ttl that can have been meant, when its pod is gone', () => {
    const policies = [60_000, 120_000].map((ttlMs) => makePolicy({ name: `p${ttlMs}`, store: { ttlMs } }));
    expect(keptUntil(world(manual).put('policy', ...policies))).toBe(121_000);
  });

  it('stays until its user deletes it, where no policy is about it', () => {
    expect(keptUntil(world(manual))).toBe(Infinity);
    const others = makePolicy({
      match: {
        ...policy.match,
        namespaceSelector: { requirements: [{ key: 'team', operator: 'Exists', values: [] }] },
      },
    });
    expect(keptUntil(world(manual).put('policy', others))).toBe(Infinity);
    expect(keptUntil(world(manual).put('policy', others).put('pod', pod))).toBe(Infinity);
  });

  it('stays for the ttl after it failed, and for ever while it is not done', () => {
    const undone = { ...manual, ready: false, takenMs: null };
    expect(keptUntil(world({ ...undone, failure }).put('policy', policy))).toBe(failure.atMs + TTL_MS);
    expect(keptUntil(world(undone).put('policy', policy))).toBe(Infinity);
  });

  it('is not deleted for holding its pod frozen: it has a deadline', () => {
    expect(
      deletes(
        world({ ...manual, keepFrozen: true, frozen: true })
          .put('policy', policy)
          .put('pod', pod),
      ),
    ).toEqual([]);
  });

  const reuse = makeDisplacement({ pods: [makeVictim({ plan: 'Reuse' })] });
  for (const phase of ['Restored', 'ColdStarted', 'Abandoned'] as const) {
    it(`outlives a ticket that reused it and is ${phase}`, () => {
      const w = world(manual)
        .put('policy', policy)
        .put('ticket', ticketIn(phase, { displacement: reuse }));
      expect(keptUntil(w)).toBe(1_000 + TTL_MS);
    });
  }

  it('outlives its ttl while a ticket names it, and as long as one that started cold', () => {
    const short = makePolicy({ store: { ttlMs: 60_000 } });
    const w = world(manual)
      .put('policy', short)
      .put('ticket', ticketIn('Waiting', { displacement: reuse }));
    w.nowMs = 1e9;
    expect(deletes(w)).toEqual([]);
    const ended = world(manual)
      .put('policy', short)
      .put('ticket', ticketIn('ColdStarted', { displacement: reuse }));
    expect(keptUntil(ended)).toBe(ENDED_MS + RETENTION_MS);
  });

  it('stays when the displacement that was to reuse it is off', () => {
    const w = world(manual)
      .put('policy', policy)
      .put('pod', pod)
      .put('ticket', ticketIn('Saving', { displacement: reuse }));
    w.book.close(reuse);
    expect(w.commands()).toEqual(['DeleteTicket pod-uid-pod']);
  });
});
