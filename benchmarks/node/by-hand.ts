import { readFile } from 'node:fs/promises';
import type { RunningPod } from '../../test/node/bed/bed.ts';

export const RUNC = 'runc --root /run/containerd/runc/k8s.io';
/** On the disk of the agent's states. */
export const BY_HAND = '/var/lib/reprieve/by-hand';

export function shell(node: RunningPod['node'], script: string): Promise<string> {
  return node.run('sh', '-ec', script);
}

/** A container's root filesystem as overlayfs has it: its image, and what it changed. */
export async function layersOf({ node, containers }: RunningPod): Promise<{
  readonly bundle: string;
  readonly lower: string;
  readonly upper: string;
}> {
  const { bundle } = JSON.parse(await shell(node, `${RUNC} state ${containers[0]}`)) as { readonly bundle: string };
  const mounts = await readFile(node.path('/proc/1/mountinfo'), 'utf8');
  const [, lower = '', upper = ''] =
    new RegExp(`${bundle}/rootfs .*lowerdir=([^,]+),upperdir=([^,]+)`).exec(mounts) ?? [];
  return { bundle, lower, upper };
}

/** Milliseconds that a command takes inside the node, without the way there. */
export async function timed(node: RunningPod['node'], command: string): Promise<number> {
  const script = `start=$(date +%s%N); { ${command}; } >/run/timed.log 2>&1 </dev/null || { cat /run/timed.log >&2; exit 1; }
    echo $(($(date +%s%N) - start))`;
  return Number(await shell(node, script)) / 1e6;
}
