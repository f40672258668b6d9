import { parse, type TomlTable } from 'smol-toml';
import { messageOf } from '../domain/message-of.ts';
import { AppError } from '../observe/error-codes.ts';
import { NODE_PATHS } from './node-paths.ts';

export const HANDLER = 'reprieve';
const IMPORT = `${NODE_PATHS.dropInFolder}/*.toml`;
const BLOCK_BEGINS = '# >>> reprieve node install';
const BLOCK_ENDS = '# <<< reprieve node install';

/** What we have to know of a configuration of containerd. */
export interface ContainerdConfig {
  readonly version: number;
  readonly imports: readonly string[];
  /** `runtimes.<name>` of its CRI plugin. */
  readonly handlers: Readonly<Record<string, RuntimeHandler>>;
}

interface RuntimeHandler {
  readonly binaryName: string | null;
  readonly systemdCgroup: boolean | null;
  readonly podAnnotations: readonly string[];
}

/** Of the CRI plugin: containerd 2 renamed it with version 3 of its configuration. */
function pluginOf(version: number): string {
  return version < 3 ? 'io.containerd.grpc.v1.cri' : 'io.containerd.cri.v1.runtime';
}

/** Throws `ContainerdConfigInvalid`. */
export function readContainerdConfig(text: string, path: string): ContainerdConfig {
  let config: TomlTable;
  try {
    config = parse(text);
  } catch (cause) {
    throw new AppError('ContainerdConfigInvalid', { path, cause: firstLine(cause) }, cause);
  }
  const version = typeof config['version'] === 'number' ? config['version'] : 1;
  const runtimes = tableAt(config, ['plugins', pluginOf(version), 'containerd', 'runtimes']);
  const handlers = Object.entries(runtimes).map(([name, handler]) => {
    const options = tableAt(handler, ['options']);
    const { BinaryName: binary, SystemdCgroup: systemd } = options;
    return [
      name,
      {
        binaryName: typeof binary === 'string' && binary !== '' ? binary : null,
        systemdCgroup: typeof systemd === 'boolean' ? systemd : null,
        podAnnotations: stringsOf(tableAt(handler, [])['pod_annotations']),
      },
    ] as const;
  });
  return { version, imports: stringsOf(config['imports']), handlers: Object.fromEntries(handlers) };
}

/**
 * The runtime handler. Up to containerd 1.7 a file that is imported replaces the whole section of a plugin, so with
 * version 2 of the configuration the handler has to stand in the main file; from 2.0 on sections are merged, but the
 * version of the file read last counts for all, so ours is that of the main file.
 */
export function handlerTables(version: number, systemdCgroup: boolean): string {
  const table = `plugins."${pluginOf(version)}".containerd.runtimes.${HANDLER}`;
  return [
    `[${table}]`,
    '  runtime_type = "io.containerd.runc.v2"',
    '  pod_annotations = ["reprieve.dev/*"]',
    `  [${table}.options]`,
    `    BinaryName = "${NODE_PATHS.wrapper}"`,
    `    SystemdCgroup = ${systemdCgroup}`,
    '',
  ].join('\n');
}

/** Text of the file that containerd imports. */
export function dropIn(version: number, systemdCgroup: boolean): string {
  return `# Written by \`reprieve node install\`.\nversion = ${version}\n\n${handlerTables(version, systemdCgroup)}`;
}

export function standsAlone(version: number): boolean {
  return version >= 3;
}

export function importsDropIn({ imports }: ContainerdConfig): boolean {
  return imports.some((pattern) => {
    const shape = pattern.split('*').map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'));
    // As Go's filepath.Glob: a star does not cross a folder. Relative ones begin beside the main file.
    const absolute = pattern.startsWith('/') ? '' : '/etc/containerd/';
    return new RegExp(`^${absolute}${shape.join('[^/]*')}$`).test(NODE_PATHS.dropIn);
  });
}

/** The main file with the import of our folder in it. Top-level keys stand before the first table. */
export function withImport(text: string, path: string): string {
  const config = readContainerdConfig(text, path);
  if (importsDropIn(config)) return text;
  const line = `imports = ["${IMPORT}"]\n`;
  const next = config.imports.length === 0 && !hasImports(text) ? line + text : extended(text);
  // An edit of text may meet what nobody thought of.
  if (!importsDropIn(readContainerdConfig(next, path))) {
    throw new AppError('ContainerdConfigInvalid', { path, cause: `add "${IMPORT}" to imports by hand` });
  }
  return next;
}

export function withoutImport(text: string): string {
  return text.replace(`imports = ["${IMPORT}"]\n`, '').replace(`"${IMPORT}", `, '').replace(`"${IMPORT}"`, '');
}

/** The main file with the handler at its end, in a block that is told by its comments. */
export function withBlock(text: string, path: string, tables: string): string {
  const rest = withoutBlock(text);
  if (HANDLER in readContainerdConfig(rest, path).handlers) return text; // somebody else's: theirs to keep
  const gap = rest === '' || rest.endsWith('\n') ? '' : '\n';
  const next = `${rest}${gap}${BLOCK_BEGINS}\n${tables}${BLOCK_ENDS}\n`;
  readContainerdConfig(next, path);
  return next;
}

export function withoutBlock(text: string): string {
  const begin = text.indexOf(`${BLOCK_BEGINS}\n`);
  const end = text.indexOf(`${BLOCK_ENDS}\n`, begin);
  if (begin === -1 || end === -1) return text;
  return text.slice(0, begin) + text.slice(end + BLOCK_ENDS.length + 1);
}

function hasImports(text: string): boolean {
  return /^[ \t]*imports[ \t]*=/m.test(text);
}

function extended(text: string): string {
  return text.replace(/^([ \t]*imports[ \t]*=[ \t]*\[)(\s*\])?/m, (_, open: string, close: string | undefined) => {
    return close === undefined ? `${open}"${IMPORT}", ` : `${open}"${IMPORT}"]`;
  });
}

function tableAt(value: unknown, path: readonly string[]): TomlTable {
  let at: unknown = value;
  for (const key of path) at = isTable(at) ? at[key] : undefined;
  return isTable(at) ? at : {};
}

function isTable(value: unknown): value is TomlTable {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function stringsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

function firstLine(cause: unknown): string {
  return messageOf(cause).split('\n', 1)[0] as string;
}
