import { access, mkdir, readdir, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '../../ports/clock.ts';
import type { PeerStates } from '../transfer/peer-states.ts';
import { FileStamps } from './file-stamps.ts';
import { checkpointsFolder, MANIFEST_FILE, SavedPodLayout } from './layout.ts';
import {
  compareListing,
  digestFiles,
  findFiles,
  readManifest,
  syncPath,
  twoAtATime,
  verify,
  writeManifest,
  type FoundFile,
  type Manifest,
  type ManifestFile,
} from './manifest.ts';
import type {
  CommitOptions,
  CommittedState,
  OpenedState,
  OpenRefusal,
  StateContents,
  StateStore,
  WantedState,
} from './state-store.ts';
import { StateUsage } from './state-usage.ts';
import { together } from './together.ts';

export interface DiskStoreOptions {
  readonly nodeName: string;
  readonly stateDir: string;
  readonly clock: Clock;
  /** Brings states from other nodes. */
  readonly peers: Pick<PeerStates, 'fetch'>;
}

/**
 * {@link StateStore} on the disk of each node: a state lies where it was made, and is fetched by the node that continues it.
 *
 *     <stateDir>/checkpoints/<reference>/   manifest.json, shm.tar, containers/, volumes/; the hold record of the order beside them
 *     <stateDir>/fetched/<pod UID>/         what was brought here for a pod
 *
 * A state that this process has written and hashed is not read again before it is restored (`file-stamps.ts`).
 */
export class DiskStore implements StateStore {
  readonly #options: DiskStoreOptions;
  readonly #stamps = new FileStamps();
  readonly #usage: StateUsage;
  readonly #opening = new Map<string, Promise<unknown>>(); // pod uid -> what is being brought here for it

  constructor(options: DiskStoreOptions) {
    this.#options = options;
    this.#usage = new StateUsage(options.stateDir);
  }

  async list(): Promise<readonly string[]> {
    const folder = checkpointsFolder(this.#options.stateDir);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  }

  async usage(): Promise<ReadonlyMap<string, number>> {
    return this.#usage.of(await this.list());
  }

  /** Without what the file system keeps for root: where only that is left, everybody else's disk is full. */
  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.#options.stateDir);
    return bavail * bsize;
  }

  async begin(reference: string): Promise<SavedPodLayout> {
    const draft = this.#layoutOf(reference);
    this.#usage.forget(reference);
    await draft.clear();
    return draft;
  }

  async commit(
    draft: SavedPodLayout,
    contents: StateContents,
    { known, signal }: CommitOptions,
  ): Promise<CommittedState> {
    const { clock } = this.#options;
    const startedMs = clock.monotonic();
    const found = await findFiles(draft.folder);
    let files: readonly ManifestFile[] = [];
    await together(signal, [
      () => syncFiles(draft.folder, found),
      async (signal) => void (files = await digestFiles(draft.folder, found, known, signal)),
    ]);
    const syncedMs = clock.monotonic();
    const manifest: Manifest = { version: 1, ...contents, files: [...files] };
    const refusal = await compareListing(draft.folder, manifest);
    signal?.throwIfAborted();
    if (refusal !== null) throw new Error(`what was written is not what is there: ${refusal.message}`);
    const manifestDigest = await writeManifest(draft.manifest, manifest);
    const finishedMs = clock.monotonic();
    await this.#stamps.remember(draft, manifest);
    return { manifest, manifestDigest, ms: { sync: syncedMs - startedMs, finish: finishedMs - syncedMs } };
  }

  async isWhole(reference: string): Promise<boolean> {
    return access(join(this.#folderOf(reference), MANIFEST_FILE)).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return false;
        throw error;
      },
    );
  }

  async invalidate(reference: string): Promise<void> {
    const folder = this.#folderOf(reference);
    this.#usage.forget(reference);
    await rm(join(folder, MANIFEST_FILE), { force: true });
    await syncPath(folder);
  }

  async remove(reference: string): Promise<void> {
    await rm(this.#folderOf(reference), { recursive: true, force: true });
  }

  async open(wanted: WantedState, stop: AbortSignal): Promise<OpenedState> {
    const { podUid } = wanted;
    const opening = this.#open(wanted, stop);
    this.#opening.set(podUid, opening);
    try {
      const opened = await opening;
      // A refused state is not fetched again; after a break the next fetch continues with the files that lie here.
      if ('refusal' in opened) await this.#clear(podUid);
      return opened;
    } finally {
      if (this.#opening.get(podUid) === opening) this.#opening.delete(podUid);
    }
  }

  async #open(wanted: WantedState, stop: AbortSignal): Promise<OpenedState> {
    const { nodeName, peers } = this.#options;
    const { location, manifestDigest, podUid } = wanted;
    const isHere = location.node === nodeName;
    const layout = isHere
      ? this.#layoutOf(location.reference)
      : SavedPodLayout.of(join(this.#fetched, podUid), location.reference);
    const fetched = isHere ? null : await peers.fetch(wanted, layout, stop);
    if (fetched !== null && 'refusal' in fetched) return fetched;
    const read = await readManifest(layout.manifest, manifestDigest);
    if ('refusal' in read) return mismatch(read.refusal.message);
    const { manifest } = read;
    const known = fetched?.digests ?? (await this.#stamps.untouched(layout, manifest));
    const refusal = await verify(layout.folder, manifest, stop, known);
    return refusal === null ? { layout, manifest } : mismatch(refusal.message);
  }

  async close(podUid: string): Promise<void> {
    await this.#opening.get(podUid)?.catch(() => undefined);
    await this.#clear(podUid);
  }

  async #clear(podUid: string): Promise<void> {
    await rm(join(this.#fetched, podUid), { recursive: true, force: true });
  }

  async closeOthers(podUids: ReadonlySet<string>): Promise<void> {
    await mkdir(this.#fetched, { recursive: true, mode: 0o700 });
    for (const podUid of await readdir(this.#fetched)) if (!podUids.has(podUid)) await this.close(podUid);
  }

  get #fetched(): string {
    return join(this.#options.stateDir, 'fetched');
  }

  /** Also of what is no reference: whatever lies in the folder of the states is listed, and can be removed. */
  #folderOf(reference: string): string {
    return join(checkpointsFolder(this.#options.stateDir), reference);
  }

  #layoutOf(reference: string): SavedPodLayout {
    return SavedPodLayout.of(this.#options.stateDir, reference);
  }
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

function mismatch(message: string): { readonly refusal: OpenRefusal } {
  return { refusal: { reason: 'DigestMismatch', message } };
}
