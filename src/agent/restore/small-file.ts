import { constants } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';

/** More than any file of the protocol needs. */
const LIMIT_BYTES = 4096;

/** A file of the protocol; null when there is none. Throws for anything but a regular file of at most 4 KiB: links are not followed. */
export async function readSmallFile(path: string): Promise<string | null> {
  // O_NONBLOCK: opening a fifo must not wait for its writer.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch((error: unknown) => {
    if (isMissing(error)) return null;
    throw error;
  });
  if (file === null) return null;
  try {
    if (!(await file.stat()).isFile()) throw new Error(`${path} is not a regular file`);
    const buffer = Buffer.alloc(LIMIT_BYTES + 1);
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length, null);
      if (bytesRead === 0) return buffer.toString('utf8', 0, length);
      length += bytesRead;
    }
    throw new Error(`${path} is larger than ${LIMIT_BYTES} bytes`);
  } finally {
    await file.close();
  }
}

/** The file is there with all of `text`, or as it was. 0600. */
export async function replaceSmallFile(path: string, text: string): Promise<void> {
  const next = `${path}.tmp`;
  await rm(next, { force: true });
  const file = await open(next, 'wx', 0o600);
  try {
    await file.writeFile(text);
  } finally {
    await file.close();
  }
  await rename(next, path);
}

export function isMissing(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes(String((error as NodeJS.ErrnoException).code));
}
