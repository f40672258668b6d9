import { readFile, readdir, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { RuntimeContainer } from './containers.ts';
import { IO_URING_FAILURE, type DumpFailure } from './dump-failure.ts';

/** Why a container cannot be saved, found out without touching it. */
export interface Obstacle extends DumpFailure {
  readonly container: string;
}

export interface InspectOptions {
  readonly container: RuntimeContainer;
  /** Of all its processes. */
  readonly pids: readonly number[];
  /** Other than /proc in tests. */
  readonly proc?: string;
}

const IO_URING = 'anon_inode:[io_uring]';

/**
 * What makes a running container impossible to save, as far as that can be seen from outside: criu finds the rest
 * (connections to other containers, locks), and dumpFailure says what its message means.
 */
export async function obstacles({ container, pids, proc = '/proc' }: InspectOptions): Promise<readonly Obstacle[]> {
  const found = [...obstaclesOfSpec(container), ...(await obstaclesOfProcesses(pids, proc))];
  return found.map((failure) => ({ container: container.name, ...failure }));
}

function* obstaclesOfSpec({ spec }: RuntimeContainer): Generator<DumpFailure> {
  const processes = spec.linux?.namespaces?.find(({ type }) => type === 'pid');
  if (processes === undefined) {
    yield { reason: 'SharedProcesses', message: 'it shares the process ids of the node; it must not set hostPID' };
  } else if (processes.path !== undefined && processes.path !== '') {
    yield {
      reason: 'SharedProcesses',
      message: 'its containers share their process ids; it must not set shareProcessNamespace',
    };
  }
  if (spec.process?.terminal === true) {
    yield { reason: 'Terminal', message: 'it has a terminal; it must not set tty' };
  }
}

async function obstaclesOfProcesses(pids: readonly number[], proc: string): Promise<readonly DumpFailure[]> {
  const used = new Set<string>();
  for (const pid of pids) {
    for (const path of await mappedFiles(join(proc, String(pid)))) used.add(path.replace(/ \(deleted\)$/, ''));
    for (const path of await openDevices(join(proc, String(pid), 'fd'))) used.add(path);
  }
  const found: DumpFailure[] = [...used]
    .filter(isDevicePath)
    .sort()
    .map((path) => ({
      reason: 'Device',
      message: `it uses the device ${path}, whose state criu cannot save; do not protect pods that use devices`,
    }));
  if (used.has(IO_URING)) found.unshift(IO_URING_FAILURE);
  return found;
}

/**
 * The first file or folder below one of these paths of the container that a process uses: open, mapped, or its working directory.
 * Null: none does.
 */
export async function usedBelow(
  folders: readonly string[],
  { pids, proc = '/proc' }: { readonly pids: readonly number[]; readonly proc?: string },
): Promise<string | null> {
  for (const pid of pids) {
    const folder = join(proc, String(pid));
    const fds = (await readdir(join(folder, 'fd')).catch(nothingOfTheDead)) ?? [];
    const links = [join(folder, 'cwd'), ...fds.map((fd) => join(folder, 'fd', fd))];
    const opened = await Promise.all(links.map((link) => readlink(link).catch(nothingOfTheDead)));
    const used = [...opened, ...(await mappedFiles(folder))];
    const found = used.find((path) => path !== null && folders.some((below) => path.startsWith(`${below}/`)));
    if (found !== undefined) return found;
  }
  return null;
}

/** The files behind the memory of a process: none once it has ended. */
async function mappedFiles(processFolder: string): Promise<readonly string[]> {
  const maps = await readFile(join(processFolder, 'maps'), 'utf8').catch(nothingOfTheDead);
  // Address, permissions, offset, device, inode, then the path up to the end of the line.
  return maps === null ? [] : [...maps.matchAll(/^(?:\S+ +){5}(.+)$/gm)].map(([, path]) => path as string);
}

/** The devices and rings that a process has open, except the devices that every container has. */
async function openDevices(fdFolder: string): Promise<readonly string[]> {
  const fds = (await readdir(fdFolder).catch(nothingOfTheDead)) ?? [];
  const paths = await Promise.all(
    fds.map(async (fd) => {
      const path = await readlink(join(fdFolder, fd)).catch(nothingOfTheDead);
      if (path === IO_URING) return path;
      if (path === null || !isDevicePath(path)) return null;
      // A regular file below /dev (a tmpfs in each container) is as good as anywhere else.
      const opened = await stat(join(fdFolder, fd)).catch(nothingOfTheDead);
      return opened?.isCharacterDevice() || opened?.isBlockDevice() ? path : null;
    }),
  );
  return paths.filter((path) => path !== null);
}

/** /dev/shm holds files, /dev/zero stands for shared memory without a name; the rest is in each container, or its own terminals. */
function isDevicePath(path: string): boolean {
  return (
    path.startsWith('/dev/') &&
    !/^\/dev\/(?:shm|mqueue|pts)\//.test(path) &&
    !/^\/dev\/(?:null|zero|full|random|urandom|tty|ptmx|console)$/.test(path)
  );
}

/** Also EACCES and EPERM: what a process that is becoming another program answers for a moment. */
function nothingOfTheDead(error: NodeJS.ErrnoException): null {
  if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM', 'ENXIO'].includes(error.code ?? '')) return null;
  throw error;
}
