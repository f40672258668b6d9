import type { ReflectorStats } from '../kube/reflector-stats.ts';
import type { Clock } from '../ports/clock.ts';
import type { CounterName } from './metrics-table.ts';
import type { Metrics } from './metrics.ts';

/** Totals that the readers keep, and their counters. */
const TOTALS = {
  restarts: 'reprieve_watch_restarts_total',
  relists: 'reprieve_watch_relists_total',
  missed: 'reprieve_index_missed_total',
  redundant: 'reprieve_index_redundant_total',
  invalid: 'reprieve_index_unreadable_total',
} as const satisfies Partial<Record<keyof ReflectorStats, CounterName>>;

type Total = keyof typeof TOTALS;

/** How complete and how old the index is, and what keeping it so took, by kind. */
export function measureWatches(
  metrics: Metrics,
  stats: () => Readonly<Record<string, ReflectorStats>>,
  clock: Clock,
): void {
  const counted = new Map<string, ReflectorStats>(); // kind -> what is in the counters
  metrics.onCollect(() => {
    for (const [kind, now] of Object.entries(stats())) {
      for (const total of Object.keys(TOTALS) as Total[]) {
        metrics.inc(TOTALS[total], { kind }, Math.max(0, now[total] - (counted.get(kind)?.[total] ?? 0)));
      }
      counted.set(kind, now);
      metrics.set('reprieve_index_synced', { kind }, now.synced ? 1 : 0);
      if (now.lastEventMs === null) continue;
      metrics.set('reprieve_index_age_seconds', { kind }, Math.max(0, clock.monotonic() - now.lastEventMs) / 1000);
    }
  });
}
