import { readFile, readdir, readlink, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunCommand } from '../runtime/command.ts';
import { messageOf, messagesIn, numberOf, textOf } from './criu-image.ts';

/**
 * A file that a process has open or mapped under a name that is gone, while it has another one: a POSIX semaphore is made so.
 * CRIU makes a name for it (`link_remap.N`) and takes it away when the dump ends: by then nobody may have packed it.
 */
export interface LinkedFile {
  /** The name that is gone. */
  readonly path: string;
  /** Where the kernel shows the file itself. */
  readonly handle: string;
}

const DELETED = ' (deleted)';
/** Fields and values of remap-fpath.img and files.img. */
const REMAP = { original: 1, name: 2, type: 3, linked: 0 } as const;
const FILE = { id: 2, regular: 3, path: 6 } as const;

/** Those of all these processes, which stand still. */
export async function linkedFiles(pids: readonly number[], proc = '/proc'): Promise<readonly LinkedFile[]> {
  const found: LinkedFile[] = [];
  for (const pid of pids) {
    for (const kind of ['fd', 'map_files']) {
      const folder = join(proc, String(pid), kind);
      for (const name of await readdir(folder).catch(() => [])) {
        const handle = join(folder, name);
        const target = await readlink(handle).catch(() => '');
        if (!target.startsWith('/') || !target.endsWith(DELETED)) continue;
        const links = await stat(handle).then(
          ({ nlink }) => nlink,
          () => 0,
        );
        if (links > 0) found.push({ path: target.slice(0, -DELETED.length), handle });
      }
    }
  }
  return found;
}

/**
 * Gives the files of a container the names that CRIU will look for. Resolves to what takes them away again: to be called when they
 * are packed, and before the container is thawed.
 */
export async function makeLinks(
  images: string,
  files: readonly LinkedFile[],
  { root, run }: { readonly root: string; readonly run: RunCommand },
): Promise<() => Promise<void>> {
  const made: string[] = [];
  const remove = async (): Promise<void> => {
    for (const path of made) await rm(path, { force: true });
  };
  try {
    for (const { original, name } of await remapsIn(images)) {
      const file = files.find(({ path }) => path === original);
      if (file === undefined) throw new Error(`${original} was deleted while it was saved`);
      const path = join(root, name);
      await run('ln', ['--logical', '--', file.handle, path]);
      made.push(path);
    }
  } catch (error) {
    await remove();
    throw error;
  }
  return remove;
}

async function remapsIn(images: string): Promise<readonly { readonly original: string; readonly name: string }[]> {
  const remaps = await readFile(join(images, 'remap-fpath.img')).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (remaps === null) return [];
  const files = await readFile(join(images, 'files.img'));
  const paths = new Map<number, string>(); // id of a regular file -> its path
  for (const message of messagesIn(files)) {
    const regular = messageOf(files, message, FILE.regular);
    if (regular !== undefined) paths.set(numberOf(message, FILE.id), textOf(files, regular, FILE.path));
  }
  return [...messagesIn(remaps)]
    .filter((remap) => numberOf(remap, REMAP.type) === REMAP.linked)
    .map((remap) => ({
      original: paths.get(numberOf(remap, REMAP.original)) ?? '',
      name: paths.get(numberOf(remap, REMAP.name)) ?? '',
    }));
}
