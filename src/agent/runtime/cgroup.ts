import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const CGROUPS = '/sys/fs/cgroup';

/** Where the cgroup of a process is, for one controller: in the hierarchy of version 1 that has it, else in the one of version 2. */
export interface CgroupFolder {
  readonly path: string;
  readonly version: 1 | 2;
}

/**
 * The cgroup of process `pid` that `controller` counts or freezes; null when the process is gone. `mountPoint` and
 * `proc` are other than the usual ones in tests.
 */
export function cgroupOf(
  pid: number,
  controller: 'freezer' | 'memory',
  { mountPoint = CGROUPS, proc = '/proc' }: { readonly mountPoint?: string; readonly proc?: string } = {},
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

/** Memory and page cache that the cgroup is charged for; null where nobody counts it. */
export function memoryBytesOf({ path, version }: CgroupFolder): number | null {
  const [line] = linesOf(join(path, version === 1 ? 'memory.usage_in_bytes' : 'memory.current'));
  return line === undefined ? null : Number(line);
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
