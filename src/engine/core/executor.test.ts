import { describe, expect, it } from 'vitest';
import { makePod, makeTicket } from '../../../test/support/builders.ts';
import type { ClusterWriter, Refusal, WriteOutcome } from '../../ports/cluster-writer.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import type { Command } from './commands.ts';
import { EngineEvents } from '../engine-events.ts';
import { Executor } from './executor.ts';

const phase = (message: string): Command => ({
  kind: 'SetTicketPhase',
  ticket: makeTicket(),
  phase: 'Waiting',
  reason: 'Queued',
  message,
});
const nominate = (node: string | null): Command => ({ kind: 'Nominate', pod: makePod(), node: node as never });

/** An executor over a writer whose answers the test gives. */
function setUp(answer: (call: number) => Promise<WriteOutcome>, refusalOf: () => Refusal | null = () => null) {
  const clock = new VirtualClock();
  const calls: string[] = [];
  const outcomes: string[] = [];
  const writer = new Proxy({} as ClusterWriter, {
    get: (_, method: string) => () => {
      calls.push(method);
      return answer(calls.length);
    },
  });
  const events = new EngineEvents((error) => {
    throw error;
  });
  events.on('command:done', ({ outcome }) => outcomes.push(outcome));
  let settled = 0;
  const executor = new Executor({ writer, clock, events, refusalOf, onSettled: () => settled++ });
  return { clock, calls, outcomes, executor, settled: () => settled };
}

describe('Executor', () => {
  it('lets commands about one object never overlap', async () => {
    const gate = Promise.withResolvers<WriteOutcome>();
    const { executor, calls, clock } = setUp(() => gate.promise);
    executor.run([phase('a'), phase('b')]);
    executor.run([phase('c')]);
    expect(calls).toEqual(['setTicketPhase']);
    expect(executor.inFlight()).toEqual([
      { key: 'ticket:uid-pod-uid-pod', kind: 'SetTicketPhase', sinceMs: clock.now() },
    ]);
    gate.resolve('done');
    await clock.settle();
    executor.run([phase('d')]);
    expect(calls).toHaveLength(2);
  });

  describe('a write that the API server refuses', () => {
    const refused = () => {
      const setup = setUp(
        () => Promise.reject(new Error('exceeded quota')),
        () => ({ reason: 'Admission', message: 'no' }),
      );
      setup.executor.run([phase('a')]);
      return setup;
    };

    it('is repeated after long pauses, and other writes about the object are not kept back', async () => {
      const { executor, calls, clock, outcomes } = refused();
      await clock.settle();
      expect(outcomes).toEqual(['refused']);
      await clock.advance(9_000);
      executor.run([phase('a')]);
      expect(calls).toHaveLength(1);
      executor.run([{ ...phase('b'), phase: 'ColdStarted' } as Command]);
      await clock.settle();
      expect(calls).toHaveLength(2);
      for (let seconds = 0; seconds < 3_600; seconds += 5) {
        executor.run([phase('a')]);
        await clock.advance(5_000);
      }
      expect(calls.length).toBeLessThan(14);
    });

    it('is repeated when something changed in its namespace, but not for each change', async () => {
      const { executor, calls, clock, settled } = refused();
      await clock.settle();
      const before = settled();
      executor.retryRefused('other');
      await clock.advance(3_000);
      executor.run([phase('a')]);
      expect([calls.length, settled()]).toEqual([1, before]);
      for (let changes = 0; changes < 100; changes++) {
        executor.retryRefused('default');
        executor.run([phase('a')]);
        await clock.advance(10);
      }
      expect(calls).toHaveLength(2);
    });
  });

  it('rests twice as long after each failure, and says when to look again', async () => {
    const { executor, calls, clock, outcomes, settled } = setUp(() => Promise.reject(new Error('no answer')));
    const attempts: number[] = [];
    const start = clock.now();
    for (let step = 0; step < 100; step++) {
      const before = calls.length;
      executor.run([phase('again')]);
      if (calls.length > before) attempts.push(clock.now() - start);
      await clock.advance(100);
    }
    expect(attempts.slice(0, 5)).toEqual([0, 200, 600, 1400, 3000]);
    expect(new Set(outcomes)).toEqual(new Set(['failed']));
    expect(settled()).toBeGreaterThan(attempts.length);
  });

  it('rests a moment after the world moved, and starts afresh after success', async () => {
    const { executor, calls, clock } = setUp((call) => Promise.resolve(call === 1 ? 'moved' : 'done'));
    executor.run([phase('a')]);
    await clock.settle();
    executor.run([phase('a')]);
    expect(calls).toHaveLength(1);
    await clock.advance(200);
    executor.run([phase('a')]);
    await clock.settle();
    executor.run([{ ...phase('b'), phase: 'Restored' } as Command]);
    expect(calls).toHaveLength(3);
  });

  it('does not write in a circle what has no effect', async () => {
    const { executor, calls, clock } = setUp(() => Promise.resolve('done'));
    for (let step = 0; step < 100; step++) {
      executor.run([phase('again')]);
      await clock.advance(100);
    }
    expect(calls.length).toBeLessThan(10);
  });

  it('does not quarrel about a nomination', async () => {
    const { executor, calls, clock } = setUp(() => Promise.resolve('done'));
    executor.run([nominate('n1')]);
    await clock.settle();
    executor.run([nominate('n1')]);
    expect(calls).toHaveLength(1);
    await clock.advance(1_000);
    executor.run([nominate('n1')]);
    expect(calls).toHaveLength(2);
  });

  it('wakes by a nomination that is taken back', async () => {
    const { executor, calls, clock } = setUp(() => Promise.resolve('done'));
    executor.run([{ kind: 'Wake', pod: makePod(), node: 'n1' as never }]);
    await clock.settle();
    expect(calls).toEqual(['nominate', 'nominate']);
  });

  it('starts nothing after it was stopped', () => {
    const { executor, calls } = setUp(() => Promise.resolve('done'));
    executor.stop();
    executor.run([phase('a')]);
    expect(calls).toEqual([]);
  });
});
