import { once } from 'node:events';
import { lstatSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CommandError, type RunCommand } from './command.ts';
import { presentPath } from './socket-names.ts';

let proc: string;
let server: Server;
const inContainer = (path: string): string => join(proc, '1/root', path);

beforeEach(async () => {
  proc = await mkdtemp(join(tmpdir(), 'proc-'));
  await mkdir(inContainer('/tmp'), { recursive: true });
  server = createServer().listen(inContainer('/tmp/s.new'));
  await once(server, 'listening');
});
afterEach(async () => {
  server.close();
  await rm(proc, { recursive: true });
});

/** `ss` for a socket 7 with this inode in the file system. */
const ss = (file: number): RunCommand => {
  const line = `u_str LISTEN 0 5 /tmp/s.new 7 * 0 <-> ino:${file} dev:0/65024 peers:\n`;
  return () =>
    Promise.resolve({ stdout: `u_str LISTEN 0 5 /tmp/other 77 * 0 <-> ino:1 dev:0/1 peers:\n${line}`, stderr: '' });
};
const fileOf = (path: string): number => lstatSync(inContainer(path)).ino;
const present = (run: RunCommand): Promise<string | null> =>
  presentPath({ inode: 7, path: '/tmp/s.new' }, { pid: 1, run, proc });

describe('presentPath', () => {
  it('is the path at which the socket was bound, and asks nobody, as long as it is there', async () => {
    expect(await present(() => Promise.reject(new Error('asked')))).toBe('/tmp/s.new');
  });

  it('is the name that it was given afterwards', async () => {
    const run = ss(fileOf('/tmp/s.new'));
    await rename(inContainer('/tmp/s.new'), inContainer('/tmp/s'));
    expect(await present(run)).toBe('/tmp/s');
  });

  it('is not that of another socket', async () => {
    const run = ss(fileOf('/tmp/s.new') + 1);
    await rename(inContainer('/tmp/s.new'), inContainer('/tmp/s'));
    expect(await present(run)).toBeNull();
  });

  it('is unknown without ss', async () => {
    await rename(inContainer('/tmp/s.new'), inContainer('/tmp/s'));
    expect(await present(() => Promise.reject(new CommandError('ss', 127, 'failed', '')))).toBeNull();
  });
});
