import { mkdir, mkdtemp, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { RuntimeContainer } from '../runtime/containers.ts';
import { configFilesOf, linkConfigFiles, type ConfigFile } from './config-files.ts';

const OLD = '..2026_11_30_03_22_11.1';
const NEW = '..2026_12_01_04_00_00.2';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'config-'));
});
afterEach(() => rm(folder, { recursive: true }));

function volume(pod: string): string {
  return join(folder, pod, 'volumes/kubernetes.io~configmap/scripts');
}

function container(pod: string): RuntimeContainer {
  return {
    pid: 1,
    spec: { mounts: [{ destination: '/scripts', source: volume(pod) }] },
  } as unknown as RuntimeContainer;
}

/** A volume as the kubelet writes it. */
async function write(pod: string, version: string, script: string): Promise<void> {
  await mkdir(join(volume(pod), version), { recursive: true });
  await writeFile(join(volume(pod), version, 'run.sh'), script);
  await symlink(version, join(volume(pod), '..data'));
}

/** What a shell holds that runs the script of the old pod. */
async function saved(): Promise<readonly ConfigFile[]> {
  await write('old', OLD, 'echo');
  const proc = join(folder, 'proc/7');
  for (const name of ['fd', 'root']) await mkdir(join(proc, name), { recursive: true });
  await symlink(`/scripts/${OLD}/run.sh`, join(proc, 'fd/10'));
  await symlink('/data/file', join(proc, 'fd/11'));
  await symlink(volume('old'), join(proc, 'root/scripts'));
  return configFilesOf(container('old'), [7], join(folder, 'proc'));
}

it('leads from the version that a process has open to the one of the new pod', async () => {
  const files = await saved();
  expect(files.map(({ mount, path }) => [mount, path])).toEqual([['/scripts', `${OLD}/run.sh`]]);
  await write('new', NEW, 'echo');
  expect(await linkConfigFiles(container('new'), files)).toBeNull();
  expect(await readlink(join(volume('new'), OLD))).toBe(NEW);
  expect(await readFile(join(volume('new'), OLD, 'run.sh'), 'utf8')).toBe('echo');
  expect(await linkConfigFiles(container('new'), files)).toBeNull();
});

it('changes nothing where the content is another one, or the file is not there', async () => {
  const files = await saved();
  await write('new', NEW, 'echo changed');
  expect(await linkConfigFiles(container('new'), files)).toBe(`/scripts/${OLD}/run.sh`);
  await rm(join(volume('new'), NEW, 'run.sh'));
  expect(await linkConfigFiles(container('new'), files)).toBe(`/scripts/${OLD}/run.sh`);
  await expect(readlink(join(volume('new'), OLD))).rejects.toThrow('ENOENT');
});

it('finds a file that is watched, by its inode', async () => {
  await write('old', OLD, 'echo');
  await writeFile(join(volume('old'), OLD, 'other'), '');
  const proc = join(folder, 'proc/7');
  for (const name of ['fd', 'fdinfo', 'root']) await mkdir(join(proc, name), { recursive: true });
  await symlink('anon_inode:inotify', join(proc, 'fd/3'));
  const { ino } = await stat(join(volume('old'), OLD, 'run.sh'));
  await writeFile(join(proc, 'fdinfo/3'), `inotify wd:1 ino:${ino.toString(16)} sdev:fe00000 mask:3c6\n`);
  await symlink(volume('old'), join(proc, 'root/scripts'));
  const files = await configFilesOf(container('old'), [7], join(folder, 'proc'));
  expect(files.map(({ mount, path }) => [mount, path])).toEqual([['/scripts', `${OLD}/run.sh`]]);
});

it('asks nothing of a container without such volumes', async () => {
  const plain = { pid: 1, spec: { mounts: [{ destination: '/data', source: '/x' }] } } as unknown as RuntimeContainer;
  expect(await configFilesOf(plain, [7], join(folder, 'proc'))).toEqual([]);
});
