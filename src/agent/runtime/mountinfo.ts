import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/** One line of /proc/<pid>/mountinfo. */
export interface Mount {
  /** `major:minor` of the file system. */
  readonly device: string;
  /** What of the file system is mounted: `/` unless it is a bind mount. */
  readonly root: string;
  readonly mountPoint: string;
  /** Of the mount (`rw`, `nosuid`), as against those of the file system. */
  readonly options: readonly string[];
  readonly fsType: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

/** Everything that is needed to mount a container's root filesystem once more. */
export interface OverlayMount {
  readonly mountPoint: string;
  readonly source: string;
  /** Topmost first; relative ones belong to a folder that the mount does not name (see resolveLayers). */
  readonly lowerdirs: readonly string[];
  readonly upperdir: string;
  readonly workdir: string;
  /** All others, of mount and file system (`nosuid`, `metacopy=on`, `index=off`). */
  readonly options: readonly string[];
}

/** `id parent major:minor root mountpoint options [tag…] - type source superoptions`, each with octal escapes. */
export function parseMountinfo(text: string): Mount[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const fields = line.split(' ');
      const end = fields.indexOf('-', 6);
      const [, , device = '', root = '', mountPoint = '', options = ''] = fields;
      const [fsType = '', source = '', superOptions = ''] = fields.slice(end + 1);
      return {
        device,
        root: unescaped(root),
        mountPoint: unescaped(mountPoint),
        options: options.split(','),
        fsType,
        source: unescaped(source),
        superOptions: superOptions.split(',').map(unescaped), // a comma in a value is escaped as well
      };
    });
}

export async function readMounts(file = '/proc/self/mountinfo'): Promise<Mount[]> {
  return parseMountinfo(await readFile(file, 'utf8'));
}

/** The topmost mount at exactly this place. */
export function mountAt(mounts: readonly Mount[], mountPoint: string): Mount | undefined {
  return mounts.findLast((mount) => mount.mountPoint === mountPoint);
}

/** The overlay at `mountPoint`; undefined when there is none, or none that a container could write to. */
export function overlayAt(mounts: readonly Mount[], mountPoint: string): OverlayMount | undefined {
  const mount = mountAt(mounts, mountPoint);
  if (mount?.fsType !== 'overlay') return undefined;
  const valuesOf = (key: string): string[] =>
    mount.superOptions.filter((option) => option.startsWith(`${key}=`)).map((option) => option.slice(key.length + 1));
  const [upperdir] = valuesOf('upperdir');
  const [workdir] = valuesOf('workdir');
  if (upperdir === undefined || workdir === undefined) return undefined;
  return {
    mountPoint,
    source: mount.source,
    // One option for all of them, or since Linux 6.7 one for each.
    lowerdirs: [...valuesOf('lowerdir').flatMap(splitLayers), ...valuesOf('lowerdir+')],
    upperdir,
    workdir,
    options: [...mount.options, ...mount.superOptions].filter(
      (option) => option !== 'rw' && !/^(?:lowerdir\+?|upperdir|workdir)=/.test(option),
    ),
  };
}

/**
 * The lower folders as absolute paths. Runtimes mount from within a folder of theirs when the options would not fit into
 * one page (containerd: that of all snapshots; CRI-O: that of all layers): it is the nearest one above the upper folder that
 * has them all. Null when a layer is not there, as with those of a user namespace, which are mounted only for a moment.
 */
export async function resolveLayers({ lowerdirs, upperdir }: OverlayMount): Promise<readonly string[] | null> {
  for (let base = dirname(upperdir); ; base = dirname(base)) {
    const layers = lowerdirs.map((layer) => resolve(base, layer));
    const isBase = !layers.includes(upperdir) && (await Promise.all(layers.map(isFolder))).every(Boolean);
    if (isBase) return layers;
    if (base === dirname(base)) return null;
  }
}

/** Colons divide; a backslash makes the next character an ordinary one. */
function splitLayers(value: string): string[] {
  return (value.match(/(?:\\[^]|[^:\\])+/g) ?? []).map((layer) => layer.replaceAll(/\\([^])/g, '$1'));
}

function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** The kernel writes space, tab, newline, backslash and a few others as `\ooo`. */
function unescaped(field: string): string {
  if (!field.includes('\\')) return field;
  const bytes = Buffer.from(field, 'utf8').toString('latin1'); // escapes stand for bytes, not for letters
  const octal = (_: string, digits: string): string => String.fromCharCode(Number.parseInt(digits, 8));
  return Buffer.from(bytes.replaceAll(/\\([0-7]{3})/g, octal), 'latin1').toString('utf8');
}
