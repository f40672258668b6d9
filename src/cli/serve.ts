import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { LeaderElection } from '../app/leader-election.ts';
import { Reprieve } from '../app/reprieve.ts';
import { serverTls } from '../app/server-tls.ts';
import { defaultConfiguration, engineSettingsOf, type ReprieveConfiguration } from '../config/configuration.ts';
import { loadConfiguration } from '../config/load.ts';
import { ownNamespace } from '../config/namespace.ts';
import { startServer } from '../http/server.ts';
import { accessRights, DEPLOYED_NAMES } from '../kube/access.ts';
import { AgentSigner } from '../kube/certificates/agent-signer.ts';
import { KubeClient } from '../kube/client.ts';
import { FencedTransport } from '../kube/fenced-transport.ts';
import { HttpTransport } from '../kube/http-transport.ts';
import type { ClusterAccess } from '../kube/kube-config.ts';
import { RuntimeClassWatch } from '../kube/runtime-class-watch.ts';
import { preflight } from '../kube/preflight.ts';
import { measureAgents } from '../observe/agent-metrics.ts';
import { measureEngine } from '../observe/engine-metrics.ts';
import { measureEventLoop } from '../observe/event-loop-delay.ts';
import { logEngine, logReach, logRuntimeClass, logSigner } from '../observe/engine-log.ts';
import { measureLeadership } from '../observe/leader-metrics.ts';
import { createLog } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import { measureReplicas } from '../observe/replica-metrics.ts';
import { measureWatches } from '../observe/watch-metrics.ts';
import { systemClock } from '../ports/clock.ts';
import { SOLE_LEADER } from '../ports/leadership.ts';
import { clusterAccess, reportFailure, signalled } from './process.ts';
import { boundYoungGeneration } from './young-generation.ts';

/** Runs until SIGTERM or SIGINT. Returns the exit code: 0 after a signal, 1 when it could not start. */
export async function serve(options: { readonly config?: string }): Promise<number> {
  try {
    const configuration =
      options.config === undefined ? defaultConfiguration() : await loadConfiguration(options.config);
    await run(configuration);
    return 0;
  } catch (error) {
    return reportFailure(error);
  }
}

async function run(configuration: ReprieveConfiguration): Promise<void> {
  boundYoungGeneration();
  const log = createLog(configuration.log.level);
  const access = await clusterAccess(configuration);
  const namespace = await ownNamespace(configuration.kubernetes.namespace);
  await checkCluster(access, namespace, configuration);
  // Two processes on one host differ by the bytes at the end.
  const instance = `${hostname()}-${randomBytes(2).toString('hex')}`;
  const election = configuration.leaderElection.enabled
    ? new LeaderElection({
        access,
        settings: configuration.leaderElection,
        namespace,
        identity: instance,
        podName: process.env['POD_NAME'] || null,
        clock: systemClock,
        log,
      })
    : null;
  const transport = new HttpTransport({ access });
  const reprieve = new Reprieve({
    transport,
    clock: systemClock,
    ...(election && { leadership: election }),
    settings: engineSettingsOf(configuration),
    costs: configuration.extender.cost,
    onUnsynced: configuration.extender.onUnsynced,
    ignoredResources: configuration.extender.ignoredResources,
    instance,
    namespace,
    webhookConfiguration: webhookConfigurationOf(configuration),
    onAgent: (node, silent) =>
      silent
        ? log.warn({ node }, 'the agent of the node is silent: its pods are not saved')
        : log.info({ node }, 'the agent of the node is heard again'),
    breathe: () => new Promise((resolve) => setImmediate(resolve)),
    onNotice: (notice) => log.warn(notice, 'reading the cluster'),
    onWebhookReach: (reach) => logReach(log, reach),
    onMembershipError: (error) => log.warn({ err: error }, 'the Lease of this replica could not be renewed'),
    onListenerError: (error) => log.error({ err: error }, 'a listener failed'),
  });
  const metrics = new Metrics();
  const { engine, index } = reprieve;
  measureEngine({ metrics, engine, view: index, clock: reprieve.clock });
  measureWatches(metrics, () => reprieve.reader.stats(), systemClock);
  measureAgents(metrics, reprieve.agents);
  measureLeadership(metrics, {
    isLeader: () => reprieve.leads,
    reachesWebhook: () => reprieve.reachesWebhook,
    leaseAgeMs: () => election?.settledAgeMs() ?? 0,
    onChange: (listener) => election?.onChange(listener),
  });
  measureReplicas({
    metrics,
    events: engine.events,
    view: index,
    leads: () => reprieve.leads,
    answersFromIndex: () => reprieve.answersFromIndex,
  });
  const runtimeClass = new RuntimeClassWatch({
    transport,
    clock: systemClock,
    onNotice: (notice) => log.warn(notice, 'reading the RuntimeClass'),
    onChange: (exists) => {
      reprieve.setRuntimeClass(exists);
      metrics.set('reprieve_runtime_class_exists', {}, exists ? 1 : 0);
      logRuntimeClass(log, exists);
    },
  });
  const leadership = election ?? SOLE_LEADER;
  const signer = new AgentSigner({
    transport,
    client: new KubeClient(new FencedTransport(transport, leadership)),
    clock: systemClock,
    namespace,
    leads: () => leadership.term() !== null,
    onNotice: (notice) => logSigner(log, notice),
    onWatchNotice: (notice) => log.warn(notice, 'reading the requests for certificates'),
  });
  const endMeasuring = measureEventLoop(metrics);
  logEngine(engine.events, log);

  // The server comes first: before the index is complete the engine answers what `onUnsynced` says.
  const { tls, insecure, ...where } = configuration.server;
  if (insecure) log.warn('server.insecure: whoever reaches the server can have pods displaced and read its state');
  const server = await serverTls(tls, { transport, clock: systemClock, log, namespace })
    .then((material) =>
      startServer({
        callbacks: engine,
        readiness: () => {
          const problem = reprieve.reviewProblem;
          const reasons = [
            ...(reprieve.isSynced ? [] : ['the index is not complete yet']),
            ...(reprieve.isSynced && election?.isStuck
              ? ['the lease was neither renewed nor seen held by another']
              : []),
            ...(problem === null ? [] : [problem]),
          ];
          return { ready: reasons.length === 0, reasons };
        },
        leads: () => reprieve.leads,
        callTimeoutMs: configuration.extender.httpTimeoutMs,
        debugState: () => reprieve.describe(),
        metrics,
        log,
        clock: systemClock,
        ...where,
        tls: material,
      }),
    )
    .catch(async (error: unknown) => {
      await transport.close(); // an idle connection would keep the process from ending
      throw error;
    });
  if (tls === null) log.warn('server.tls is null: kube-apiserver cannot call the webhook over http');
  log.info({ address: server.address, port: server.port, apiServer: access.server }, 'listening');
  const ended = signalled();
  election?.onChange(() => void reprieve.leadershipChanged());
  election?.onChange(() => signer.poke());
  // A replica that cannot answer yet does not run for leadership.
  runtimeClass.start();
  signer.start();
  void reprieve.start().then(() => {
    log.info({ pods: index.count('pod'), nodes: index.count('node') }, 'synced');
    election?.start();
  });
  const signal = await ended;
  log.info({ signal }, 'stopping');
  await reprieve.handOver(async () => election?.release());
  await server.close();
  await Promise.all([reprieve.stop(), runtimeClass.stop(), signer.stop()]);
  await election?.close();
  endMeasuring();
  await transport.close();
}

/** Where Reprieve issues no certificate the name is not configured: the one in deploy/ may be there, and may be readable. */
function webhookConfigurationOf({ server }: ReprieveConfiguration): string | null {
  const certificate = server.tls?.certificate;
  return certificate?.source === 'issue' ? certificate.webhookConfiguration : DEPLOYED_NAMES.webhookConfiguration;
}

/** On connections of its own, so that none keeps a process alive that cannot start. */
async function checkCluster(
  access: ClusterAccess,
  namespace: string,
  { kubernetes, leaderElection, server }: ReprieveConfiguration,
): Promise<void> {
  const transport = new HttpTransport({ access });
  try {
    const certificate = server.tls?.certificate;
    const issued = certificate?.source === 'issue' ? certificate : null;
    const admissionPolicies = kubernetes.admissionPolicies === 'Required' ? DEPLOYED_NAMES.admissionPolicies : [];
    const rights = accessRights({
      lease: leaderElection.enabled ? leaderElection.leaseName : null,
      servingSecret: issued?.secretName ?? null,
      webhookConfiguration: issued?.webhookConfiguration ?? null,
      guardConfiguration: issued?.guardConfiguration ?? null,
      admissionPolicies,
    });
    const patienceMs = kubernetes.startupTimeoutMs;
    await preflight({ transport, access, clock: systemClock, patienceMs, namespace, rights, admissionPolicies });
  } finally {
    await transport.close();
  }
}
