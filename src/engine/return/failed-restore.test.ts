import { describe, expect, it } from 'vitest';
import { makeCheckpoint, makeNode, makePod, makeTicket } from '../../../test/support/builders.ts';
import { TestWorld, uidOf } from '../../../test/support/world.ts';
import { RESTORE_GATE } from '../../domain/labels.ts';
import type { NodeName } from '../../domain/ids.ts';
import type { Ticket } from '../../domain/ticket.ts';

const owner = { apiVersion: 'batch/v1', kind: 'Job', name: 'train', uid: 'uid-train' };
const hold = { ...makeTicket().restore, onFailure: 'Hold' } as const;
const n1 = 'n1' as NodeName;
const checkpoint = makeCheckpoint({
  name: makeTicket().checkpoint,
  ready: true,
  location: { node: n1, reference: 'x' },
});
const claim = { name: 'new', uid: uidOf('new') };
const restoring = (overrides: Partial<Ticket> = {}): Ticket =>
  makeTicket({ owner, phase: 'Restoring', phaseMs: 9_000, attempts: 1, claim, ...overrides });
const failure = { reason: 'RestoreFailed', message: 'criu said no' } as const;
/** On n1, let go by us, and not restored there. */
const failedPod = (overrides: Parameters<typeof makePod>[0] = {}) =>
  makePod({
    name: 'new',
    owner,
    nodeName: 'n1',
    phase: 'Pending',
    ticket: 'pod-uid-pod',
    displacements: 1,
    restoreFailure: failure,
    ...overrides,
  });
const failedOn = (...nodes: string[]) =>
  nodes.map((node) => ({ node: node as NodeName, pod: uidOf(`on-${node}`), reason: 'RestoreFailed' }));
const gated = (overrides: Parameters<typeof makePod>[0] = {}) =>
  makePod({ name: 'new', owner, gates: [RESTORE_GATE], restoreShape: 'shape', creationMs: 9_000, ...overrides });

function world(...names: string[]): TestWorld {
  return new TestWorld().put('node', ...names.map((name) => makeNode({ name }))).put('checkpoint', checkpoint);
}

describe('a restore that failed on a node', () => {
  it('is tried on another node: the pod is deleted, the node recorded and excluded', () => {
    const w = world('n1', 'n2').put('ticket', restoring()).put('pod', failedPod());
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Waiting TriesElsewhere']);
    const failed = { node: n1, pod: uidOf('new'), reason: 'RestoreFailed' };
    expect(w.steps().commands).toMatchObject([{ failed }]);

    w.put('ticket', restoring({ phase: 'Waiting', claim: null, failedNodes: [failed] }));
    expect(w.commands()).toEqual(['EndPod new']);
    w.put('pod', failedPod({ deletionMs: 9_500 }), gated({ name: 'next' }));
    expect(w.commands()).toEqual(['Claim pod-uid-pod next']);
    w.put(
      'ticket',
      restoring({ phase: 'Waiting', claim: { name: 'next', uid: uidOf('next') }, failedNodes: [failed] }),
    );
    expect(w.commands()).toEqual([]); // its predecessor still exists
    w.remove('pod', failedPod());
    expect(w.commands()).toEqual(['Ungate next Admitted']);
    expect(w.steps().commands).toMatchObject([{ as: { placement: { excludedNodes: ['n1'] } } }]);
  });

  it('keeps its pod until every replica of the webhook knows that the ticket is free, within bounds', () => {
    const failed = { node: n1, pod: uidOf('new'), reason: 'RestoreFailed' };
    const w = world('n1', 'n2')
      .put('pod', failedPod())
      .put('ticket', restoring({ phase: 'Waiting', phaseMs: 10_000, claim: null, failedNodes: [failed] }));
    w.index.setWebhookReplicas([{ name: 'r', seen: '1' }]);
    expect(w.commands()).toEqual([]);
    expect(w.steps().wakeAtMs).toBe(40_000);
    w.nowMs = 40_000;
    expect(w.commands()).toEqual(['EndPod new']);
    w.nowMs = 10_000;
    w.index.setWebhookReplicas([{ name: 'r', seen: '999' }]);
    expect(w.commands()).toEqual(['EndPod new']);
  });

  const ends: Record<string, { ticket?: Partial<Ticket>; pod?: Parameters<typeof makePod>[0]; nodes?: string[] }> = {
    'when as many nodes have failed as the policy allows': { ticket: { failedNodes: failedOn('n2') } },
    'when no other compatible node exists': { nodes: ['n1'] },
    'when only the node that holds the state may restore it': { ticket: { restore: { ...hold, nodes: 'Same' } } },
    'when the state is wrong, and not the node': {
      pod: { restoreFailure: { reason: 'DigestMismatch', message: 'pages-1.img was changed' } },
    },
  };
  for (const [sentence, { ticket, pod, nodes = ['n1', 'n2', 'n3'] }] of Object.entries(ends)) {
    it(`starts cold where it is, or is held, ${sentence}`, () => {
      const reason = pod?.restoreFailure?.reason ?? 'RestoreFailed';
      for (const [onFailure, want] of [
        ['ColdStart', `ColdStarted ${reason}`],
        ['Hold', 'Held Held'],
      ] as const) {
        const restore = { ...(ticket?.restore ?? makeTicket().restore), onFailure };
        const w = world(...nodes)
          .put('ticket', restoring({ ...ticket, restore }))
          .put('pod', failedPod(pod));
        expect(w.commands()).toEqual([`SetTicketPhase pod-uid-pod ${want}`]);
      }
    });
  }

  it('starts cold where its state does not fit, when it waited maxGate for another node', () => {
    const incompatible = { reason: 'Incompatible', message: 'made on class v3' } as const;
    const expired = (restoreFailure: ReturnType<typeof failedPod>['restoreFailure'], restore = makeTicket().restore) =>
      world('n1', 'n2')
        .put('ticket', restoring({ restore }))
        .put('pod', failedPod({ gateExpired: true, restoreFailure }))
        .commands();
    expect(expired(incompatible)).toEqual(['SetTicketPhase pod-uid-pod ColdStarted Incompatible']);
    expect(expired(failure)).toEqual(['SetTicketPhase pod-uid-pod Waiting TriesElsewhere']);
    const again = world('n1', 'n2')
      .put('ticket', restoring({ phase: 'Admitted', failedNodes: failedOn('n1') }))
      .put('pod', failedPod({ gateExpired: true, restoreFailure: null }));
    expect(again.commands()).toEqual(['SetTicketPhase pod-uid-pod ColdStarted RestoreFailed']);
    expect(expired(incompatible, hold)).toEqual(['SetTicketPhase pod-uid-pod Waiting TriesElsewhere']);
  });

  it('never holds a ticket without a state, and starts cold whose gate a person removed', () => {
    for (const restore of [hold, makeTicket().restore]) {
      const gone = world('n1', 'n2').remove('checkpoint', checkpoint).put('ticket', restoring({ restore }));
      expect(gone.put('pod', failedPod()).commands()).toEqual(['SetTicketPhase pod-uid-pod ColdStarted RestoreFailed']);
      const byHand = world('n1', 'n2').put('ticket', restoring({ restore }));
      byHand.put('pod', failedPod({ displacements: 0 }));
      expect(byHand.commands()).toEqual(['SetTicketPhase pod-uid-pod ColdStarted RestoreFailed']);
    }
  });

  it('counts as failed on a node that does not say how it went', () => {
    const w = world('n1', 'n2')
      .put('ticket', restoring())
      .put('pod', failedPod({ restoreFailure: null }));
    expect(w.commands()).toEqual([]);
    expect(w.steps().wakeAtMs).toBe(9_000 + 600_000);
    w.nowMs = 9_000 + 600_000;
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Waiting TriesElsewhere']);
    w.put('checkpoint', { ...checkpoint, bytes: 2e10 }); // comes over a slow network
    expect(w.commands()).toEqual([]);
  });

  it('is not recorded for a pod that somebody deletes meanwhile', () => {
    const w = world('n1', 'n2')
      .put('ticket', restoring({ owner: null }))
      .put('pod', failedPod({ owner: null, deletionMs: 9_500 }));
    expect(w.commands()).toEqual([]);
    w.remove('pod', failedPod());
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Abandoned PodDeleted']);
  });

  it('brings a bare pod back, also one that ended under restartPolicy Never', () => {
    const failed = { node: n1, pod: uidOf('pod-2'), reason: 'RestoreFailed' };
    const ticket = restoring({ owner: null, phase: 'Waiting', claim: null, failedNodes: [failed] });
    const left = failedPod({ name: 'pod', uid: uidOf('pod-2'), owner: null, phase: 'Failed' });
    const w = world('n1', 'n2').put('ticket', ticket).put('pod', left);
    expect(w.commands()).toEqual(['EndPod pod']);
    w.remove('pod', left);
    expect(w.commands()).toEqual(['RecreatePod pod-uid-pod']);
  });

  it('does not mistake the failed pod of a StatefulSet for one that the webhook missed', () => {
    const set = { ...owner, kind: 'StatefulSet' };
    const failed = { node: n1, pod: uidOf('pod-2'), reason: 'RestoreFailed' };
    const ticket = restoring({ owner: set, phase: 'Waiting', claim: null, failedNodes: [failed] });
    const w = world('n1', 'n2').put('ticket', ticket);
    w.put('pod', failedPod({ name: 'pod', uid: uidOf('pod-2'), owner: set }));
    expect(w.commands()).toEqual(['EndPod pod']);
  });

  it('ends the search when the nodes that were left are gone', () => {
    const w = world('n1').put('pod', gated());
    w.put('ticket', restoring({ phase: 'Waiting', failedNodes: failedOn('n1') }));
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod ColdStarted RestoreFailed']);
    w.put('ticket', restoring({ phase: 'Waiting', failedNodes: failedOn('n1'), restore: hold }));
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Held Held']);
  });
});

describe('a held ticket', () => {
  const held = restoring({ phase: 'Held', claim: null, failedNodes: failedOn('n1', 'n2'), restore: hold });

  it('is claimed by the replacement, which stays gated for as long as nobody decides, and is told', () => {
    const w = world('n1', 'n2', 'n3').put('ticket', held).put('pod', gated());
    expect(w.commands()).toEqual(['Claim pod-uid-pod new']);
    w.put('ticket', { ...held, claim });
    expect(w.commands()).toEqual(['TellHeld new']);
    w.put('pod', gated({ toldHeld: true, ticket: 'pod-uid-pod' }));
    w.nowMs = 1e12;
    expect(w.commands()).toEqual([]);
  });

  it('has its bare pod created again, and ends with it when its user deletes it', () => {
    const bare = { ...held, owner: null };
    const w = world('n1', 'n2').put('ticket', bare);
    expect(w.commands()).toEqual(['RecreatePod pod-uid-pod']);
    w.put('ticket', { ...bare, claim });
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Abandoned PodDeleted']);
  });

  it('waits for a replacement no longer than maxWait', () => {
    const w = world('n1').put('ticket', held);
    w.nowMs = held.phaseMs + held.restore.maxWaitMs;
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Abandoned NobodyClaimed']);
  });

  it('is restored where its pod lands when a person removes the gate', () => {
    const w = world('n1', 'n2').put('ticket', { ...held, claim });
    w.put('pod', gated({ gates: [], ticket: 'pod-uid-pod' }));
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Admitted Admitted']);
  });
});

describe('a checkpoint that is deleted while its ticket waits', () => {
  it.each(['Waiting', 'Held'] as const)('ends a %s ticket at once, and its pod is told and let go', (phase) => {
    const ticket = restoring({ phase });
    const w = world('n1', 'n2').put('ticket', ticket).put('pod', gated());
    w.put('checkpoint', { ...checkpoint, deleting: true });
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod ColdStarted CheckpointMissing']);
    const said = { reason: 'CheckpointMissing', message: 'its PodCheckpoint was deleted' };
    w.put('ticket', { ...ticket, phase: 'ColdStarted', phaseMs: w.nowMs, said });
    expect(w.steps().commands).toContainEqual(
      expect.objectContaining({ kind: 'Ungate', ended: 'CheckpointMissing: its PodCheckpoint was deleted' }),
    );
  });

  it('ends a ticket that nobody has claimed', () => {
    const w = world('n1').put('ticket', restoring({ phase: 'Waiting', claim: null }));
    w.put('checkpoint', { ...checkpoint, deleting: true });
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Abandoned CheckpointMissing']);
  });
});

describe('an admitted pod that kube-scheduler does not place', () => {
  it('has no room kept for it after five minutes', () => {
    const admitted = restoring({ phase: 'Admitted', phaseMs: 10_000 });
    const other = makeTicket({ name: 'other', uid: 'other', owner, claim: { name: 'b', uid: uidOf('b') } });
    const w = world('n1')
      .put('ticket', admitted, { ...other, pod: { ...other.pod, uid: uidOf('b-before') } })
      .put('pod', gated({ gates: [], ticket: 'pod-uid-pod' }), gated({ name: 'b', creationMs: 10_000 }));
    const requests = { ...gated().requests, cpuMilli: 3000 };
    w.put(
      'pod',
      gated({ gates: [], ticket: 'pod-uid-pod', requests }),
      gated({ name: 'b', creationMs: 10_000, requests }),
    );
    expect(w.commands()).toEqual([]);
    w.nowMs = 10_000 + 299_999;
    expect(w.commands()).toEqual([]);
    w.nowMs = 10_000 + 300_000;
    expect(w.commands()).toEqual(['Ungate b Admitted']);
  });
});
