import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Metrics } from './metrics.ts';

const RESOLUTION_MS = 10;
const QUANTILES = [0.5, 0.99, 1] as const;

/**
 * Measures how late the event loop runs: all callbacks share it, so its delay is added to each answer. Returns the
 * function that ends the measurement.
 */
export function measureEventLoop(metrics: Metrics): () => void {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  metrics.onCollect(() => {
    for (const quantile of QUANTILES) {
      // The histogram counts nanoseconds between two ticks, the resolution included.
      const delayMs = delays.count === 0 ? 0 : delays.percentile(quantile * 100) / 1e6 - RESOLUTION_MS;
      metrics.set('reprieve_event_loop_delay_seconds', { quantile: String(quantile) }, Math.max(0, delayMs) / 1000);
    }
    delays.reset();
  });
  return () => delays.disable();
}
