import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import type { FileDigest } from './digest.ts';
import type { SavedPodLayout } from './layout.ts';
import { twoAtATime, type Manifest } from './manifest.ts';

/** More than a disk holds: each is a pod that waits. */
const MAX_STATES = 1000;

/**
 * Which files of saved pods nobody has touched since their digests were taken. What this process wrote and hashed need not be
 * read again as long as inode, size and both times are the same: no writer can set a change time back. After a restart of the
 * process, and for everything else, the contents decide.
 */
export class FileStamps {
  readonly #states = new LRUCache<string, ReadonlyMap<string, string>>({ max: MAX_STATES }); // reference -> path -> stamp

  /** To be called right after the files were hashed. */
  async remember({ reference, folder }: SavedPodLayout, { files }: Manifest): Promise<void> {
    const stamps = await twoAtATime(files, async ({ path }) => [path, await stampOf(join(folder, path))] as const);
    this.#states.set(reference, new Map(stamps.flatMap(([path, stamp]) => (stamp === null ? [] : [[path, stamp]]))));
  }

  /** Digests, as the manifest has them, of the files that are as they were; path -> digest. */
  async untouched({ reference, folder }: SavedPodLayout, { files }: Manifest): Promise<Map<string, FileDigest>> {
    const stamps = this.#states.get(reference);
    const digests = new Map<string, FileDigest>();
    if (stamps === undefined) return digests;
    const present = await twoAtATime(files, ({ path }) => stampOf(join(folder, path)));
    for (const [at, { path, bytes, sha256 }] of files.entries()) {
      const stamp = stamps.get(path);
      if (stamp !== undefined && stamp === present[at]) digests.set(path, { bytes, sha256 });
    }
    return digests;
  }
}

/** Null where the file is gone. */
async function stampOf(path: string): Promise<string | null> {
  const found = await stat(path, { bigint: true }).catch(() => null);
  return found && [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(' ');
}
