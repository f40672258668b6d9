import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kubeletPath } from '../../cluster/control-plane/binaries.ts';
import { runCommand } from '../../cluster/control-plane/command.ts';
import type { ControlPlane } from '../../cluster/control-plane/control-plane.ts';
import { Daemon } from '../../cluster/control-plane/daemon.ts';
import { answersOk } from '../../cluster/control-plane/probe.ts';
import { makeCgroup, removeCgroup, thawCgroup } from './cgroups.ts';
import { archivePath, BASIC_IMAGES, type Archive } from './images.ts';
import { bridgeOf, KUBELET_HEALTH_PORT, KUBERNETES_FOLDER, nodeAddress, nodeFiles } from './node-files.ts';
import type { NodeIdentity } from './node-files.ts';
import { exists, NODE_TREE, treePath } from './rootfs.ts';

export interface NodeOptions {
  /** From 1: its name, address and subnet follow from it. */
  readonly number: number;
  readonly cluster: ControlPlane;
  /** A folder of its own on a real disk: what it writes lies here. */
  readonly dir: string;
  /** Above the cgroups of all nodes of the run, without the first slash. */
  readonly cgroup: string;
  /** Makes /var/lib/reprieve a disk of this size; absent: a folder on the disk of {@link dir}. */
  readonly stateDiskMiB?: number;
  /** What it has besides the basic images. */
  readonly images?: readonly Archive[];
}

/** The programs of every node; tests add others under names of their own. */
type Part = 'containerd' | 'kubelet';

const checkout = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const READY = '/run/node-is-up';

/**
 * A real node: containerd, runc, CRIU and a kubelet on a copy-on-write view of the cached tree, with mounts, processes and a
 * host name of its own, in the network of the run. Its first process holds the namespaces; every program is one that a test
 * can end and start again, and containers outlive containerd and kubelet as they do on any machine.
 *
 * @example
 * await node.run('runc', '--root', '/run/containerd/runc/k8s.io', 'list', '-q');
 * await node.kill('kubelet');
 * await node.start('kubelet');
 * await readFile(node.path('/var/lib/reprieve/checkpoints/…/manifest.json'));
 */
export class Node {
  readonly name: string;
  readonly address: string;
  readonly #options: NodeOptions;
  readonly #identity: NodeIdentity;
  readonly #daemons = new Map<string, Daemon>(); // name -> the last one started, running or not
  #holder: Daemon | null = null; // outside: it made the namespaces
  #pid = 0; // process 1 of the node, as we see it

  private constructor(options: NodeOptions) {
    const { number, cgroup } = options;
    this.name = `node${number}`;
    this.address = nodeAddress(number);
    this.#options = options;
    this.#identity = { name: this.name, number, cgroup: `${cgroup}/${this.name}` };
  }

  /** Answers when its kubelet is healthy; Ready it is a few seconds later. After a failure nothing of it is left running. */
  static async start(options: NodeOptions): Promise<Node> {
    const node = new Node(options);
    try {
      await node.#layOut();
      await node.#boot();
      await node.start('containerd');
      for (const archive of node.#archives)
        await node.run('ctr', '--namespace', 'k8s.io', 'images', 'import', `/mnt/${archive.name}.tar`);
      await node.start('kubelet');
      return node;
    } catch (error) {
      await node.stop();
      throw error;
    }
  }

  /** What a command printed that ran inside the node. */
  async run(...command: string[]): Promise<string> {
    const [program, ...args] = this.#inside(command);
    return runCommand(program, args);
  }

  /** Starts a long-running program inside the node, under a name of the test's choice. */
  async daemon(name: string, command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Daemon> {
    if (this.#daemons.get(name)?.isRunning) throw new Error(`${this.name}: ${name} is already running`);
    const [program, ...args] = this.#inside(command, env);
    const { dir } = this.#options;
    const started = await Daemon.start({
      name: `${name} of ${this.name}`,
      command: program,
      args,
      cwd: dir,
      logPath: join(dir, `${name}.log`),
    });
    this.#daemons.set(name, started);
    return started;
  }

  /** Resolves when it answers. */
  async start(part: Part): Promise<void> {
    if (part === 'containerd') {
      const containerd = await this.daemon('containerd', ['containerd']);
      await containerd.ready(() =>
        this.run('ctr', 'version').then(
          () => true,
          () => false,
        ),
      );
      return;
    }
    const kubelet = await this.daemon('kubelet', [
      'kubelet',
      `--config=${KUBERNETES_FOLDER}/kubelet.yaml`,
      `--kubeconfig=${KUBERNETES_FOLDER}/kubelet.kubeconfig`,
      `--hostname-override=${this.name}`,
      `--node-ip=${this.address}`,
      '--v=2',
    ]);
    await kubelet.ready(() => answersOk(`http://${this.address}:${KUBELET_HEALTH_PORT}/healthz`));
  }

  /** SIGKILL to a program of the node, and its end. Its containers go on. */
  async kill(name: string): Promise<void> {
    await this.#daemons.get(name)?.stop('SIGKILL');
  }

  /** SIGTERM to a program of the node, and its end. */
  async end(name: string): Promise<void> {
    await this.#daemons.get(name)?.stop();
  }

  async log(name: string): Promise<string> {
    return readFile(join(this.#options.dir, `${name}.log`), 'utf8');
  }

  /**
   * Where this process sees a file of the node, with all that is mounted there, as long as the node is up. An absolute symbolic
   * link on the way leads out of it.
   */
  path(inside: string): string {
    return join(`/proc/${this.#pid}/root`, inside);
  }

  /** Ends all that runs on the node, as a power failure does, and removes what it leaves in the kernel. Its disks stay. */
  async stop(): Promise<void> {
    this.#holder?.signal('SIGKILL');
    // Where a container is frozen, the end of the node waits for it.
    const thawing = setInterval(() => void thawCgroup(this.#identity.cgroup).catch(() => {}), 200);
    await this.#holder?.ended();
    for (const daemon of this.#daemons.values()) await daemon.ended();
    await removeCgroup(this.#identity.cgroup).finally(() => clearInterval(thawing));
    await runCommand('ip', ['link', 'delete', bridgeOf(this.#options.number)]).catch(() => {}); // no pod, no bridge
  }

  /** Of a node that is stopped: memory images and layers of containers go, its files and logs stay. */
  async wipe(): Promise<void> {
    for (const disk of ['reprieve', 'kubelet', 'containerd', 'work'])
      await rm(join(this.#options.dir, disk), { recursive: true, force: true });
  }

  get #archives(): readonly Archive[] {
    return [BASIC_IMAGES, ...(this.#options.images ?? [])];
  }

  get #upper(): string {
    return join(this.#options.dir, 'upper');
  }

  /** Everything that is not from the tree, in the upper layer of the node's root. */
  async #layOut(): Promise<void> {
    const { dir, cluster } = this.#options;
    for (const folder of ['upper', 'work', 'root', 'containerd', 'kubelet'])
      await mkdir(join(dir, folder), { recursive: true });
    for (const [path, text] of Object.entries(nodeFiles(this.#identity))) {
      await mkdir(dirname(join(this.#upper, path)), { recursive: true });
      await writeFile(join(this.#upper, path), text, { mode: path.includes('/bin/') ? 0o755 : 0o644 });
    }
    await chmod(join(this.#upper, KUBERNETES_FOLDER), 0o700);
    const identity = { commonName: `system:node:${this.name}`, organization: 'system:nodes' };
    const certificate = await cluster.pki.certificate(this.name, identity, [`DNS:${this.name}`, `IP:${this.address}`]);
    const credentials = { 'ca.crt': cluster.caPath, 'node.crt': certificate.certPath, 'node.key': certificate.keyPath };
    for (const [name, from] of Object.entries(credentials))
      await writeFile(join(this.#upper, KUBERNETES_FOLDER, name), await readFile(from), { mode: 0o600 });
    await writeFile(join(this.#upper, KUBERNETES_FOLDER, 'kubelet.kubeconfig'), this.#kubeconfig(), { mode: 0o600 });
  }

  #kubeconfig(): string {
    const inside = (name: string): string => `${KUBERNETES_FOLDER}/${name}`;
    const user = { 'client-certificate': inside('node.crt'), 'client-key': inside('node.key') };
    const server = { server: this.#options.cluster.url, 'certificate-authority': inside('ca.crt') };
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'test', cluster: server }],
      users: [{ name: 'kubelet', user }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'kubelet' } }],
      'current-context': 'test',
    });
  }

  async #boot(): Promise<void> {
    const { dir } = this.#options;
    makeCgroup(this.#identity.cgroup);
    const scriptPath = join(dir, 'boot.sh');
    const script = ['set -e', ...(await this.#setUp()).map(shellCommand), FIRST_PROCESS, ''];
    await writeFile(scriptPath, script.join('\n'));
    const namespaces = ['--mount', '--propagation', 'slave', '--pid', '--fork', '--kill-child=SIGKILL', '--uts'];
    this.#holder = await Daemon.start({
      name: this.name,
      command: 'unshare',
      args: [...namespaces, '--', 'sh', scriptPath],
      cwd: dir,
      logPath: join(dir, 'boot.log'),
      env: { PATH: `${process.env['PATH'] ?? ''}:${PATH}` },
    });
    await this.#holder.ready(async () => {
      this.#pid ||= await onlyChild(this.#holder?.pid ?? 0);
      return this.#pid !== 0 && exists(this.path(READY));
    });
  }

  /** The commands that turn new namespaces into the node. They run in order, outside of its root up to pivot_root. */
  async #setUp(): Promise<string[][]> {
    const { dir, stateDiskMiB } = this.#options;
    const root = join(dir, 'root');
    const layers = `lowerdir=${treePath(NODE_TREE)},upperdir=${this.#upper},workdir=${join(dir, 'work')}`;
    const inRoot = (path: string): string => join(root, path);
    const bind = (from: string, to: string, ...options: string[]): string[][] => [
      ['mkdir', '-p', dirname(inRoot(to))],
      ['sh', '-c', 'if [ -d "$0" ]; then mkdir -p "$1"; else : > "$1"; fi', from, inRoot(to)],
      ['mount', '--bind', ...options, from, inRoot(to)],
    ];
    const archives = await Promise.all(
      this.#archives.map(async (archive) => [archive.name, await archivePath(archive)] as const),
    );
    return [
      ['mount', '-t', 'overlay', 'overlay', '-o', layers, root],
      ['mount', '-t', 'proc', 'proc', inRoot('proc')],
      ['mount', '--rbind', '/sys', inRoot('sys')],
      ['mount', '--rbind', '/dev', inRoot('dev')],
      ['mount', '-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', inRoot('run')],
      ['mount', '-t', 'tmpfs', 'tmpfs', inRoot('tmp')],
      ...bind(join(dir, 'containerd'), '/var/lib/containerd'), // an overlay cannot hold the upper layers of others
      ...bind(join(dir, 'kubelet'), '/var/lib/kubelet'),
      ...archives.flatMap(([name, path]) => bind(path, `/mnt/${name}.tar`)),
      ...bind(kubeletPath(), '/usr/local/bin/kubelet'),
      ...bind(checkout, checkout, '-o', 'ro'),
      ...(await this.#stateDisk(inRoot('/var/lib/reprieve'), stateDiskMiB)),
      ['sh', '-c', 'echo "$0" > /proc/sys/kernel/hostname', this.name],
      ['mkdir', '-p', inRoot('old')],
      ['cd', root],
      ['pivot_root', '.', 'old'],
      ['cd', '/'],
      ['umount', '-l', '/old'],
      ['mount', '--make-rshared', '/'],
      ['touch', READY],
    ];
  }

  async #stateDisk(target: string, mebibytes: number | undefined): Promise<string[][]> {
    const source = join(this.#options.dir, 'reprieve');
    const mounted = [['mkdir', '-p', target]];
    if (mebibytes === undefined) {
      await mkdir(source, { mode: 0o700 });
      return [...mounted, ['mount', '--bind', source, target]];
    }
    await runCommand('mkfs.ext4', ['-q', '-m', '0', source, `${mebibytes}M`]);
    return [...mounted, ['mount', '-o', 'loop', source, target], ['chmod', '700', target]];
  }

  #inside(command: readonly string[], env: Readonly<Record<string, string>> = {}): [string, ...string[]] {
    const variables = Object.entries({ PATH, HOME: '/root', ...env }).map(([name, value]) => `${name}=${value}`);
    // The machine's own variables stay outside: a proxy among them would be asked for every image and every API call.
    const namespaces = [`--target=${this.#pid}`, '--mount', '--pid', '--uts'];
    return ['nsenter', ...namespaces, '--', '/usr/bin/env', '-i', ...variables, ...command];
  }
}

/** Takes in orphans, among them every container's shim; it never ends by itself. */
const FIRST_PROCESS = `exec /bin/sh -c 'while :; do sleep 3600 & wait; done'`;

function shellCommand(words: readonly string[]): string {
  return words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
}

/** 0 where there is none yet. */
async function onlyChild(pid: number): Promise<number> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return Number(children.trim() || 0);
}
