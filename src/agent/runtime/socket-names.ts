import { lstat, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CommandError, type RunCommand } from './command.ts';

export interface SocketNamesOptions {
  /** A process of the container. */
  readonly pid: number;
  readonly run: RunCommand;
  /** Other than /proc in tests. */
  readonly proc?: string;
}

/** A unix socket, and the path at which it was bound. */
export interface BoundSocket {
  readonly inode: number;
  readonly path: string;
}

/**
 * Where a unix socket is now: programs bind to a name for the moment and rename it, so that clients find no socket that does not listen
 * yet (HAProxy, supervisord). The kernel, and CRIU, go on calling it by the name at which it was bound. Null: not in its folder any
 * more, or `ss`, which tells, is not installed.
 */
export async function presentPath(
  { inode, path }: BoundSocket,
  { pid, run, proc = '/proc' }: SocketNamesOptions,
): Promise<string | null> {
  const inContainer = (inside: string): string => join(proc, String(pid), 'root', inside);
  if ((await lstat(inContainer(path)).catch(() => null))?.isSocket()) return path;
  const file = await fileOf(inode, pid, run);
  if (file === null) return null;
  const folder = dirname(path);
  for (const name of await readdir(inContainer(folder)).catch(() => [])) {
    const found = await lstat(inContainer(join(folder, name))).catch(() => null);
    if (found?.isSocket() && found.ino === file) return join(folder, name);
  }
  return null;
}

/** The inode in the file system, which the kernel tells beside that of the socket: `... <path> <inode> * 0 <-> ino:<file> dev:...`. */
async function fileOf(inode: number, pid: number, run: RunCommand): Promise<number | null> {
  try {
    const { stdout } = await run('nsenter', ['--target', String(pid), '--net', 'ss', '-xlHe']);
    const line = stdout.split('\n').find((one) => new RegExp(` ${inode} \\* 0\\b`).test(one));
    const file = /\bino:(\d+)/.exec(line ?? '')?.[1];
    return file === undefined ? null : Number(file);
  } catch (error) {
    if (error instanceof CommandError) return null;
    throw error;
  }
}
