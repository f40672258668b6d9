import { describe, expect, it } from 'vitest';
import {
  makeCheckpoint,
  makeDisplacement,
  makeNode,
  makePod,
  makeTicket,
  makeVictim,
} from '../../../test/support/builders.ts';
import { TestWorld, uidOf } from '../../../test/support/world.ts';
import { RESTORE_GATE } from '../../domain/labels.ts';
import type { Displacement } from '../../domain/displacement.ts';
import type { Ticket } from '../../domain/ticket.ts';

const owner = { apiVersion: 'batch/v1', kind: 'Job', name: 'train', uid: 'uid-train' };
const nominated = makePod({ name: 'high', priority: 1000, nominatedNodeName: 'n1' });
const running = makePod({ name: 'pod', nodeName: 'n1', owner });
const checkpoint = makeCheckpoint({ name: makeTicket().checkpoint, ready: true, frozen: true, takenMs: 1 });
const claim = { name: 'new', uid: uidOf('new') };
const owned = (overrides: Partial<Ticket> = {}) => makeTicket({ owner, ...overrides });
/** The ticket of another pod. */
const other = (overrides: Partial<Ticket> = {}) =>
  owned({
    name: 'other',
    creationMs: 1,
    checkpoint: 'other-c',
    pod: { ...makeTicket().pod, name: 'o', uid: uidOf('o') },
    ...overrides,
  });
const gated = makePod({ name: 'new', owner, gates: [RESTORE_GATE], restoreShape: 'shape', creationMs: 9_000 });
const kinds = (world: TestWorld): string[] =>
  world.steps().contradictions.map(({ kind, object }) => `${kind} ${object.name}`);

function world(): TestWorld {
  return new TestWorld().put('node', makeNode()).put('checkpoint', checkpoint);
}

describe('a ticket whose displacement cannot be true', () => {
  const flawed = (overrides: Partial<Ticket> = {}) =>
    owned({ phase: 'Saving', flaw: 'two and two are five', ...overrides });
  const frozen = { ...running, frozenBy: checkpoint.name };

  it('is told of and undone, and its pod is not evicted', () => {
    const w = world().put('pod', nominated, frozen).put('ticket', flawed());
    expect(kinds(w)).toEqual(['ImpossibleDisplacement pod-uid-pod']);
    expect(w.book.size).toBe(0);
    expect(w.commands()).toEqual(['ReleaseCheckpoint pod-uid-pod-d1']);
    w.remove('checkpoint', checkpoint).put('pod', running);
    expect(w.commands()).toEqual(['DeleteTicket pod-uid-pod']);
  });

  it('ends the displacement that this process made itself', () => {
    const w = world().put('pod', nominated, frozen);
    w.book.open(makeDisplacement());
    w.put('ticket', owned({ phase: 'Saving' }));
    expect(w.commands()).toEqual(['Evict pod']);
    w.put('ticket', flawed());
    expect(w.commands()).toEqual([]);
    expect(w.steps().closed).toMatchObject([
      { because: 'RecordsConflict', message: 'ticket pod-uid-pod: two and two are five' },
    ]);
  });

  it('brings its pod back where that has been evicted: the state is what counts', () => {
    const w = world().put('ticket', flawed({ phase: 'Displacing' }));
    expect(kinds(w)).toEqual([]);
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Waiting Queued']);
  });
});

describe('two open displacements about one preemptor', () => {
  const victim = (name: string) => makeVictim({ uid: uidOf(name), name, checkpoint: `${name}-c` });
  const older: Displacement = { ...makeDisplacement(), id: 'older', decidedMs: 1_000, pods: [victim('a')] };
  const newer: Displacement = { ...makeDisplacement(), id: 'newer', decidedMs: 2_000, pods: [victim('b')] };
  const ticketOf = (name: string, displacement: Displacement) =>
    makeTicket({
      name,
      phase: 'Saving',
      displacement,
      checkpoint: `${name}-c`,
      pod: { ...makeTicket().pod, name, uid: uidOf(name) },
    });
  const both = [ticketOf('a', older), ticketOf('b', newer)] as const;

  for (const [sentence, tickets] of Object.entries({ 'older first': both, 'newer first': both.toReversed() })) {
    it(`lets the newer stand and undoes the other (${sentence})`, () => {
      const w = new TestWorld()
        .put('node', makeNode())
        .put('pod', nominated, makePod({ name: 'a', nodeName: 'n1' }), makePod({ name: 'b', nodeName: 'n1' }))
        .put('ticket', ...tickets);
      for (const name of ['a', 'b']) w.put('checkpoint', makeCheckpoint({ name: `${name}-c`, podUid: uidOf(name) }));
      expect(kinds(w)).toEqual(['TwoDisplacements a']);
      expect(w.commands()).toEqual(['ReleaseCheckpoint a-c']);
      expect(w.book.ofBeneficiary(nominated.uid)?.id).toBe('newer');
      // The other does not come back when the newer one ends.
      w.book.close(newer);
      w.steps();
      expect(w.book.size).toBe(0);
    });
  }

  it('is forgotten with the term: where another leader has undone the newer, the older is open again', () => {
    const w = new TestWorld()
      .put('node', makeNode())
      .put('pod', nominated, makePod({ name: 'a', nodeName: 'n1' }), makePod({ name: 'b', nodeName: 'n1' }))
      .put('checkpoint', makeCheckpoint({ name: 'a-c', podUid: uidOf('a') }))
      .put('ticket', ...both);
    expect(kinds(w)).toEqual(['TwoDisplacements a']);
    w.book.clear();
    w.remove('ticket', both[1]);
    expect(kinds(w)).toEqual([]);
    expect(w.book.ofBeneficiary(nominated.uid)?.id).toBe('older');
  });

  it('says nothing of one that had evicted its victim before the newer was made', () => {
    const w = new TestWorld()
      .put('node', makeNode())
      .put(
        'pod',
        nominated,
        makePod({ name: 'a', nodeName: 'n1', deletionMs: 1 }),
        makePod({ name: 'b', nodeName: 'n1' }),
      )
      .put('ticket', { ...both[0], phase: 'Displacing' }, both[1]);
    expect(kinds(w)).toEqual([]);
  });

  it('says nothing of one that is being undone already', () => {
    const w = new TestWorld()
      .put('node', makeNode())
      .put('pod', nominated, makePod({ name: 'a', nodeName: 'n1' }), makePod({ name: 'b', nodeName: 'n1' }))
      .put('checkpoint', makeCheckpoint({ name: 'a-c', podUid: uidOf('a'), deleting: true }))
      .put('ticket', ...both);
    expect(kinds(w)).toEqual([]);
  });

  it('says nothing of one whose checkpoint is gone: only its ticket is left to be removed', () => {
    const w = new TestWorld()
      .put('node', makeNode())
      .put('pod', nominated, makePod({ name: 'a', nodeName: 'n1' }), makePod({ name: 'b', nodeName: 'n1' }))
      .put('checkpoint', makeCheckpoint({ name: 'b-c', podUid: uidOf('b') }))
      .put('ticket', ...both);
    expect(kinds(w)).toEqual([]);
    expect(w.commands()).toEqual(['DeleteTicket a']);
  });
});

describe('two tickets that claim one pod', () => {
  it('leaves it to the older', () => {
    const w = world().put('pod', gated).put('ticket', owned({ claim }), other({ claim }));
    expect(kinds(w)).toEqual(['TwoClaims other']);
    expect(w.commands()).toEqual(['Claim other -', 'Ungate new Admitted']);
  });

  it('leaves it to the one that the pod names, which may be the younger', () => {
    const bound = makePod({ name: 'new', owner, nodeName: 'n1', ticket: 'other' });
    const w = world()
      .put('pod', bound)
      .put('ticket', owned({ claim, phase: 'Restoring' }), other({ claim, phase: 'Restoring', phaseMs: 9_000 }));
    expect(kinds(w)).toEqual(['OtherTicket pod-uid-pod']);
    expect(w.commands()).toEqual(['Claim pod-uid-pod -']);
  });

  it('does not mind what an ended ticket claims', () => {
    const ended = other({ creationMs: -1, claim, phase: 'Abandoned', phaseMs: 9_000 });
    expect(kinds(world().put('pod', gated).put('ticket', owned({ claim }), ended))).toEqual([]);
  });
});

describe('a ticket whose victim runs', () => {
  for (const phase of ['Displacing', 'Waiting', 'Admitted', 'Restoring', 'Abandoned'] as const) {
    it(`is withdrawn in phase ${phase}, its checkpoint first`, () => {
      const w = world()
        .put('pod', running)
        .put('ticket', owned({ phase, phaseMs: 9_000 }));
      w.book.close(makeDisplacement());
      expect(kinds(w)).toEqual(['VictimRuns pod-uid-pod']);
      expect(w.commands()).toEqual(['ReleaseCheckpoint pod-uid-pod-d1']);
      expect(w.steps().commands).toMatchObject([{ victim: { uid: running.uid } }]);
      w.remove('checkpoint', checkpoint);
      expect(w.commands()).toEqual(['DeleteTicket pod-uid-pod']);
      expect(w.steps().commands).toMatchObject([{ whileStands: { uid: running.uid } }]);
    });
  }

  it('leaves its claimant nothing to continue: it starts cold', () => {
    const w = world().put('pod', running, gated).put('ticket', owned({ claim })).remove('checkpoint', checkpoint);
    w.book.close(makeDisplacement());
    expect(w.commands()).toEqual(['DeleteTicket pod-uid-pod', 'Ungate new NoMatchingTicket']);
    // Not even by a node that does not come to undo the checkpoint is the pod kept waiting.
    w.put('checkpoint', { ...checkpoint, deleting: true });
    expect(w.commands()).toEqual(['Ungate new NoMatchingTicket']);
  });

  it('is left to the displacement that is about to evict it', () => {
    const frozen = makePod({ ...running, frozenBy: checkpoint.name });
    const w = world()
      .put('pod', nominated, frozen)
      .put('ticket', owned({ phase: 'Displacing' }));
    expect(kinds(w)).toEqual([]);
    expect(w.commands()).toEqual(['Evict pod']);
  });

  const stopped: Record<string, ReturnType<typeof makePod>> = {
    'is going': makePod({ ...running, deletionMs: 9_000 }),
    'has ended': makePod({ ...running, phase: 'Failed' }),
    'is another one of that name': makePod({ ...running, uid: 'uid-anew' }),
  };
  for (const [sentence, pod] of Object.entries(stopped)) {
    it(`is none when it ${sentence}`, () => {
      expect(kinds(world().put('pod', pod).put('ticket', owned()))).toEqual([]);
    });
  }
});

describe('a claim', () => {
  it('is taken back from a pod that continues another ticket', () => {
    const w = world()
      .put('pod', { ...gated, ticket: 'another' })
      .put('ticket', owned({ claim }));
    expect(kinds(w)).toEqual(['OtherTicket pod-uid-pod']);
    expect(w.commands()).toEqual(['Claim pod-uid-pod -', 'Ungate new NoMatchingTicket']);
  });

  it('of a pod that is bound and runs moves a waiting ticket on, not back', () => {
    const bound = makePod({ name: 'new', owner, nodeName: 'n1', ticket: 'pod-uid-pod' });
    const w = world().put('pod', bound).put('ticket', owned({ claim }));
    expect(kinds(w)).toEqual([]);
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Restoring Placed']);
    const restored = { succeeded: true, reason: 'Restored', message: '' } as const;
    expect(w.put('pod', { ...bound, restored }).commands()).toEqual(['SetTicketPhase pod-uid-pod Restored Restored']);
  });

  for (const [sentence, controller] of Object.entries({
    'bare pod': null,
    'pod of a StatefulSet': { ...owner, kind: 'StatefulSet' },
  })) {
    it(`that was lost is written again (${sentence})`, () => {
      const back = makePod({ name: 'pod', uid: 'uid-anew', nodeName: 'n1', ticket: 'pod-uid-pod', owner: controller });
      const w = world()
        .put('pod', back)
        .put('ticket', makeTicket({ owner: controller }));
      expect(kinds(w)).toEqual(['ClaimLost pod-uid-pod']);
      expect(w.commands()).toEqual(['Claim pod-uid-pod pod']);
    });
  }
});

it('does not take what a watch has not brought yet for a contradiction', () => {
  const w = world().put('pod', running).put('ticket', owned({ claim }));
  w.book.close(makeDisplacement());
  w.actingSinceMs = 9_000;
  expect(kinds(w)).toEqual([]);
  w.nowMs = 14_000;
  expect(kinds(w)).toEqual(['VictimRuns pod-uid-pod']);
});
