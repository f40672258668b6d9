import { readFile, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError, type RunCommand } from './command.ts';

/** One end of a connection that a process of the container holds; the other end is outside of the container. */
export interface OutsideSocket {
  readonly inode: number;
  /** Where it, or the other end, is bound; null: nowhere. */
  readonly path: string | null;
}

export interface OutsideSocketsOptions {
  /** Of all processes of the container. */
  readonly pids: readonly number[];
  readonly run: RunCommand;
  /** Other than /proc in tests. */
  readonly proc?: string;
}

/** `Num RefCount Protocol Flags Type St Inode Path` of /proc/net/unix, where St 03 means connected. */
const CONNECTED = /^\S+ +\S+ +\S+ +\S+ +\S+ +03 +(\d+)/gm;
/** `Netid State Recv-Q Send-Q Local-path Local-inode Peer-path Peer-inode` of ss, where `*` is no path. */
const CONNECTION = /^u_\S+ +\S+ +\d+ +\d+ +(.+) (\d+) +(\S.*) (\d+)\s*$/gm;

/**
 * The unix sockets that connect a container with processes outside of it: criu saves no half of a connection. Only the
 * kernel's socket diagnosis tells who is at the other end: `ss` is asked, in the network namespace of the container, and only
 * where a process holds a connected unix socket at all. Empty without `ss`: then criu finds out.
 */
export async function outsideSockets({ pids, run, proc = '/proc' }: OutsideSocketsOptions): Promise<OutsideSocket[]> {
  const [first] = pids;
  if (first === undefined) return [];
  const held = new Set((await Promise.all(pids.map((pid) => socketsOf(join(proc, String(pid), 'fd'))))).flat());
  const known = await readFile(join(proc, String(first), 'net/unix'), 'utf8').catch(() => '');
  if (![...known.matchAll(CONNECTED)].some(([, inode]) => held.has(Number(inode)))) return [];
  const connections = await connectionsSeenBy(first, run);
  return connections
    .filter(({ inode, peer }) => held.has(inode) && peer !== 0 && !held.has(peer))
    .map(({ inode, peer, path }) => ({
      inode,
      path: path ?? connections.find((end) => end.inode === peer)?.path ?? null,
    }));
}

interface Connection {
  readonly inode: number;
  /** 0: it has hung up, or nobody has accepted it yet. */
  readonly peer: number;
  readonly path: string | null;
}

async function connectionsSeenBy(pid: number, run: RunCommand): Promise<readonly Connection[]> {
  try {
    const { stdout } = await run('nsenter', ['--target', String(pid), '--net', 'ss', '-xH']);
    return [...stdout.matchAll(CONNECTION)].map(([, path = '', inode, , peer]) => ({
      inode: Number(inode),
      peer: Number(peer),
      path: path === '*' ? null : path,
    }));
  } catch (error) {
    if (error instanceof CommandError) return [];
    throw error;
  }
}

/** Inodes of the sockets that a process has open: none once it has ended. */
export async function socketsOf(fdFolder: string): Promise<number[]> {
  const fds = await readdir(fdFolder).catch(() => []);
  const targets = await Promise.all(fds.map((fd) => readlink(join(fdFolder, fd)).catch(() => '')));
  return targets.flatMap((target) => {
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
    return inode === undefined ? [] : [Number(inode)];
  });
}
