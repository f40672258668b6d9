/**
 * Runs inside a node, as the agent does: empties, fills and packs a folder again and again while a container of a pod makes links in
 * it. Arguments: the folder, a folder for archives, how often.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../../../src/agent/runtime/command.ts';
import { emptyFolder, extract, pack } from '../../../src/agent/state/archive.ts';

const [folder = '', work = '', times = ''] = process.argv.slice(2);
const run = runCommand;
/** What is in the way of one of these is its own failure: the folder is not still. */
const attempt = (work: Promise<void>): Promise<void> => work.catch(() => undefined);

const made = join(work, 'made');
await mkdir(join(made, 'd'), { recursive: true });
for (let at = 0; at < 300; at++) await writeFile(join(made, 'd', `f${at}`), 'inside', { mode: 0o4755 });
await pack(made, join(work, 'made.tar'), { run });
for (let time = 0; time < Number(times); time++) {
  await attempt(extract(join(work, 'made.tar'), folder, { run }));
  const packed = join(work, 'packed.tar');
  await rm(packed, { force: true });
  await attempt(pack(folder, packed, { run }));
  await attempt(emptyFolder(folder, { run }));
}
