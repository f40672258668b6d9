import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ControlPlane } from '../control-plane/control-plane.ts';
import { Daemon } from '../control-plane/daemon.ts';
import { answersOk, textAt } from '../control-plane/probe.ts';
import { ApiProxy } from './api-proxy.ts';

const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const FIRST_PORT = 20500;

export const REPRIEVE_NAMESPACE = 'reprieve-system';
export const REPRIEVE_USER = `system:serviceaccount:${REPRIEVE_NAMESPACE}:reprieve`;

/** Sections of a ReprieveConfiguration that a test sets. */
export type ConfigurationSections = Readonly<Record<string, unknown>>;

/** One `reprieve serve`: a process of its own with the rights of its service account, behind a proxy that sees its writes. */
export class Replica {
  /** Of the pod that stands for it. */
  readonly podName: string;
  readonly port: number;
  readonly proxy: ApiProxy;
  readonly #cluster: ControlPlane;
  readonly #configPath: string;
  #daemon: Daemon | null = null;
  #logMark = 0;

  private constructor(cluster: ControlPlane, index: number, proxy: ApiProxy) {
    this.#cluster = cluster;
    this.podName = `reprieve-${index}`;
    this.port = FIRST_PORT + index;
    this.proxy = proxy;
    this.#configPath = join(cluster.dir, `${this.podName}.json`);
  }

  /** Lays out configuration, certificates and the pod; the process is not started. */
  static async create(cluster: ControlPlane, index: number, sections: ConfigurationSections): Promise<Replica> {
    const { pki, url, caPath } = cluster;
    const user = await pki.certificate('reprieve-user', { commonName: REPRIEVE_USER });
    const serving = await pki.certificate('reprieve', { commonName: 'reprieve' }, ['IP:127.0.0.1', 'DNS:localhost']);
    const proxy = await ApiProxy.start({ upstream: url, caPath, serving, client: user });
    const replica = new Replica(cluster, index, proxy);
    const configuration = {
      apiVersion: 'config.reprieve.dev/v1alpha1',
      kind: 'ReprieveConfiguration',
      server: {
        address: '127.0.0.1',
        port: replica.port,
        tls: { certFile: serving.certPath, keyFile: serving.keyPath, clientCaFile: caPath },
      },
      kubernetes: { kubeconfig: await pki.kubeconfig(replica.podName, proxy.url, user) },
      ...sections,
    };
    await writeFile(replica.#configPath, JSON.stringify(configuration), { mode: 0o600 });
    await cluster.applyObjects(replica.#pod());
    return replica;
  }

  /** Resolves when it is ready: its index is complete. */
  async start(): Promise<void> {
    if (this.isRunning) throw new Error(`${this.podName} is already running`);
    this.#daemon = await Daemon.start({
      name: this.podName,
      command: process.execPath,
      args: [join(root, 'src/main.ts'), 'serve', '--config', this.#configPath],
      cwd: this.#cluster.dir,
      logPath: join(this.#cluster.dir, `${this.podName}.log`),
      env: { POD_NAME: this.podName, POD_NAMESPACE: REPRIEVE_NAMESPACE },
    });
    await this.#daemon.ready(() => this.isReady());
  }

  get isRunning(): boolean {
    return this.#daemon?.isRunning ?? false;
  }

  /** Whether `/readyz` answers 200 now. */
  async isReady(): Promise<boolean> {
    return answersOk(`https://127.0.0.1:${this.port}/readyz`);
  }

  /** Value of a metric, with its labels as they are printed; null where there is none. */
  async metric(name: string): Promise<number | null> {
    const text = await textAt(`https://127.0.0.1:${this.port}/metrics`);
    const line = text.split('\n').find((one) => one.startsWith(`${name} `));
    return line === undefined ? null : Number(line.slice(name.length));
  }

  /** SIGKILL: it ends between two of its instructions. */
  async kill(): Promise<void> {
    await this.#daemon?.stop('SIGKILL');
  }

  /** SIGKILL at this very moment; {@link kill} waits for the end of it. */
  strike(): void {
    this.#daemon?.signal('SIGKILL');
  }

  /** Resolves when the process has ended. */
  async ended(): Promise<void> {
    await this.#daemon?.ended();
  }

  /** SIGTERM, and its end. */
  async stop(): Promise<void> {
    await this.#daemon?.stop();
  }

  /** SIGSTOP: time goes on, the process does not. */
  async pause(): Promise<void> {
    this.#daemon?.signal('SIGSTOP');
    this.#logMark = (await this.log()).length;
  }

  resume(): void {
    this.#daemon?.signal('SIGCONT');
  }

  async log(): Promise<string> {
    return (await this.#daemon?.log()) ?? '';
  }

  /** Waits until it has logged something that matches, since its start or its last {@link pause}. */
  async logged(pattern: RegExp, seconds = 30): Promise<void> {
    const deadlineMs = Date.now() + seconds * 1000;
    while (!pattern.test((await this.log()).slice(this.#logMark))) {
      if (Date.now() > deadlineMs) throw new Error(`${this.podName} has not logged ${String(pattern)}`);
      await sleep(50);
    }
  }

  async close(): Promise<void> {
    this.resume();
    await this.stop();
    await this.proxy.close();
  }

  /** The pod that stands for this process: it has a name and labels, and is never placed. */
  #pod(): object {
    const securityContext = {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    };
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: this.podName, namespace: REPRIEVE_NAMESPACE, labels: { 'app.kubernetes.io/name': 'reprieve' } },
      spec: {
        schedulingGates: [{ name: 'reprieve.dev/never' }],
        serviceAccountName: 'reprieve',
        automountServiceAccountToken: false,
        containers: [{ name: 'reprieve', image: 'example.invalid/reprieve', securityContext }],
      },
    };
  }
}
