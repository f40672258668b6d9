import { replicasBehind } from '../engine/displace/barrier.ts';
import type { EngineEvents } from '../engine/engine-events.ts';
import type { ClusterView } from '../index/types.ts';
import type { Metrics } from './metrics.ts';

/** What keeping the replicas of the webhook in step costs evictions and reviews. */
export function measureReplicas(options: {
  readonly metrics: Metrics;
  readonly events: EngineEvents;
  readonly view: ClusterView;
  readonly leads: () => boolean;
  readonly answersFromIndex: () => boolean;
}): void {
  const { metrics, events, view, leads, answersFromIndex } = options;
  events.on('admission:read', () => metrics.inc('reprieve_webhook_live_reads_total', {}));
  events.on('barrier:passed', ({ waitedMs }) => metrics.observe('reprieve_barrier_wait_seconds', {}, waitedMs / 1000));
  metrics.onCollect(() => {
    metrics.set('reprieve_webhook_answers_from_index', {}, answersFromIndex() ? 1 : 0);
    metrics.set('reprieve_webhook_replicas_behind', {}, leads() ? replicasBehind(view, [...view.tickets()]).length : 0);
  });
}
