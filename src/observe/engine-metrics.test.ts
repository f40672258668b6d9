import { describe, expect, it } from 'vitest';
import {
  makeCheckpoint,
  makeDisplacement,
  makeNode,
  makePod,
  makeTicket,
  makeUnsavedVictim,
  makeVictim,
} from '../../test/support/builders.ts';
import { Measured } from '../../test/support/measured.ts';
import type { NodeName } from '../domain/ids.ts';
import type { DisplacedPod } from '../domain/displacement.ts';
import type { PreemptVerdict } from '../engine/preemption/callbacks.ts';
import type { Command } from '../engine/core/commands.ts';

function evict(victim: DisplacedPod, unsaved: string | null): Command {
  const displacement = makeDisplacement();
  const order = {
    victim: makePod(),
    frozenBy: null,
    thawAtMs: null,
    disruption: { reason: 'PreemptionByScheduler', message: 'preempted' } as const,
  };
  return { kind: 'Evict', order, victim, displacement, unsaved };
}

describe('measureEngine', () => {
  it('counts answers by verdict and reason', async () => {
    const measured = new Measured();
    const candidates = [{ node: 'n1' as NodeName, victims: [makePod().uid], numPdbViolations: 0 }];
    const none = { candidates: [], node: null, displacementId: null, saving: 0 };
    const verdicts: readonly PreemptVerdict[] = [
      { ...none, reason: 'Saving', node: 'n1' as NodeName },
      { ...none, reason: 'NoneToSave', node: 'n1' as NodeName, candidates },
      { ...none, reason: 'NothingProtected', candidates },
      { ...none, reason: 'Unsynced' },
      { ...none, reason: 'Unsynced', candidates },
    ];
    for (const verdict of verdicts) measured.engine.events.emit('preempt:answered', { preemptor: makePod(), verdict });
    expect(await measured.read('reprieve_decisions_total')).toEqual([
      '{verdict="answered",reason="NoneToSave"} 1',
      '{verdict="held",reason="Saving"} 1',
      '{verdict="held",reason="Unsynced"} 1',
      '{verdict="passed",reason="NothingProtected"} 1',
      '{verdict="passed",reason="Unsynced"} 1',
    ]);
  });

  it('counts answers of the guard, and pods that it let go unsaved', async () => {
    const measured = new Measured();
    const { namespace, name, uid } = makePod();
    const who = { by: 'Deletion', requester: 'r', why: '', isEnding: false, dryRun: false } as const;
    const request = { namespace, name, uid, ...who };
    const wait = { allowed: false, reason: 'Saving', message: '', retryAfterSeconds: 1 } as const;
    const gone = { allowed: true, reason: 'SavingFailed', unsaved: 'the disk is full' } as const;
    for (const verdict of [wait, wait, gone]) measured.engine.events.emit('guard:answered', { request, verdict });
    expect(await measured.read('reprieve_guard_answers_total')).toEqual([
      '{reason="Saving",allowed="false"} 2',
      '{reason="SavingFailed",allowed="true"} 1',
    ]);
    expect(await measured.read('reprieve_unsaved_evictions_total')).toEqual(['{cause="SavingFailed"} 1']);
  });

  it('times a displacement by how it ended', async () => {
    const measured = new Measured();
    const displacement = makeDisplacement({ decidedMs: 97_000 });
    measured.engine.events.emit('displacement:closed', { displacement, because: 'Bound', message: '' });
    expect(await measured.read('reprieve_displacement_duration_seconds_sum')).toEqual(['{reason="Bound"} 3']);
  });

  it('times writes by outcome, and shows those under way', async () => {
    const measured = new Measured();
    const command: Command = { kind: 'Wake', pod: makePod(), node: makeNode().name };
    const error = new Error('no');
    measured.engine.events.emit('command:done', {
      command,
      outcome: 'failed',
      error,
      refusal: null,
      tookMs: 250,
      restMs: 0,
    });
    measured.engine.commandsInFlight = 3;
    expect(await measured.read('reprieve_command_duration_seconds_sum')).toEqual([
      '{command="Wake",outcome="failed"} 0.25',
    ]);
    expect(await measured.read('reprieve_commands_in_flight')).toEqual(['3']);
  });

  it('counts writes that the API server refuses, by their reason', async () => {
    const measured = new Measured();
    const command: Command = { kind: 'RecreatePod', ticket: makeTicket(), plain: false, last: false };
    const refusal = { reason: 'Quota', message: 'exceeded quota' } as const;
    measured.engine.events.emit('command:done', {
      command,
      outcome: 'refused',
      error: new Error('exceeded quota'),
      refusal,
      tookMs: 1,
      restMs: 10_000,
    });
    expect(await measured.read('reprieve_refused_writes_total')).toEqual(['{command="RecreatePod",reason="Quota"} 1']);
  });

  it('times the passes of the reconciler', async () => {
    const measured = new Measured();
    measured.engine.events.emit('pass:done', { tookMs: 4, longestSliceMs: 2 });
    expect(await measured.read('reprieve_pass_duration_seconds_sum')).toEqual(['0.004']);
  });

  it('counts an eviction once it happened, and as saved only with a checkpoint', async () => {
    const measured = new Measured();
    const done = (command: Command, outcome: 'done' | 'moved' | 'failed' = 'done'): void => {
      measured.engine.events.emit('command:done', {
        command,
        outcome,
        error: null,
        refusal: null,
        tookMs: 0,
        restMs: 0,
      });
    };
    done(evict(makeVictim(), null));
    done(evict(makeVictim(), null), 'failed');
    done(evict(makeVictim(), null), 'moved');
    done(evict(makeVictim(), 'its checkpoint failed'));
    done(evict(makeUnsavedVictim('pod'), null));
    const refs = { victim: makePod(), preemptor: makePod({ name: 'high' }), policy: 'batch' };
    measured.engine.events.emit('victim:cheaper', { ...refs, evictCost: 2, savingCost: 5 });
    const why = { reason: 'AgentSilent', message: 'm' } as const;
    measured.engine.events.emit('victim:unprotected', { victim: makePod(), policy: 'batch', ...why });
    expect(await measured.read('reprieve_unsaved_evictions_total')).toEqual([
      '{cause="NotProtected"} 1',
      '{cause="SavingCostsMore"} 1',
      '{cause="SavingFailed"} 1',
    ]);
    expect(await measured.read('reprieve_unsaved_cost_node_seconds_total')).toEqual([
      '{action="evict"} 2',
      '{action="save"} 5',
    ]);
    expect(await measured.read('reprieve_evictions_total')).toEqual(['{saved="false"} 2', '{saved="true"} 1']);
  });

  it('counts a ticket that ended, by its reason', async () => {
    const measured = new Measured();
    for (const phase of ['Restoring', 'ColdStarted'] as const) {
      const reason = phase === 'Restoring' ? 'Placed' : 'CheckpointMissing';
      const command: Command = { kind: 'SetTicketPhase', ticket: makeTicket(), phase, reason, message: '' };
      measured.engine.events.emit('command:done', {
        command,
        outcome: 'done',
        error: null,
        refusal: null,
        tookMs: 0,
        restMs: 0,
      });
    }
    expect(await measured.read('reprieve_tickets_ended_total')).toEqual([
      '{phase="ColdStarted",reason="CheckpointMissing"} 1',
    ]);
  });

  it('counts contradictions by kind', async () => {
    const measured = new Measured();
    const contradiction = { object: makeTicket(), what: '', resolution: '' };
    measured.engine.events.emit('record:contradiction', { ...contradiction, kind: 'VictimRuns' });
    measured.engine.events.emit('record:contradiction', { ...contradiction, kind: 'VictimRuns' });
    expect(await measured.read('reprieve_contradictions_total')).toEqual(['{kind="VictimRuns"} 2']);
  });

  it('reads its gauges off the index', async () => {
    const measured = new Measured();
    measured
      .put('node', makeNode())
      .put('pod', makePod({ nodeName: 'n1' }))
      .put('ticket', makeTicket({ phase: 'Waiting' }), makeTicket({ name: 'other', phase: 'Waiting' }));
    expect(await measured.read('reprieve_tickets')).toEqual(
      expect.arrayContaining(['{phase="Waiting"} 2', '{phase="Restored"} 0']),
    );
    expect(await measured.read('reprieve_index_objects')).toEqual(
      expect.arrayContaining(['{kind="pod"} 1', '{kind="ticket"} 2', '{kind="policy"} 0']),
    );
  });

  it('shows the queue by priority, and forgets a priority of which nobody waits', async () => {
    const measured = new Measured();
    const waiting = (name: string, priority: number, phaseMs: number) =>
      makeTicket({ name, phase: 'Waiting', priority, phaseMs });
    measured.put('ticket', waiting('a', 10, 70_000), waiting('b', 10, 90_000), waiting('c', -5, 95_000));
    expect(await measured.read('reprieve_queue_length')).toEqual(['{priority="-5"} 1', '{priority="10"} 2']);
    expect(await measured.read('reprieve_queue_oldest_seconds')).toEqual(['{priority="-5"} 5', '{priority="10"} 30']);
    measured.put('ticket', makeTicket({ name: 'c', phase: 'Admitted', priority: -5 }));
    expect(await measured.read('reprieve_queue_length')).toEqual(['{priority="10"} 2']);
    expect(await measured.read('reprieve_queue_oldest_seconds')).toEqual(['{priority="10"} 30']);
  });

  it('shows why pods stand still, and for how long', async () => {
    const measured = new Measured();
    const pod = (name: string, deletionMs: number | null = null) => makePod({ name, nodeName: 'n1', deletionMs });
    const frozen = (name: string, overrides: Parameters<typeof makeCheckpoint>[0] = {}) =>
      makeCheckpoint({ name, podUid: `uid-${name}`, frozen: true, creationMs: 90_000, ...overrides });
    const wanted = pod('wanted');
    measured
      .put('pod', wanted, pod('leaving', 99_000), pod('undone'), pod('dumped'), pod('stray'))
      .put(
        'ticket',
        makeTicket({ phase: 'Saving', checkpoint: 'wanted', pod: { ...makeTicket().pod, uid: wanted.uid } }),
      )
      .put('checkpoint', frozen('wanted'), frozen('leaving'), frozen('undone', { deleting: true }))
      .put('checkpoint', frozen('dumped', { keepFrozen: false }), frozen('stray', { takenMs: 60_000 }))
      .put('checkpoint', frozen('gone', { takenMs: 1_000 }));
    expect(await measured.read('reprieve_frozen_pods')).toEqual([
      '{cause="Dumping"} 1',
      '{cause="Evicting"} 1',
      '{cause="None"} 1',
      '{cause="Saving"} 1',
      '{cause="Undoing"} 1',
    ]);
    expect(await measured.read('reprieve_frozen_oldest_seconds')).toEqual(['40']);
  });
});
