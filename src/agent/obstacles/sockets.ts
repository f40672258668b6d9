import { join } from 'node:path';
import { CommandError, type RunCommand } from '../runtime/command.ts';
import { presentPath, type BoundSocket } from '../runtime/socket-names.ts';
import { addressOf } from '../runtime/tcp-connections.ts';
import { textOf, type Process } from './processes.ts';

/** A socket that a container holds, as the tables of its network namespace show it. */
interface HeldSocket {
  readonly inode: number;
  /** `tcp`, `udp6`, ...: the table that has it. */
  readonly table: string;
  readonly address: string;
  readonly port: number;
  readonly state: 'connected' | 'listens' | 'other';
}

export interface HeldSockets {
  readonly known: readonly HeldSocket[];
  /** Unix sockets that listen, and whose present path is unknown or too long for the image of CRIU. */
  readonly lost: readonly BoundSocket[];
  /** What the kernel calls the sockets that are of no kind that CRIU knows: `MPTCP`, `AF_VSOCK`, ... */
  readonly unknown: readonly string[];
}

const INTERNET = ['tcp', 'tcp6', 'udp', 'udp6', 'raw', 'raw6'];
/** `sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode`. */
const INTERNET_LINE = /^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ ([0-9A-F]{2}) \S+ \S+ \S+ +\d+ +\d+ (\d+)/gm;
/** Table -> the column of the inode; `unix` ends with a path. */
const OTHERS: Readonly<Record<string, RegExp>> = {
  unix: /^\S+: \S+ +\S+ +\S+ +\S+ +\S+ +(\d+)/gm,
  netlink: /(\d+) *$/gm,
  packet: /(\d+) *$/gm,
};
/** `Num: RefCount Protocol Flags Type St Inode Path`, with the flag of a socket that listens. */
const UNIX_LISTENER = /^\S+: \S+ +\S+ +00010000 +\S+ +\S+ +(\d+) (\/.*)$/gm;
/** Kinds that CRIU restores: a socket that is bound to nothing is in no table. */
const KNOWN = new Set(['TCP', 'TCPv6', 'UDP', 'UDPv6', 'UNIX', 'UNIX-STREAM', 'NETLINK', 'PACKET', 'RAW', 'RAWv6']);

/**
 * Those of a container, which has one network namespace. The kinds of what is in no table are asked of `getfattr`, where that is
 * installed.
 */
export async function heldSockets(
  processes: readonly Process[],
  { run, proc }: { readonly run: RunCommand; readonly proc: string },
): Promise<HeldSockets> {
  const held = new Map<number, string>(); // inode -> a descriptor of it
  for (const { folder, files } of processes) {
    for (const { fd, target } of files) {
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
      if (inode !== undefined) held.set(Number(inode), join(folder, 'fd', fd));
    }
  }
  const [first] = processes;
  if (held.size === 0 || first === undefined) return { known: [], lost: [], unknown: [] };
  const net = join(proc, String(first.pid), 'net');
  const known: HeldSocket[] = [];
  // A socket of MPTCP stands in the tables of TCP.
  const hidden = /^MPTCP(?:v6)? +\d+ +[1-9]/m.test(await textOf(join(net, 'protocols'))) ? [...held.values()] : null;
  for (const table of INTERNET) {
    for (const [, address = '', port = '', state = '', inode] of (await textOf(join(net, table))).matchAll(
      INTERNET_LINE,
    )) {
      if (!held.delete(Number(inode))) continue;
      known.push({
        inode: Number(inode),
        table,
        address: addressOf(address),
        port: Number.parseInt(port, 16),
        state: state === '01' ? 'connected' : state === '0A' ? 'listens' : 'other',
      });
    }
  }
  const lost: BoundSocket[] = [];
  for (const [, inode, path = ''] of (await textOf(join(net, 'unix'))).matchAll(UNIX_LISTENER)) {
    const socket = { inode: Number(inode), path };
    if (!held.has(socket.inode)) continue;
    const present = await presentPath(socket, { pid: first.pid, run, proc });
    if (present === null || Buffer.byteLength(present) > Buffer.byteLength(path)) lost.push(socket);
  }
  for (const [table, line] of Object.entries(OTHERS)) {
    for (const [, inode] of (await textOf(join(net, table))).matchAll(line)) held.delete(Number(inode));
  }
  return { known, lost, unknown: await unknownKinds(hidden ?? [...held.values()], run) };
}

async function unknownKinds(descriptors: readonly string[], run: RunCommand): Promise<readonly string[]> {
  if (descriptors.length === 0) return [];
  const args = ['--absolute-names', '--only-values', '--name', 'system.sockprotoname', '--', ...descriptors];
  try {
    const { stdout } = await run('getfattr', args);
    return [...new Set(stdout.split('\0').filter((kind) => kind !== '' && !KNOWN.has(kind)))].sort();
  } catch (error) {
    if (error instanceof CommandError) return []; // not installed, or a socket was closed meanwhile: CRIU finds out
    throw error;
  }
}
