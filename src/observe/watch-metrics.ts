import type { Metrics } from './metrics.ts';

/** Counts how often each watch had to be opened again, from the totals that the readers keep. */
export function measureWatches(
  metrics: Metrics,
  stats: () => Readonly<Record<string, { readonly restarts: number }>>,
): void {
  const counted = new Map<string, number>(); // kind -> restarts that are in the counter
  metrics.onCollect(() => {
    for (const [kind, { restarts }] of Object.entries(stats())) {
      metrics.inc('reprieve_watch_restarts_total', { kind }, Math.max(0, restarts - (counted.get(kind) ?? 0)));
      counted.set(kind, restarts);
    }
  });
}
