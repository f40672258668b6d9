import { chmod, readFile, readdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Clock } from '../../ports/clock.ts';
import type { RunCommand } from '../runtime/command.ts';
import type { RuntimeContainer } from '../runtime/containers.ts';
import { configFilesOf } from '../obstacles/config-files.ts';
import { ownerOfIpc } from '../obstacles/system-v.ts';
import { overlayAt, type Mount } from '../runtime/mountinfo.ts';
import type { Runc } from '../runtime/runc.ts';
import { securityContextOf } from '../runtime/security-context.ts';
import { presentPath } from '../runtime/socket-names.ts';
import { pack } from '../state/archive.ts';
import type { FileDigest } from '../state/digest.ts';
import { hostsFile } from '../state/hosts-file.ts';
import type { SavedPodLayout } from '../state/layout.ts';
import type { Manifest } from '../state/manifest.ts';
import { imageVolumes, type StateFolder } from '../state/pod-folders.ts';
import type { StateContents } from '../state/state-store.ts';
import { together } from '../state/together.ts';
import { adjustImages } from './adjust-images.ts';
import { linkedFiles, makeLinks } from './linked-files.ts';
import { PageDigests } from './page-digests.ts';

export interface DumpOptions {
  /** Those of the pod without its sandbox, all frozen, in the order in which the kubelet makes them. */
  readonly containers: readonly RuntimeContainer[];
  readonly layout: SavedPodLayout;
  readonly runc: Pick<Runc, 'checkpoint'>;
  /** All processes of a container. */
  readonly pids: (container: RuntimeContainer) => readonly number[];
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

/** What was written, and is not committed yet. */
export interface DumpedPod {
  readonly contents: StateContents;
  /** Of the files that were hashed as they were written; path -> digest. */
  readonly known: ReadonlyMap<string, FileDigest>;
  readonly ms: {
    /** Of `write`, the runtime's checkpoints: criu. */
    readonly criu: number;
    /** Until all is written: memory, archives, and the digests of what is large. */
    readonly write: number;
  };
}

/**
 * Writes the state of a frozen pod: memory, changed files, volumes. When it rejects, or is aborted, nothing of it writes any more;
 * the containers are as frozen as they were, and what is in the folder is worth nothing.
 */
export async function dumpPod(options: DumpOptions): Promise<DumpedPod> {
  const { containers, layout, volumes, shm, run, clock, signal } = options;
  const startedMs = clock.monotonic();
  let criu = 0;
  await layout.create(containers.map(({ name }) => name));
  const images = new Map<string, string>();
  const known = new Map<string, FileDigest>();
  const dump = async (signal: AbortSignal): Promise<void> => {
    const owner = await ownerOfIpc(containers, options);
    for (const container of containers) {
      criu += await dumpMemory(container, { ...options, ownsIpc: container === owner }, known, signal);
    }
  };
  const packAll = async (signal: AbortSignal): Promise<void> => {
    for (const container of containers) {
      await packRootfs(container, options, signal);
      if (volumes === null) continue;
      const paths = layout.container(container.name);
      for (const { name, path } of imageVolumes(container)) await pack(path, paths.volume(name), { run, signal });
    }
    for (const { name, path } of volumes ?? []) await pack(path, layout.volume(name), { run, signal });
    if (shm !== null) await pack(shm, layout.shm, { run, signal });
    const hosts = containers.map(hostsFile).find((path) => path !== null);
    if (hosts !== undefined) await writeFile(layout.hosts, await readFile(hosts), { mode: 0o600, flag: 'wx' });
  };
  const linked = await Promise.all(containers.map((one) => linkedFiles(options.pids(one))));
  const inOrder = async (signal: AbortSignal): Promise<void> => {
    await dump(signal);
    const undo: (() => Promise<void>)[] = [];
    try {
      for (const [at, { name, pid }] of containers.entries()) {
        const root = `/proc/${pid}/root`;
        undo.push(await makeLinks(layout.container(name).images, linked[at] ?? [], { root, run }));
      }
      await packAll(signal);
    } finally {
      for (const remove of undo) await remove();
    }
  };
  await together(signal, [
    // The processes stand still: memory and files are of one moment, whatever is written first.
    ...(linked.flat().length === 0 ? [dump, packAll] : [inOrder]),
    async () => {
      const known = await options.images();
      for (const { name } of containers) images.set(name, imageOf(name, known));
    },
  ]);
  const configFiles = await Promise.all(containers.map((one) => configFilesOf(one, options.pids(one))));
  const contents: StateContents = {
    pod: options.pod,
    takenAt: options.takenAt.toISOString(),
    compatibility: options.compatibility,
    containers: containers.map(({ name, spec }, at) => ({
      name,
      image: images.get(name) as string,
      security: securityContextOf(spec),
      mounts: (spec.mounts ?? []).map(({ destination }) => destination).sort(),
      ...((configFiles[at] ?? []).length > 0 && { configFiles: configFiles[at] }),
    })),
    volumes: volumes?.map(({ name }) => name).sort() ?? null,
  };
  return { contents, known, ms: { criu, write: clock.monotonic() - startedMs } };
}

/** Without it nobody could tell whether the files below are those that the processes know. */
function imageOf(container: string, images: ReadonlyMap<string, string>): string {
  const image = images.get(container);
  if (image === undefined || image === '') throw new Error(`the image of container ${container} is not known`);
  return image;
}

/** Gives the milliseconds that the runtime took. */
async function dumpMemory(
  { id, name, pid }: RuntimeContainer,
  { layout, runc, run, clock, token, ownsIpc }: DumpOptions & { readonly ownsIpc: boolean },
  known: Map<string, FileDigest>,
  signal: AbortSignal,
): Promise<number> {
  const { images: imagePath, work: workPath } = layout.container(name);
  const pages = new PageDigests(imagePath);
  const startedMs = clock.monotonic();
  let criu = 0;
  try {
    await runc.checkpoint(id, { isFrozen: true, imagePath, workPath, token, signal });
    criu = clock.monotonic() - startedMs;
    for (const [file, digest] of await pages.finish()) {
      known.set(relative(layout.folder, join(imagePath, file)), digest);
    }
  } catch (error) {
    await pages.drop();
    throw error;
  }
  await adjustImages({
    folder: imagePath,
    ownsIpc,
    presentPath: (socket) => presentPath(socket, { pid, run }),
  });
  for (const file of await readdir(imagePath)) await chmod(join(imagePath, file), 0o600);
  return criu;
}

async function packRootfs(
  { name, bundle }: RuntimeContainer,
  { layout, run, mounts }: DumpOptions,
  signal: AbortSignal,
): Promise<void> {
  const overlay = overlayAt(mounts, join(bundle, 'rootfs'));
  if (overlay === undefined)
    throw new Error(`the root filesystem of container ${name} is no overlay that it can write to`);
  await pack(overlay.upperdir, layout.container(name).rootfs, { run, signal });
}
