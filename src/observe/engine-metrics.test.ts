import { describe, expect, it } from 'vitest';
import { makeCheckpoint, makeDecision, makeNode, makePod, makeTicket } from '../../test/support/builders.ts';
import type { PlannedVictim } from '../domain/ticket.ts';
import type { Command } from '../engine/commands.ts';
import { EngineEvents } from '../engine/engine-events.ts';
import { ClusterIndex } from '../index/cluster-index.ts';
import type { IndexedKind, IndexedKinds, IndexEvent } from '../index/types.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { measureEngine } from './engine-metrics.ts';
import { Metrics } from './metrics.ts';

class Measured {
  readonly metrics = new Metrics();
  readonly index = new ClusterIndex();
  readonly clock = new VirtualClock({ startMs: 100_000 });
  readonly events = new EngineEvents((error) => {
    throw error;
  });
  isSynced = true;
  #version = 0;

  constructor() {
    const { metrics, index, clock, events } = this;
    measureEngine({ metrics, events, view: index, isSynced: () => this.isSynced, clock });
  }

  put<K extends IndexedKind>(kind: K, value: IndexedKinds[K]): this {
    this.index.apply({
      type: 'upsert',
      kind,
      value: { ...value, resourceVersion: String(++this.#version) },
    } as IndexEvent);
    return this;
  }

  /** Lines of one metric, without its name. */
  async read(name: string): Promise<string[]> {
    const lines = (await this.metrics.render()).split('\n').filter((line) => /^\w+/.exec(line)?.[0] === name);
    return lines.map((line) => line.slice(name.length).replace('{}', '').trim());
  }
}

function evict(victim: Partial<PlannedVictim>, unsaved: string | null): Command {
  const decision = makeDecision();
  const planned = { ...(decision.victims[0] as PlannedVictim), ...victim };
  const preemptor = makePod({ name: 'high' });
  return { kind: 'Evict', order: { victim: makePod(), frozenBy: null, preemptor }, victim: planned, decision, unsaved };
}

describe('measureEngine', () => {
  it('counts answers by reason, and writes by outcome', async () => {
    const measured = new Measured();
    const verdict = { reason: 'Saving' as const, candidates: [], node: null, decisionId: 'd1', saving: 1 };
    measured.events.emit('preempt:answered', { preemptor: makePod(), verdict });
    const command: Command = { kind: 'Wake', pod: makePod(), node: makeNode().name };
    measured.events.emit('command:done', { command, outcome: 'failed', error: new Error('no') });
    expect(await measured.read('reprieve_decisions_total')).toEqual(['{reason="Saving"} 1']);
    expect(await measured.read('reprieve_commands_total')).toEqual(['{command="Wake",outcome="failed"} 1']);
  });

  it('counts an eviction once it happened, and as saved only with a checkpoint', async () => {
    const measured = new Measured();
    const done = (command: Command, outcome: 'done' | 'moved' | 'failed' = 'done'): void => {
      measured.events.emit('command:done', { command, outcome, error: null });
    };
    done(evict({ checkpoint: 'c' }, null));
    done(evict({ checkpoint: 'c' }, null), 'failed');
    done(evict({ checkpoint: 'c' }, null), 'moved');
    done(evict({ checkpoint: 'c' }, 'its checkpoint failed'));
    done(evict({ checkpoint: null, action: 'evict' }, null));
    expect((await measured.read('reprieve_evictions_total')).toSorted()).toEqual([
      '{saved="false"} 2',
      '{saved="true"} 1',
    ]);
  });

  it('counts contradictions by kind', async () => {
    const measured = new Measured();
    const contradiction = { object: makeTicket(), what: '', resolution: '' };
    measured.events.emit('record:contradiction', { ...contradiction, kind: 'VictimRuns' });
    measured.events.emit('record:contradiction', { ...contradiction, kind: 'VictimRuns' });
    expect(await measured.read('reprieve_contradictions_total')).toEqual(['{kind="VictimRuns"} 2']);
  });

  it('reads its gauges off the index', async () => {
    const measured = new Measured();
    measured
      .put('node', makeNode())
      .put('pod', makePod({ nodeName: 'n1' }))
      .put('checkpoint', makeCheckpoint({ frozen: true }))
      .put('ticket', makeTicket({ phase: 'Waiting', phaseMs: 70_000 }))
      .put('ticket', makeTicket({ name: 'younger', phase: 'Waiting', phaseMs: 90_000 }));
    expect(await measured.read('reprieve_frozen_pods')).toEqual(['1']);
    expect(await measured.read('reprieve_tickets')).toEqual(
      expect.arrayContaining(['{phase="Waiting"} 2', '{phase="Restored"} 0']),
    );
    expect(await measured.read('reprieve_queue_oldest_seconds')).toEqual(['30']);
    expect(await measured.read('reprieve_index_objects')).toEqual(
      expect.arrayContaining(['{kind="pod"} 1', '{kind="ticket"} 2', '{kind="policy"} 0']),
    );
    expect(await measured.read('reprieve_index_synced')).toEqual(['1']);
    measured.isSynced = false;
    expect(await measured.read('reprieve_index_synced')).toEqual(['0']);
  });

  it('times a checkpoint once, and none that was ready before', async () => {
    const measured = new Measured();
    measured.isSynced = false;
    measured.put('checkpoint', makeCheckpoint({ name: 'old', ready: true, bytes: 1 }));
    measured.isSynced = true;
    measured.put('checkpoint', makeCheckpoint({ creationMs: 96_000 }));
    const ready = makeCheckpoint({ creationMs: 96_000, ready: true, bytes: 2 ** 21 });
    measured
      .put('checkpoint', ready)
      .put('checkpoint', ready)
      .put('checkpoint', makeCheckpoint({ name: 'old', ready: true }));
    expect(await measured.read('reprieve_checkpoint_duration_seconds_count')).toEqual(['1']);
    expect(await measured.read('reprieve_checkpoint_duration_seconds_sum')).toEqual(['4']);
    expect(await measured.read('reprieve_checkpoint_bytes_sum')).toEqual([String(2 ** 21)]);
  });

  it('times a restore from its admission, and not one that went back to the queue', async () => {
    const measured = new Measured();
    const phases = (name: string, ...steps: readonly [Parameters<typeof makeTicket>[0] & object, number][]): void => {
      for (const [overrides, phaseMs] of steps) measured.put('ticket', makeTicket({ name, ...overrides, phaseMs }));
    };
    phases('good', [{ phase: 'Admitted' }, 1_000], [{ phase: 'Restoring' }, 2_000], [{ phase: 'Restored' }, 9_000]);
    phases('late', [{ phase: 'Admitted' }, 1_000], [{ phase: 'Waiting' }, 2_000], [{ phase: 'Restored' }, 9_000]);
    phases('old', [{ phase: 'Restored' }, 9_000]);
    expect(await measured.read('reprieve_restore_duration_seconds_count')).toEqual(['1']);
    expect(await measured.read('reprieve_restore_duration_seconds_sum')).toEqual(['8']);
  });
});
