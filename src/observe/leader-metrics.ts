import type { Metrics } from './metrics.ts';

/** Who knows whether this replica leads. */
interface LeadershipSource {
  isLeader(): boolean;
  reachesWebhook(): boolean;
  leaseAgeMs(): number;
  /** Calls `listener` each time this replica began or ceased to lead. */
  onChange(listener: () => void): unknown;
}

/** Shows whether this replica leads, and counts the changes. */
export function measureLeadership(metrics: Metrics, source: LeadershipSource): void {
  source.onChange(() => metrics.inc('reprieve_leader_transitions_total', {}));
  metrics.onCollect(() => {
    metrics.set('reprieve_leader', {}, source.isLeader() ? 1 : 0);
    metrics.set('reprieve_lease_age_seconds', {}, source.leaseAgeMs() / 1000);
    metrics.set('reprieve_webhook_reachable', {}, source.reachesWebhook() ? 1 : 0);
  });
}
