import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import type { FileDigest } from '../state/digest.ts';
import { Turns } from '../turns.ts';

/** Records of TLS have 16 KiB: each by itself would cost a call of the system and one of the hash. */
const BUFFER_BYTES = 1024 * 1024;
/** Most files of an image are of a few kilobytes. */
const LEAST_BUFFER_BYTES = 16 * 1024;
/** One at a time: each takes one of libuv's four threads for as long as a slow disk takes, and all other files wait for those. */
const SYNCS = new Turns();

export interface ReceiveOptions {
  /** What the file has already; the rest of it is received. */
  readonly from: number;
  /** How long the file is to be; what comes beyond that is refused, and not written. */
  readonly bytes: number;
  readonly onBytes: (bytes: number) => void;
}

/** More arrives than the file is to have. */
export class TooLongError extends Error {
  override readonly name = 'TooLongError';
}

/**
 * Writes what arrives into a file and hashes it on the way: one piece is received and hashed while the one before is written.
 * Resolves with the digest of the file, or null where it did not all come this time. After a failure the file holds what
 * had been written, without gaps.
 */
export async function receive(
  body: AsyncIterable<Buffer>,
  path: string,
  { from, bytes: wanted, onBytes }: ReceiveOptions,
): Promise<FileDigest | null> {
  const hash = createHash('sha256');
  const file = await open(path, from > 0 ? 'r+' : 'w', 0o600);
  // Sent to the disk as it arrives, and not waited for: a state that was lost is fetched again. But when the root filesystem of
  // a container is taken down, to be given its files, all that is dirty on the disk is waited for.
  let syncing: Promise<void> | null = null;
  const synced = (): void => void (syncing = null);
  try {
    const bufferBytes = Math.min(BUFFER_BYTES, Math.max(LEAST_BUFFER_BYTES, wanted - from));
    let [filling, spare] = [Buffer.allocUnsafe(bufferBytes), Buffer.allocUnsafe(bufferBytes)];
    let [filled, bytes] = [0, from];
    let left = wanted - from;
    let writing: Promise<void> = Promise.resolve();
    const flush = async (): Promise<void> => {
      await writing;
      const piece = filling.subarray(0, filled);
      writing = writeAll(file, piece, bytes);
      writing.catch(() => {}); // awaited before the next piece, or at the end
      if (bufferBytes === BUFFER_BYTES) syncing ??= SYNCS.take(() => file.datasync()).then(synced, synced);
      hash.update(piece);
      bytes += filled;
      [filling, spare, filled] = [spare, filling, 0];
    };
    try {
      for await (const chunk of body) {
        left -= chunk.length;
        if (left < 0) throw new TooLongError('more arrives than the file has');
        onBytes(chunk.length);
        for (let taken = 0; taken < chunk.length;) {
          const copied = chunk.copy(filling, filled, taken);
          taken += copied;
          filled += copied;
          if (filled === bufferBytes) await flush();
        }
      }
    } finally {
      await flush();
      await writing;
    }
    return from > 0 ? null : { bytes, sha256: hash.digest('hex') };
  } finally {
    if (syncing === null) await file.close();
    else
      void syncing
        .then(() => SYNCS.take(() => file.datasync()))
        .finally(() => file.close())
        .catch(() => {}); // nobody waits for it
  }
}

async function writeAll(file: FileHandle, piece: Buffer, position: number): Promise<void> {
  for (let written = 0; written < piece.length;) {
    written += (await file.write(piece, written, piece.length - written, position + written)).bytesWritten;
  }
}
