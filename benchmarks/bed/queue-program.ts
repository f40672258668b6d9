/** Process: the engine over an index that is filled without an API server, behind the server for kube-scheduler. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pod } from '../../src/domain/pod.ts';
import type { Ticket } from '../../src/domain/ticket.ts';
import { DEFAULT_COST_MODEL } from '../../src/domain/victim-cost.ts';
import { boundYoungGeneration } from '../../src/cli/young-generation.ts';
import { Engine } from '../../src/engine/engine.ts';
import { DEFAULT_ENGINE_SETTINGS } from '../../src/engine/core/steps.ts';
import { startServer } from '../../src/http/server.ts';
import { ClusterIndex } from '../../src/index/cluster-index.ts';
import { measureEngine } from '../../src/observe/engine-metrics.ts';
import { createLog } from '../../src/observe/log.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { systemClock } from '../../src/ports/clock.ts';
import type { ClusterWriter } from '../../src/ports/cluster-writer.ts';
import { SOLE_LEADER } from '../../src/ports/leadership.ts';
import { answer } from './messages.ts';
import { nodeName, QueuePopulation, type QueueSize } from './queue-population.ts';

/** So slow that no victim is worth being saved: `preempt` decides in full, and leaves nothing behind. */
const DUMP_BYTES_PER_SECOND = 2 ** 20;
const TICK_MS = 20;
const DAY_MS = 86_400_000;
/** No multiple of a tick, so that room comes at all times between two events. */
const BETWEEN_ROOMS_MS = 33;

interface QueueState {
  readonly passes: number;
  /** Milliseconds of each pass since the last question, and of its longest slice. */
  readonly passMs: readonly number[];
  readonly sliceMs: readonly number[];
  /** Methods of the writer that were called. */
  readonly writes: readonly string[];
  /** Reads from the API server for reviews. */
  readonly reads: number;
}

boundYoungGeneration();
let population: QueuePopulation | null = null;
let passMs: number[] = [];
let sliceMs: number[] = [];
let writes: string[] = [];
let reads = 0;

const handlers = {
  /** Port of the extender. */
  start: async ({ follows = false, ...size }: QueueSize & { readonly follows?: boolean }): Promise<number> => {
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
      podsWatchedSinceMs: () => 0,
      leadership: follows ? { term: () => null } : SOLE_LEADER,
      knowsTickets: () => follows,
      readTickets: () => {
        reads++;
        return Promise.resolve([]);
      },
      instanceId: 'ben',
      refusalOf: () => null,
      probePod: () => Promise.resolve(null),
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
      // Each decision writes one log line at the level of production, and the sink drops the line.
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
  /** Room for one of the pods that wait, on one node after another. Milliseconds until its gate was to be removed, of each. */
  rooms: async (numbers: readonly number[]): Promise<readonly number[]> => {
    const tookMs: number[] = [];
    for (const number of numbers) {
      const node = nodeName(number);
      const startMs = performance.now();
      const removed = new Promise<Ungate>((resolve) => (onUngate = resolve));
      population?.makeRoom(node);
      const { pod, ticket } = await removed;
      tookMs.push(performance.now() - startMs);
      population?.ungate(pod, ticket, node);
      await sleep(BETWEEN_ROOMS_MS);
    }
    return tookMs;
  },
  state: (): QueueState => {
    const state = { passes: passMs.length, passMs, sliceMs, writes, reads };
    passMs = [];
    sliceMs = [];
    writes = [];
    return state;
  },
};
export type QueueProgramHandlers = typeof handlers;
answer(handlers);

interface Ungate {
  readonly pod: Pod;
  readonly ticket: Ticket;
}
let onUngate: ((ungate: Ungate) => void) | null = null;

/**
 * Until the benchmark frees capacity, the population needs three kinds of writes: the status of its policy, and the queue position of
 * gated pods, on the pod and on its ticket.
 */
const EXPECTED: Partial<ClusterWriter> = {
  setPolicyStatus: () => Promise.resolve('moved'),
  tellQueued: (pod, _reason, message) => {
    population?.tellQueued(pod, message);
    return Promise.resolve('done');
  },
  tellTicket: (ticket, word) => {
    population?.tellTicket(ticket, word);
    return Promise.resolve('done');
  },
  ungate: (pod, as) => {
    if (onUngate === null || as === null) writes.push('ungate');
    else onUngate({ pod, ticket: as.ticket });
    onUngate = null;
    return Promise.resolve('done');
  },
  setTicketPhase: (ticket, { phase }) => {
    if (phase !== 'Restoring') writes.push(`setTicketPhase ${phase}`);
    population?.setPhase(ticket, phase);
    return Promise.resolve('done');
  },
};
const WRITER = new Proxy(EXPECTED as ClusterWriter, {
  get: (writer, method: keyof ClusterWriter) =>
    writer[method] ??
    (() => {
      writes.push(method);
      return Promise.resolve('moved');
    }),
});
