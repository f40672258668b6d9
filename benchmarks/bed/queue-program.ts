/** Process: the engine over an index that is filled without an API server, behind the server for kube-scheduler. */
import { DEFAULT_COST_MODEL } from '../../src/domain/victim-cost.ts';
import { boundYoungGeneration } from '../../src/cli/young-generation.ts';
import { Engine } from '../../src/engine/engine.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../src/engine/steps.ts';
import { startServer } from '../../src/http/server.ts';
import { ClusterIndex } from '../../src/index/cluster-index.ts';
import { measureEngine } from '../../src/observe/engine-metrics.ts';
import { createLog } from '../../src/observe/log.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { systemClock } from '../../src/ports/clock.ts';
import type { ClusterWriter } from '../../src/ports/cluster-writer.ts';
import { SOLE_LEADER } from '../../src/ports/leadership.ts';
import { answer } from './messages.ts';
import { QueuePopulation, type QueueSize } from './queue-population.ts';

/** So slow that no victim is worth being saved: `preempt` decides in full, and leaves nothing behind. */
const DUMP_BYTES_PER_SECOND = 2 ** 20;
const TICK_MS = 20;
const DAY_MS = 86_400_000;

interface QueueState {
  readonly passes: number;
  /** Milliseconds of each pass since the last question, and of its longest slice. */
  readonly passMs: readonly number[];
  readonly sliceMs: readonly number[];
  /** Methods of the writer that were called. */
  readonly writes: readonly string[];
}

boundYoungGeneration();
let population: QueuePopulation | null = null;
let passMs: number[] = [];
let sliceMs: number[] = [];
let writes: string[] = [];

const handlers = {
  /** Port of the extender. */
  start: async (size: QueueSize): Promise<number> => {
    const index = new ClusterIndex();
    population = new QueuePopulation(index, size, Date.now());
    population.fill();
    const engine = new Engine({
      view: index,
      writer: WRITER,
      clock: systemClock,
      settings: { ...DEFAULT_ENGINE_SETTINGS, maxGateMs: DAY_MS },
      costs: { ...DEFAULT_COST_MODEL, dumpBytesPerSecond: DUMP_BYTES_PER_SECOND },
      onUnsynced: 'Hold',
      isSynced: () => true,
      leadership: SOLE_LEADER,
      readTickets: () => Promise.resolve([]),
      instanceId: 'ben',
      onListenerError: (error) => process.stderr.write(`${String(error)}\n`),
    });
    const metrics = new Metrics();
    measureEngine({ metrics, engine, view: index, clock: systemClock });
    engine.events.on('pass:done', ({ tookMs, longestSliceMs }) => {
      passMs.push(tookMs);
      sliceMs.push(longestSliceMs);
    });
    engine.start();
    const server = await startServer({
      callbacks: engine,
      readiness: () => ({ ready: true, reasons: [] }),
      debugState: () => engine.describe(),
      metrics,
      // One line a decision at the level that production has, to where it costs as much and disturbs nobody.
      log: createLog('info', { write: () => undefined }),
      clock: systemClock,
      address: '127.0.0.1',
      port: 0,
      tls: null,
    });
    return server.port;
  },
  victims: ({ nodes, perNode }: { readonly nodes: number; readonly perNode: number }) =>
    population?.victims(nodes, perNode) ?? {},
  /** So many events of the watch a second from now on. */
  stream: (perSecond: number): void => {
    setInterval(() => {
      for (let event = 0; event < (perSecond * TICK_MS) / 1000; event++) population?.next();
    }, TICK_MS);
  },
  state: (): QueueState => {
    const state = { passes: passMs.length, passMs, sliceMs, writes };
    passMs = [];
    sliceMs = [];
    writes = [];
    return state;
  },
};
export type QueueProgramHandlers = typeof handlers;
answer(handlers);

/** Nothing that the population holds asks for a write, but the status of its policy. */
const WRITER = new Proxy({} as ClusterWriter, {
  get: (_, method: string) => () => {
    if (method !== 'setPolicyStatus') writes.push(method);
    return Promise.resolve('moved');
  },
});
