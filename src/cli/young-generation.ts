import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/**
 * How large V8's space for new objects may grow. By itself it grows to 128 MiB on a large machine, and stays there after the
 * 600 MB that a first listing of 150,000 pods passes through it: a third of the whole process. Less than this would let more
 * survive that is garbage a moment later.
 */
const MAX_BYTES = 16 * 2 ** 20;

/**
 * Lets the space for new objects grow to about {@link MAX_BYTES} and no further. `--max-semi-space-size` does the same from the
 * command line, which is not ours: V8 takes it only before its heap exists, but asks for the growth each time.
 */
export function boundYoungGeneration(): void {
  const observer = new PerformanceObserver(() => {
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
    if (young === undefined || young.space_size < MAX_BYTES) return;
    setFlagsFromString('--semi-space-growth-factor=1');
    observer.disconnect();
  });
  observer.observe({ entryTypes: ['gc'] });
}
