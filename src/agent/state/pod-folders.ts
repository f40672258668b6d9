import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { ContainerIdentity } from '../runtime/containers.ts';

/** Where the kubelet has them, below the folder of a pod. */
const EMPTY_DIRS = 'volumes/kubernetes.io~empty-dir';

/** A folder of a pod outside of its containers, whose contents are part of its state. */
export interface StateFolder {
  readonly name: string;
  readonly path: string;
}

/** The emptyDir volumes of a pod, in memory or on the disk, by name. */
export async function emptyDirs(kubeletDir: string, podUid: string): Promise<readonly StateFolder[]> {
  const folder = join(kubeletDir, 'pods', podUid, EMPTY_DIRS);
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  return names.sort().map((name) => ({ name, path: join(folder, name) }));
}

/** Where a container sees the emptyDir volumes and the shared memory of its pod. */
export function volumePaths(container: ContainerIdentity): readonly string[] {
  const mounts = container.spec.mounts?.filter(({ source }) => source?.includes(`/${EMPTY_DIRS}/`)) ?? [];
  const shm = sharedMemory(container) === null ? [] : ['/dev/shm'];
  return [...mounts.map(({ destination }) => destination), ...shm];
}

/**
 * What the containers of a pod share as /dev/shm. Only the sandbox's own, whose path names it: the node's (hostIPC), or a
 * volume that somebody mounted there, is not the pod's to save or to fill. Null when there is none.
 */
export function sharedMemory({ spec, sandboxId }: ContainerIdentity): string | null {
  const source = spec.mounts?.find(({ destination }) => destination === '/dev/shm')?.source;
  if (source === undefined || sandboxId === '') return null;
  return basename(source) === 'shm' && source.split('/').includes(sandboxId) ? source : null;
}

export async function isEmpty(folder: string): Promise<boolean> {
  return (await readdir(folder)).length === 0;
}
