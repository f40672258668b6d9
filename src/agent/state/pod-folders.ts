import { readdir, stat } from 'node:fs/promises';
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

/** A folder as the kernel knows it, by whatever path it is seen. */
export interface BoundFolder {
  readonly dev: number;
  readonly ino: number;
}

/**
 * What the kubelet has bound for the `subPath` mounts of a pod: the folders in its volumes themselves, at
 * `volume-subpaths/<volume>/<container>/<number>`.
 */
export async function boundFolders(kubeletDir: string, podUid: string): Promise<readonly BoundFolder[]> {
  const folder = join(kubeletDir, 'pods', podUid, 'volume-subpaths');
  const found: BoundFolder[] = [];
  for (const volume of await namesIn(folder)) {
    for (const container of await namesIn(join(folder, volume))) {
      for (const number of await namesIn(join(folder, volume, container))) {
        const { dev, ino } = await stat(join(folder, volume, container, number));
        found.push({ dev, ino });
      }
    }
  }
  return found;
}

async function namesIn(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
    throw error;
  });
}

/** A folder for what its image declares as VOLUME. The runtime makes it for one container, which takes it along. */
export interface ImageVolume extends StateFolder {
  /** Where the container sees it. */
  readonly destination: string;
}

/**
 * The image volumes of a container. They are named by their places among its mounts, sorted by destination: a container that
 * continues another one has the same mounts.
 */
export function imageVolumes({ id, spec }: Pick<ContainerIdentity, 'id' | 'spec'>): readonly ImageVolume[] {
  const mounts = (spec.mounts ?? []).toSorted((a, b) => (a.destination < b.destination ? -1 : 1));
  return mounts.flatMap(({ source = '', destination }, at) =>
    source.includes(`/${id}/volumes/`) ? [{ name: String(at), path: source, destination }] : [],
  );
}

/** Where a container sees the volumes that are part of its state, and the shared memory of its pod. */
export function volumePaths(container: ContainerIdentity): readonly string[] {
  const own = new Set(imageVolumes(container).map(({ path }) => path));
  const mounts =
    container.spec.mounts?.filter(({ source = '' }) => source.includes(`/${EMPTY_DIRS}/`) || own.has(source)) ?? [];
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
