import { expect, it } from 'vitest';
import { makeDisplacement, makeTicket } from '../../test/support/builders.ts';
import { samplesOf } from '../../test/support/measured.ts';
import { EngineEvents } from '../engine/engine-events.ts';
import { ClusterIndex } from '../index/cluster-index.ts';
import type { MetricName } from './metrics-table.ts';
import { Metrics } from './metrics.ts';
import { measureReplicas } from './replica-metrics.ts';

it('shows what keeping the replicas in step costs', async () => {
  const metrics = new Metrics();
  const events = new EngineEvents(() => undefined);
  const index = new ClusterIndex();
  let leads = true;
  let answersFromIndex = true;
  measureReplicas({ metrics, events, view: index, leads: () => leads, answersFromIndex: () => answersFromIndex });
  const value = async (name: MetricName | 'reprieve_barrier_wait_seconds_sum'): Promise<number> =>
    Number((await samplesOf(metrics, name))[0]?.split(' ').at(-1));

  index.apply({ type: 'upsert', kind: 'ticket', value: makeTicket({ phase: 'Saving', resourceVersion: '12' }) });
  index.setWebhookReplicas([
    { name: 'a', seen: '12' },
    { name: 'b', seen: '9' },
  ]);
  expect(await value('reprieve_webhook_replicas_behind')).toBe(1);
  expect(await value('reprieve_webhook_answers_from_index')).toBe(1);
  leads = answersFromIndex = false;
  expect(await value('reprieve_webhook_replicas_behind')).toBe(0);
  expect(await value('reprieve_webhook_answers_from_index')).toBe(0);

  events.emit('admission:read', { namespace: 'default' });
  events.emit('barrier:passed', { displacement: makeDisplacement(), waitedMs: 250 });
  expect(await value('reprieve_webhook_live_reads_total')).toBe(1);
  expect(await value('reprieve_barrier_wait_seconds_sum')).toBe(0.25);
});
