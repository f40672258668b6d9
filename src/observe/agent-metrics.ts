import type { Metrics } from './metrics.ts';

/** How many agents are heard, and how many are not. */
export function measureAgents(
  metrics: Metrics,
  agents: { count(): { readonly all: number; readonly silent: number } },
): void {
  metrics.onCollect(() => {
    const { all, silent } = agents.count();
    metrics.set('reprieve_agents', { state: 'live' }, all - silent);
    metrics.set('reprieve_agents', { state: 'silent' }, silent);
  });
}
