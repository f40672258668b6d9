import { EngineEvents } from '../../src/engine/engine-events.ts';
import { ClusterIndex } from '../../src/index/cluster-index.ts';
import type { IndexedKind, IndexedKinds, IndexEvent } from '../../src/index/types.ts';
import { measureEngine } from '../../src/observe/engine-metrics.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { VirtualClock } from '../../src/sim/virtual-clock.ts';

/** An index that a test fills by hand, the events of an engine that is not there, and the metrics that come of both. */
export class Measured {
  readonly metrics = new Metrics();
  readonly index = new ClusterIndex();
  readonly clock = new VirtualClock({ startMs: 100_000 });
  readonly engine = {
    events: new EngineEvents((error) => {
      throw error;
    }),
    mayAct: true,
    commandsInFlight: 0,
  };
  #version = 0;

  constructor() {
    const { metrics, engine, index, clock } = this;
    measureEngine({ metrics, engine, view: index, clock });
  }

  put<K extends IndexedKind>(kind: K, ...values: readonly IndexedKinds[K][]): this {
    for (const value of values) {
      const resourceVersion = String(++this.#version);
      this.index.apply({ type: 'upsert', kind, value: { ...value, resourceVersion } } as IndexEvent);
    }
    return this;
  }

  remove(kind: IndexedKind, { uid }: { readonly uid: string }): this {
    this.index.apply({ type: 'delete', kind, uid, resourceVersion: String(++this.#version) });
    return this;
  }

  /** Lines of one metric, sorted, without its name. */
  read(name: string): Promise<readonly string[]> {
    return samplesOf(this.metrics, name);
  }
}

/** Lines of one metric, sorted, without its name: `{label="value"} 1`. */
export async function samplesOf(metrics: Metrics, name: string): Promise<readonly string[]> {
  const lines = (await metrics.render()).split('\n').filter((line) => /^\w+/.exec(line)?.[0] === name);
  return lines.map((line) => line.slice(name.length).replace('{}', '').trim()).toSorted();
}
