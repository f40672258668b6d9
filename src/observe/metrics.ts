import { Counter, Gauge, Histogram, Registry } from '@prometheus-io/client';
import {
  METRICS,
  type CounterName,
  type GaugeName,
  type HistogramName,
  type LabelsOf,
  type MetricEntry,
  type MetricName,
} from './metrics-table.ts';

/**
 * The metrics of one process: exactly those of the table, each with exactly its labels. Nothing is registered globally, so
 * that a test, or an embedded cluster with several of them, has its own.
 *
 * @example
 * metrics.inc('reprieve_decisions_total', { reason: 'Saving' });
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #counters = new Map<MetricName, Counter<string>>();
  readonly #gauges = new Map<MetricName, Gauge<string>>();
  readonly #histograms = new Map<MetricName, Histogram<string>>();
  readonly #collectors: (() => void)[] = [];

  constructor() {
    for (const [name, entry] of Object.entries(METRICS) as [MetricName, MetricEntry][]) this.#register(name, entry);
  }

  /** Content type of {@link render}. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  inc<N extends CounterName>(name: N, labels: LabelsOf<N>, by = 1): void {
    this.#counters.get(name)?.inc(labels, by);
  }

  observe<N extends HistogramName>(name: N, labels: LabelsOf<N>, value: number): void {
    this.#histograms.get(name)?.observe(labels, value);
  }

  set<N extends GaugeName>(name: N, labels: LabelsOf<N>, value: number): void {
    this.#gauges.get(name)?.set(labels, value);
  }

  /** Sets a gauge for each of `samples` and removes it for all other labels: what is no longer there must not be shown. */
  setOnly<N extends GaugeName>(name: N, samples: Iterable<readonly [LabelsOf<N>, number]>): void {
    this.#gauges.get(name)?.reset();
    for (const [labels, value] of samples) this.set(name, labels, value);
  }

  /** `collect` runs before each {@link render}: for gauges that are read off something else. */
  onCollect(collect: () => void): void {
    this.#collectors.push(collect);
  }

  /** The text that Prometheus scrapes. */
  render(): Promise<string> {
    for (const collect of this.#collectors) collect();
    return this.#registry.metrics();
  }

  #register(name: MetricName, { type: kind, help, labels, buckets }: MetricEntry): void {
    const common = { name, help, labelNames: labels, registers: [this.#registry] };
    switch (kind) {
      case 'counter':
        this.#counters.set(name, new Counter(common));
        return;
      case 'gauge':
        this.#gauges.set(name, new Gauge(common));
        return;
      case 'histogram':
        this.#histograms.set(name, new Histogram({ ...common, ...(buckets && { buckets: [...buckets] }) }));
        return;
      default:
        kind satisfies never;
    }
  }
}
