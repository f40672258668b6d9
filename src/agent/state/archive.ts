import { mkdir, open, readdir } from 'node:fs/promises';
import { BULK_LIMIT_MS, CommandError, type RunCommand } from '../runtime/command.ts';

/** Everything that a file can have: the marks of overlayfs (`trusted.overlay.*`, devices 0:0) must come back as they were. */
const FLAGS = ['--xattrs', '--xattrs-include=*', '--acls', '--numeric-owner', '--sparse'];

/** GNU tar ends so when files changed or went while it read them; the archive is whole and holds what it saw. */
const SOME_FILES_DIFFER = 1;

export interface ArchiveOptions {
  readonly run: RunCommand;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Packs what is in a folder into a new file, which only root can read. Sockets are left out (nobody could connect to
 * them), and so is what is mounted below the folder.
 */
export async function pack(folder: string, file: string, { run, signal }: ArchiveOptions): Promise<void> {
  await (await open(file, 'wx', 0o600)).close();
  const args = ['--create', '--file', file, '--directory', folder, '--one-file-system', ...FLAGS, '.'];
  try {
    await run('tar', args, { signal, limitMs: BULK_LIMIT_MS });
  } catch (error) {
    if (!(error instanceof CommandError) || error.exitCode !== SOME_FILES_DIFFER) throw error;
  }
}

/**
 * Extracts an archive into a folder that holds nothing but folders, and is made if it is missing. Nothing is written outside of it,
 * whatever the archive says: GNU tar refuses members with `..`, takes the leading slash of others away, and makes
 * links that lead outside only after everything else.
 */
export async function extract(file: string, folder: string, { run, signal }: ArchiveOptions): Promise<void> {
  await mkdir(folder, { recursive: true });
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const entry = entries.find((one) => !one.isDirectory());
  if (entry !== undefined) throw new Error(`${folder} is not empty: it holds ${entry.name}`);
  const args = ['--extract', '--file', file, '--directory', folder, '--same-owner', '--same-permissions', ...FLAGS];
  await run('tar', args, { signal, limitMs: BULK_LIMIT_MS });
}
