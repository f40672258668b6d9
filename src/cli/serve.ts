import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { Reprieve } from '../app/reprieve.ts';
import { serverTls } from '../app/server-tls.ts';
import { defaultConfiguration, engineSettingsOf, type ReprieveConfiguration } from '../config/configuration.ts';
import { loadConfiguration } from '../config/load.ts';
import { startServer } from '../http/server.ts';
import { HttpTransport } from '../kube/http-transport.ts';
import { loadKubeConfig } from '../kube/kube-config.ts';
import { measureEngine } from '../observe/engine-metrics.ts';
import { AppError } from '../observe/error-codes.ts';
import { measureEventLoop } from '../observe/event-loop-delay.ts';
import { logEngine } from '../observe/engine-log.ts';
import { createLog } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import { measureWatches } from '../observe/watch-metrics.ts';
import { systemClock } from '../ports/clock.ts';

/** Runs until SIGTERM or SIGINT. Returns the exit code: 0 after a signal, 1 when it could not start. */
export async function serve(options: { readonly config?: string }): Promise<number> {
  try {
    const configuration =
      options.config === undefined ? defaultConfiguration() : await loadConfiguration(options.config);
    await run(configuration);
    return 0;
  } catch (error) {
    // What an operator can mend is one clear message; anything else is a defect, and its stack is what we need.
    process.stderr.write(
      error instanceof AppError ? `reprieve: ${error.message}\n` : `${String((error as Error).stack)}\n`,
    );
    return 1;
  }
}

async function run(configuration: ReprieveConfiguration): Promise<void> {
  const log = createLog(configuration.log.level);
  const { kubeconfig, context } = configuration.kubernetes;
  const access = await loadKubeConfig({
    ...(kubeconfig !== null && { path: kubeconfig }),
    ...(context !== null && { context }),
  }).catch((error: unknown) => {
    throw new AppError('KubeconfigUnusable', { cause: error instanceof Error ? error.message : String(error) }, error);
  });
  const transport = new HttpTransport({ access });
  const reprieve = new Reprieve({
    transport,
    clock: systemClock,
    settings: engineSettingsOf(configuration),
    costs: configuration.extender.cost,
    onUnsynced: configuration.extender.onUnsynced,
    // Two processes on one host differ by the bytes at the end.
    instance: `${hostname()}-${randomBytes(2).toString('hex')}`,
    breathe: () => new Promise((resolve) => setImmediate(resolve)),
    onNotice: (notice) => log.warn(notice, 'reading the cluster'),
    onListenerError: (error) => log.error({ err: error }, 'a listener failed'),
  });
  const metrics = new Metrics();
  const { engine, index } = reprieve;
  measureEngine({ metrics, events: engine.events, view: index, isSynced: () => reprieve.isSynced, clock: systemClock });
  measureWatches(metrics, () => reprieve.reader.stats());
  const endMeasuring = measureEventLoop(metrics);
  logEngine(engine.events, log);

  // The server comes first: before the index is complete the engine answers what `onUnsynced` says.
  const server = await startServer({
    callbacks: engine,
    readiness: () => ({
      ready: reprieve.isSynced,
      reasons: reprieve.isSynced ? [] : ['the index is not complete yet'],
    }),
    debugState: () => reprieve.describe(),
    metrics,
    log,
    clock: systemClock,
    ...configuration.server,
    tls: await serverTls(configuration.server.tls, { transport, clock: systemClock, log, ...configuration.kubernetes }),
  });
  log.info({ address: server.address, port: server.port, apiServer: access.server }, 'listening');
  const ended = signalled();
  void reprieve.start().then(() => log.info({ pods: index.count('pod'), nodes: index.count('node') }, 'synced'));
  const signal = await ended;
  log.info({ signal }, 'stopping');
  await server.close();
  await reprieve.stop();
  endMeasuring();
  await transport.close();
}

function signalled(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });
}
