import { describe, expect, it } from 'vitest';
import { METRICS, type MetricEntry } from './metrics-table.ts';
import { Metrics } from './metrics.ts';
import { measureWatches } from './watch-metrics.ts';

describe('Metrics', () => {
  it('renders every metric of the table, with its type', async () => {
    const text = await new Metrics().render();
    for (const [name, { type }] of Object.entries<MetricEntry>(METRICS))
      expect(text).toContain(`# TYPE ${name} ${type}`);
  });

  it('counts, sets and observes', async () => {
    const metrics = new Metrics();
    metrics.inc('reprieve_decisions_total', { reason: 'Saving' });
    metrics.inc('reprieve_decisions_total', { reason: 'Saving' }, 2);
    metrics.set('reprieve_frozen_pods', {}, 4);
    metrics.observe('reprieve_extender_request_duration_seconds', { verb: 'preempt' }, 0.002);
    const text = await metrics.render();
    expect(text).toContain('reprieve_decisions_total{reason="Saving"} 3');
    expect(text).toMatch(/^reprieve_frozen_pods(\{\})? 4$/m);
    expect(text).toContain('reprieve_extender_request_duration_seconds_bucket{le="0.001",verb="preempt"} 0');
    expect(text).toContain('reprieve_extender_request_duration_seconds_bucket{le="0.0025",verb="preempt"} 1');
  });

  it('shares nothing with another one', async () => {
    new Metrics().inc('reprieve_decisions_total', { reason: 'Saving' });
    expect(await new Metrics().render()).not.toContain('reason="Saving"');
  });

  it('asks its collectors at each scrape', async () => {
    const metrics = new Metrics();
    let frozen = 0;
    metrics.onCollect(() => metrics.set('reprieve_frozen_pods', {}, ++frozen));
    await metrics.render();
    expect(await metrics.render()).toMatch(/^reprieve_frozen_pods(\{\})? 2$/m);
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

describe('measureWatches', () => {
  it('counts what came since the last scrape', async () => {
    const metrics = new Metrics();
    let restarts = 2;
    measureWatches(metrics, () => ({ pods: { restarts } }));
    await metrics.render();
    restarts = 5;
    expect(await metrics.render()).toContain('reprieve_watch_restarts_total{kind="pods"} 5');
    expect(await metrics.render()).toContain('reprieve_watch_restarts_total{kind="pods"} 5');
  });
});
