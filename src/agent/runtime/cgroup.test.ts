import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { beginFreeze, cgroupOf, isFrozen, memoryBytesOf, processesOf, thaw } from './cgroup.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cgroup-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function write(path: string, content: string): Promise<void> {
  await mkdir(join(folder, path, '..'), { recursive: true });
  await writeFile(join(folder, path), content);
}

describe('cgroupOf', () => {
  const where = (): object => ({ mountPoint: '/cg', proc: folder });

  it.each([
    ['version 1', '6:freezer:/pods/a\n4:memory:/pods/b\n', { path: '/cg/freezer/pods/a', version: 1 }],
    ['both', '6:freezer:/pods/a\n0::/pods/u\n', { path: '/cg/freezer/pods/a', version: 1 }],
    ['version 2', '0::/pods/u\n', { path: '/cg/pods/u', version: 2 }],
    ['controllers that share a hierarchy', '3:pids,freezer:/x\n', { path: '/cg/pids,freezer/x', version: 1 }],
    ['a path with colons', '0::/a/cri:b:c\n', { path: '/cg/a/cri:b:c', version: 2 }],
  ])('finds it under %s', async (_, content, want) => {
    await write('7/cgroup', content);
    expect(cgroupOf(7, 'freezer', where())).toEqual(want);
  });

  it('finds none for a process that is gone', () => {
    expect(cgroupOf(8, 'freezer', where())).toBeNull();
  });
});

describe('processesOf', () => {
  it('finds those in the cgroups below as well', async () => {
    await write('c/cgroup.procs', '1\n2\n');
    await write('c/inner/cgroup.procs', '3\n');
    await write('c/inner/most/cgroup.procs', '0\n4\n');
    expect(new Set(processesOf(join(folder, 'c')))).toEqual(new Set([1, 2, 3, 4]));
    expect(processesOf(join(folder, 'none'))).toEqual([]);
  });
});

describe('beginFreeze and thaw', () => {
  it.each([
    ['version 1', 1, 'freezer.state', 'THAWED', 'FROZEN'],
    ['version 2', 2, 'cgroup.freeze', '0', '1'],
  ] as const)('of a cgroup of %s', async (_, version, file, thawed, frozen) => {
    await write(file, thawed);
    beginFreeze({ path: folder, version });
    expect(await readFile(join(folder, file), 'utf8')).toBe(frozen);
    thaw({ path: folder, version });
    expect(await readFile(join(folder, file), 'utf8')).toBe(thawed);
  });

  it('makes nothing where the cgroup is gone', async () => {
    beginFreeze({ path: folder, version: 2 });
    thaw({ path: folder, version: 1 });
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('isFrozen', () => {
  it.each([
    [1, { 'freezer.state': 'FROZEN\n' }, true],
    [1, { 'freezer.state': 'THAWED\n' }, false],
    [1, { 'freezer.state': 'FREEZING\n' }, null],
    [2, { 'cgroup.freeze': '1\n', 'cgroup.events': 'populated 1\nfrozen 1\n' }, true],
    [2, { 'cgroup.freeze': '1\n', 'cgroup.events': 'populated 1\nfrozen 0\n' }, null],
    [2, { 'cgroup.freeze': '0\n', 'cgroup.events': 'populated 1\nfrozen 1\n' }, false], // what is above it is
    [2, {}, null],
    [1, {}, null],
  ] as const)('version %i with %j: %s', async (version, files, want) => {
    for (const [name, text] of Object.entries(files)) await write(name, text);
    expect(isFrozen({ path: folder, version })).toBe(want);
  });
});

describe('memoryBytesOf', () => {
  it('leaves page cache out', async () => {
    await write('v1/memory.stat', 'cache 1\ntotal_cache 900\ntotal_rss 10\ntotal_shmem 20\ntotal_swap 30\n');
    await write('v2/memory.stat', 'anon 1\nfile 900\nshmem 2\n');
    await write('v2/memory.swap.current', '4\n');
    expect(memoryBytesOf({ path: join(folder, 'v1'), version: 1 })).toBe(60);
    expect(memoryBytesOf({ path: join(folder, 'v2'), version: 2 })).toBe(7);
    expect(memoryBytesOf({ path: join(folder, 'none'), version: 2 })).toBeNull();
  });
});
