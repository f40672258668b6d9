import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { tcpConnections } from './tcp-connections.ts';

/** As the kernel prints them: 11 listens, 12 is established, 13 waits to be accepted (no inode), 14 is over (TIME_WAIT). */
const TCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0200000A:A30C 01 00000000:00000000 02:0000A0B1 00000000  1000        0 12 2 0000000000000000 20 4 30 10 -1
   2: 0100007F:1F90 0300000A:A30C 01 00000000:00000000 00:00000000 00000000     0        0 0 1 0000000000000000 20 4 30 10 -1
   3: 0100007F:1F90 0400000A:A30C 06 00000000:00000000 03:00000F2C 00000000     0        0 0 3 0000000000000000
`;
const TCP6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000500000A:01BB 01 00000000:00000000 00:00000000 00000000     0        0 15 1 0000000000000000 20 4 30 10 -1
   1: B80D0120000000000000000001000000:1F90 B80D0120000000000000000002000000:01BB 01 00000000:00000000 00:00000000 00000000     0        0 16 1 0000000000000000 20 4 30 10 -1
`;

let proc: string;
beforeEach(async () => {
  proc = await mkdtemp(join(tmpdir(), 'proc-'));
  await mkdir(join(proc, '1/net'), { recursive: true });
  await mkdir(join(proc, '1/fd'));
  await writeFile(join(proc, '1/net/tcp'), TCP);
  await writeFile(join(proc, '1/net/tcp6'), TCP6);
});
afterEach(() => rm(proc, { recursive: true }));

const holding = (...inodes: readonly number[]) =>
  Promise.all(inodes.map((inode, fd) => symlink(`socket:[${inode}]`, join(proc, `1/fd/${fd}`))));

it('finds the established connections that a process holds, with the other end', async () => {
  await holding(11, 12, 15, 16);
  expect(await tcpConnections({ pids: [1], proc })).toEqual([
    { inode: 12, peer: '10.0.0.2:41740' },
    { inode: 15, peer: '10.0.0.5:443' },
    { inode: 16, peer: '[2001:db8:0:0:0:0:0:2]:443' },
  ]);
});

it('leaves out those that listen, are over, wait to be accepted, or belong to others', async () => {
  await holding(11, 14);
  expect(await tcpConnections({ pids: [1], proc })).toEqual([]);
});

it('finds nothing of a process that has ended', async () => {
  expect(await tcpConnections({ pids: [2], proc })).toEqual([]);
  expect(await tcpConnections({ pids: [], proc })).toEqual([]);
});
