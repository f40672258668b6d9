import { createHash } from 'node:crypto';
import { readFile, readdir, readlink, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerIdentity, RuntimeContainer } from '../runtime/containers.ts';
import type { OciMount } from '../runtime/oci-spec.ts';
import { readProcess, textOf, type Process } from './processes.ts';
import { mountOf, specMounts, type SpecMount } from './spec-mounts.ts';

/** ConfigMap, Secret, projected and downwardAPI volumes: the kubelet writes them anew for each pod. */
const CONFIG = /\/volumes\/kubernetes\.io~(?:configmap|secret|projected|downward-api)\//;
/** The kubelet writes each version into a folder of its own, named after the moment, and `..data` leads to the newest. */
const VERSIONED = /^(\.\.[^/]+)\/(.+)$/;

/** A file of such a volume that a process has open or mapped. */
export interface ConfigFile {
  /** Destination of the mount. */
  readonly mount: string;
  /** Below it: `..2026_11_30_03_22_11.1/run.sh`. */
  readonly path: string;
  readonly sha256: string;
}

/** True for a mount of such a volume; a `subPath` of one is a file or folder with the same path in every pod. */
export function isConfigMount(mount: OciMount | undefined): boolean {
  return CONFIG.test(mount?.source ?? '');
}

/** Those that the processes of a container have open, mapped or watched, which stands frozen. */
export async function configFilesOf(
  container: RuntimeContainer,
  pids: readonly number[],
  proc = '/proc',
): Promise<readonly ConfigFile[]> {
  if (!(container.spec.mounts ?? []).some(isConfigMount)) return [];
  const mounts = await specMounts(container, join(proc, String(container.pid), 'root'));
  const found = new Map<string, ConfigFile>(); // path in the container -> file
  for (const pid of pids) {
    const process = await readProcess(pid, proc);
    const { folder, files, mapped } = process;
    const watched = await watchedFiles(process, mounts.filter(isConfigMount));
    for (const path of [...files.map(({ target }) => target), ...mapped, ...watched]) {
      const mount = mountOf(mounts, path);
      if (found.has(path) || mount === undefined || !isConfigMount(mount)) continue;
      const file = join(folder, 'root', path);
      if (!(await stat(file)).isFile()) continue;
      const { destination, place } = mount;
      found.set(path, { mount: destination, path: path.slice(place.length + 1), sha256: await digestOf(file) });
    }
  }
  return [...found.keys()].sort().map((path) => found.get(path) as ConfigFile);
}

/**
 * Makes the files of a saved container findable in the volumes of the new one: under the name of their version, which leads to the
 * present one. The first that has another content, or is missing, is returned, and nothing restored may see it; null: all are there.
 */
export async function linkConfigFiles(
  container: Pick<ContainerIdentity, 'spec'>,
  files: readonly ConfigFile[],
): Promise<string | null> {
  for (const { mount: destination, path, sha256 } of files) {
    const mount = container.spec.mounts?.find((one) => one.destination === destination);
    const shown = join(destination, path);
    if (mount?.source === undefined || !isConfigMount(mount)) return shown;
    const [, version, name] = VERSIONED.exec(path) ?? [];
    if (version === undefined || name === undefined) return shown;
    const present = await readlink(join(mount.source, '..data')).catch(nullIfMissing);
    if (present === null) return shown;
    const digest = await digestOf(join(mount.source, present, name)).catch(nullIfMissing);
    if (digest !== sha256) return shown;
    if (version === present || version === '..data') continue;
    await symlink(present, join(mount.source, version)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
  return null;
}

/** CRIU finds a watched file by its path; the kernel tells its inode. */
async function watchedFiles({ folder, files }: Process, mounts: readonly SpecMount[]): Promise<readonly string[]> {
  const inodes = new Set<number>();
  for (const { fd } of files.filter(({ target }) => target.startsWith('anon_inode:inotify'))) {
    const info = await textOf(join(folder, 'fdinfo', fd));
    for (const [, inode = ''] of info.matchAll(/^inotify .*\bino:([0-9a-f]+)/gm))
      inodes.add(Number.parseInt(inode, 16));
  }
  if (inodes.size === 0) return [];
  const found: string[] = [];
  for (const { place } of mounts) {
    const volume = join(folder, 'root', place);
    const version = await readlink(join(volume, '..data')).catch(nullIfMissing);
    if (version === null) continue;
    const names = await readdir(join(volume, version), { recursive: true });
    const isVersionWatched = inodes.has((await stat(join(volume, version))).ino);
    for (const name of names) {
      const { ino } = await stat(join(volume, version, name));
      if (isVersionWatched || inodes.has(ino)) found.push(join(place, version, name));
    }
  }
  return found;
}

async function digestOf(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}

function nullIfMissing(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
  throw error;
}
