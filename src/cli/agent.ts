import { hostname } from 'node:os';
import { assembleAgent } from '../agent/assemble.ts';
import { defaultConfiguration, type ReprieveConfiguration } from '../config/configuration.ts';
import { loadConfiguration } from '../config/load.ts';
import { ownNamespace } from '../config/namespace.ts';
import type { NodeName } from '../domain/ids.ts';
import { agentRights } from '../kube/access.ts';
import { HttpTransport } from '../kube/http-transport.ts';
import { preflight } from '../kube/preflight.ts';
import { AppError } from '../observe/error-codes.ts';
import { createLog } from '../observe/log.ts';
import { systemClock } from '../ports/clock.ts';
import { clusterAccess, reportFailure, signalled } from './process.ts';

/** Runs until SIGTERM or SIGINT. Returns the exit code: 0 after a signal, 1 when it could not start. */
export async function agent(options: { readonly config?: string }): Promise<number> {
  try {
    await run(options.config === undefined ? defaultConfiguration() : await loadConfiguration(options.config));
    return 0;
  } catch (error) {
    return reportFailure(error);
  }
}

async function run(configuration: ReprieveConfiguration): Promise<void> {
  const { agent: settings, kubernetes } = configuration;
  if (process.getuid?.() !== 0) throw new AppError('RootRequired', { command: 'reprieve agent' });
  const log = createLog(configuration.log.level);
  const nodeName = (settings.nodeName ?? process.env['NODE_NAME'] ?? hostname()) as NodeName;
  const access = await clusterAccess(configuration);
  const transport = new HttpTransport({ access });
  try {
    const patienceMs = kubernetes.startupTimeoutMs;
    const rights = agentRights();
    const namespace = await ownNamespace(kubernetes.namespace);
    await preflight({ transport, access, clock: systemClock, patienceMs, namespace, rights });
    const nodeAgent = await assembleAgent({ nodeName, namespace, settings, transport, clock: systemClock, log });
    const ended = signalled();
    await nodeAgent.start();
    log.info({ node: nodeName, apiServer: access.server }, 'ready');
    log.info({ signal: await ended }, 'stopping');
    await nodeAgent.stop();
  } finally {
    await transport.close();
  }
}
