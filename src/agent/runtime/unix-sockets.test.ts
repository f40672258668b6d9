import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CommandError } from './command.ts';
import { outsideSockets, type OutsideSocket } from './unix-sockets.ts';

const TABLE = `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 11 /run/socket
0000000000000000: 00000003 00000000 00000000 0001 03 12 /run/so cket
0000000000000000: 00000003 00000000 00000000 0001 03 13
0000000000000000: 00000003 00000000 00000000 0001 03 14
0000000000000000: 00000003 00000000 00000000 0001 03 15
`;
/** As iproute2 7 prints it: 12 is connected to 13, 14 to 15, and 16 to nobody any more. */
const SAID = `u_str ESTAB 0      0      /run/so cket 12 * 13
u_str ESTAB 0      0                * 13 * 12
u_seq ESTAB 0      0                * 14 * 15
u_seq ESTAB 0      0                * 15 * 14
u_str ESTAB 0      0                * 16 * 0
`;

let proc: string;
let asked: string[];
beforeEach(async () => {
  proc = await mkdtemp(join(tmpdir(), 'proc-'));
  asked = [];
});
afterEach(() => rm(proc, { recursive: true }));

/** @param sockets of process 1, then of process 2 */
async function found(sockets: readonly (readonly number[])[], said: string | null = SAID): Promise<OutsideSocket[]> {
  const pids = await Promise.all(
    sockets.map(async (inodes, at) => {
      const folder = join(proc, String(at + 1));
      await mkdir(join(folder, 'fd'), { recursive: true });
      await mkdir(join(folder, 'net'));
      await writeFile(join(folder, 'net/unix'), TABLE);
      const targets = ['/dev/null', ...inodes.map((inode) => `socket:[${inode}]`)];
      await Promise.all(targets.map((target, fd) => symlink(target, join(folder, `fd/${fd}`))));
      return at + 1;
    }),
  );
  return outsideSockets({
    pids,
    proc,
    run: (command, args) => {
      asked.push([command, ...args].join(' '));
      if (said === null) return Promise.reject(new CommandError(command, 127, 'failed (127)', 'no ss'));
      return Promise.resolve({ stdout: said, stderr: '' });
    },
  });
}

describe('outsideSockets', () => {
  it('asks nobody where no process holds a connected unix socket', async () => {
    expect(await found([[11, 99]])).toEqual([]);
    expect(asked).toEqual([]);
  });

  it('asks in the network namespace of the container', async () => {
    await found([[12], [13]]);
    expect(asked).toEqual(['nsenter --target 1 --net ss -xH']);
  });

  it.each<[string, readonly (readonly number[])[], OutsideSocket[]]>([
    ['one whose other end is elsewhere, with its path', [[11, 12]], [{ inode: 12, path: '/run/so cket' }]],
    ['one by the path of the other end', [[13]], [{ inode: 13, path: '/run/so cket' }]],
    ['one without any path', [[12, 13, 14]], [{ inode: 14, path: null }]],
    [
      'none between processes of the container',
      [
        [12, 14],
        [13, 15],
      ],
      [],
    ],
    ['none whose other end has hung up', [[12, 13, 16]], []],
    ['none after the processes ended', [], []],
  ])('finds %s', async (_, sockets, expected) => {
    expect(await found(sockets)).toEqual(expected);
  });

  it('leaves it to criu where there is no ss', async () => {
    expect(await found([[12]], null)).toEqual([]);
  });
});
