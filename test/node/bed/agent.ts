import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { clusterAddress } from '../../cluster/control-plane/address.ts';
import type { ControlPlane } from '../../cluster/control-plane/control-plane.ts';
import type { Daemon } from '../../cluster/control-plane/daemon.ts';
import { REPRIEVE_NAMESPACE } from '../../cluster/story/replica.ts';
import type { Node } from './node.ts';
import { KUBERNETES_FOLDER } from './node-files.ts';

const checkout = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const ACCOUNT_FOLDER = '/run/secrets/kubernetes.io/serviceaccount'; // /var/run is a link that leads out of the node
const CONFIG_FOLDER = '/etc/reprieve';
const NAME = 'agent';
/**
 * How the agent is to run on any node: with a small heap for what is new, one helper thread of V8, buffers that go back to the
 * kernel when they are freed, and compiled modules kept in a folder that only root can write, so that from its second start on the
 * compiler for TypeScript is not even loaded.
 */
const LITTLE_MEMORY = {
  NODE_OPTIONS: '--max-semi-space-size=2 --v8-pool-size=1',
  NODE_COMPILE_CACHE: '/var/lib/reprieve/compiled',
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '131072',
  MALLOC_TRIM_THRESHOLD_: '131072',
};

/** `reprieve agent` on one node, with the rights of deploy/rbac-agent.yaml and the token of its service account, as in a pod. */
export class AgentProcess {
  readonly #node: Node;
  readonly #cluster: ControlPlane;
  #logMark = 0;
  #daemon: Daemon | null = null;

  private constructor(node: Node, cluster: ControlPlane) {
    this.#node = node;
    this.#cluster = cluster;
  }

  /** Prepares the node; the process is not started. `settings` are keys of the `agent` section. */
  static async create(
    node: Node,
    cluster: ControlPlane,
    settings: Readonly<Record<string, unknown>> = {},
  ): Promise<AgentProcess> {
    const agent = new AgentProcess(node, cluster);
    for (const folder of [ACCOUNT_FOLDER, CONFIG_FOLDER]) {
      await mkdir(node.path(folder), { recursive: true });
    }
    const bound = ['--bound-object-kind=Node', `--bound-object-name=${node.name}`];
    const token = await cluster.kubectl('create', 'token', 'reprieve-agent', '-n', REPRIEVE_NAMESPACE, ...bound);
    await writeFile(node.path(`${ACCOUNT_FOLDER}/token`), token.trim(), { mode: 0o600 });
    await copyFile(cluster.caPath, node.path(`${ACCOUNT_FOLDER}/ca.crt`));
    const inside = (name: string): string => `${CONFIG_FOLDER}/${name}`;
    const configuration = {
      apiVersion: 'config.reprieve.dev/v1alpha1',
      kind: 'ReprieveConfiguration',
      // All nodes share one network here: each agent listens on the address of its own.
      agent: {
        nodeName: node.name,
        reserve: '64Mi',
        kubeletConfig: `${KUBERNETES_FOLDER}/kubelet.yaml`,
        peer: { address: node.address },
        ...settings,
      },
    };
    await writeFile(node.path(inside('agent.json')), JSON.stringify(configuration), { mode: 0o600 });
    await node.run(...reprieve('node', 'install'));
    await node.kill('containerd');
    await node.start('containerd');
    return agent;
  }

  /** Resolves when it takes orders. `port`: of another way to the API server. */
  async start(port?: number): Promise<void> {
    await this.launch(port);
    await this.#daemon?.ready(async () => (await this.#newLog()).includes('"msg":"ready"'));
  }

  /** As {@link start}, without waiting for it. */
  async launch(port = Number(new URL(this.#cluster.url).port)): Promise<void> {
    this.#logMark = await this.#logLength();
    const command = [
      process.execPath,
      join(checkout, 'src/main.ts'),
      'agent',
      '--config',
      `${CONFIG_FOLDER}/agent.json`,
    ];
    const env = { KUBERNETES_SERVICE_HOST: clusterAddress, KUBERNETES_SERVICE_PORT: String(port), ...LITTLE_MEMORY };
    this.#daemon = await this.#node.daemon(NAME, command, env);
  }

  /** SIGKILL: it ends between two of its instructions. */
  async kill(): Promise<void> {
    await this.#node.kill(NAME);
  }

  async stop(): Promise<void> {
    await this.#node.end(NAME);
  }

  log(): Promise<string> {
    return this.#node.log(NAME);
  }

  /** Waits until it has logged something that matches, since its last start. */
  async logged(pattern: RegExp, seconds = 30): Promise<void> {
    const deadlineMs = Date.now() + seconds * 1000;
    while (!pattern.test(await this.#newLog())) {
      if (Date.now() > deadlineMs) throw new Error(`the agent of ${this.#node.name} has not logged ${String(pattern)}`);
      await sleep(50);
    }
  }

  async #newLog(): Promise<string> {
    return (await this.log()).slice(this.#logMark);
  }

  async #logLength(): Promise<number> {
    return (await this.log().catch(() => '')).length;
  }
}

/** The command line of this checkout, as it is seen inside a node. */
function reprieve(...args: string[]): string[] {
  return [process.execPath, join(checkout, 'src/main.ts'), ...args];
}
