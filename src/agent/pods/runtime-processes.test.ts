import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CommandError, type RunCommand } from '../runtime/command.ts';
import type { ContainerIndex, RuntimeContainer } from '../runtime/containers.ts';
import { DumpError, type Runc } from '../runtime/runc.ts';
import { RuntimeProcesses } from './runtime-processes.ts';

const POD = { namespace: 'shop', name: 'web-0', uid: 'u1' };
const REQUEST = { pod: POD, key: 'key', containers: ['c1'], longestFreezeMs: null };
const SAID = 'container web: it has the unix socket /run/s connected to a process of another container';

let proc: string;
let status: RuntimeContainer['status'];
let dumps: number;
beforeEach(async () => {
  proc = await mkdtemp(join(tmpdir(), 'proc-'));
  status = 'running';
  dumps = 0;
});
afterEach(() => rm(proc, { recursive: true }));

/** Its only process holds these sockets now, and all of them lead outside. */
async function holds(...inodes: readonly number[]): Promise<void> {
  await rm(join(proc, '1'), { recursive: true, force: true });
  await mkdir(join(proc, '1/fd'), { recursive: true });
  await mkdir(join(proc, '1/net'));
  await writeFile(join(proc, '1/net/unix'), inodes.map((inode) => `0: 3 0 0 0001 03 ${inode}\n`).join(''));
  await Promise.all(inodes.map((inode, fd) => symlink(`socket:[${inode}]`, join(proc, `1/fd/${fd}`))));
}

function makeProcesses(failing?: unknown): RuntimeProcesses {
  const container = {
    id: 'c1',
    kind: 'container',
    name: 'web',
    podUid: 'u1',
    spec: { linux: { namespaces: [{ type: 'pid' }] } },
  };
  const run: RunCommand = () => {
    const lines = [11, 12].map((inode) => `u_str ESTAB 0 0 /run/s ${inode} * 99\n`);
    return Promise.resolve({ stdout: lines.join(''), stderr: '' });
  };
  return new RuntimeProcesses({
    index: {
      podContainers: () => Promise.resolve([{ ...container, status }]),
      identity: () => Promise.resolve(container),
    } as unknown as ContainerIndex,
    runc: { pids: () => Promise.resolve([1]), pidsWith: () => [1] } as unknown as Runc,
    run,
    proc,
    dump: () => {
      dumps++;
      if (failing !== undefined) return Promise.reject(failing);
      return Promise.resolve({ failure: { reason: 'DumpFailed', message: 'of the test' } });
    },
  });
}

describe('a dump', () => {
  it('is none of a pod of which one container died while it stood frozen', async () => {
    await holds();
    status = 'paused';
    const request = { ...REQUEST, containers: [...REQUEST.containers, 'dead'] };
    const { failure } = await makeProcesses().dump(request, new AbortController().signal);
    expect(failure).toEqual({ reason: 'DumpFailed', message: 'container dead ended while it stood frozen' });
    expect(dumps).toBe(0);
  });
});

describe('a dump that fails', () => {
  const errno = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  it.each([
    ['criu met the end of the disk', new DumpError({ reason: 'NoSpace', message: 'full' }, null), 'NoSpace'],
    ['tar met it', new CommandError('tar', 2, 'failed (2)', 'tar: a.tar: No space left on device'), 'NoSpace'],
    ['this process met it', errno, 'NoSpace'],
    ['criu refused something', new DumpError({ reason: 'FileLocks', message: 'locks' }, null), 'DumpFailed'],
    ['anything else', new Error('no such file'), 'DumpFailed'],
  ])('because %s is told apart', async (_, error, reason) => {
    await holds();
    status = 'paused';
    const { failure } = await makeProcesses(error).dump(REQUEST, new AbortController().signal);
    expect(failure).toMatchObject({ reason });
  });
});

describe('a socket that leads out of its container', () => {
  it('is an obstacle once two looks have found it, and no longer when it is gone', async () => {
    const processes = makeProcesses();
    await holds(11);
    expect(await processes.obstacleOf('u1')).toBeNull();
    const found = await processes.obstacleOf('u1');
    expect(found?.reason).toBe('SocketShared');
    expect(found?.message).toContain(SAID);
    await holds();
    expect(await processes.obstacleOf('u1')).toBeNull();
    await holds(11);
    expect(await processes.obstacleOf('u1')).toBeNull();
  });

  it('is none when each look finds another', async () => {
    const processes = makeProcesses();
    for (const inode of [11, 12, 11, 12]) {
      await holds(inode);
      expect(await processes.obstacleOf('u1')).toBeNull();
    }
  });

  it('keeps no order from freezing the pod, only from saving it', async () => {
    const processes = makeProcesses();
    await holds(11);
    expect(await processes.obstacle('u1')).toBeNull();
    status = 'paused';
    const { failure } = await processes.dump(REQUEST, new AbortController().signal);
    expect(failure).toEqual({ reason: 'NotCheckpointable', message: expect.stringContaining(SAID) as string });
    expect(dumps).toBe(0);
    await holds();
    await processes.dump(REQUEST, new AbortController().signal);
    expect(dumps).toBe(1);
  });
});
