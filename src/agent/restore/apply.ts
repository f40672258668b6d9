import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { BULK_LIMIT_MS, type RunCommand } from '../runtime/command.ts';
import type { ContainerIdentity } from '../runtime/containers.ts';
import { overlayAt, readMounts, resolveLayers, type Mount, type OverlayMount } from '../runtime/mountinfo.ts';
import { emptyFolder, extract } from '../state/archive.ts';
import type { SavedPodLayout } from '../state/layout.ts';
import type { Manifest } from '../state/manifest.ts';
import type { BoundFolder, ImageVolume, StateFolder } from '../state/pod-folders.ts';

export interface RootfsOptions {
  readonly bundle: string;
  readonly run: RunCommand;
  readonly signal?: AbortSignal | undefined;
  /** Those of this process, as they are now; other ones in tests. */
  readonly mounts?: () => Promise<readonly Mount[]>;
}

/**
 * Gives a container that is being made the files of a saved one. Its root filesystem is taken down meanwhile: overlayfs
 * does not notice what changes beneath it. After a failure, also an abort, the root filesystem is mounted and as new.
 */
export async function applyRootfs(archive: string, options: RootfsOptions): Promise<void> {
  await withoutRootfs(options, async ({ upperdir }) => {
    await emptyFolder(upperdir, options);
    try {
      await extract(archive, upperdir, options);
    } catch (error) {
      await emptyFolder(upperdir, { run: options.run });
      throw error;
    }
  });
}

/** The root filesystem as the image has it, without anything that was written to it. */
export async function clearRootfs(options: RootfsOptions): Promise<void> {
  const { run } = options;
  await withoutRootfs(options, ({ upperdir }) => emptyFolder(upperdir, { run }));
}

export interface PodFoldersOptions {
  readonly layout: SavedPodLayout;
  readonly manifest: Manifest;
  /** The emptyDir volumes of the new pod. */
  readonly volumes: readonly StateFolder[];
  /** Its /dev/shm; null when it has none of its own. */
  readonly shm: string | null;
  /** Folders in them that the kubelet has bound into a container that is being made (`subPath`). */
  readonly bound: readonly BoundFolder[];
  readonly run: RunCommand;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Fills volumes and shared memory of a pod of which no container runs yet. Throws where the new pod lacks what was saved. After
 * a failure they are empty.
 */
export async function applyPodFolders(options: PodFoldersOptions): Promise<void> {
  const { layout, manifest, volumes, shm, run, signal } = options;
  const targets = new Map(volumes.map(({ name, path }) => [name, path]));
  const jobs = (manifest.volumes ?? []).map((name) => ({ archive: layout.volume(name), to: targets.get(name), name }));
  if (manifest.files.some(({ path }) => path === 'shm.tar')) {
    jobs.push({ archive: layout.shm, to: shm ?? undefined, name: '/dev/shm' });
  }
  const homeless = jobs.find(({ to }) => to === undefined);
  if (homeless !== undefined) throw new Error(`the pod has no ${homeless.name}, which was saved`);
  try {
    await clearPodFolders(options);
    for (const { archive, to } of jobs) await extract(archive, to as string, { run, signal });
  } catch (error) {
    await clearPodFolders(options);
    throw error;
  }
}

/** Empties them: a cold start begins with nothing. */
export async function clearPodFolders({
  volumes,
  shm,
  bound,
  run,
}: Pick<PodFoldersOptions, 'volumes' | 'shm' | 'bound' | 'run'>): Promise<void> {
  for (const { path } of volumes) await emptyFolder(path, { bound, run });
  if (shm !== null) await emptyFolder(shm, { run });
}

export interface ImageVolumesOptions {
  readonly volumes: readonly ImageVolume[];
  /** Of one volume, saved or not. */
  readonly archive: (volume: ImageVolume) => string;
  readonly isSaved: (volume: ImageVolume) => boolean;
  readonly run: RunCommand;
  readonly signal?: AbortSignal | undefined;
}

/** Fills those that were saved; the runtime has put into the others what their image has there. */
export async function applyImageVolumes({ volumes, archive, isSaved, ...options }: ImageVolumesOptions): Promise<void> {
  for (const volume of volumes.filter(isSaved)) {
    await emptyFolder(volume.path, options);
    await extract(archive(volume), volume.path, options);
  }
}

/** As the runtime makes them for a new container: with what the image has at that place. */
export async function clearImageVolumes(
  volumes: readonly ImageVolume[],
  { bundle, run }: Pick<RootfsOptions, 'bundle' | 'run'>,
): Promise<void> {
  for (const { path, destination } of volumes) {
    await emptyFolder(path, { run });
    const place = await folderIn(join(bundle, 'rootfs'), destination);
    if (place !== null) await run('cp', ['--archive', '--', `${place}/.`, path], { limitMs: BULK_LIMIT_MS });
  }
}

/** Removes the System V objects that a failed restore made in the IPC namespace of the pod; there is none in that of the node. */
export async function clearIpc({ spec }: Pick<ContainerIdentity, 'spec'>, run: RunCommand): Promise<void> {
  const path = spec.linux?.namespaces?.find(({ type }) => type === 'ipc')?.path;
  if (path) await run('nsenter', [`--ipc=${path}`, 'ipcrm', '--all']);
}

/** A folder of an image; null where it has none. A link could lead out of it. */
async function folderIn(root: string, path: string): Promise<string | null> {
  let folder = root;
  for (const part of path.split('/').filter((name) => name !== '' && name !== '.')) {
    folder = join(folder, part);
    const found = await lstat(folder).catch(() => null);
    if (part === '..' || found?.isDirectory() !== true) return null;
  }
  return folder;
}

/** Unmounts the root filesystem, does something, and mounts it again, whatever came of it. */
async function withoutRootfs(
  { bundle, run, mounts = readMounts }: RootfsOptions,
  work: (overlay: OverlayMount) => Promise<void>,
): Promise<void> {
  const place = join(bundle, 'rootfs');
  const overlay = overlayAt(await mounts(), place);
  if (overlay === undefined) throw new Error(`${place} is no overlay that can be written to`);
  const layers = await resolveLayers(overlay);
  if (layers === null) throw new Error(`a layer of ${place} is not there any more`);
  await run('umount', [place]);
  try {
    await work(overlay);
    // overlayfs leaves work of its own here, which belongs to the files that were above.
    await emptyFolder(overlay.workdir, { run });
  } finally {
    await mountOverlay(overlay, layers, run);
  }
}

/**
 * The options of a mount fit into one page, and up to 128 layers must: they are given relative to the folder that all of them
 * share with the upper one, as runtimes do, so that whoever reads the mount finds them again (`resolveLayers`). mount(8) of
 * util-linux 2.39 and later passes each option on by itself, which the kernel cuts at 256 bytes, unless it is told to do it in
 * the old way.
 */
async function mountOverlay(overlay: OverlayMount, layers: readonly string[], run: RunCommand): Promise<void> {
  const base = commonFolder([...layers, overlay.upperdir]);
  const relative = layers.map((layer) => layer.slice(base.length + 1) || '.');
  const options = [
    ...overlay.options,
    `lowerdir=${relative.map((layer) => layer.replaceAll(/[\\:,]/g, '\\$&')).join(':')}`,
    ...(['upperdir', 'workdir'] as const).map((key) => `${key}=${overlay[key].replaceAll(/[\\,]/g, '\\$&')}`),
  ];
  await run('mount', ['-t', 'overlay', '-o', options.join(','), overlay.source, overlay.mountPoint], {
    cwd: base === '' ? '/' : base,
    env: { LIBMOUNT_FORCE_MOUNT2: 'always' },
  });
}

/** The deepest folder that holds all of them, without a slash at its end. */
function commonFolder(paths: readonly string[]): string {
  const [first = [], ...others] = paths.map((path) => path.split('/').slice(0, -1));
  let shared = [...first];
  for (const parts of others) {
    const differs = shared.findIndex((part, at) => part !== parts[at]);
    if (differs !== -1) shared = shared.slice(0, differs);
  }
  return shared.join('/');
}
