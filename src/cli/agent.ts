import { hostname } from 'node:os';
import { assembleAgent } from '../agent/assemble.ts';
import type { NodeAgent } from '../agent/node-agent.ts';
import { defaultConfiguration, type ReprieveConfiguration } from '../config/configuration.ts';
import { loadConfiguration } from '../config/load.ts';
import { ownNamespace } from '../config/namespace.ts';
import type { NodeName } from '../domain/ids.ts';
import { agentRights } from '../kube/access.ts';
import { HttpTransport } from '../kube/http-transport.ts';
import { LateTransport } from '../kube/late-transport.ts';
import { preflight } from '../kube/preflight.ts';
import { AppError } from '../observe/error-codes.ts';
import { createLog, type Log } from '../observe/log.ts';
import { systemClock } from '../ports/clock.ts';
import { clusterAccess, reportFailure, signalled, surviveErrors } from './process.ts';

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
  surviveErrors(log);
  const namespace = await ownNamespace(kubernetes.namespace);
  const transport = new LateTransport();
  const nodeAgent = await assembleAgent({ nodeName, namespace, settings, transport, clock: systemClock, log });
  await nodeAgent.guard(); // first: whatever else fails, what is frozen is thawed in time
  try {
    await runConnected(configuration, { nodeAgent, nodeName, namespace, transport, log });
  } catch (error) {
    log.error({ err: error }, 'the agent cannot run; it ends when no pod of this node is frozen any more');
    await nodeAgent.nothingIsFrozen();
    throw error;
  }
}

interface Assembled {
  readonly nodeAgent: NodeAgent;
  readonly nodeName: NodeName;
  readonly namespace: string;
  readonly transport: LateTransport;
  readonly log: Log;
}

async function runConnected(
  configuration: ReprieveConfiguration,
  { nodeAgent, nodeName, namespace, transport, log }: Assembled,
): Promise<void> {
  const access = await clusterAccess(configuration);
  const http = new HttpTransport({ access });
  try {
    const patienceMs = configuration.kubernetes.startupTimeoutMs;
    const rights = agentRights();
    await preflight({ transport: http, access, clock: systemClock, patienceMs, namespace, rights });
    transport.become(http);
    const ended = signalled();
    await nodeAgent.start();
    log.info({ node: nodeName, apiServer: access.server }, 'ready');
    log.info({ signal: await ended }, 'stopping');
    await nodeAgent.stop();
  } finally {
    await http.close();
  }
}
