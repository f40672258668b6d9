import { dirname } from 'node:path';
import { itemsFor, OUR_LINES, type Item, type ItemOptions } from './items.ts';
import { digestOf, NodeFiles } from './node-files.ts';
import { NODE_PATHS } from './node-paths.ts';
import { readRecord, writeRecord, type InstallRecord } from './record.ts';

/** What became of one file. `detail`: a sentence, where there is something to say. */
export interface Outcome {
  readonly path: string;
  readonly what: string;
  readonly outcome: 'written' | 'unchanged' | 'removed' | 'restored' | 'kept';
  readonly detail?: string;
}

export interface InstallResult {
  readonly outcomes: readonly Outcome[];
  /** containerd has to read its configuration again. */
  readonly needsRestart: boolean;
}

/** Puts everything on the node that is not there yet; with `dryRun` only says what that is. Throws what {@link itemsFor} does, and `NodeFileUnusable`. */
export function install(options: ItemOptions & { readonly root: string; readonly dryRun: boolean }): InstallResult {
  const files = new NodeFiles(options.root);
  // All is worked out before the first change: an error leaves the node as it was.
  const plan = itemsFor(files, options).map((item) => {
    const current = files.read(item.path);
    return { item, current, wanted: item.wanted(current) };
  });
  const record = readRecord(files) ?? { version: 1, files: {}, folders: [] };
  const outcomes: Outcome[] = [];
  let needsRestart = false;
  for (const { item, current, wanted } of plan) {
    const isExecutable = item.mode !== 0o755 || files.mode(item.path) === item.mode;
    const isThere = current === wanted && isExecutable;
    outcomes.push({ path: item.path, what: item.what, outcome: isThere ? 'unchanged' : 'written' });
    if (isThere) continue;
    needsRestart ||= item.needsRestart;
    if (!options.dryRun) put(files, record, item, current, wanted);
  }
  return { outcomes, needsRestart };
}

function put(files: NodeFiles, record: InstallRecord, item: Item, current: string | null, wanted: string): void {
  const { path, backup } = item;
  // Saved pods will lie there: memory, and so secrets.
  record.folders.unshift(...files.makeFolder(NODE_PATHS.state, 0o700), ...files.makeFolder(dirname(path)));
  if (backup !== null && current !== null) files.write(backup, withoutUs(path, current), files.mode(path) ?? item.mode);
  const mode = item.mode === 0o755 ? item.mode : (files.mode(path) ?? item.mode);
  files.write(path, wanted, mode);
  const created = record.files[path]?.created ?? current === null;
  record.files[path] = { created, sha256: digestOf(wanted), backup };
  writeRecord(files, record); // after each: what is on the node can be taken back whatever happens next
}

function withoutUs(path: string, text: string): string {
  return OUR_LINES[path]?.(text) ?? text;
}
