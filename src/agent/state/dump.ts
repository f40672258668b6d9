import { chmod, readdir } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { Clock } from '../../ports/clock.ts';
import type { RunCommand } from '../runtime/command.ts';
import type { RuntimeContainer } from '../runtime/containers.ts';
import { overlayAt, type Mount } from '../runtime/mountinfo.ts';
import type { Runc } from '../runtime/runc.ts';
import { securityContextOf } from '../runtime/security-context.ts';
import { pack } from './archive.ts';
import type { FileDigest } from './digest.ts';
import type { SavedPodLayout } from './layout.ts';
import {
  compareListing,
  digestFiles,
  findFiles,
  syncPath,
  twoAtATime,
  writeManifest,
  type FoundFile,
  type Manifest,
  type ManifestFile,
} from './manifest.ts';
import { PageDigests } from './page-digests.ts';
import type { StateFolder } from './pod-folders.ts';
import { together } from './together.ts';

export interface DumpOptions {
  /** Those of the pod without its sandbox, all frozen. */
  readonly containers: readonly RuntimeContainer[];
  readonly layout: SavedPodLayout;
  readonly runc: Pick<Runc, 'checkpoint'>;
  readonly run: RunCommand;
  /** Of this process: where the root filesystems are. */
  readonly mounts: readonly Mount[];
  /** Null: they are not to be saved, and come back empty, as does the shared memory. */
  readonly volumes: readonly StateFolder[] | null;
  /** What the containers share as /dev/shm; null when there is nothing in it. */
  readonly shm: string | null;
  /** The pod's own: what is not to be seen on the node. */
  readonly pod: Manifest['pod'];
  readonly takenAt: Date;
  readonly compatibility: string | null;
  /** Container -> digest of its image's configuration; asked of the runtime while criu works. */
  readonly images: () => Promise<ReadonlyMap<string, string>>;
  readonly clock: Clock;
  /** See `CheckpointOptions`. */
  readonly token: string;
  readonly signal?: AbortSignal | undefined;
}

export interface DumpReport {
  readonly manifest: Manifest;
  /** `sha256:<hex>` */
  readonly manifestDigest: string;
  /** All files of the manifest. */
  readonly bytes: number;
  /** Volumes and shared memory are the pod's, and belong to none. */
  readonly containers: readonly { readonly name: string; readonly bytes: number }[];
  readonly timings: DumpTimings;
}

/** What it took, in milliseconds, one after the other. */
interface DumpTimings {
  /** Of `write`, the runtime's checkpoints: criu. */
  readonly criu: number;
  /** Until all is written: memory, archives, and the digests of what is large. */
  readonly write: number;
  /** Until it is on the disk, with the digests of the rest. */
  readonly sync: number;
  /** The look at what is there, and the manifest. */
  readonly finish: number;
}

/**
 * Saves a frozen pod: memory, changed files, volumes. When it resolves, every file was read back, is on the disk, and is in
 * the manifest, which is written last. When it rejects, or is aborted, nothing of it writes any more; the containers are as
 * frozen as they were, and what is in the folder is worth nothing.
 */
export async function dumpPod(options: DumpOptions): Promise<DumpReport> {
  const { containers, layout, volumes, shm, run, clock, signal } = options;
  const startedMs = clock.monotonic();
  let criu = 0;
  await layout.create(containers.map(({ name }) => name));
  const images = new Map<string, string>();
  const known = new Map<string, FileDigest>(); // path below the folder -> digest
  await together(signal, [
    async (signal) => {
      for (const container of containers) criu += await dumpContainer(container, options, known, signal);
    },
    async (signal) => {
      for (const { name, path } of volumes ?? []) await pack(path, layout.volume(name), { run, signal });
      if (shm !== null) await pack(shm, layout.shm, { run, signal });
    },
    async () => {
      const known = await options.images();
      for (const { name } of containers) images.set(name, imageOf(name, known));
    },
  ]);
  const writtenMs = clock.monotonic();
  const found = await findFiles(layout.folder);
  let files: readonly ManifestFile[] = [];
  await together(signal, [
    () => syncFiles(layout.folder, found),
    async (signal) => void (files = await digestFiles(layout.folder, found, known, signal)),
  ]);
  const syncedMs = clock.monotonic();
  const manifest: Manifest = {
    version: 1,
    pod: options.pod,
    takenAt: options.takenAt.toISOString(),
    compatibility: options.compatibility,
    containers: containers.map(({ name, spec }) => ({
      name,
      image: images.get(name) as string,
      security: securityContextOf(spec),
      mounts: (spec.mounts ?? []).map(({ destination }) => destination).sort(),
    })),
    volumes: volumes?.map(({ name }) => name).sort() ?? null,
    files: [...files],
  };
  const refusal = await compareListing(layout.folder, manifest);
  signal?.throwIfAborted();
  if (refusal !== null) throw new Error(`what was written is not what is there: ${refusal.message}`);
  const bytesBelow = (folder: string): number =>
    sum(files.filter(({ path }) => path.startsWith(`${folder}/`)).map(({ bytes }) => bytes));
  const manifestDigest = await writeManifest(layout.manifest, manifest);
  return {
    manifest,
    manifestDigest,
    bytes: sum(files.map(({ bytes }) => bytes)),
    containers: containers.map(({ name }) => ({ name, bytes: bytesBelow(`containers/${name}`) })),
    timings: {
      criu,
      write: writtenMs - startedMs,
      sync: syncedMs - writtenMs,
      finish: clock.monotonic() - syncedMs,
    },
  };
}

/** Without it nobody could tell whether the files below are those that the processes know. */
function imageOf(container: string, images: ReadonlyMap<string, string>): string {
  const image = images.get(container);
  if (image === undefined || image === '') throw new Error(`the image of container ${container} is not known`);
  return image;
}

/**
 * Memory and root filesystem at the same time: the processes stand still, so both are of one moment. Gives the milliseconds
 * that the runtime took.
 */
async function dumpContainer(
  { id, name, bundle }: RuntimeContainer,
  { layout, runc, run, mounts, clock, token }: DumpOptions,
  known: Map<string, FileDigest>,
  signal: AbortSignal,
): Promise<number> {
  const paths = layout.container(name);
  const overlay = overlayAt(mounts, join(bundle, 'rootfs'));
  if (overlay === undefined)
    throw new Error(`the root filesystem of container ${name} is no overlay that it can write to`);
  const pages = new PageDigests(paths.images);
  const startedMs = clock.monotonic();
  let criu = 0;
  try {
    await together(signal, [
      async (signal) => {
        const { images: imagePath, work: workPath } = paths;
        await runc.checkpoint(id, { isFrozen: true, imagePath, workPath, token, signal });
        criu = clock.monotonic() - startedMs;
      },
      (signal) => pack(overlay.upperdir, paths.rootfs, { run, signal }),
    ]);
    for (const [file, digest] of await pages.finish()) {
      known.set(relative(layout.folder, join(paths.images, file)), digest);
    }
  } catch (error) {
    await pages.drop();
    throw error;
  }
  for (const file of await readdir(paths.images)) await chmod(join(paths.images, file), 0o600);
  return criu;
}

/**
 * Each file and folder by itself: a sync of the whole file system would also wait for what other pods wrote. Folders up to
 * the one that holds the saved pod.
 */
async function syncFiles(folder: string, files: readonly FoundFile[]): Promise<void> {
  const paths = files.map(({ path }) => join(folder, path));
  const largestFirst = [...files.keys()].sort((a, b) => (files[b]?.bytes ?? 0) - (files[a]?.bytes ?? 0));
  await twoAtATime(largestFirst, (at) => syncPath(paths[at] as string));
  const folders = new Set<string>([dirname(folder)]);
  for (const path of paths) {
    for (let at = dirname(path); at.length >= folder.length; at = dirname(at)) folders.add(at);
  }
  for (const path of folders) await syncPath(path);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
