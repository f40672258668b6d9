/** Process: Reprieve as `reprieve serve` puts it together, against a server that needs no credentials. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Reprieve } from '../../src/app/reprieve.ts';
import { boundYoungGeneration } from '../../src/cli/young-generation.ts';
import { startServer } from '../../src/http/server.ts';
import { HttpTransport } from '../../src/kube/http-transport.ts';
import { measureEngine } from '../../src/observe/engine-metrics.ts';
import { createLog } from '../../src/observe/log.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { measureWatches } from '../../src/observe/watch-metrics.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { answer } from './messages.ts';

/** As `src/observe/event-loop-delay.ts`, finer. */
const RESOLUTION_MS = 1;

export interface ProgramStart {
  /** Port of the API server. */
  readonly apiServer: number;
  /** Bytes a second; small: no victim is worth being saved. */
  readonly dumpBytesPerSecond: number;
}

export interface ProgramState {
  /** Since the start of the reader; null before. */
  readonly syncedMs: number | null;
  readonly pods: number;
  readonly events: number;
  readonly rssBytes: number;
  /** High-water mark of the whole process since its start. */
  readonly maxRssBytes: number;
  readonly heapBytes: number;
  /** Milliseconds since the last question. */
  readonly delayMs: { readonly p50: number; readonly p99: number; readonly max: number };
}

boundYoungGeneration();
const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delays.enable();
let reprieve: Reprieve | null = null;
let syncedMs: number | null = null;
const synced = Promise.withResolvers<void>();

const handlers = {
  /** Port of the extender; resolves before the index is complete. */
  start: async ({ apiServer, dumpBytesPerSecond }: ProgramStart): Promise<number> => {
    const access = {
      server: `http://127.0.0.1:${apiServer}`,
      ca: null,
      cert: null,
      key: null,
      insecureSkipTlsVerify: false,
      serverName: null,
      authorization: () => Promise.resolve(null),
    };
    const program = new Reprieve({
      transport: new HttpTransport({ access }),
      clock: systemClock,
      costs: { dumpBytesPerSecond },
      instance: 'bench-0000',
      breathe: () => new Promise((resolve) => setImmediate(resolve)),
      onNotice: (notice) => process.stderr.write(`${JSON.stringify(notice)}\n`),
    });
    reprieve = program;
    const metrics = new Metrics();
    measureEngine({ metrics, engine: program.engine, view: program.index, clock: systemClock });
    measureWatches(metrics, () => program.reader.stats(), systemClock);
    const server = await startServer({
      callbacks: program.engine,
      readiness: () => ({ ready: program.isSynced, reasons: [] }),
      leads: () => program.leads,
      debugState: () => program.describe(),
      metrics,
      // Each decision writes one log line at the level of production, and the sink drops the line.
      log: createLog('info', { write: () => undefined }),
      clock: systemClock,
      address: '127.0.0.1',
      port: 0,
      tls: null,
    });
    delays.reset();
    const startMs = performance.now();
    void program.start().then(() => {
      syncedMs = performance.now() - startMs;
      synced.resolve();
    });
    return server.port;
  },
  synced: (): Promise<void> => synced.promise,
  state: (): ProgramState => {
    const { pod } = reprieve?.reader.stats() ?? {};
    const late = (ns: number): number => (delays.count === 0 ? 0 : Math.max(0, ns / 1e6 - RESOLUTION_MS));
    const delayMs = { p50: late(delays.percentile(50)), p99: late(delays.percentile(99)), max: late(delays.max) };
    delays.reset();
    const { rss, heapUsed } = process.memoryUsage();
    return {
      syncedMs,
      pods: reprieve?.index.count('pod') ?? 0,
      events: pod?.events ?? 0,
      rssBytes: rss,
      maxRssBytes: process.resourceUsage().maxRSS * 1024,
      heapBytes: heapUsed,
      delayMs,
    };
  },
};
export type ProgramHandlers = typeof handlers;
answer(handlers);
