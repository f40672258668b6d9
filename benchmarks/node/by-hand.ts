import type { RunningPod } from '../../test/node/bed/bed.ts';

export const RUNC = 'runc --root /run/containerd/runc/k8s.io';
/** On the disk of the agent's states. */
export const BY_HAND = '/var/lib/reprieve/by-hand';

export function shell(node: RunningPod['node'], script: string): Promise<string> {
  return node.run('sh', '-ec', script);
}

/** Milliseconds that a command takes inside the node, without the way there. */
export async function timed(node: RunningPod['node'], command: string): Promise<number> {
  const script = `start=$(date +%s%N); { ${command}; } >/dev/null </dev/null; echo $(($(date +%s%N) - start))`;
  return Number(await shell(node, script)) / 1e6;
}
