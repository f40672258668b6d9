import { describe, expect, it } from 'vitest';
import { makeCheckpoint, makePolicy } from '../../test/support/builders.ts';
import { DEFAULT_COST_MODEL, planVictim, type VictimFacts } from './victim-cost.ts';

const GI = 2 ** 30;
const nowMs = 1_000_000_000;

/** Half a node, one hour old, 1 GiB of memory, on a disk of 512 MiB/s. */
function facts(overrides: Partial<VictimFacts> = {}): VictimFacts {
  return {
    weight: 0.5,
    memoryBytes: GI,
    startMs: nowMs - 3_600_000,
    isEnding: false,
    displacements: 0,
    policy: makePolicy(),
    hold: null,
    latest: null,
    dumpBytesPerSecond: 512 * 2 ** 20,
    preemptorShare: 0.5,
    queuedBytes: 0,
    endsItsJob: false,
    nowMs,
    ...overrides,
  };
}
const policyWith = (preemption: Partial<ReturnType<typeof makePolicy>['preemption']>) =>
  makePolicy({ preemption: { ...makePolicy().preemption, ...preemption } });
const young = { startMs: nowMs - 1_000 };

describe('planVictim', () => {
  const table: Record<string, { given: VictimFacts; want: string }> = {
    'saves an hour of work rather than lose it': { given: facts(), want: 'Save' },
    'evicts a pod that no policy protects': { given: facts({ policy: null }), want: 'Evict' },
    'evicts a pod that has hardly begun when the decision is adaptive': {
      given: facts({ ...young, policy: policyWith({ decision: 'Adaptive' }), queuedBytes: 20 * GI }),
      want: 'Evict',
    },
    'saves the same pod when the decision is Always': {
      given: facts({ ...young, policy: policyWith({ decision: 'Always' }), queuedBytes: 20 * GI }),
      want: 'Save',
    },
    'never throws away work that was saved once': {
      given: facts({
        ...young,
        displacements: 1,
        policy: policyWith({ decision: 'Adaptive' }),
        queuedBytes: 20 * GI,
      }),
      want: 'Save',
    },
    'uses a checkpoint that is fresh enough': {
      given: facts({
        policy: policyWith({ freshForMs: 60_000 }),
        latest: makeCheckpoint({ ready: true, takenMs: nowMs - 500, bytes: GI }),
      }),
      want: 'Reuse',
    },
    'counts no work as lost of the time that the pod stood frozen for that checkpoint': {
      given: facts({
        policy: policyWith({ freshForMs: 60_000 }),
        latest: makeCheckpoint({ ready: true, takenMs: nowMs - 12_000, completedMs: nowMs - 500, bytes: GI }),
      }),
      want: 'Reuse',
    },
    'makes a new one when the last is too old': {
      given: facts({
        policy: policyWith({ freshForMs: 60_000 }),
        latest: makeCheckpoint({ ready: true, takenMs: nowMs - 61_000, bytes: GI }),
      }),
      want: 'Save',
    },
    'leaves alone what is terminating anyway': {
      given: facts({ isEnding: true }),
      want: 'Evict',
    },
  };
  for (const [sentence, { given, want }] of Object.entries(table)) {
    it(sentence, () => {
      expect(planVictim(given, DEFAULT_COST_MODEL).plan).toBe(want);
    });
  }

  it('prices an eviction in node-seconds of lost work and cold start', () => {
    const plan = planVictim(facts({ policy: null }), { ...DEFAULT_COST_MODEL, coldStartMs: 10_000 });
    expect(plan.cost).toBeCloseTo(0.5 * (3600 + 10));
  });

  it('prices a checkpoint by freeze, queue, dump and restore, and by what the preemptor waits', () => {
    const model = { ...DEFAULT_COST_MODEL, freezeMs: 100, restoreBytesPerSecond: GI };
    const plan = planVictim(facts({ queuedBytes: GI }), model);
    const saveSeconds = 0.1 + 4; // 2 GiB at 512 MiB/s
    expect(plan.saveMs).toBeCloseTo(saveSeconds * 1000);
    expect(plan.cost).toBeCloseTo(0.5 * (saveSeconds + 1) + 0.5 * saveSeconds);
  });

  it('costs more with each earlier displacement', () => {
    const cost = (displacements: number) =>
      planVictim(facts({ displacements, preemptorShare: 0 }), DEFAULT_COST_MODEL).cost;
    expect(cost(2)).toBeCloseTo(cost(0) * (1 + 2 * DEFAULT_COST_MODEL.displacementFactor));
  });
});
