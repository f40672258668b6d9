import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { clusterAddress, insideClusterNetwork } from './address.ts';
import { binariesOf, type Binaries } from './binaries.ts';
import { runCommand } from './command.ts';
import { Daemon } from './daemon.ts';
import { Pki, type Certificate } from './pki.ts';
import { takePorts } from './ports.ts';
import { answersOk } from './probe.ts';
import {
  apiServerFlags,
  controllerManagerFlags,
  etcdFlags,
  etcdFolder,
  schedulerFlags,
  type Site,
} from './programs.ts';
import { schedulerConfig } from './scheduler-config.ts';

/** What a test knows before the scheduler starts. */
interface SchedulerContext {
  readonly kubeconfig: string;
  readonly dir: string;
  readonly pki: Pki;
}

/** A KubeSchedulerConfiguration, as an object or as YAML. */
export type SchedulerConfigSource = (context: SchedulerContext) => object | string;

export interface ControlPlaneOptions {
  readonly binaries?: Binaries;
  /** Absent: a scheduler without extenders. */
  readonly schedulerConfig?: SchedulerConfigSource;
  /** A folder of its own; absent: a new one in that of the run. */
  readonly dir?: string;
  /** Added to the usual ones; the last of a name counts. */
  readonly apiServerFlags?: readonly string[];
  readonly schedulerFlags?: readonly string[];
  /** Null: there is no controller manager, so that nobody makes service accounts, or judges nodes that send no heartbeats. */
  readonly controllerManagerFlags?: readonly string[] | null;
}

/** The user that the API server is towards kubelets, which ask whether it has the role `system:kubelet-api-admin`. */
export const KUBELET_CLIENT = 'kube-apiserver-kubelet-client';

/** Folder of a copy that {@link ControlPlane.backUpEtcd} made. */
export type EtcdBackup = string & { readonly brand: 'EtcdBackup' };

type Program = 'etcd' | 'apiserver' | 'controller-manager' | 'scheduler';

interface LaunchPlan {
  readonly command: string;
  readonly args: readonly string[];
  readonly isReady: () => Promise<boolean>;
}

type StopSignal = 'SIGTERM' | 'SIGKILL';

/** The controller manager takes a second or two after its own start. */
const serviceAccountTimeoutMs = 60_000;

/** `npm run test:cluster` sets it to a folder that it removes after a run without failures. */
const runFolderVariable = 'REPRIEVE_CLUSTER_DIR';

/** Where everything of this run lies. */
export function runFolder(): string {
  return process.env[runFolderVariable] ?? tmpdir();
}

/**
 * A real control plane without nodes: etcd, kube-apiserver, kube-controller-manager and kube-scheduler, each a process
 * of its own that can be stopped, killed and restarted. Works only inside the network namespace of `npm run test:cluster`.
 *
 * @example
 * await using cluster = await ControlPlane.start({
 *   schedulerConfig: ({ kubeconfig }) => schedulerConfig({ kubeconfig, extenderUrl: 'http://127.0.0.1:9100/v1' }),
 * });
 * await cluster.kubectl('get', '--raw', '/readyz');
 */
export class ControlPlane implements AsyncDisposable {
  readonly dir: string;
  /** Of the API server. */
  readonly url: string;
  readonly adminKubeconfigPath: string;
  readonly admin: Certificate;
  readonly pki: Pki;
  readonly #site: Site;
  readonly #binaries: Binaries;
  readonly #options: ControlPlaneOptions;
  readonly #daemons = new Map<Program, Daemon>(); // program -> the last one started, running or not
  #schedulerConfig: SchedulerConfigSource;
  #apiServerFlags: readonly string[];

  private constructor(
    site: Site,
    admin: { certificate: Certificate; kubeconfig: string },
    options: ControlPlaneOptions,
  ) {
    this.#site = site;
    this.#options = options;
    this.#apiServerFlags = options.apiServerFlags ?? [];
    this.#binaries = options.binaries ?? binariesOf();
    this.dir = site.dir;
    this.url = apiServerUrl(site.ports.apiServer);
    this.pki = site.pki;
    this.admin = admin.certificate;
    this.adminKubeconfigPath = admin.kubeconfig;
    this.#schedulerConfig =
      options.schedulerConfig ?? (({ kubeconfig }) => schedulerConfig({ kubeconfig, extenderUrl: null }));
  }

  /** Answers when all four programs are ready. After a failure none is left running. */
  static async start(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
    if (!insideClusterNetwork())
      throw new Error(`no address ${clusterAddress} here: run cluster tests with "npm run test:cluster"`);
    const controlPlane = await ControlPlane.#lay(options);
    try {
      await controlPlane.#launch('etcd');
      await controlPlane.startApiServer();
      await controlPlane.#launchClients();
      return controlPlane;
    } catch (error) {
      await controlPlane.stop();
      throw error;
    }
  }

  /** Folder, ports, certificates and kubeconfigs; no process yet. */
  static async #lay(options: ControlPlaneOptions): Promise<ControlPlane> {
    const dir = options.dir ?? (await mkdtemp(join(runFolder(), 'control-plane-')));
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const [pki, ports] = await Promise.all([Pki.create(join(dir, 'pki')), takePorts()]);
    const names = ['DNS:localhost', 'IP:127.0.0.1', `IP:${clusterAddress}`, 'IP:10.0.0.1'];
    const [apiServer, kubeletClient, admin, scheduler, controllerManager, serviceAccounts] = await Promise.all([
      pki.certificate('apiserver', { commonName: 'kube-apiserver' }, names),
      pki.certificate('kubelet-client', { commonName: KUBELET_CLIENT }),
      pki.certificate('admin', { commonName: 'admin', organization: 'system:masters' }),
      pki.certificate('scheduler', { commonName: 'system:kube-scheduler' }),
      pki.certificate('controller-manager', { commonName: 'system:kube-controller-manager' }),
      pki.keyPair('service-accounts'),
    ]);
    const server = apiServerUrl(ports.apiServer);
    const kubeconfigs = {
      scheduler: await pki.kubeconfig('scheduler', server, scheduler),
      controllerManager: await pki.kubeconfig('controller-manager', server, controllerManager),
    };
    const adminAccess = { certificate: admin, kubeconfig: await pki.kubeconfig('admin', server, admin) };
    return new ControlPlane(
      { dir, ports, pki, apiServer, kubeletClient, serviceAccounts, kubeconfigs },
      adminAccess,
      options,
    );
  }

  get caPath(): string {
    return this.pki.ca.certPath;
  }

  /** Ids of the processes that run now. */
  get pids(): number[] {
    return [...this.#daemons.values()].filter(({ isRunning }) => isRunning).map(({ pid }) => pid);
  }

  /** Id of one of them; null where it does not run. */
  pidOf(program: Program): number | null {
    const daemon = this.#daemons.get(program);
    return daemon?.isRunning ? daemon.pid : null;
  }

  /** Starts the scheduler, with another configuration where one is given; a restart keeps the last one. */
  async startScheduler(source = this.#schedulerConfig): Promise<void> {
    this.#schedulerConfig = source;
    const { dir, pki, kubeconfigs } = this.#site;
    const config = source({ kubeconfig: kubeconfigs.scheduler, dir, pki });
    // JSON is YAML: the scheduler reads either.
    const text = typeof config === 'string' ? config : JSON.stringify(config, undefined, 2);
    await writeFile(this.#schedulerConfigPath, text, { mode: 0o600 });
    await this.#launch('scheduler');
  }

  async stopScheduler(signal?: StopSignal): Promise<void> {
    await this.#end('scheduler', signal);
  }

  async restartScheduler(signal?: StopSignal): Promise<void> {
    await this.stopScheduler(signal);
    await this.startScheduler();
  }

  /** SIGSTOP or SIGCONT: what is to be scheduled piles up meanwhile. */
  signalScheduler(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#daemons.get('scheduler')?.signal(signal);
  }

  /** Starts the scheduler again where it has ended by itself, as a kubelet does. */
  async reviveScheduler(): Promise<void> {
    if (!this.#daemons.get('scheduler')?.isRunning) await this.#launch('scheduler');
  }

  /** Starts the API server, with other flags of {@link ControlPlaneOptions} where some are given; a restart keeps the last ones. */
  async startApiServer(flags = this.#apiServerFlags): Promise<void> {
    this.#apiServerFlags = flags;
    await this.#launch('apiserver');
  }

  async stopApiServer(signal?: StopSignal): Promise<void> {
    await this.#end('apiserver', signal);
  }

  async restartApiServer(signal?: StopSignal): Promise<void> {
    await this.stopApiServer(signal);
    await this.startApiServer();
  }

  /** A copy of what etcd holds now. etcd is away for a moment; the other programs run on. */
  async backUpEtcd(): Promise<EtcdBackup> {
    const backup = `${etcdFolder(this.#site)}-backup-${Date.now()}`;
    await this.#end('etcd');
    await cp(etcdFolder(this.#site), backup, { recursive: true });
    await this.#launch('etcd');
    return backup as EtcdBackup;
  }

  /**
   * Puts a copy in the place of what etcd holds, so that resourceVersions go back. As the documentation of Kubernetes demands, no
   * API server runs meanwhile, and scheduler and controller manager are restarted. They start again when `whileAway` has ended.
   */
  async restoreEtcd(backup: EtcdBackup, whileAway: () => Promise<void>): Promise<void> {
    await this.stop();
    await whileAway();
    await rm(etcdFolder(this.#site), { recursive: true });
    await cp(backup, etcdFolder(this.#site), { recursive: true });
    await this.#launch('etcd');
    await this.startApiServer();
    await this.#launchClients();
  }

  /** etcd forgets all versions but the present ones: who watches from an older one must list again. */
  async compact(): Promise<void> {
    const url = `http://127.0.0.1:${this.#site.ports.etcdClient}/v3`;
    const post = async (path: string, body: object): Promise<unknown> => {
      const response = await fetch(`${url}/${path}`, { method: 'POST', body: JSON.stringify(body) });
      if (!response.ok) throw new Error(`etcd ${path}: HTTP ${response.status} ${await response.text()}`);
      return response.json();
    };
    const { header } = (await post('maintenance/status', {})) as { readonly header: { readonly revision: string } };
    await post('kv/compaction', { revision: header.revision, physical: true });
  }

  /** What kubectl printed, as the cluster's administrator. */
  async kubectl(...args: string[]): Promise<string> {
    return this.#kubectl(args);
  }

  async applyFiles(...paths: string[]): Promise<void> {
    await this.#kubectl(['apply', ...paths.flatMap((path) => ['-f', path])]);
  }

  async applyObjects(...items: object[]): Promise<void> {
    await this.#kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  }

  /** Pods are refused until the controller manager has made this account. */
  async waitForDefaultServiceAccount(namespace = 'default'): Promise<void> {
    const url = `${this.url}/api/v1/namespaces/${namespace}/serviceaccounts/default`;
    const deadlineMs = Date.now() + serviceAccountTimeoutMs;
    while (!(await answersOk(url, this.#trust))) {
      if (Date.now() > deadlineMs) throw new Error(`namespace ${namespace}: no default service account`);
      await sleep(50);
    }
  }

  async schedulerLog(): Promise<string> {
    return (await this.#daemons.get('scheduler')?.log()) ?? '';
  }

  /** Ends every process and waits for it; clients before the servers they talk to, so that none waits for a lost one. */
  async stop(): Promise<void> {
    await Promise.all([this.#end('scheduler'), this.#end('controller-manager')]);
    await this.#end('apiserver');
    await this.#end('etcd');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  get #trust(): { caPath: string; client: Certificate } {
    return { caPath: this.caPath, client: this.admin };
  }

  get #schedulerConfigPath(): string {
    return join(this.dir, 'scheduler.yaml');
  }

  async #launchClients(): Promise<void> {
    const isManaged = this.#options.controllerManagerFlags !== null;
    await Promise.all([isManaged ? this.#launch('controller-manager') : Promise.resolve(), this.startScheduler()]);
  }

  async #launch(name: Program): Promise<void> {
    if (this.#daemons.get(name)?.isRunning) throw new Error(`${name} is already running`);
    const { command, args, isReady } = this.#launchPlan(name);
    const daemon = await Daemon.start({ name, command, args, cwd: this.dir, logPath: join(this.dir, `${name}.log`) });
    this.#daemons.set(name, daemon);
    await daemon.ready(isReady);
  }

  #launchPlan(name: Program): LaunchPlan {
    const { ports } = this.#site;
    const plans: Record<Program, LaunchPlan> = {
      etcd: {
        command: this.#binaries.etcd,
        args: etcdFlags(this.#site),
        isReady: () => answersOk(`http://127.0.0.1:${ports.etcdClient}/health`),
      },
      apiserver: {
        command: this.#binaries.apiServer,
        args: [...apiServerFlags(this.#site), ...this.#apiServerFlags],
        isReady: () => answersOk(`${this.url}/readyz`, this.#trust),
      },
      'controller-manager': {
        command: this.#binaries.controllerManager,
        args: [...controllerManagerFlags(this.#site), ...(this.#options.controllerManagerFlags ?? [])],
        isReady: () => answersOk(`https://127.0.0.1:${ports.controllerManager}/healthz`),
      },
      scheduler: {
        command: this.#binaries.scheduler,
        args: [...schedulerFlags(this.#site, this.#schedulerConfigPath), ...(this.#options.schedulerFlags ?? [])],
        isReady: () => answersOk(`https://127.0.0.1:${ports.scheduler}/readyz`),
      },
    };
    return plans[name];
  }

  async #end(name: Program, signal?: StopSignal): Promise<void> {
    await this.#daemons.get(name)?.stop(signal);
  }

  async #kubectl(args: readonly string[], input?: string): Promise<string> {
    // A home of its own: neither the caller's preferences nor a cache of another cluster's API may play a part.
    const env = { PATH: process.env['PATH'], HOME: this.dir, KUBECONFIG: this.adminKubeconfigPath };
    return runCommand(this.#binaries.kubectl, args, { env, ...(input !== undefined && { input }) });
  }
}

function apiServerUrl(port: number): string {
  return `https://${clusterAddress}:${port}`;
}
