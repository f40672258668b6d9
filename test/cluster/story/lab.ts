import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { HttpTransport } from '../../../src/kube/http-transport.ts';
import { loadKubeConfig } from '../../../src/kube/kube-config.ts';
import { RESOURCES } from '../../../src/kube/resources.ts';
import { systemClock } from '../../../src/ports/clock.ts';
import type { NodeFaults } from '../../../src/sim/nodes/agent.ts';
import { nodeSpec } from '../../../src/sim/nodes/node-spec.ts';
import { SimulatedNodes } from '../../../src/sim/nodes/simulated-nodes.ts';
import { WorkLedger } from '../../../src/sim/nodes/work-ledger.ts';
import { ControlPlane } from '../control-plane/control-plane.ts';
import { Daemon } from '../control-plane/daemon.ts';
import { answersOk } from '../control-plane/probe.ts';
import { schedulerConfig } from '../control-plane/scheduler-config.ts';
import { History } from './history.ts';
import { priorityClass } from './workloads.ts';

const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const REPRIEVE_PORT = 20443;

/** Real control plane, `reprieve serve` as a process of its own with the rights of deploy/rbac.yaml, simulated nodes. */
export class Lab implements AsyncDisposable {
  readonly cluster: ControlPlane;
  readonly history: History;
  readonly nodes: SimulatedNodes;
  readonly #reprieve: Daemon;
  readonly #transport: HttpTransport;

  private constructor(parts: {
    cluster: ControlPlane;
    history: History;
    nodes: SimulatedNodes;
    reprieve: Daemon;
    transport: HttpTransport;
  }) {
    this.cluster = parts.cluster;
    this.history = parts.history;
    this.nodes = parts.nodes;
    this.#reprieve = parts.reprieve;
    this.#transport = parts.transport;
  }

  static async start(nodeCount: number, faults: NodeFaults = {}): Promise<Lab> {
    const cluster = await ControlPlane.start({
      schedulerConfig: ({ kubeconfig, pki }) =>
        schedulerConfig({
          kubeconfig,
          extenderUrl: `https://127.0.0.1:${REPRIEVE_PORT}/v1`,
          tls: {
            caPath: pki.ca.certPath,
            client: { certPath: join(pki.dir, 'scheduler.crt'), keyPath: join(pki.dir, 'scheduler.key') },
          },
        }),
    });
    const stops: (() => Promise<void>)[] = [() => cluster.stop()];
    try {
      await cluster.applyFiles(
        ...['crds', 'namespace.yaml', 'runtimeclass.yaml', 'rbac.yaml'].map((path) => join(root, 'deploy', path)),
      );
      await cluster.applyObjects(
        priorityClass('scratch', 5),
        priorityClass('batch', 10),
        priorityClass('serving', 1000),
      );
      await cluster.kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s');
      await cluster.waitForDefaultServiceAccount();

      const reprieve = await startReprieve(cluster);
      stops.unshift(() => reprieve.stop());
      await cluster.applyObjects(await webhook(cluster));

      const transport = new HttpTransport({ access: await loadKubeConfig({ path: cluster.adminKubeconfigPath }) });
      stops.unshift(() => transport.close());
      const { pods, jobs, podCheckpoints, reprieves } = RESOURCES;
      const history = await History.of(transport, [pods, jobs, podCheckpoints, reprieves]);
      const nodes = new SimulatedNodes({
        transport,
        clock: systemClock,
        ledger: new WorkLedger(),
        faults,
        nodes: Array.from({ length: nodeCount }, (_, index) =>
          nodeSpec(`node-${index + 1}`, { allocatable: { cpu: '4', memory: '16Gi', pods: 50 }, coldStartMs: 200 }),
        ),
      });
      await nodes.start();
      return new Lab({ cluster, history, nodes, reprieve, transport });
    } catch (error) {
      for (const stop of stops) await stop();
      throw error;
    }
  }

  /** What `reprieve serve` has logged so far. */
  reprieveLog(): Promise<string> {
    return this.#reprieve.log();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.nodes.stop();
    await this.history.stop();
    await this.#transport.close();
    await this.#reprieve.stop();
    await this.cluster.stop();
  }
}

/** As its service account: a right that deploy/rbac.yaml forgets is a failure here. */
async function startReprieve(cluster: ControlPlane): Promise<Daemon> {
  const { pki, dir } = cluster;
  const user = await pki.certificate('reprieve-user', { commonName: 'system:serviceaccount:reprieve-system:reprieve' });
  const serving = await pki.certificate('reprieve', { commonName: 'reprieve' }, ['IP:127.0.0.1', 'DNS:localhost']);
  const configuration = {
    apiVersion: 'config.reprieve.dev/v1alpha1',
    kind: 'ReprieveConfiguration',
    server: {
      address: '127.0.0.1',
      port: REPRIEVE_PORT,
      tls: { certFile: serving.certPath, keyFile: serving.keyPath, clientCaFile: pki.ca.certPath },
    },
    kubernetes: { kubeconfig: await pki.kubeconfig('reprieve', cluster.url, user) },
  };
  const path = join(dir, 'reprieve.json');
  await writeFile(path, JSON.stringify(configuration), { mode: 0o600 });
  const reprieve = await Daemon.start({
    name: 'reprieve',
    command: process.execPath,
    args: [join(root, 'src/main.ts'), 'serve', '--config', path],
    cwd: dir,
    logPath: join(dir, 'reprieve.log'),
  });
  await reprieve.ready(() =>
    answersOk(`https://127.0.0.1:${REPRIEVE_PORT}/readyz`, { caPath: cluster.caPath, client: cluster.admin }),
  );
  return reprieve;
}

/** deploy/webhook.yaml, with an address in place of the Service that a cluster without nodes cannot run. */
async function webhook(cluster: ControlPlane): Promise<object> {
  const configuration = parse(await readFile(join(root, 'deploy/webhook.yaml'), 'utf8')) as {
    webhooks: Record<string, unknown>[];
  };
  for (const hook of configuration.webhooks) {
    hook['clientConfig'] = {
      url: `https://127.0.0.1:${REPRIEVE_PORT}/v1/admit-pod`,
      caBundle: (await readFile(cluster.caPath)).toString('base64'),
    };
  }
  return configuration;
}
