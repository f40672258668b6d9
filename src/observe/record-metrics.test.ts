import { describe, expect, it } from 'vitest';
import { makeCheckpoint, makeTicket } from '../../test/support/builders.ts';
import { Measured } from '../../test/support/measured.ts';

describe('measureRecords', () => {
  it('times a checkpoint once, and none that was ready before', async () => {
    const measured = new Measured();
    measured.engine.mayAct = false;
    measured.put('checkpoint', makeCheckpoint({ name: 'old', ready: true, bytes: 1 }));
    measured.engine.mayAct = true;
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
    measured.put('checkpoint', makeCheckpoint({ name: makeTicket().checkpoint, ready: true, bytes: 2 ** 22 }));
    phases('good', [{ phase: 'Admitted' }, 1_000], [{ phase: 'Restoring' }, 2_000], [{ phase: 'Restored' }, 9_000]);
    phases('late', [{ phase: 'Admitted' }, 1_000], [{ phase: 'Waiting' }, 2_000], [{ phase: 'Restored' }, 9_000]);
    phases('old', [{ phase: 'Restored' }, 9_000]);
    phases('fast', [{ phase: 'Waiting' }, 1_000], [{ phase: 'Restoring' }, 2_000], [{ phase: 'Restored' }, 3_000]);
    expect(await measured.read('reprieve_restore_duration_seconds_count')).toEqual(['2']);
    expect(await measured.read('reprieve_restore_duration_seconds_sum')).toEqual(['9']);
    expect(await measured.read('reprieve_restore_bytes_sum')).toEqual([String(2 ** 23)]);
  });

  it('does not time a restore that had begun before this process could act', async () => {
    const measured = new Measured();
    measured.engine.mayAct = false;
    measured.put('ticket', makeTicket({ phase: 'Restoring', phaseMs: 1_000 }));
    measured.engine.mayAct = true;
    measured.put('ticket', makeTicket({ phase: 'Restored', phaseMs: 9_000 }));
    expect(await measured.read('reprieve_restore_duration_seconds_count')).toEqual(['0']);
  });
});
