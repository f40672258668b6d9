import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AppError } from '../observe/error-codes.ts';
import * as containerd from './containerd-config.ts';
import { withCriuOptions, withoutCriuOptions } from './criu-config.ts';
import type { NodeFiles } from './node-files.ts';
import { NODE_PATHS, RUNTIMES } from './node-paths.ts';
import { wrapperFor } from './wrapper.ts';

/** Something that a node needs: a file of ours, or lines in one of somebody else's. */
export interface Item {
  readonly path: string;
  readonly what: string;
  /** Of a file that is not there yet. */
  readonly mode: number;
  readonly needsRestart: boolean;
  /** A copy of the file as it was without us. */
  readonly backup: string | null;
  /** The file as it should be, from what it is now; null: there is none. */
  readonly wanted: (current: string | null) => string;
}

/** Takes our lines out of a file that is not ours; absent for files that are. */
export const OUR_LINES: Readonly<Record<string, (text: string) => string>> = {
  [NODE_PATHS.containerdConfig]: (text) => containerd.withoutImport(containerd.withoutBlock(text)),
  [NODE_PATHS.criuConfig]: withoutCriuOptions,
};

export interface ItemOptions {
  /** The real runtime; absent: what containerd uses now, or the first of the usual paths. */
  readonly runtime?: string;
  /** Of containerd; asked only where it has no configuration. Null: not known. */
  readonly containerdMajor: () => number | null;
}

/** What this node needs. Throws `RuntimeNotFound`, `ContainerdConfigInvalid`, `ContainerdConfigOutdated` and `WrapperSettingInvalid`. */
export function itemsFor(files: NodeFiles, options: ItemOptions): Item[] {
  const path = NODE_PATHS.containerdConfig;
  const main = files.read(path);
  const config = main === null ? null : containerd.readContainerdConfig(main, path);
  const version = config?.version ?? ((options.containerdMajor() ?? 2) < 2 ? 2 : 3);
  if (version < 2) throw new AppError('ContainerdConfigOutdated', { path });
  const runc = config?.handlers['runc'];
  const systemdCgroup = runc?.systemdCgroup ?? false;
  const wrapper = wrapperFor(template(), { runtime: runtimeOf(files, options.runtime ?? runc?.binaryName ?? null) });
  const common = { mode: 0o644, needsRestart: true, backup: null };
  const items: Item[] = [
    {
      ...common,
      path: NODE_PATHS.wrapper,
      what: 'runtime wrapper',
      mode: 0o755,
      needsRestart: false,
      wanted: () => wrapper,
    },
  ];
  const empty = `version = ${version}\n`;
  const inMain = { ...common, path, backup: main === null ? null : `${path}.before-reprieve` };
  if (containerd.standsAlone(version)) {
    const text = containerd.dropIn(version, systemdCgroup);
    items.push(
      { ...common, path: NODE_PATHS.dropIn, what: 'runtime handler "reprieve"', wanted: () => text },
      { ...inMain, what: 'import of the handler', wanted: (current) => containerd.withImport(current ?? empty, path) },
    );
  } else {
    const tables = containerd.handlerTables(version, systemdCgroup);
    const wanted = (current: string | null): string => containerd.withBlock(current ?? empty, path, tables);
    items.push({ ...inMain, what: 'runtime handler "reprieve"', wanted });
  }
  items.push({
    ...common,
    path: NODE_PATHS.criuConfig,
    what: 'options of CRIU',
    needsRestart: false,
    wanted: (current) => withCriuOptions(current ?? ''),
  });
  return items;
}

function runtimeOf(files: NodeFiles, given: string | null): string {
  const candidates = given === null ? RUNTIMES : [given];
  const found = candidates.find((path) => path !== NODE_PATHS.wrapper && ((files.mode(path) ?? 0) & 0o111) !== 0);
  if (found === undefined) throw new AppError('RuntimeNotFound', { paths: candidates.join(', ') });
  return found;
}

function template(): string {
  const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  return readFileSync(join(project, 'deploy/node/reprieve-runc'), 'utf8');
}
