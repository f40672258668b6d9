import { mkdir, open, readdir, stat } from 'node:fs/promises';
import { CommandError, type RunCommand } from '../runtime/command.ts';
import type { BoundFolder } from './pod-folders.ts';
import { runInRoot } from './private-root.ts';

/** Everything that a file can have: the marks of overlayfs (`trusted.overlay.*`, devices 0:0) must come back as they were. */
const FLAGS = ['--xattrs', '--xattrs-include=*', '--acls', '--numeric-owner', '--sparse'];

/** GNU tar ends so when files changed or went while it read them; the archive is whole and holds what it saw. unshare fails so, too. */
const SOME_FILES_DIFFER = 1;

export interface ArchiveOptions {
  readonly run: RunCommand;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Packs what is in a folder into a new file, which only root can read. Sockets are left out (nobody could connect to
 * them), and so is what is mounted below the folder.
 */
export async function pack(folder: string, file: string, options: ArchiveOptions): Promise<void> {
  await (await open(file, 'wx', 0o600)).close();
  try {
    await runInRoot(folder, ['tar', '--create', '--file=-', '--one-file-system', ...FLAGS, '.'], {
      ...options,
      output: file,
    });
  } catch (error) {
    const isWhole =
      error instanceof CommandError && error.exitCode === SOME_FILES_DIFFER && error.stderr.startsWith('tar: ');
    if (!isWhole) throw error;
  }
}

/** Arguments: those of tar. In one command, because a root costs more than a small archive. */
const EXTRACT = `found=$(find . ! -type d -printf %P -quit)
if [ -n "$found" ]; then
  echo "the folder is not empty: it holds $found" >&2
  exit 2
fi
exec tar "$@"`;

/**
 * Extracts an archive into a folder that holds nothing but folders, and is made if it is missing. Nothing is written outside of it,
 * whatever the archive says, and whoever else writes to the folder meanwhile.
 */
export async function extract(file: string, folder: string, options: ArchiveOptions): Promise<void> {
  await mkdir(folder, { recursive: true });
  const how = ['--extract', '--file=-', '--same-owner', '--same-permissions', ...FLAGS];
  await runInRoot(folder, ['sh', '-c', EXTRACT, 'tar', ...how], { ...options, input: file });
}

/**
 * Removes what is in a folder and keeps the folder, its mode and its owner. The same goes for the folders in it that are bound
 * elsewhere: a new one in their place would not be seen there. Nothing outside is removed, whoever else writes to the folder.
 */
export async function emptyFolder(
  folder: string,
  { bound = [], ...options }: ArchiveOptions & { readonly bound?: readonly BoundFolder[] },
): Promise<void> {
  await mkdir(folder, { recursive: true });
  if ((await readdir(folder)).length === 0) return;
  const { dev } = await stat(folder);
  const kept = bound.filter((one) => one.dev === dev).flatMap(({ ino }) => ['!', '-inum', String(ino)]);
  const all = ['find', '.', '-xdev', '-mindepth', '1', '-depth'] as const;
  if (kept.length === 0) {
    await runInRoot(folder, [...all, '-delete'], options);
    return;
  }
  await runInRoot(folder, [...all, '!', '-type', 'd', '-delete'], options);
  const rmdir = ['rmdir', '--ignore-fail-on-non-empty', '--', '{}', '+'];
  await runInRoot(folder, [...all, '-type', 'd', ...kept, '-exec', ...rmdir], options);
}
