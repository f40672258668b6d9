import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Process } from './processes.ts';

/** The runtime writes them for one pod, before the first container of the pod is made. */
const WRITTEN_ONCE = ['/etc/resolv.conf', '/etc/hostname'];
/** Between the birth of such a file and the end of writing it lie milliseconds; a container starts half a second later at the earliest. */
const WRITTEN_WITHIN_MS = 500;

/**
 * The first file of the runtime that was changed after it was written: the next pod has it as the runtime writes it. Null: none was, or
 * the file system keeps no time of birth.
 */
export async function changedRuntimeFile({ folder }: Pick<Process, 'folder'>): Promise<string | null> {
  for (const path of WRITTEN_ONCE) {
    const file = await stat(join(folder, 'root', path)).catch(() => null); // an image without a shell may lack it
    if (file === null || file.birthtimeMs === 0) continue;
    if (file.mtimeMs - file.birthtimeMs > WRITTEN_WITHIN_MS) return path;
  }
  return null;
}
