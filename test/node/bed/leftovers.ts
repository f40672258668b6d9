import { setTimeout as sleep } from 'node:timers/promises';
import { runFolder } from '../../cluster/control-plane/control-plane.ts';
import type { NodeBed } from './bed.ts';
import type { Node } from './node.ts';
import { cgroupOf } from './setting.ts';

/** The kubelet and containerd take their time to remove what belonged to a pod. */
const WITHIN_MS = 30_000;

/**
 * Prints one line for each thing that a checkpoint or a restore can leave on a node. `$0` is the cgroup of all nodes. The wrapper makes
 * `held/.criu` once for all pods.
 */
const LOOK = `
find /sys/fs/cgroup -path "*/$0/*" -name freezer.state -exec grep -l FROZEN {} + 2>/dev/null | sed 's/^/frozen /'
find /sys/fs/cgroup -path "*/$0/*" -name cgroup.freeze -exec grep -l 1 {} + 2>/dev/null | sed 's/^/frozen /'
iptables -S | grep CRIU | sed 's/^/rule /'
cut -d ' ' -f 2 /proc/self/mounts | sed 's/^/mount /'
find /var/lib/reprieve -path /var/lib/reprieve/compiled -prune -o -type f -print | sed 's/^/file /'
find /run/reprieve /tmp /dev/shm /dev/mqueue -path /run/reprieve/held/.criu -prune -o ! -type d -print 2>/dev/null | sed 's/^/file /'
true`;

/** What nodes have at one moment: to be compared with what they have later, when every pod of the time between is gone. */
export class Leftovers {
  readonly #nodes: readonly Node[];
  readonly #before = new Map<string, ReadonlySet<string>>(); // name of a node -> lines

  private constructor(nodes: readonly Node[]) {
    this.#nodes = nodes;
  }

  static async since({ nodes }: NodeBed): Promise<Leftovers> {
    const leftovers = new Leftovers(nodes);
    for (const node of nodes) leftovers.#before.set(node.name, new Set(await linesOn(node)));
    return leftovers;
  }

  /** What is there now and was not then, one line for each; waits until there is nothing, or half a minute. */
  async found(): Promise<readonly string[]> {
    const deadlineMs = Date.now() + WITHIN_MS;
    for (;;) {
      const left: string[] = [];
      for (const node of this.#nodes) {
        const before = this.#before.get(node.name);
        for (const line of await linesOn(node)) if (!before?.has(line)) left.push(`${node.name}: ${line}`);
      }
      if (left.length === 0 || Date.now() > deadlineMs) return left;
      await sleep(1000);
    }
  }
}

/** Rules of CRIU in the network namespace of a running container: with them a pod is cut off. */
export async function networkLocks(node: Node, container: string): Promise<readonly string[]> {
  const pid = `/run/containerd/io.containerd.runtime.v2.task/k8s.io/${container}/init.pid`;
  const rules = await node.run('sh', '-c', 'nsenter --net --target "$(cat "$0")" iptables -S', pid);
  return rules.split('\n').filter((rule) => rule.includes('CRIU'));
}

async function linesOn(node: Node): Promise<string[]> {
  const text = await node.run('sh', '-c', LOOK, cgroupOf(runFolder()));
  return text.split('\n').filter((line) => line !== '');
}
