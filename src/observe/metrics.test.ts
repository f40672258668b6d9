import { describe, expect, it } from 'vitest';
import { samplesOf } from '../../test/support/measured.ts';
import { METRICS, type MetricEntry } from './metrics-table.ts';
import { Metrics } from './metrics.ts';

describe('Metrics', () => {
  it('renders every metric of the table, with its type', async () => {
    const text = await new Metrics().render();
    for (const [name, { type }] of Object.entries<MetricEntry>(METRICS))
      expect(text).toContain(`# TYPE ${name} ${type}`);
  });

  it('counts, sets and observes', async () => {
    const metrics = new Metrics();
    metrics.inc('reprieve_decisions_total', { verdict: 'held', reason: 'Saving' });
    metrics.inc('reprieve_decisions_total', { verdict: 'held', reason: 'Saving' }, 2);
    metrics.set('reprieve_commands_in_flight', {}, 4);
    metrics.observe('reprieve_extender_request_duration_seconds', { verb: 'preempt' }, 0.002);
    const text = await metrics.render();
    expect(text).toContain('reprieve_decisions_total{verdict="held",reason="Saving"} 3');
    expect(text).toMatch(/^reprieve_commands_in_flight(\{\})? 4$/m);
    expect(text).toContain('reprieve_extender_request_duration_seconds_bucket{le="0.001",verb="preempt"} 0');
    expect(text).toContain('reprieve_extender_request_duration_seconds_bucket{le="0.0025",verb="preempt"} 1');
  });

  it('shares nothing with another one', async () => {
    new Metrics().inc('reprieve_decisions_total', { verdict: 'held', reason: 'Saving' });
    expect(await new Metrics().render()).not.toContain('reason="Saving"');
  });

  it('asks its collectors at each scrape', async () => {
    const metrics = new Metrics();
    let writes = 0;
    metrics.onCollect(() => metrics.set('reprieve_commands_in_flight', {}, ++writes));
    await metrics.render();
    expect(await metrics.render()).toMatch(/^reprieve_commands_in_flight(\{\})? 2$/m);
  });
});

describe('setOnly', () => {
  it('removes what is no longer there', async () => {
    const metrics = new Metrics();
    metrics.setOnly('reprieve_queue_length', [
      [{ priority: '1' }, 2],
      [{ priority: '5' }, 3],
    ]);
    metrics.setOnly('reprieve_queue_length', [[{ priority: '5' }, 1]]);
    expect(await samplesOf(metrics, 'reprieve_queue_length')).toEqual(['{priority="5"} 1']);
  });
});

describe('metrics table', () => {
  it('keeps to the naming rules of Prometheus', () => {
    for (const [name, { type, labels }] of Object.entries<MetricEntry>(METRICS)) {
      expect(name).toMatch(/^reprieve_[a-z_]+$/);
      expect(name.endsWith('_total'), name).toBe(type === 'counter');
      for (const label of labels) expect(label).toMatch(/^[a-z]+$/);
    }
  });

  it('has rising buckets for histograms, and for nothing else', () => {
    for (const { type, buckets } of Object.values<MetricEntry>(METRICS)) {
      expect(buckets !== undefined).toBe(type === 'histogram');
      expect(buckets?.toSorted((a, b) => a - b)).toEqual(buckets);
    }
  });
});
