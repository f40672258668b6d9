import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { ROLE_LABEL } from '../../../src/domain/labels.ts';
import { HttpTransport } from '../../../src/kube/http-transport.ts';
import { loadKubeConfig } from '../../../src/kube/kube-config.ts';
import { RESOURCES } from '../../../src/kube/resources.ts';
import type { KubeTransport } from '../../../src/kube/transport.ts';
import { ControlPlane, type ControlPlaneOptions } from '../control-plane/control-plane.ts';
import { schedulerConfig } from '../control-plane/scheduler-config.ts';
import { History } from './history.ts';
import { Replica, REPRIEVE_NAMESPACE, type ConfigurationSections } from './replica.ts';
import { Service } from './service.ts';
import { priorityClass } from './workloads.ts';

const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const EXTENDER_PORT = 20443;
const WEBHOOK_PORT = 20444;

export interface ServedClusterOptions extends Pick<
  ControlPlaneOptions,
  'dir' | 'apiServerFlags' | 'controllerManagerFlags' | 'schedulerFlags'
> {
  /** Processes of `reprieve serve`; default 1. */
  readonly replicas?: number;
  /** Added to the ReprieveConfiguration of each. */
  readonly configuration?: ConfigurationSections;
  /** kube-scheduler preempts by itself when Reprieve does not answer; default false. */
  readonly preemptIgnorable?: boolean;
  /** False: nobody applies deploy/webhook.yaml; default true. */
  readonly webhook?: boolean;
  /** True: deploy/guard.yaml is applied, and kube-scheduler has no extender; default false. */
  readonly guardOnly?: boolean;
}

/**
 * Real control plane and `reprieve serve` as processes of their own with the rights of deploy/rbac.yaml; no nodes. Two
 * Services lead to them: kube-scheduler comes to the pod with the leader's label, the webhook to any.
 */
export class ServedCluster implements AsyncDisposable {
  readonly cluster: ControlPlane;
  readonly history: History;
  readonly replicas: readonly Replica[];
  /** As the cluster's administrator. */
  readonly transport: KubeTransport;
  /** Leads kube-apiserver to the webhook of any replica. */
  readonly webhookService: Service;
  readonly #stops: readonly (() => Promise<void> | void)[];

  private constructor(
    parts: Pick<ServedCluster, 'cluster' | 'history' | 'replicas' | 'transport' | 'webhookService'>,
    stops: readonly (() => Promise<void> | void)[],
  ) {
    this.cluster = parts.cluster;
    this.history = parts.history;
    this.replicas = parts.replicas;
    this.transport = parts.transport;
    this.webhookService = parts.webhookService;
    this.#stops = stops;
  }

  static async start(options: ServedClusterOptions = {}): Promise<ServedCluster> {
    const stops: (() => Promise<void> | void)[] = [];
    try {
      const cluster = await startControlPlane(options);
      stops.unshift(() => cluster.stop());
      const transport = new HttpTransport({ access: await loadKubeConfig({ path: cluster.adminKubeconfigPath }) });
      stops.unshift(() => transport.close());
      const { pods, jobs, podCheckpoints, reprieves, leases } = RESOURCES;
      const history = await History.of(transport, [pods, jobs, podCheckpoints, reprieves, leases]);
      stops.unshift(() => history.stop());

      const replicas: Replica[] = [];
      stops.unshift(async () => {
        await Promise.all(replicas.map((replica) => replica.close()));
      });
      for (let index = 0; index < (options.replicas ?? 1); index++) {
        replicas.push(await Replica.create(cluster, index, options.configuration ?? {}));
      }
      const extender = await Service.start(EXTENDER_PORT, () => portsOfLeader(history, replicas));
      stops.unshift(() => extender.close());
      // To the followers first: what they know may lag behind the leader's last write.
      const webhookService = await Service.start(WEBHOOK_PORT, () => {
        const [leader] = portsOfLeader(history, replicas);
        return replicas.map(({ port }) => port).sort((a, b) => Number(a === leader) - Number(b === leader));
      });
      stops.unshift(() => webhookService.close());
      await Promise.all(replicas.map((replica) => replica.start()));
      const served = new ServedCluster({ cluster, history, replicas, transport, webhookService }, stops);
      if (options.webhook ?? true) {
        await served.applyWebhook();
        // Pods of controllers are not saved before.
        await (await served.leader()).logged(WEBHOOK_CALLED);
      }
      if (options.guardOnly === true) await cluster.applyObjects(await guardConfiguration(cluster, WEBHOOK_PORT));
      return served;
    } catch (error) {
      for (const stop of stops) await stop();
      throw error;
    }
  }

  /** The replica whose pod has the leader's label now; waits for one that runs. */
  async leader(): Promise<Replica> {
    const { object } = await this.history.until(
      'Pod',
      'a leader',
      ({ metadata: { name } }, version) =>
        portsOfLeader(this.history, this.replicas).length > 0 &&
        this.replicas.some((replica) => replica.podName === name && replica.isRunning && isLabelled(version.object)),
    );
    const leader = this.replicas.find(({ port }) => portsOfLeader(this.history, this.replicas).includes(port));
    if (leader === undefined) throw new Error(`${object.metadata.name} has lost the label`);
    return leader;
  }

  /** Registers the webhook with kube-apiserver. */
  async applyWebhook(): Promise<void> {
    await this.cluster.applyObjects(await webhookConfiguration(this.cluster));
  }

  /** What the replicas have logged so far. */
  async reprieveLog(): Promise<string> {
    return (await Promise.all(this.replicas.map((replica) => replica.log()))).join('');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stop of this.#stops) await stop();
  }
}

async function startControlPlane(options: ServedClusterOptions): Promise<ControlPlane> {
  const {
    dir,
    apiServerFlags,
    controllerManagerFlags,
    schedulerFlags,
    preemptIgnorable = false,
    guardOnly = false,
  } = options;
  const cluster = await ControlPlane.start({
    schedulerConfig: ({ kubeconfig, pki }) =>
      schedulerConfig({
        kubeconfig,
        extenderUrl: guardOnly ? null : `https://127.0.0.1:${EXTENDER_PORT}/v1`,
        preemptIgnorable,
        tls: {
          caPath: pki.ca.certPath,
          client: { certPath: join(pki.dir, 'scheduler.crt'), keyPath: join(pki.dir, 'scheduler.key') },
        },
      }),
    ...(dir !== undefined && { dir }),
    ...(apiServerFlags && { apiServerFlags }),
    ...(controllerManagerFlags && { controllerManagerFlags }),
    ...(schedulerFlags && { schedulerFlags }),
  });
  try {
    await cluster.applyFiles(
      ...['crds', 'namespace.yaml', 'runtimeclass.yaml', 'rbac.yaml', 'admission-policies.yaml'].map((path) =>
        join(root, 'deploy', path),
      ),
    );
    await cluster.applyObjects(priorityClass('scratch', 5), priorityClass('batch', 10), priorityClass('serving', 1000));
    await cluster.kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s');
    await cluster.waitForDefaultServiceAccount();
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

/** What the leader logs as soon as it knows. */
const WEBHOOK_CALLED = /"msg":"kube-apiserver calls the webhook"/;

/** As the Service selects it: by the label, whether the process behind it lives or not. */
function portsOfLeader(history: History, replicas: readonly Replica[]): number[] {
  return replicas
    .filter(({ podName }) => {
      const last = history.last('Pod', podName, REPRIEVE_NAMESPACE);
      return last !== undefined && isLabelled(last);
    })
    .map(({ port }) => port);
}

function isLabelled({
  metadata,
}: {
  readonly metadata: { readonly labels?: Readonly<Record<string, string>> };
}): boolean {
  return metadata.labels?.[ROLE_LABEL] === 'leader';
}

/** deploy/webhook.yaml, with an address in place of the Service that a cluster without nodes cannot run. */
function webhookConfiguration(cluster: ControlPlane): Promise<object> {
  return configurationOfWebhooks(cluster, 'webhook.yaml', `https://127.0.0.1:${WEBHOOK_PORT}/v1/admit-pod`);
}

/** deploy/guard.yaml, likewise. */
export function guardConfiguration(cluster: ControlPlane, port: number): Promise<object> {
  return configurationOfWebhooks(cluster, 'guard.yaml', `https://127.0.0.1:${port}/v1/guard`);
}

async function configurationOfWebhooks(cluster: ControlPlane, file: string, url: string): Promise<object> {
  const configuration = parse(await readFile(join(root, 'deploy', file), 'utf8')) as {
    webhooks: Record<string, unknown>[];
  };
  const caBundle = (await readFile(cluster.caPath)).toString('base64');
  for (const hook of configuration.webhooks) hook['clientConfig'] = { url, caBundle };
  return configuration;
}
