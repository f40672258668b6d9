import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ContainerIdentity } from '../runtime/containers.ts';
import { boundFolders, emptyDirs, imageVolumes, isEmpty, sharedMemory, volumePaths } from './pod-folders.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kubelet-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('emptyDirs', () => {
  it('lists them by name, and none of another kind', async () => {
    const volumes = join(folder, 'pods/u1/volumes');
    for (const name of ['kubernetes.io~empty-dir/b', 'kubernetes.io~empty-dir/a', 'kubernetes.io~secret/s']) {
      await mkdir(join(volumes, name), { recursive: true });
    }
    expect(await emptyDirs(folder, 'u1')).toEqual([
      { name: 'a', path: join(volumes, 'kubernetes.io~empty-dir/a') },
      { name: 'b', path: join(volumes, 'kubernetes.io~empty-dir/b') },
    ]);
    expect(await emptyDirs(folder, 'u2')).toEqual([]);
  });
});

describe('sharedMemory', () => {
  function mounted(source: string | null): string | null {
    const mounts = source === null ? [] : [{ destination: '/dev/shm', source }];
    return sharedMemory({ sandboxId: 'sb1', spec: { mounts } } as unknown as ContainerIdentity);
  }

  it.each([
    ['containerd', '/run/containerd/io.containerd.grpc.v1.cri/sandboxes/sb1/shm'],
    ['CRI-O', '/run/containers/storage/overlay-containers/sb1/userdata/shm'],
  ])('is the sandbox’s under %s', (_, source) => {
    expect(mounted(source)).toBe(source);
  });

  it.each([
    ['that of the node (hostIPC)', '/dev/shm'],
    ['another sandbox’s', '/run/sandboxes/sb2/shm'],
    ['a folder of the node', '/srv/shm'],
    ['a volume', '/var/lib/kubelet/pods/u1/volumes/kubernetes.io~empty-dir/m'],
    ['nothing', null],
  ])('is not %s', (_, source) => {
    expect(mounted(source)).toBeNull();
  });
});

it('knows an empty folder', async () => {
  expect(await isEmpty(folder)).toBe(true);
  await writeFile(join(folder, 'f'), '');
  expect(await isEmpty(folder)).toBe(false);
});

describe('boundFolders', () => {
  it('finds what is bound for subPaths', async () => {
    const path = join(folder, 'pods/u1/volume-subpaths/work/main/0');
    await mkdir(path, { recursive: true });
    const { dev, ino } = await stat(path);
    expect(await boundFolders(folder, 'u1')).toEqual([{ dev, ino }]);
    expect(await boundFolders(folder, 'u2')).toEqual([]);
  });
});

describe('imageVolumes', () => {
  const mounts = [
    { destination: '/proc' },
    { destination: '/data', source: '/var/lib/containerd/io.containerd.grpc.v1.cri/containers/c1/volumes/1f' },
    { destination: '/cache', source: '/var/lib/kubelet/pods/u1/volumes/kubernetes.io~empty-dir/cache' },
  ];
  const container = { id: 'c1', sandboxId: 's', spec: { mounts } } as unknown as ContainerIdentity;

  it('finds the folders of its own, by their places', () => {
    const [volume, ...others] = imageVolumes(container);
    expect(volume).toMatchObject({ name: '1', destination: '/data' });
    expect(others).toEqual([]);
    expect(imageVolumes({ ...container, id: 'c2' })).toEqual([]);
  });

  it('count as volumes whose files a process may use', () => {
    expect(volumePaths(container)).toEqual(['/data', '/cache']);
  });
});
