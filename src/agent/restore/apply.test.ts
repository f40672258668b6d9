import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCommand, type RunCommand } from '../runtime/command.ts';
import { readMounts } from '../runtime/mountinfo.ts';
import { pack } from '../state/archive.ts';
import { SavedPodLayout } from '../state/layout.ts';
import { makeManifest } from '../state/make-manifest.ts';
import {
  applyImageVolumes,
  applyPodFolders,
  applyRootfs,
  clearImageVolumes,
  clearIpc,
  clearRootfs,
  type RootfsOptions,
} from './apply.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'apply-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function write(path: string, content: string): Promise<void> {
  await mkdir(join(folder, path, '..'), { recursive: true });
  await writeFile(join(folder, path), content);
}

async function read(path: string): Promise<string> {
  return readFile(join(folder, path), 'utf8');
}

/** Real overlays, in a mount namespace of their own. */
describe.skipIf(process.getuid?.() !== 0).each([100, 1])('applyRootfs over %i layers (needs root)', (LAYERS) => {
  let holder: ChildProcess;
  let inside: RunCommand;
  let options: RootfsOptions;

  beforeEach(async () => {
    holder = spawn('unshare', ['--mount', 'sh', '-c', 'echo ready; exec sleep 1000']);
    await once(holder.stdout as NodeJS.ReadableStream, 'data');
    inside = (command, args, options = {}) => {
      // A working folder of this namespace would not do: overlayfs takes no layer from a mount of another one.
      const there = ['sh', '-c', 'cd "$0" && exec "$@"', options.cwd ?? '/', command, ...args];
      return runCommand('nsenter', [`--target=${holder.pid}`, '--mount', '--', ...there], {
        ...options,
        cwd: undefined,
      });
    };
    const mounts = (): ReturnType<typeof readMounts> => readMounts(`/proc/${holder.pid}/mountinfo`);
    options = { bundle: join(folder, 'bundle'), run: inside, mounts };
    await mkdir(join(folder, 'bundle/rootfs'), { recursive: true });
    await mkdir(join(folder, 'snapshots/top/fs'), { recursive: true });
    await mkdir(join(folder, 'snapshots/top/work'));
    for (let layer = 0; layer < LAYERS; layer += 1) await write(`snapshots/${layer}/fs/layer-${layer}`, '');
    await write('snapshots/0/fs/deleted', 'by the saved container');
    await write('snapshots/0/fs/changed', 'as in the image');
    const lower = Array.from({ length: LAYERS }, (_, layer) => `${layer}/fs`).join(':');
    const top = join(folder, 'snapshots/top');
    const overlay = `lowerdir=${lower},upperdir=${top}/fs,workdir=${top}/work`;
    await inside('mount', ['-t', 'overlay', '-o', overlay, 'overlay', join(folder, 'bundle/rootfs')], {
      cwd: join(folder, 'snapshots'),
      env: { LIBMOUNT_FORCE_MOUNT2: 'always' },
    });
  });
  afterEach(async () => {
    holder.kill('SIGKILL');
    await once(holder, 'exit');
  });

  /** In the container, as its processes will see it. */
  async function seen(script: string): Promise<string> {
    const { stdout } = await inside('sh', ['-c', script], { cwd: join(folder, 'bundle/rootfs') });
    return stdout;
  }

  async function saved(): Promise<string> {
    await seen('rm deleted; echo anew > changed; mkdir d; echo made > d/made');
    const archive = join(folder, 'rootfs.tar');
    await pack(join(folder, 'snapshots/top/fs'), archive, { run: runCommand });
    await clearRootfs(options);
    return archive;
  }

  it('gives a new container what the saved one wrote and deleted', async () => {
    const archive = await saved();
    expect(await seen('cat deleted changed; ls -d d layer-* | wc -l')).toBe(
      `by the saved containeras in the image${LAYERS}\n`,
    );
    await applyRootfs(archive, options);
    expect(await seen('ls deleted; cat changed d/made; ls -d layer-* | wc -l; echo x > w; cat w; true')).toBe(
      `anew\nmade\n${LAYERS}\nx\n`,
    );
  });

  it('leaves the container as new when the archive is broken', async () => {
    await writeFile(join(folder, 'broken.tar'), 'this is no archive');
    await expect(applyRootfs(join(folder, 'broken.tar'), options)).rejects.toThrow('not look like a tar archive');
    expect(await readdir(join(folder, 'snapshots/top/fs'))).toEqual([]);
    expect(await seen('cat changed')).toBe('as in the image');
    await clearRootfs(options);
    expect(await seen('cat changed')).toBe('as in the image');
  });

  it('replaces what an attempt before it left', async () => {
    const archive = await saved();
    await seen('echo left > left');
    await applyRootfs(archive, options);
    expect(await seen('ls left; cat d/made; true')).toBe('made\n');
  });

  it('refuses what is no overlay', async () => {
    await expect(applyRootfs('x', { ...options, bundle: folder })).rejects.toThrow('is no overlay');
  });
});

describe('applyPodFolders', () => {
  async function saved(): Promise<Parameters<typeof applyPodFolders>[0]> {
    const layout = new SavedPodLayout(join(folder, 'state'), { namespace: 'shop', name: 'cp', uid: 'abc' });
    await layout.create([]);
    await write('old/cache/kept', 'in cache');
    await write('old/shm/shared', 'in shm');
    await write('new/cache/stale', '');
    await write('new/extra/stale', '');
    await mkdir(join(folder, 'new/shm'));
    await pack(join(folder, 'old/cache'), layout.volume('cache'), { run: runCommand });
    await pack(join(folder, 'old/shm'), layout.shm, { run: runCommand });
    const files = [{ path: 'shm.tar', bytes: 1, sha256: '' }];
    return {
      layout,
      manifest: makeManifest({ volumes: ['cache'], files }),
      volumes: ['cache', 'extra'].map((name) => ({ name, path: join(folder, 'new', name) })),
      shm: join(folder, 'new/shm'),
      bound: [],
      run: runCommand,
    };
  }

  it('fills volumes and shared memory, and nothing else is in them', async () => {
    await applyPodFolders(await saved());
    expect(await readdir(join(folder, 'new/cache'))).toEqual(['kept']);
    expect(await readdir(join(folder, 'new/extra'))).toEqual([]);
    expect([await read('new/cache/kept'), await read('new/shm/shared')]).toEqual(['in cache', 'in shm']);
  });

  it('fills the folders that the kubelet has bound already, instead of replacing them', async () => {
    await write('old/cache/team/proj/result', 'computed once');
    const options = await saved();
    await write('new/cache/team/proj/stale', '');
    await write('new/cache/team/other', '');
    const { dev, ino } = await stat(join(folder, 'new/cache/team/proj'));
    await applyPodFolders({ ...options, bound: [{ dev, ino }] });
    expect((await stat(join(folder, 'new/cache/team/proj'))).ino).toBe(ino);
    expect(await readdir(join(folder, 'new/cache'), { recursive: true })).toEqual(
      expect.arrayContaining(['kept', 'team', 'team/proj', 'team/proj/result']),
    );
    expect(await readdir(join(folder, 'new/cache/team'), { recursive: true })).toHaveLength(2);
  });

  it('empties all where the volumes were not to be saved', async () => {
    const options = await saved();
    await applyPodFolders({ ...options, manifest: makeManifest({ volumes: null, files: [] }) });
    for (const name of ['cache', 'extra', 'shm']) expect(await readdir(join(folder, 'new', name))).toEqual([]);
  });

  it('leaves them empty after a failure', async () => {
    const options = await saved();
    await writeFile(options.layout.shm, 'this is no archive');
    await expect(applyPodFolders(options)).rejects.toThrow('not look like a tar archive');
    expect(await readdir(join(folder, 'new/cache'))).toEqual([]);
  });

  it('touches nothing where the pod lacks what was saved', async () => {
    const options = await saved();
    await expect(applyPodFolders({ ...options, volumes: [] })).rejects.toThrow('the pod has no cache, which was saved');
    await expect(applyPodFolders({ ...options, shm: null })).rejects.toThrow('the pod has no /dev/shm');
    expect((await stat(join(folder, 'new/cache/stale'))).size).toBe(0);
  });
});

describe('clearIpc', () => {
  it.each([
    ['of the pod', '/proc/7/ns/ipc', ['nsenter --ipc=/proc/7/ns/ipc ipcrm --all']],
    ['of the node, where it is left alone', '', []],
  ])('empties the IPC namespace %s', async (_, path, wanted) => {
    const called: string[] = [];
    const run: RunCommand = (command, args) => {
      called.push([command, ...args].join(' '));
      return Promise.resolve({ stdout: '', stderr: '' });
    };
    await clearIpc({ spec: { linux: { namespaces: path === '' ? [] : [{ type: 'ipc', path }] } } }, run);
    expect(called).toEqual(wanted);
  });
});

describe('the volumes that an image declares', () => {
  const volume = () => ({ name: '0', path: join(folder, 'volumes/a'), destination: '/data' });

  it('come back as they were saved', async () => {
    await write('old/result', 'computed once');
    await write('volumes/a/of-the-image', '');
    const archive = join(folder, 'volume-0.tar');
    await pack(join(folder, 'old'), archive, { run: runCommand });
    await applyImageVolumes({ volumes: [volume()], archive: () => archive, isSaved: () => true, run: runCommand });
    expect(await readdir(join(folder, 'volumes/a'))).toEqual(['result']);
  });

  it('stay as the runtime made them where they were not saved', async () => {
    await write('volumes/a/of-the-image', '');
    await applyImageVolumes({ volumes: [volume()], archive: () => '', isSaved: () => false, run: runCommand });
    expect(await readdir(join(folder, 'volumes/a'))).toEqual(['of-the-image']);
  });

  it('hold what the image has there when a container begins anew', async () => {
    await write('volumes/a/result', '');
    await write('rootfs/data/of-the-image', '');
    await clearImageVolumes([volume()], { bundle: folder, run: runCommand });
    expect(await readdir(join(folder, 'volumes/a'))).toEqual(['of-the-image']);
  });

  it('hold nothing that a link of the image leads to', async () => {
    await write('volumes/a/result', '');
    await write('secret/key', '');
    await mkdir(join(folder, 'rootfs'));
    await symlink(join(folder, 'secret'), join(folder, 'rootfs/data'));
    await clearImageVolumes([volume()], { bundle: folder, run: runCommand });
    expect(await readdir(join(folder, 'volumes/a'))).toEqual([]);
  });
});
