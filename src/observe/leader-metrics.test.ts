import { expect, it } from 'vitest';
import { samplesOf } from '../../test/support/measured.ts';
import { measureLeadership } from './leader-metrics.ts';
import { Metrics } from './metrics.ts';

it('shows who leads, and counts how often that changed', async () => {
  const metrics = new Metrics();
  let isLeader = false;
  let changed = (): void => undefined;
  let reachesWebhook = false;
  measureLeadership(metrics, {
    isLeader: () => isLeader,
    reachesWebhook: () => reachesWebhook,
    leaseAgeMs: () => 2_500,
    onChange: (listener) => (changed = listener),
  });
  expect(await samplesOf(metrics, 'reprieve_webhook_reachable')).toEqual(['0']);
  expect(await samplesOf(metrics, 'reprieve_lease_age_seconds')).toEqual(['2.5']);
  reachesWebhook = true;
  expect(await samplesOf(metrics, 'reprieve_webhook_reachable')).toEqual(['1']);
  expect(await samplesOf(metrics, 'reprieve_leader')).toEqual(['0']);
  for (const next of [true, false, true]) {
    isLeader = next;
    changed();
  }
  expect(await samplesOf(metrics, 'reprieve_leader')).toEqual(['1']);
  expect(await samplesOf(metrics, 'reprieve_leader_transitions_total')).toEqual(['3']);
});
