import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const CGROUPS = '/sys/fs/cgroup';

/** Where the cgroup of a process is, for one controller: in the hierarchy of version 1 that has it, else in the one of version 2. */
export interface CgroupFolder {
  readonly path: string;
  readonly version: 1 | 2;
}

/** Where the kernel shows what it knows. */
export interface KernelFolders {
  readonly mountPoint?: string;
  readonly proc?: string;
}

/**
 * The cgroup of process `pid` that `controller` counts or freezes; null when the process is gone. `mountPoint` and
 * `proc` are other than the usual ones in tests.
 */
export function cgroupOf(
  pid: number,
  controller: 'freezer' | 'memory',
  { mountPoint = CGROUPS, proc = '/proc' }: KernelFolders = {},
): CgroupFolder | null {
  const lines = linesOf(join(proc, String(pid), 'cgroup')).map((line) => {
    const [, controllers = '', ...path] = line.split(':'); // hierarchy:controllers:path, and the path may hold colons
    return { controllers: controllers.split(','), path: path.join(':') };
  });
  const first = lines.find(({ controllers }) => controllers.includes(controller));
  if (first !== undefined) return { path: join(mountPoint, first.controllers.join(','), first.path), version: 1 };
  const second = lines.find(({ controllers }) => controllers[0] === '');
  return second === undefined ? null : { path: join(mountPoint, second.path), version: 2 };
}

/** All processes in a cgroup and in those below it, in no order. */
export function processesOf(folder: string): number[] {
  return [
    ...linesOf(join(folder, 'cgroup.procs')).map(Number),
    ...childrenOf(folder).flatMap((child) => processesOf(join(folder, child))),
  ].filter((pid) => pid > 0); // 0 stands for a process of another pid namespace
}

/** Begins to freeze what is in a cgroup and below it, without waiting until it stands still. A cgroup that is gone is fine. */
export function beginFreeze({ path, version }: CgroupFolder): void {
  if (version === 1) write(join(path, 'freezer.state'), 'FROZEN');
  else write(join(path, 'cgroup.freeze'), '1');
}

/** Lets it go on. A cgroup that is gone is fine. */
export function thaw({ path, version }: CgroupFolder): void {
  if (version === 1) write(join(path, 'freezer.state'), 'THAWED');
  else write(join(path, 'cgroup.freeze'), '0');
}

/** Whether what is in a cgroup stands still; null while it is on its way there, and where the cgroup is gone. */
export function isFrozen({ path, version }: CgroupFolder): boolean | null {
  if (version === 1) {
    const [state] = linesOf(join(path, 'freezer.state'));
    return state === 'FROZEN' ? true : state === 'THAWED' ? false : null;
  }
  const [wanted] = linesOf(join(path, 'cgroup.freeze'));
  if (wanted === '0') return false;
  return wanted === '1' && linesOf(join(path, 'cgroup.events')).includes('frozen 1') ? true : null;
}

/**
 * Memory without a file behind it, in swap too: what is lost if nobody writes it down. Page cache is not counted. Null
 * where nobody counts.
 */
export function memoryBytesOf({ path, version }: CgroupFolder): number | null {
  const lines = linesOf(join(path, 'memory.stat'));
  if (lines.length === 0) return null;
  const stat = new Map(lines.map((line) => line.split(' ') as [string, string]));
  const keys = version === 1 ? ['total_rss', 'total_shmem', 'total_swap'] : ['anon', 'shmem'];
  const [swap = '0'] = version === 1 ? [] : linesOf(join(path, 'memory.swap.current'));
  return keys.reduce((total, key) => total + Number(stat.get(key) ?? 0), Number(swap));
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text, { flag: 'r+' });
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

function childrenOf(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/** ENODEV is what a cgroup says that is being removed, ESRCH a process that ends, ENOTSUP a threaded cgroup, whose parent lists it. */
function isGone(error: unknown): boolean {
  return ['ENOENT', 'ENODEV', 'ESRCH', 'EOPNOTSUPP', 'ENOTSUP'].includes((error as NodeJS.ErrnoException).code ?? '');
}
