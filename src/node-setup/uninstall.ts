import type { Outcome } from './install.ts';
import { OUR_LINES } from './items.ts';
import { digestOf, NodeFiles } from './node-files.ts';
import { NODE_PATHS } from './node-paths.ts';
import { readRecord, writeRecord, type InstallRecord } from './record.ts';

/** Takes back what `install` did, in reverse; what others changed since is kept. Throws `NodeFileUnusable`. */
export function uninstall({ root, dryRun }: { readonly root: string; readonly dryRun: boolean }): readonly Outcome[] {
  const files = new NodeFiles(root);
  const record = readRecord(files);
  if (record === null) return [];
  const outcomes: Outcome[] = [];
  const left: InstallRecord['files'] = {};
  for (const [path, entry] of Object.entries(record.files).toReversed()) {
    const outcome = takeBack(files, path, entry, dryRun);
    outcomes.push(outcome);
    if (outcome.outcome === 'kept') left[path] = entry;
  }
  if (dryRun) return outcomes;
  if (Object.keys(left).length > 0) {
    writeRecord(files, { ...record, files: left });
  } else {
    files.remove(NODE_PATHS.record);
    for (const folder of record.folders) files.removeFolder(folder);
  }
  return outcomes;
}

function takeBack(files: NodeFiles, path: string, entry: InstallRecord['files'][string], dryRun: boolean): Outcome {
  const current = files.read(path);
  const withoutUs = OUR_LINES[path];
  const what = withoutUs ? 'our lines' : 'our file';
  if (current === null) return { path, what, outcome: 'unchanged', detail: 'it is gone already' };
  if (path === NODE_PATHS.wrapper && isInUse(files)) {
    const detail = 'containers run with it: they could not be stopped without; uninstall again when they are gone';
    return { path, what, outcome: 'kept', detail };
  }
  const isAsLeft = digestOf(current) === entry.sha256;
  if (isAsLeft && entry.created) {
    if (!dryRun) files.remove(path);
    return { path, what: 'our file', outcome: 'removed' };
  }
  if (!withoutUs) {
    if (isAsLeft) {
      // It replaced one that was there before; what that was is not known any more.
      if (!dryRun) files.remove(path);
      return { path, what, outcome: 'removed' };
    }
    return { path, what, outcome: 'kept', detail: 'the file was changed since; remove it by hand' };
  }
  const backup = entry.backup === null ? null : files.read(entry.backup);
  const mode = files.mode(path) ?? 0o644;
  if (isAsLeft && entry.backup !== null && backup !== null) {
    if (!dryRun) {
      files.write(path, backup, mode);
      files.remove(entry.backup);
    }
    return { path, what, outcome: 'restored' };
  }
  const rest = withoutUs(current);
  if (rest === current) return { path, what, outcome: 'unchanged', detail: 'nothing of ours is in it any more' };
  if (!dryRun) files.write(path, rest, mode);
  const detail = isAsLeft
    ? undefined
    : `the file was changed since, and is kept${backup === null ? '' : `, so is ${entry.backup}`}`;
  return { path, what, outcome: 'removed', ...(detail !== undefined && { detail }) };
}

function isInUse(files: NodeFiles): boolean {
  return files.names(NODE_PATHS.bundles).some((id) => {
    return (files.read(`${NODE_PATHS.bundles}/${id}/options.json`) ?? '').includes(NODE_PATHS.wrapper);
  });
}
