import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import { SimulatedStates } from '../../sim/nodes/simulated-states.ts';
import type { PodUid } from '../../domain/ids.ts';
import { Quarantine } from './quarantine.ts';

const HOUR = 3_600_000;

function setUp() {
  const clock = new VirtualClock();
  const store = new SimulatedStates();
  const state = { podUid: 'uid-pod' as PodUid, progressSeconds: 1, bytes: 1, images: [], weight: 1, owed: false };
  store.put('a', state);
  const notices: string[] = [];
  const begin = () =>
    new Quarantine({
      pods: {
        unknownSince: async (reference, nowMs) => store.unknownSince(reference, nowMs),
        known: async (reference) => store.known(reference),
        forget: async (reference) => void store.remove(reference),
      },
      clock,
      keepMs: 24 * HOUR,
      onNotice: (reference) => notices.push(reference),
      onError: (error) => {
        throw error;
      },
    });
  return { clock, store, notices, begin };
}

describe('a state whose PodCheckpoint is unknown', () => {
  it('is told once, and kept for a day', async () => {
    const { clock, store, notices, begin } = setUp();
    await begin().add('a');
    await clock.advance(23 * HOUR);
    expect(store.references()).toEqual(['a']);
    await clock.advance(2 * HOUR);
    expect(store.references()).toEqual([]);
    expect(notices).toEqual(['a']);
  });

  it('is kept no longer for a restart of the agent', async () => {
    const { clock, store, begin } = setUp();
    const first = begin();
    await first.add('a');
    await clock.advance(20 * HOUR);
    first.stop();
    await begin().add('a');
    await clock.advance(5 * HOUR);
    expect(store.references()).toEqual([]);
  });

  it('is kept for good once its PodCheckpoint is back, and counts anew after that', async () => {
    const { clock, store, begin } = setUp();
    const quarantine = begin();
    await quarantine.add('a');
    await clock.advance(20 * HOUR);
    await quarantine.remove('a');
    await clock.advance(100 * HOUR);
    expect(store.references()).toEqual(['a']);
    await quarantine.add('a');
    await clock.advance(20 * HOUR);
    expect(store.references()).toEqual(['a']);
  });

  it('is removed at once where it is not whole', async () => {
    const forgotten: string[] = [];
    const clock = new VirtualClock();
    const pods = {
      unknownSince: async () => null,
      known: async () => undefined,
      forget: async (reference: string) => void forgotten.push(reference),
    };
    await new Quarantine({ pods, clock, keepMs: HOUR, onNotice: () => undefined, onError: () => undefined }).add('b');
    expect(forgotten).toEqual(['b']);
  });
});
