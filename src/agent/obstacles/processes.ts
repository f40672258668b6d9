import { readFile, readdir, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** What a descriptor of a process leads to, as the kernel shows it in /proc/<pid>/fd. */
export interface OpenFile {
  readonly fd: string;
  /** `/path`, `/path (deleted)`, `socket:[7]`, `anon_inode:[eventpoll]`, `net:[4026531840]`, ... */
  readonly target: string;
  readonly isDevice: boolean;
}

/** A process as /proc shows it. */
export interface Process {
  readonly pid: number;
  /** Its folder in /proc. */
  readonly folder: string;
  readonly name: string;
  /** Its parent's pid; 0: it has ended. */
  readonly parent: number;
  /** The process that traces it, or one of its threads; 0: none. */
  readonly tracer: number;
  /** Whether it is root in every one of its user and group ids. */
  readonly isRoot: boolean;
  readonly files: readonly OpenFile[];
  /** Paths of what is mapped into its memory. */
  readonly mapped: readonly string[];
  /** Namespace type -> its identity. */
  readonly namespaces: ReadonlyMap<string, string>;
}

/** Those that CRIU restores as the namespaces of the container; it knows no others of their kind. */
const NAMESPACES = ['user', 'pid', 'net', 'mnt', 'ipc', 'uts'];

/** One that has ended, or ends meanwhile, has nothing. */
export async function readProcess(pid: number, proc: string): Promise<Process> {
  const folder = join(proc, String(pid));
  const [status, files, mapped, namespaces, tracers] = await Promise.all([
    textOf(join(folder, 'status')),
    openFiles(folder),
    mappedFiles(folder),
    Promise.all(NAMESPACES.map(async (type) => [type, (await linkOf(join(folder, 'ns', type))) ?? ''] as const)),
    tracersOf(folder),
  ]);
  return {
    pid,
    folder,
    name: fieldIn(status, 'Name'),
    parent: Number(fieldIn(status, 'PPid')),
    tracer: tracers.find((tracer) => tracer !== 0) ?? 0,
    isRoot: ['Uid', 'Gid'].every((key) =>
      fieldIn(status, key)
        .split(/\s+/)
        .slice(0, 3)
        .every((id) => Number(id) === 0),
    ),
    files,
    mapped,
    namespaces: new Map(namespaces.filter(([, id]) => id !== '')),
  };
}

/**
 * Those that CRIU saves: the first process and its descendants. What `kubectl exec` starts beside them belongs to the runtime, and ends
 * with the old pod.
 */
export function savedProcesses(first: number, all: readonly Process[]): readonly Process[] {
  const saved = new Set([first]);
  for (let known = 0; known < saved.size;) {
    known = saved.size;
    for (const { pid, parent } of all) if (saved.has(parent)) saved.add(pid);
  }
  return all.filter(({ pid }) => saved.has(pid));
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
    const cwd = await linkOf(join(folder, 'cwd'));
    const used = [cwd, ...(await openFiles(folder)).map(({ target }) => target), ...(await mappedFiles(folder))];
    const found = used.find((path) => path !== null && folders.some((below) => path.startsWith(`${below}/`)));
    if (found != null) return found;
  }
  return null;
}

/** The text of a file in /proc; empty where the process has ended. */
export async function textOf(path: string): Promise<string> {
  return (await readFile(path, 'utf8').catch(nothingOfTheDead)) ?? '';
}

/** A tracer follows threads one by one. */
async function tracersOf(folder: string): Promise<readonly number[]> {
  const threads = (await readdir(join(folder, 'task')).catch(nothingOfTheDead)) ?? [];
  const statuses = await Promise.all(threads.map((thread) => textOf(join(folder, 'task', thread, 'status'))));
  return statuses.map((status) => Number(fieldIn(status, 'TracerPid')));
}

async function openFiles(folder: string): Promise<readonly OpenFile[]> {
  const fds = (await readdir(join(folder, 'fd')).catch(nothingOfTheDead)) ?? [];
  const files = await Promise.all(
    fds.map(async (fd) => {
      const path = join(folder, 'fd', fd);
      const target = await linkOf(path);
      if (target === null) return [];
      // A regular file below /dev (a tmpfs in each container) is as good as anywhere else.
      const opened = target.startsWith('/dev/') ? await stat(path).catch(nothingOfTheDead) : null;
      return [{ fd, target, isDevice: opened?.isCharacterDevice() || opened?.isBlockDevice() || false }];
    }),
  );
  return files.flat();
}

/** The files behind the memory of a process: address, permissions, offset, device, inode, then the path up to the end of the line. */
async function mappedFiles(folder: string): Promise<readonly string[]> {
  const maps = await textOf(join(folder, 'maps'));
  return [...new Set([...maps.matchAll(/^(?:\S+ +){5}(.+)$/gm)].map(([, path]) => path as string))];
}

function fieldIn(status: string, key: string): string {
  return new RegExp(`^${key}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '';
}

function linkOf(path: string): Promise<string | null> {
  return readlink(path).catch(nothingOfTheDead);
}

/** Also EACCES and EPERM: what a process that is becoming another program answers for a moment. */
function nothingOfTheDead(error: NodeJS.ErrnoException): null {
  if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM', 'ENXIO', 'EINVAL'].includes(error.code ?? '')) return null;
  throw error;
}
