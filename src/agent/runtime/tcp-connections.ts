import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DumpFailure } from './dump-failure.ts';
import { socketsOf } from './unix-sockets.ts';

/** One end of an established TCP connection that a process of the container holds. */
export interface TcpConnection {
  readonly inode: number;
  /** `address:port` of the other end. */
  readonly peer: string;
}

/** `sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode` of /proc/net/tcp, where st 01 means established. */
const ESTABLISHED = /^ *\d+: \S+ ([0-9A-F]+):([0-9A-F]{4}) 01 \S+ \S+ \S+ +\d+ +\d+ (\d+)/gm;

/**
 * The established TCP connections of a container, looked up in its network namespace. A connection that no process has accepted
 * yet is none of its own: the kubelet's probes come and go like that.
 */
export async function tcpConnections({
  pids,
  proc = '/proc',
}: {
  /** Of all processes of the container. */
  readonly pids: readonly number[];
  /** Other than /proc in tests. */
  readonly proc?: string;
}): Promise<readonly TcpConnection[]> {
  const [first] = pids;
  if (first === undefined) return [];
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(join(proc, String(first), 'net', name), 'utf8').catch(() => '')),
  );
  const established = [...tables.join('\n').matchAll(ESTABLISHED)].map(([, address = '', port = '', inode]) => ({
    inode: Number(inode),
    peer: `${addressOf(address)}:${Number.parseInt(port, 16)}`,
  }));
  if (established.length === 0) return [];
  const held = new Set((await Promise.all(pids.map((pid) => socketsOf(join(proc, String(pid), 'fd'))))).flat());
  return established.filter(({ inode }) => held.has(inode));
}

export function tcpFailure({ peer }: TcpConnection): DumpFailure {
  return {
    reason: 'ConnectedTcp',
    message: `it has an established TCP connection to ${peer}, and its checkpoint says sockets: Refuse`,
  };
}

/** The kernel writes each 32 bits of an address as a number of this machine, which is little-endian. */
export function addressOf(hex: string): string {
  const bytes = [...hex.matchAll(/.{8}/g)].flatMap(([word]) => [...Buffer.from(word, 'hex').reverse()]);
  const isMapped = bytes.length === 16 && hex.startsWith('0000000000000000FFFF0000');
  if (bytes.length === 4 || isMapped) return bytes.slice(-4).join('.');
  const groups = Array.from({ length: 8 }, (_, at) =>
    ((bytes[2 * at] ?? 0) * 256 + (bytes[2 * at + 1] ?? 0)).toString(16),
  );
  return `[${groups.join(':')}]`;
}
