import { describe, expect, it } from 'vitest';
import { samplesOf } from '../../test/support/measured.ts';
import type { ReflectorStats } from '../kube/reflector-stats.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { Metrics } from './metrics.ts';
import { measureWatches } from './watch-metrics.ts';

const NOTHING: ReflectorStats = {
  synced: false,
  restarts: 0,
  relists: 0,
  missed: 0,
  redundant: 0,
  events: 0,
  invalid: 0,
  lastEventMs: null,
};

function setUp() {
  const metrics = new Metrics();
  let stats: ReflectorStats = NOTHING;
  measureWatches(metrics, () => ({ pod: stats }), new VirtualClock({ startMs: 100_000 }));
  return {
    read: (name: string) => samplesOf(metrics, name),
    set: (change: Partial<ReflectorStats>) => (stats = { ...stats, ...change }),
  };
}

describe('measureWatches', () => {
  it.each([
    ['restarts', 'reprieve_watch_restarts_total'],
    ['relists', 'reprieve_watch_relists_total'],
    ['missed', 'reprieve_index_missed_total'],
    ['redundant', 'reprieve_index_redundant_total'],
    ['invalid', 'reprieve_index_unreadable_total'],
  ] as const)('counts the %s that came since the last scrape', async (total, name) => {
    const { read, set } = setUp();
    set({ [total]: 2 });
    expect(await read(name)).toEqual(['{kind="pod"} 2']);
    set({ [total]: 5 });
    expect(await read(name)).toEqual(['{kind="pod"} 5']);
    expect(await read(name)).toEqual(['{kind="pod"} 5']);
  });

  it('shows how old the index is, once the server has said anything', async () => {
    const { read, set } = setUp();
    expect(await read('reprieve_index_age_seconds')).toEqual([]);
    expect(await read('reprieve_index_synced')).toEqual(['{kind="pod"} 0']);
    set({ synced: true, lastEventMs: 97_500 });
    expect(await read('reprieve_index_age_seconds')).toEqual(['{kind="pod"} 2.5']);
    expect(await read('reprieve_index_synced')).toEqual(['{kind="pod"} 1']);
  });
});
