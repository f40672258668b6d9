import { describe, expect, it } from 'vitest';
import {
  GI,
  makeCheckpoint,
  makeNode,
  makePod,
  makePolicy,
  makeResources,
  makeTicket,
} from '../../../test/support/builders.ts';
import { TestWorld, uidOf } from '../../../test/support/world.ts';
import { RESTORE_GATE } from '../../domain/labels.ts';
import type { NodeName } from '../../domain/ids.ts';
import type { Ticket } from '../../domain/ticket.ts';

const owner = { apiVersion: 'batch/v1', kind: 'Job', name: 'train', uid: 'uid-train' };
const checkpoint = makeCheckpoint({
  name: makeTicket().checkpoint,
  ready: true,
  takenMs: 1,
  bytes: 1,
  location: { node: 'n1' as NodeName, reference: 'x' },
});
const gated = (name: string, overrides: Parameters<typeof makePod>[0] = {}) =>
  makePod({ name, owner, gates: [RESTORE_GATE], restoreShape: 'shape', creationMs: 9_000, ...overrides });
const waiting = (overrides: Partial<Ticket> = {}) => makeTicket({ owner, ...overrides });
const claimedBy = (name: string) => ({ name, uid: uidOf(name) });

function world(): TestWorld {
  return new TestWorld().put('node', makeNode(), makeNode({ name: 'n2' })).put('checkpoint', checkpoint);
}

describe('claims', () => {
  it('gives the newest state of the owner to the oldest pod', () => {
    const w = world()
      .put('ticket', waiting({ name: 'b', uid: 'b', creationMs: 2 }), waiting({ name: 'a', uid: 'a', creationMs: 1 }))
      .put('pod', gated('second', { creationMs: 9_001 }), gated('first'));
    expect(w.commands().filter((command) => command.startsWith('Claim'))).toEqual(['Claim b first', 'Claim a second']);
  });

  const strangers: Record<string, { ticket?: Partial<Ticket>; pod?: Parameters<typeof makePod>[0] }> = {
    'another namespace': { pod: { namespace: 'other' } },
    'another owner': { pod: { owner: { ...owner, uid: 'uid-other' } } },
    'another completion index': {
      ticket: { pod: { ...makeTicket().pod, completionIndex: 0 } },
      pod: { completionIndex: 1 },
    },
    'another StatefulSet name': {
      ticket: { owner: { ...owner, kind: 'StatefulSet' } },
      pod: { owner: { ...owner, kind: 'StatefulSet' } },
    },
  };
  for (const [sentence, change] of Object.entries(strangers)) {
    it(`lets a pod of ${sentence} start cold`, () => {
      const w = world().put('ticket', waiting(change.ticket)).put('pod', gated('new', change.pod));
      expect(w.commands()).toContain('Ungate new NoMatchingTicket');
      expect(w.commands().some((command) => command.startsWith('Claim'))).toBe(false);
    });
  }

  it('waits a moment for a ticket whose eviction we have not seen yet, then lets the pod go', () => {
    const victim = makePod({ name: 'pod', nodeName: 'n1' });
    const w = world()
      .put('pod', victim, gated('new'), makePod({ name: 'high' }))
      .put('ticket', waiting({ phase: 'Saving' }));
    expect(w.commands()).not.toContain('Ungate new NoMatchingTicket');
    w.nowMs = 14_000;
    expect(w.commands()).toContain('Ungate new NoMatchingTicket');
  });

  it('holds the next pod of a controller until the claim of the one before was withdrawn', () => {
    const before = gated('before', { deletionMs: 9_500 });
    const w = world()
      .put('ticket', waiting({ claim: claimedBy('before') }))
      .put('pod', before, gated('next'));
    expect(w.commands()).toEqual(['Claim pod-uid-pod -']); // and nothing about `next`
    w.remove('pod', before);
    expect(w.commands()).toEqual(['Claim pod-uid-pod -']);
    w.put('ticket', waiting());
    expect(w.commands()).toContain('Claim pod-uid-pod next');
  });

  it('holds no more pods than claims will be withdrawn, and none for a pod that was restored', () => {
    const going = makePod({ name: 'before', owner, nodeName: 'n1', deletionMs: 9_500, ticket: 'pod-uid-pod' });
    const restoring = waiting({ phase: 'Restoring', claim: claimedBy('before') });
    const w = world()
      .put('ticket', restoring)
      .put('pod', going, gated('next'), gated('other', { creationMs: 9_500 }));
    expect(w.commands()).toEqual(['Ungate other NoMatchingTicket', 'Claim pod-uid-pod -']);
    const restored = { succeeded: true, reason: 'Restored', message: '' } as never;
    w.put('pod', makePod({ ...going, restored }));
    expect(w.commands()).toContain('Ungate next NoMatchingTicket');
  });

  it('lets the next pod go after maxGate where the claimant never goes', () => {
    const before = makePod({ name: 'before', owner, nodeName: 'n1', deletionMs: 9_500, ticket: 'pod-uid-pod' });
    const w = world()
      .put('ticket', waiting({ phase: 'Restoring', phaseMs: 9_000, claim: claimedBy('before') }))
      .put('pod', before, gated('next'));
    expect(w.commands()).toEqual(['Claim pod-uid-pod -']);
    w.nowMs = 9_000 + 300_000;
    expect(w.commands()).toContain('Ungate next NoMatchingTicket');
  });

  it('takes a claim back when the pod is gone', () => {
    const w = world().put('ticket', waiting({ phase: 'Admitted', claim: claimedBy('gone') }));
    expect(w.commands()).toEqual(['Claim pod-uid-pod -']);
    w.put('ticket', waiting({ phase: 'Admitted' }));
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Waiting Queued']);
  });
});

describe('phases', () => {
  it('waits until the old pod object is gone', () => {
    const victim = makePod({ name: 'pod', nodeName: 'n1', deletionMs: 9_000, phase: 'Failed' });
    const w = world()
      .put('ticket', waiting({ phase: 'Displacing', claim: claimedBy('new') }))
      .put('pod', gated('new'), victim);
    expect(w.commands()).toEqual([]);
    w.remove('pod', victim);
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Waiting Queued']);
  });

  it('copies once, and before a pod may take it, where its state lies', () => {
    const victim = makePod({ name: 'pod', nodeName: 'n1', deletionMs: 9_000 });
    const digest = `sha256:${'0'.repeat(64)}`;
    const state = { node: 'n1' as NodeName, reference: 'x', manifestDigest: digest, compatibility: 'c1' };
    const saved = { ...checkpoint, manifestDigest: digest, compatibility: 'c1' };
    const told = (w: TestWorld): unknown =>
      w.steps().commands.map((command) => ['state' in command ? command.state : null, command.kind]);
    const w = world()
      .put('checkpoint', saved)
      .put('ticket', waiting({ phase: 'Saving' }))
      .put('pod', victim);
    expect(told(w)).toEqual([[state, 'SetTicketPhase']]);
    w.remove('pod', victim);
    expect(told(w)).toEqual([[state, 'SetTicketPhase']]);
    w.put('ticket', waiting({ phase: 'Waiting' })).put('pod', gated('new'));
    expect(told(w)).toEqual([[state, 'Claim']]);
    w.put('checkpoint', { ...saved, manifestDigest: 'sha256:other' }).put('ticket', waiting({ state }));
    expect(told(w)).toEqual([[null, 'Claim']]);
  });

  it('copies it when a pod is let go or placed that claims a ticket of a version before', () => {
    const digest = `sha256:${'0'.repeat(64)}`;
    const claim = claimedBy('new');
    const letGo = makePod({ name: 'new', owner, ticket: waiting().name });
    const told = (w: TestWorld): unknown =>
      w.steps().commands.map((one) => ['state' in one && one.state?.node, one.kind]);
    const w = world()
      .put('checkpoint', { ...checkpoint, manifestDigest: digest })
      .put('ticket', waiting({ claim }))
      .put('pod', letGo);
    expect(told(w)).toEqual([['n1', 'SetTicketPhase']]);
    w.put('ticket', waiting({ phase: 'Restoring', claim })).put('pod', { ...letGo, nodeName: 'n1' as NodeName });
    expect(told(w)).toEqual([['n1', 'SetTicketPhase']]);
  });

  describe('while the displaced pod does not go', () => {
    const remains: Record<string, ReturnType<typeof makePod>> = {
      'on a dead node': makePod({ name: 'pod', nodeName: 'n1', deletionMs: 9_000 }),
      'as an ended pod that nobody removes': makePod({ name: 'pod', nodeName: 'n1', phase: 'Failed' }),
    };
    for (const [sentence, victim] of Object.entries(remains)) {
      it(`lets the replacement go cold after maxGate (${sentence})`, () => {
        const claimed = waiting({ phase: 'Displacing', claim: claimedBy('new') });
        const w = world().put('ticket', claimed).put('pod', gated('new'), victim);
        expect(w.commands()).toEqual([]);
        expect(w.steps().wakeAtMs).toBe(9_000 + 300_000);
        w.nowMs = 9_000 + 300_000;
        expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod ColdStarted VictimRemains']);
        w.put('ticket', { ...claimed, phase: 'ColdStarted', phaseMs: w.nowMs });
        expect(w.commands()).toContain('Ungate new TicketEnded');
        expect(w.steps().commands).toContainEqual(expect.objectContaining({ kind: 'Ungate', as: null }));
      });
    }

    it('abandons a ticket that nobody could claim, after maxWait', () => {
      const w = world()
        .put('ticket', waiting({ phase: 'Displacing' }))
        .put('pod', remains['on a dead node']!);
      expect(w.commands()).toEqual([]);
      expect(w.steps().wakeAtMs).toBe(3_600_000);
      w.nowMs = 3_600_000;
      expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Abandoned VictimRemains']);
    });

    it('abandons a ticket whose pod was deleted unsaved maxWait after the deletion, however old the ticket is', () => {
      const deleted = makePod({ name: 'pod', nodeName: 'n1', deletionMs: 5_000_000 });
      const w = world()
        .put('ticket', waiting({ phase: 'Saving' }))
        .remove('checkpoint', checkpoint)
        .put('pod', deleted);
      w.nowMs = 5_000_001;
      expect(w.commands()).toEqual([]);
      w.nowMs = 5_000_000 + 3_600_000;
      expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Abandoned VictimRemains']);
    });

    it('gives nobody to it who has waited long enough already', () => {
      const w = world()
        .put('ticket', waiting({ phase: 'Displacing' }))
        .put('pod', gated('new'), remains['on a dead node']!);
      expect(w.commands()).toContain('Claim pod-uid-pod new');
      w.nowMs = 9_000 + 300_000;
      expect(w.commands()).toEqual(['Ungate new NoMatchingTicket']);
    });

    it('restores nobody, whatever the ticket says', () => {
      const w = world()
        .put('ticket', waiting({ claim: claimedBy('new') }))
        .put('pod', gated('new'), remains['on a dead node']!);
      expect(w.commands()).toEqual([]);
      w.nowMs = 9_000 + 300_000;
      expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod ColdStarted VictimRemains']);
    });
  });

  it('lets a gated pod go when its ticket ends, whatever ended it', () => {
    const w = world()
      .put('ticket', waiting({ phase: 'Abandoned', phaseMs: 9_000, claim: claimedBy('new') }))
      .put('pod', gated('new'));
    expect(w.commands()).toContain('Ungate new TicketEnded');
  });

  it('lets a gated pod go whose ticket is being deleted, however long that takes', () => {
    const w = world()
      .put('ticket', waiting({ deleting: true, claim: claimedBy('new') }))
      .put('pod', gated('new'));
    expect(w.commands()).toEqual(['Ungate new NoMatchingTicket']);
  });

  describe('a gated pod that a later webhook gave another RuntimeClass', () => {
    const other = gated('new', { runtimeClassName: 'gvisor' });

    it('starts cold at once, and ends the ticket whose place it took', () => {
      const w = world().put('ticket', waiting()).put('pod', other);
      expect(w.steps().commands).toMatchObject([
        { kind: 'SetTicketPhase', reason: 'OtherRuntimeClass', claim: { name: 'new' } },
      ]);
      const said = { reason: 'OtherRuntimeClass', message: 'pod new has RuntimeClass gvisor' };
      w.put('ticket', waiting({ phase: 'ColdStarted', claim: claimedBy('new'), said }));
      expect(w.steps().commands).toMatchObject([{ kind: 'Ungate', because: 'TicketEnded', ended: /gvisor/ }]);
    });

    it('ends the ticket that claims it, also where it is bare', () => {
      for (const bare of [false, true]) {
        const w = world()
          .put('ticket', waiting({ claim: claimedBy('new'), ...(bare && { owner: null }) }))
          .put('pod', { ...other, ticket: 'pod-uid-pod', ...(bare && { owner: null }) });
        expect(w.commands()).toContain('SetTicketPhase pod-uid-pod ColdStarted OtherRuntimeClass');
      }
    });
  });

  it('starts cold what somebody else let go', () => {
    const w = world()
      .put('ticket', waiting({ claim: claimedBy('new') }))
      .put('pod', makePod({ name: 'new', owner }));
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod ColdStarted GateRemoved']);
  });

  describe('a pod that others end while it is being restored', () => {
    const going = makePod({
      name: 'new',
      owner,
      nodeName: 'n1',
      ticket: 'pod-uid-pod',
      deletionMs: 9_500,
      disrupted: true,
    });

    it('gives the ticket back, ended or not', () => {
      for (const phase of ['Pending', 'Failed'] as const) {
        const w = world()
          .put('ticket', waiting({ phase: 'Restoring', attempts: 1, claim: claimedBy('new') }))
          .put('pod', { ...going, phase });
        expect(w.commands()).toEqual(['Claim pod-uid-pod -']);
      }
    });

    it('is not taken for the replacement that a StatefulSet made past the webhook, as long as it goes', () => {
      const set = { ...owner, kind: 'StatefulSet' };
      const w = world().put('ticket', waiting({ phase: 'Restoring', attempts: 1, owner: set }));
      w.put('pod', makePod({ ...going, name: 'pod', uid: 'uid-anew', owner: set }));
      expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Waiting Queued']);
      w.put('ticket', waiting({ attempts: 1, owner: set }));
      expect(w.commands()).toEqual([]);
    });

    it('gives it back for a bare pod too, which a deletion by hand does not', () => {
      const claimed = waiting({ phase: 'Restoring', attempts: 1, owner: null, claim: claimedBy('new') });
      const w = world()
        .put('ticket', claimed)
        .put('pod', { ...going, owner: null });
      expect(w.commands()).toEqual(['Claim pod-uid-pod -']);
      w.put('pod', { ...going, owner: null, disrupted: false });
      expect(w.commands()).toEqual([]);
      w.put('pod', { ...going, owner: null, disrupted: false, phase: 'Failed' });
      expect(w.commands()).toEqual([]);
    });

    it('is known to have been preempted when its object is gone', () => {
      const claimed = waiting({ phase: 'Restoring', attempts: 1, owner: null, claim: claimedBy('new') });
      const w = world().put('ticket', claimed);
      expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Abandoned PodDeleted']);
      const whileGone = { namespace: 'default', ...claimedBy('new') };
      expect(w.steps().commands).toMatchObject([{ whileGone }]);
      w.disrupted.add(going.uid);
      expect(w.commands()).toEqual(['Claim pod-uid-pod -']);
      expect(w.steps().commands).toMatchObject([{ whileGone }]);
    });

    it('gives the ticket back when its controller deletes it without a disruption', () => {
      const w = world()
        .put('ticket', waiting({ phase: 'Restoring', attempts: 1, claim: claimedBy('new') }))
        .put('pod', { ...going, disrupted: false });
      expect(w.commands()).toEqual(['Claim pod-uid-pod -']);
    });

    it('gives the ticket back where the kubelet refused or stopped it, and a bare one is made again', () => {
      for (const how of [{ disrupted: true }, { disrupted: false, neverStarted: true }]) {
        const ended = { ...going, ...how, deletionMs: null, phase: 'Failed' as const };
        const w = world()
          .put('ticket', waiting({ phase: 'Restoring', attempts: 1, claim: claimedBy('new') }))
          .put('pod', ended);
        expect(w.commands()).toEqual(['Claim pod-uid-pod -']);
        const bare = waiting({ phase: 'Restoring', attempts: 1, owner: null, claim: claimedBy('new') });
        w.put('ticket', bare).put('pod', { ...ended, owner: null });
        const replaced = { pod: ended.uid, reason: 'Disrupted' };
        expect(w.steps().commands).toMatchObject([{ kind: 'SetTicketPhase', phase: 'Waiting', replaced }]);
        w.put('ticket', { ...bare, phase: 'Waiting', claim: null, replacedPods: [replaced] } as Ticket);
        expect(w.commands()).toContain('EndPod new');
      }
    });

    it('ends the ticket where its processes ended by themselves, reported or not', () => {
      for (const phase of ['Failed', 'Succeeded'] as const) {
        const w = world()
          .put('ticket', waiting({ phase: 'Restoring', attempts: 1, claim: claimedBy('new') }))
          .put('pod', { ...going, deletionMs: null, disrupted: phase === 'Succeeded', phase });
        expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod ColdStarted EndedUnreported']);
      }
    });

    it('is replaced where the agent of its node falls silent', () => {
      const w = world()
        .put('ticket', waiting({ phase: 'Restoring', phaseMs: 9_000, attempts: 1, claim: claimedBy('new') }))
        .put('pod', { ...going, deletionMs: null, disrupted: false, phase: 'Pending' });
      w.put('node', makeNode({ agentSilent: true }));
      expect(w.commands()).toEqual([]);
      w.nowMs = w.steps().wakeAtMs;
      expect(w.nowMs).toBe(9_000 + 60_000);
      const replaced = { pod: going.uid, reason: 'AgentSilent' } as const;
      expect(w.steps().commands).toMatchObject([{ kind: 'SetTicketPhase', phase: 'Waiting', replaced }]);
      w.put('ticket', waiting({ phase: 'Waiting', phaseMs: 69_000, attempts: 1, replacedPods: [replaced] }));
      expect(w.commands()).toEqual([]);
      w.nowMs = w.steps().wakeAtMs;
      expect(w.nowMs).toBe(69_000 + 30_000);
      expect(w.commands()).toEqual(['EndPod new']);
    });

    it('is left where its whole node is cut off: it may run there', () => {
      const restoring = waiting({ phase: 'Restoring', phaseMs: 9_000, attempts: 1, claim: claimedBy('new') });
      const w = world()
        .put('ticket', restoring)
        .put('pod', { ...going, deletionMs: null, disrupted: false, phase: 'Pending' });
      const cutOff = makeNode({ agentSilent: true, ready: false });
      w.nowMs = 9_000 + 60_000;
      expect(w.put('node', cutOff).commands()).toEqual([]);
      const replaced = { pod: going.uid, reason: 'AgentSilent' } as const;
      w.put('ticket', { ...restoring, phase: 'Waiting', phaseMs: 69_000, claim: null, replacedPods: [replaced] });
      w.nowMs = 99_000;
      expect(w.commands()).toEqual([]);
      expect(w.put('node', { ...cutOff, ready: true }).commands()).toEqual(['EndPod new']);
    });

    it('has no successor while its object is there', () => {
      const w = world()
        .put('ticket', waiting({ attempts: 1, claim: claimedBy('next') }))
        .put('pod', gated('next'), going);
      expect(w.commands()).toEqual([]);
      w.remove('pod', going);
      expect(w.commands()).toEqual(['Ungate next Admitted']);
    });
  });

  it('takes a claim back from a pod that is deleted before it has a node', () => {
    const w = world()
      .put('ticket', waiting({ claim: claimedBy('new') }))
      .put('pod', gated('new', { deletionMs: 9_500 }));
    expect(w.commands()).toEqual(['Claim pod-uid-pod -']);
  });

  describe('after a takeover, when the watches of one kind may lag behind those of another', () => {
    const claim = claimedBy('new');
    const early: Record<string, { given: () => TestWorld; later: string }> = {
      'does not abandon a bare pod whose claimant is not in view': {
        given: () => world().put('ticket', makeTicket({ claim })),
        later: 'SetTicketPhase pod-uid-pod Abandoned PodDeleted',
      },
      'does not take a claim back because its pod is not in view': {
        given: () => world().put('ticket', waiting({ phase: 'Restoring', claim })),
        later: 'Claim pod-uid-pod -',
      },
      'does not queue a ticket because its victim is not in view': {
        given: () => world().put('ticket', waiting({ phase: 'Displacing' })),
        later: 'SetTicketPhase pod-uid-pod Waiting Queued',
      },
      'does not abandon a ticket because its checkpoint is not in view': {
        given: () =>
          world()
            .remove('checkpoint', checkpoint)
            .put('ticket', waiting({ phase: 'Displacing' })),
        later: 'SetTicketPhase pod-uid-pod Abandoned NotSaved',
      },
      'does not let a pod go because its ticket is not in view': {
        given: () => world().remove('checkpoint', checkpoint).put('pod', gated('new')),
        later: 'Ungate new NoMatchingTicket',
      },
      'does not let a pod go anywhere because its checkpoint is not in view': {
        given: () =>
          world().remove('checkpoint', checkpoint).put('ticket', waiting({ claim })).put('pod', gated('new')),
        later: 'SetTicketPhase pod-uid-pod ColdStarted CheckpointMissing',
      },
    };
    for (const [sentence, { given, later }] of Object.entries(early)) {
      it(sentence, () => {
        const w = given();
        w.actingSinceMs = 9_000;
        expect(w.commands()).toEqual([]);
        expect(w.steps().wakeAtMs).toBe(14_000);
        w.nowMs = 14_000;
        expect(w.commands()).toEqual([later]);
      });
    }

    it('takes for gone at once what was in view since then', () => {
      const w = world().put('ticket', waiting({ phase: 'Displacing' }));
      w.actingSinceMs = 9_000;
      w.seen.add(uidOf('pod'));
      expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Waiting Queued']);
    });

    it('gives a gated pod its grace from when all is in view', () => {
      const w = world()
        .put(
          'pod',
          makePod({ name: 'pod', nodeName: 'n1', deletionMs: 9_000 }),
          gated('new'),
          makePod({ name: 'high' }),
        )
        .put('checkpoint', { ...checkpoint, ready: false })
        .put('ticket', waiting({ phase: 'Saving' }));
      w.actingSinceMs = 9_000;
      w.nowMs = 18_999;
      expect(w.commands()).not.toContain('Ungate new NoMatchingTicket');
      w.nowMs = 19_000;
      expect(w.commands()).toContain('Ungate new NoMatchingTicket');
    });
  });

  it('abandons what went unsaved, and says so', () => {
    const w = world()
      .put('checkpoint', { ...checkpoint, ready: false })
      .put('ticket', waiting({ phase: 'Saving' }));
    expect(w.commands()).toContain('SetTicketPhase pod-uid-pod Abandoned NotSaved');
  });

  it('waits for an agent to say whether a pod was thawed or killed whose checkpoint is released', () => {
    const asked = { ...checkpoint, frozen: true, release: 'the preemption is off' };
    const w = world()
      .put('checkpoint', asked)
      .put('ticket', waiting({ phase: 'Saving' }));
    expect(w.commands()).toEqual([]);
    const abandoned = 'SetTicketPhase pod-uid-pod Abandoned NotSaved';
    const killed = { ...asked, frozen: false, released: true };
    expect(w.put('checkpoint', killed).commands()).toEqual(['SetTicketPhase pod-uid-pod Waiting Queued']);
    expect(w.put('checkpoint', { ...killed, thawed: true }).commands()).toContain(abandoned);
    w.put('checkpoint', asked).put('node', { ...makeNode(), agentSilent: true });
    expect(w.commands()).toEqual([abandoned]);
  });

  it('abandons what nobody came to continue', () => {
    const w = world().put('ticket', waiting());
    expect(w.commands()).toEqual([]);
    w.nowMs = 3_600_000;
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Abandoned NobodyClaimed']);
  });

  it('sees a StatefulSet go on without it', () => {
    const set = { ...owner, kind: 'StatefulSet' };
    const w = world().put('ticket', waiting({ owner: set }));
    w.put('pod', gated('pod', { uid: 'uid-anew', owner: set }));
    expect(w.commands()).toEqual(['Claim pod-uid-pod pod']);
    w.put('pod', makePod({ name: 'pod', uid: 'uid-anew', owner: set }));
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod ColdStarted NotGated']);
  });

  it('makes a bare pod again once, and gives it its ticket', () => {
    const w = world().put('ticket', makeTicket());
    expect(w.commands()).toEqual(['RecreatePod pod-uid-pod']);
    w.put('pod', gated('pod', { uid: 'uid-anew', owner: null, ticket: 'pod-uid-pod' }));
    expect(w.commands()).toEqual(['Claim pod-uid-pod pod']);
  });

  it('makes a bare pod without our class where that is refused, before its ticket ends', () => {
    const w = world().put(
      'ticket',
      makeTicket({ phaseMs: 9_000, restore: { ...makeTicket().restore, maxWaitMs: 60_000 } }),
    );
    const refusal = { reason: 'Invalid', message: 'no such class', namespace: 'default' } as const;
    w.book.setRefusal(makeTicket().pod.uid, { ...refusal, act: 'recreate', untilMs: 600_000 });
    w.nowMs = 9_000 + 29_999;
    expect(w.steps().commands).toMatchObject([{ kind: 'RecreatePod', plain: false }]);
    expect(w.steps().wakeAtMs).toBe(9_000 + 30_000);
    w.nowMs = 9_000 + 30_000;
    expect(w.steps().commands).toMatchObject([{ kind: 'RecreatePod', plain: true }]);
  });

  it('tries to make a bare pod once more right before its ticket ends, whatever was refused', () => {
    const w = world().put(
      'ticket',
      makeTicket({ phaseMs: 9_000, restore: { ...makeTicket().restore, maxWaitMs: 60_000 } }),
    );
    w.nowMs = 9_000 + 54_999;
    expect(w.steps().commands).toMatchObject([{ kind: 'RecreatePod', last: false }]);
    expect(w.steps().wakeAtMs).toBe(9_000 + 55_000);
    w.nowMs = 9_000 + 55_000;
    expect(w.steps().commands).toMatchObject([{ kind: 'RecreatePod', last: true }]);
  });

  it('does not fight for a name that is taken', () => {
    const w = world()
      .put('ticket', makeTicket())
      .put('pod', makePod({ name: 'pod', uid: 'uid-stranger' }));
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Abandoned NameTaken']);
  });

  it('follows the pod to its end', () => {
    const claim = claimedBy('new');
    const w = world()
      .put('ticket', waiting({ claim }))
      .put('pod', makePod({ name: 'new', owner, ticket: 'pod-uid-pod' }));
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Admitted Admitted']);
    w.put('ticket', waiting({ claim, phase: 'Admitted' })).put(
      'pod',
      makePod({ name: 'new', owner, nodeName: 'n2', ticket: 'pod-uid-pod' }),
    );
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Restoring Placed']);
    w.put('ticket', waiting({ claim, phase: 'Restoring', phaseMs: 9_000 }));
    expect(w.commands()).toEqual([]);
    const restored = (succeeded: boolean) =>
      makePod({
        name: 'new',
        owner,
        nodeName: 'n2',
        ticket: 'pod-uid-pod',
        restored: { succeeded, reason: 'CheckpointMissing', message: 'm' },
      });
    expect(w.put('pod', restored(true)).commands()).toEqual(['SetTicketPhase pod-uid-pod Restored Restored']);
    expect(w.put('pod', restored(false)).commands()).toEqual([
      'SetTicketPhase pod-uid-pod ColdStarted CheckpointMissing',
    ]);
  });

  it('removes the state when it is no longer needed, and the ticket later', () => {
    const w = world().put('ticket', waiting({ phase: 'Restored', phaseMs: 9_000 }));
    expect(w.commands()).toEqual([`DeleteCheckpoint ${checkpoint.name}`]);
    w.remove('checkpoint', checkpoint);
    expect(w.commands()).toEqual([]);
    w.nowMs += 3_600_000;
    expect(w.commands()).toEqual(['DeleteTicket pod-uid-pod']);
  });

  it('forgets the ticket of a pod that completed before it was evicted', () => {
    const w = world()
      .put('ticket', waiting({ phase: 'Saving' }))
      .put('pod', makePod({ name: 'pod', nodeName: 'n1', phase: 'Succeeded' }), makePod({ name: 'high' }));
    expect(w.commands()).toContain('DeleteTicket pod-uid-pod');
  });
});

describe('queue', () => {
  const cpus = (count: number) => makeResources({ cpuMilli: count * 1000 });
  const entry = (name: string, count: number, overrides: Partial<Ticket> = {}) => ({
    ticket: waiting({
      name: `t-${name}`,
      uid: `t-${name}`,
      claim: claimedBy(name),
      requests: cpus(count),
      ...overrides,
    }),
    pod: gated(name, { requests: cpus(count) }),
  });
  function queued(...entries: ReturnType<typeof entry>[]): TestWorld {
    const w = world();
    for (const { ticket, pod } of entries) w.put('ticket', ticket).put('pod', pod);
    return w;
  }
  const admitted = (w: TestWorld) => w.commands().filter((command) => command.endsWith('Admitted'));

  it('admits by priority, then age, as far as there is room', () => {
    const w = queued(
      entry('old', 3, { creationMs: 1 }),
      entry('young', 3, { creationMs: 2 }),
      entry('important', 3, { creationMs: 3, priority: 5 }),
    );
    expect(admitted(w)).toEqual(['Ungate important Admitted', 'Ungate old Admitted']);
  });

  it('fills behind a head that does not fit', () => {
    const w = queued(entry('big', 4, { priority: 5 }), entry('small', 1)).put(
      'pod',
      makePod({ name: 'r1', nodeName: 'n1' }),
      makePod({ name: 'r2', nodeName: 'n2' }),
    );
    expect(admitted(w)).toEqual(['Ungate small Admitted']);
  });

  it('keeps a node clear for a head that has waited long', () => {
    const w = queued(entry('big', 4, { priority: 5 }), entry('small', 1)).put(
      'pod',
      makePod({ name: 'r1', nodeName: 'n1', requests: cpus(4) }),
      makePod({ name: 'r2', nodeName: 'n2', requests: cpus(1) }),
    );
    expect(admitted(w)).toEqual(['Ungate small Admitted']);
    w.nowMs = 120_000;
    expect(admitted(w)).toEqual([]);
  });

  it('leaves the room of nominated pods alone', () => {
    const w = queued(entry('a', 3)).put(
      'pod',
      makePod({ name: 'h1', nominatedNodeName: 'n1', requests: cpus(2) }),
      makePod({ name: 'h2', nominatedNodeName: 'n2', requests: cpus(2) }),
    );
    expect(admitted(w)).toEqual([]);
  });

  it('counts the room of those it let go before', () => {
    const w = queued(entry('a', 3), entry('b', 3), entry('c', 3));
    for (const name of ['a', 'b']) {
      w.put('ticket', entry(name, 3, { phase: 'Admitted' }).ticket).put(
        'pod',
        makePod({ name, owner, requests: cpus(3) }),
      );
    }
    expect(admitted(w)).toEqual([]);
  });

  it('restores no more at once on a node than it may', () => {
    const w = queued(entry('a', 1));
    for (const [name, nodeName] of Object.entries({ r1: 'n1', r2: 'n1', r3: 'n2', r4: 'n2' })) {
      const { ticket } = entry(name, 1, { phase: 'Restoring' });
      w.put('ticket', ticket).put('pod', makePod({ name, nodeName, ticket: ticket.name, requests: cpus(1) }));
    }
    expect(admitted(w)).toEqual([]);
  });

  it('asks for the node class that made the checkpoint', () => {
    const w = queued(entry('a', 1)).put('checkpoint', { ...checkpoint, compatibility: 'x86-v3' });
    expect(admitted(w)).toEqual([]);
    w.put('node', makeNode({ name: 'n2', compatibility: 'x86-v3' }));
    expect(w.steps().commands).toMatchObject([
      { kind: 'Ungate', as: { placement: { preferredNode: 'n1', requiredNode: null, compatibility: 'x86-v3' } } },
    ]);
  });

  it('restores on the same node where the policy says so', () => {
    const same = { ...makePolicy().restore, nodes: 'Same' as const };
    const w = queued(entry('a', 3, { restore: same })).put(
      'pod',
      makePod({ name: 'r1', nodeName: 'n1', requests: cpus(2) }),
    );
    expect(admitted(w)).toEqual([]);
    w.remove('pod', makePod({ name: 'r1' }));
    expect(w.steps().commands).toMatchObject([{ kind: 'Ungate', as: { placement: { requiredNode: 'n1' } } }]);
  });

  describe('whose state lies on a node that is gone, and may go nowhere else', () => {
    const same = { ...makePolicy().restore, nodes: 'Same' as const };
    const lost = (restore: Ticket['restore']) => queued(entry('a', 1, { restore })).remove('node', makeNode());

    it('ends the ticket, so that the pod starts cold', () => {
      expect(lost(same).commands()).toEqual(['SetTicketPhase t-a ColdStarted HolderGone']);
    });

    it('ends it too when the state is gone with its record', () => {
      const w = queued(entry('a', 1, { restore: same })).remove('checkpoint', checkpoint);
      expect(w.commands()).toEqual(['SetTicketPhase t-a ColdStarted CheckpointMissing']);
    });

    it('replaces a pod whose gate was removed before, once kube-scheduler had time to place it', () => {
      const admittedTo = (restore: Ticket['restore']) =>
        lost(restore)
          .put('ticket', entry('a', 1, { restore, phase: 'Admitted', phaseMs: 9_000 }).ticket)
          .put('pod', makePod({ name: 'a', owner, ticket: 't-a', displacements: 1, creationMs: 9_000 }));
      const w = admittedTo(same);
      expect(w.commands()).toEqual([]);
      w.nowMs = 9_000 + 300_000;
      const replaced = { pod: uidOf('a'), reason: 'NodesGone' };
      expect(w.steps().commands).toMatchObject([{ kind: 'SetTicketPhase', phase: 'Waiting', replaced }]);
      const held = admittedTo({ ...same, onFailure: 'Hold' });
      held.nowMs = 9_000 + 300_000;
      expect(held.commands()).toEqual([]);
      expect(held.steps().wakeAtMs).toBe(9_000 + 3_600_000);
      const any = admittedTo(makePolicy().restore);
      any.nowMs = 9_000 + 300_000;
      expect(any.commands()).toEqual([]); // another node may still take it
    });

    it('holds it where the policy says so, but not for ever', () => {
      const w = lost({ ...same, onFailure: 'Hold' });
      expect(w.commands()).toEqual([]);
      w.nowMs = 9_000 + 300_000;
      expect(w.commands()).toEqual([]);
      expect(w.steps().wakeAtMs).toBe(3_600_000);
      w.nowMs = 3_600_000;
      expect(w.commands()).toEqual(['SetTicketPhase t-a ColdStarted HolderGone']);
    });
  });

  it('lets a head starve that can go, not one whose predecessor is still there', () => {
    const w = queued(
      entry('stuck', 1, { priority: 9, phase: 'Displacing', pod: { ...makeTicket().pod, uid: uidOf('r1') } }),
      entry('big', 4, { priority: 5 }),
      entry('small', 1),
    ).put(
      'pod',
      makePod({ name: 'r1', nodeName: 'n1', requests: cpus(4), deletionMs: 9_000 }),
      makePod({ name: 'r2', nodeName: 'n2', requests: cpus(1) }),
    );
    w.nowMs = 120_000;
    expect(admitted(w)).toEqual([]);
  });

  it('lets a pod go after maxGate, so that autoscalers see it', () => {
    const w = queued(entry('a', 9));
    expect(w.commands()).toEqual([]);
    w.nowMs = 9_000 + 300_000;
    expect(w.commands()).toEqual(['Ungate a GateExpired']);
  });

  it('requires nothing of the node after maxGate, unless the pod must not start cold', () => {
    const failedNodes = [{ node: 'n2' as NodeName, pod: uidOf('before'), reason: 'RestoreFailed' }];
    for (const onFailure of ['ColdStart', 'Hold'] as const) {
      const restore = { ...makePolicy().restore, nodes: 'Same' as const, onFailure };
      const w = queued(entry('a', 4, { restore, failedNodes }))
        .put('checkpoint', { ...checkpoint, compatibility: 'c1' })
        .put('node', makeNode({ compatibility: 'c1' }))
        .put('pod', makePod({ name: 'full', nodeName: 'n1' }));
      w.nowMs = 9_000 + 300_000;
      const [node, compatibility] = ['n1', 'c1'];
      const restorable = {
        preferredNode: node,
        requiredNode: node,
        compatibility,
        excludedNodes: ['n2'],
        anywhere: false,
      };
      const any = { preferredNode: null, requiredNode: null, compatibility: null, excludedNodes: [], anywhere: true };
      const placement = onFailure === 'Hold' ? restorable : any;
      expect(w.steps().commands).toMatchObject([{ kind: 'Ungate', because: 'GateExpired', as: { placement } }]);
    }
  });

  it('does not count memory that is not there', () => {
    const hungry = { ...entry('a', 1), pod: gated('a', { requests: makeResources({ memoryBytes: 9 * GI }) }) };
    expect(admitted(queued(hungry))).toEqual([]);
  });
});
