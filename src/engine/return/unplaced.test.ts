import { describe, expect, it } from 'vitest';
import { makeCheckpoint, makeNode, makePod, makePolicy, makeTicket } from '../../../test/support/builders.ts';
import { TestWorld, uidOf } from '../../../test/support/world.ts';
import { RESTORE_GATE } from '../../domain/labels.ts';
import type { NodeName } from '../../domain/ids.ts';
import type { Pod } from '../../domain/pod.ts';
import type { ReplacedPod, Ticket } from '../../domain/ticket.ts';

const restore = { ...makePolicy().restore, onFailure: 'ColdStart' as const };
const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'uid-web' };
const uid = uidOf('next');
const checkpoint = makeCheckpoint({
  name: makeTicket().checkpoint,
  ready: true,
  compatibility: 'v1',
  location: { node: 'n1' as NodeName, reference: 'x' },
});

function admitted({ ticket = {}, pod = {} }: { ticket?: Partial<Ticket>; pod?: Partial<Pod> } = {}): TestWorld {
  const claim = { name: 'next', uid };
  return new TestWorld()
    .put('node', makeNode({ compatibility: 'v1' }))
    .put('checkpoint', checkpoint)
    .put('ticket', makeTicket({ owner, restore, phase: 'Admitted', phaseMs: 9_000, claim, ...ticket }))
    .put('pod', makePod({ name: 'next', owner, ticket: makeTicket().name, creationMs: 9_000, ...pod }));
}

const at = (w: TestWorld, afterMs: number): TestWorld => Object.assign(w, { nowMs: 9_000 + afterMs });
const replacedFor = (w: TestWorld): string | undefined => {
  const [command] = w.steps().commands;
  return command?.kind === 'SetTicketPhase' && command.phase === 'Waiting' ? command.replaced?.reason : undefined;
};

describe('an admitted pod', () => {
  it('is replaced once no node of its compatibility class is left', () => {
    const w = admitted().put('node', makeNode({ compatibility: 'v2' }));
    expect(at(w, 29_999).commands()).toEqual([]);
    expect(replacedFor(at(w, 30_000))).toBe('NodesGone');
    w.put('node', makeNode({ name: 'n2', compatibility: 'v1' }));
    expect(w.commands()).toEqual([]);
  });

  it('is replaced where the class is only in its own affinity, because the state is gone', () => {
    const requirements = [{ key: 'reprieve.dev/compatibility', operator: 'In', values: ['v1'] }] as const;
    const w = admitted({ pod: { nodeSelector: { requirements, terms: null } } }).remove('checkpoint', checkpoint);
    w.put('node', makeNode({ compatibility: 'v2' }));
    expect(replacedFor(at(w, 30_000))).toBe('NodesGone');
  });

  it('that must not start cold is replaced for that once, and then waits at kube-scheduler', () => {
    const held = { ...restore, onFailure: 'Hold' as const };
    const w = admitted({ ticket: { restore: held } }).put('node', makeNode({ compatibility: 'v2' }));
    expect(replacedFor(at(w, 30_000))).toBe('NodesGone');
    const replacedPods: readonly ReplacedPod[] = [{ pod: uidOf('first'), reason: 'NodesGone' }];
    w.put(
      'ticket',
      makeTicket({
        owner,
        restore: held,
        phase: 'Admitted',
        phaseMs: 9_000,
        claim: { name: 'next', uid },
        replacedPods,
      }),
    );
    expect(w.commands()).toEqual([]);
  });

  it('of a Job is replaced for that too, and for nothing else', () => {
    const job = { ...owner, apiVersion: 'batch/v1', kind: 'Job' };
    const w = admitted({ ticket: { owner: job }, pod: { owner: job } });
    expect(at(w, 300_000).commands()).toEqual([]);
    w.put('node', makeNode({ compatibility: 'v2' }));
    expect(replacedFor(w)).toBe('NodesGone');
    const volcano = { ...job, apiVersion: 'batch.volcano.sh/v1alpha1' };
    expect(replacedFor(at(admitted({ ticket: { owner: volcano }, pod: { owner: volcano } }), 300_000))).toBe(
      'NotPlaced',
    );
  });

  it('is replaced once where kube-scheduler does not place it', () => {
    expect(at(admitted(), 299_999).commands()).toEqual([]);
    expect(replacedFor(at(admitted(), 300_000))).toBe('NotPlaced');
    const replacedPods: readonly ReplacedPod[] = [{ pod: uidOf('first'), reason: 'NotPlaced' }];
    expect(at(admitted({ ticket: { replacedPods } }), 300_000).commands()).toEqual([]);
  });

  it('makes no way where its node restored it before it was deleted, and nobody else continues its state', () => {
    const replacedPods: readonly ReplacedPod[] = [{ pod: uid, reason: 'NotPlaced' }];
    const w = admitted({
      ticket: { phase: 'Waiting', claim: null, replacedPods },
      pod: { nodeName: 'n1' as NodeName },
    });
    expect(w.commands()).toEqual(['EndPod next']);
    const other = makePod({ name: 'other', owner, gates: [RESTORE_GATE], restoreShape: 'shape', creationMs: 9_000 });
    const claim = { name: other.name, uid: other.uid };
    w.put('pod', other).put('ticket', makeTicket({ owner, restore, phase: 'Waiting', claim, replacedPods }));
    expect(w.commands()).toEqual(['EndPod next']);
    const restored = { succeeded: true, reason: 'Restored', message: '' } as const;
    w.put('pod', makePod({ name: 'next', owner, nodeName: 'n1', ticket: makeTicket().name, restored }));
    expect(w.steps().commands).toMatchObject([
      { kind: 'SetTicketPhase', phase: 'Restored', claim: { uid }, message: 'continues in next on n1' },
    ]);
  });

  it('that requires nothing stays at kube-scheduler, and holds no room', () => {
    const w = admitted({ pod: { gateExpired: true } }).put('node', makeNode({ compatibility: 'v2' }));
    expect(at(w, 30_000).steps().queue).toHaveLength(1);
    expect(at(w, 300_000).commands()).toEqual([]);
    expect(w.steps().queue).toEqual([]);
  });

  it('that replaces one that was not placed may run anywhere', () => {
    const gated = { gates: [RESTORE_GATE], restoreShape: 'shape' };
    const replacedPods: readonly ReplacedPod[] = [{ pod: uidOf('first'), reason: 'NotPlaced' }];
    const w = admitted({ ticket: { phase: 'Waiting', replacedPods }, pod: gated });
    const placement = { anywhere: true, compatibility: null };
    expect(w.steps().commands).toMatchObject([{ kind: 'Ungate', because: 'Admitted', as: { placement } }]);
    w.put('ticket', makeTicket({ owner, restore, claim: { name: 'next', uid } }));
    expect(w.steps().commands).toMatchObject([{ as: { placement: { anywhere: false, compatibility: 'v1' } } }]);
  });

  it('that replaces one of a silent agent starts cold when its gate expires', () => {
    const replacedPods: readonly ReplacedPod[] = [{ pod: uidOf('first'), reason: 'AgentSilent' }];
    const w = admitted({ ticket: { phase: 'Waiting', replacedPods }, pod: { gates: [RESTORE_GATE] } });
    w.put('node', makeNode({ compatibility: 'v1', agentSilent: true }));
    expect(w.commands()).toEqual([]);
    expect(at(w, 300_000).commands()).toEqual([`SetTicketPhase ${makeTicket().name} ColdStarted RestoreFailed`]);
  });
});
