import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RuntimeContainer } from './containers.ts';
import { obstacles } from './inspect.ts';
import type { OciSpec } from './oci-spec.ts';

const OWN: OciSpec = { linux: { namespaces: [{ type: 'pid' }] } };
let proc: string;
beforeEach(async () => {
  proc = await mkdtemp(join(tmpdir(), 'proc-'));
});
afterEach(() => rm(proc, { recursive: true }));

async function makeProcess(pid: number, fds: readonly string[], maps: readonly string[] = []): Promise<void> {
  await mkdir(join(proc, `${pid}/fd`), { recursive: true });
  await Promise.all(fds.map((target, at) => symlink(target, join(proc, `${pid}/fd/${at}`))));
  const lines = maps.map((path) => `7f00-7f01 rw-s 00000000 00:0f 12345      ${path}\n`);
  await writeFile(join(proc, `${pid}/maps`), lines.join(''));
}

async function found(spec: OciSpec, pids: readonly number[] = []): Promise<string[]> {
  const container = { name: 'web', spec } as RuntimeContainer;
  return (await obstacles({ container, pids, proc })).map(({ reason, message }) => `${reason}: ${message}`);
}

describe('obstacles', () => {
  it('finds none in an ordinary container', async () => {
    await makeProcess(
      1,
      [
        '/dev/null',
        '/dev/urandom',
        '/dev/tty',
        '/dev/pts/0',
        'pipe:[1]',
        'socket:[2]',
        'anon_inode:[eventpoll]',
        '/data/f',
      ],
      ['/dev/zero (deleted)', '/dev/shm/x', '/usr/lib/libc.so', '[heap]', '/memfd:a b (deleted)'],
    );
    expect(await found(OWN, [1])).toEqual([]);
  });

  it.each([
    ['mapped', [], ['anon_inode:[io_uring]']],
    ['open', ['anon_inode:[io_uring]'], []],
  ])('finds io_uring that is %s', async (_, fds, maps) => {
    await makeProcess(1, []);
    await makeProcess(2, fds, maps);
    expect(await found(OWN, [1, 2])).toEqual([
      'IoUring: it uses io_uring, which criu cannot save; seccompProfile: RuntimeDefault makes programs do without',
    ]);
  });

  it('finds a device that is open or mapped, once', async () => {
    await makeProcess(1, ['/dev/loop-control', '/dev/loop-control'], ['/dev/nvidia0', '/dev/loop-control']);
    const devices = (await found(OWN, [1])).map((message) => /device (\S+),/.exec(message)?.[1]);
    // Open ones count only where there is a device behind them, which not every machine has.
    expect(devices).toEqual(['/dev/loop-control', '/dev/nvidia0']);
  });

  it('does not mind processes that end meanwhile', async () => {
    expect(await found(OWN, [4711])).toEqual([]);
  });

  it.each([
    ['the process ids of the node', { linux: { namespaces: [{ type: 'mount' }] } }, 'hostPID'],
    ['those of its pod', { linux: { namespaces: [{ type: 'pid', path: '/proc/7/ns/pid' }] } }, 'shareProcessNamespace'],
    ['a terminal', { ...OWN, process: { terminal: true } }, 'tty'],
  ] satisfies [string, OciSpec, string][])('finds that it has %s, and names the field', async (_, spec, field) => {
    expect(await found(spec)).toEqual([expect.stringContaining(field)]);
  });
});
