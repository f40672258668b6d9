import { join } from 'node:path';
import { mayHave, type ContainerRights } from './container-rights.ts';
import { ImageRefused, type Message } from './decode.ts';

/** `fstype` of mnt_entry. */
const TYPES = { proc: 1, sysfs: 2, tmpfs: 5, devpts: 6, cgroup: 12, mqueue: 14, cgroup2: 23 } as const;
const BITS = { ro: 1, nosuid: 2, nodev: 4, noexec: 8 } as const;
/** Options of file systems that are mounted anew. */
const OPTIONS =
  /^(?:(?:size|nr_inodes|nr_blocks|mode|uid|gid|ptmxmode|max|huge|mpol|hidepid|subset)=[\w%:.-]+|newinstance|inode32|inode64|noswap)?$/;
/** What runc gives CRIU as the source of a file that it masks. */
const NULL_KEY = '/dev/null';

interface Expected {
  /** Other than the first are for a version 1 and 2 of cgroups. */
  readonly types: readonly number[];
  /** What the runtime binds there; null: it is mounted anew. */
  readonly external: boolean;
  readonly flags: number;
}

/**
 * The mounts that the processes come back with are those of the new container, no fewer and no more, with its flags: the image says
 * what CRIU mounts, not the spec.
 */
export function checkMounts(rights: ContainerRights, entries: readonly Message[]): void {
  const byId = new Map(entries.map((entry) => [entry.number('mnt_id'), entry]));
  const byPlace = new Map<string, Message>();
  for (const entry of entries) {
    const place = entry.text('mountpoint');
    if (!isPlainPath(place))
      throw new ImageRefused(`it has a mount at ${JSON.stringify(place)}, which is no plain path`);
    if (byPlace.has(place)) throw new ImageRefused(`it has two mounts at ${place}`);
    byPlace.set(place, entry);
  }
  if (byId.size !== entries.length) throw new ImageRefused('two of its mounts have the same id');
  const expected = expectedMounts(rights);
  for (const place of [...expected.keys(), '/']) {
    if (!byPlace.has(place)) throw new ImageRefused(`the container has a mount at ${place}, which is missing`);
  }
  for (const [place, entry] of byPlace) {
    if (place !== '/') checkParent(place, entry, byPlace);
    checkMount(rights, { place, entry, expected: expected.get(place), byPlace });
  }
}

function expectedMounts({ spec }: ContainerRights): ReadonlyMap<string, Expected> {
  return new Map(
    (spec.mounts ?? []).map(({ destination, type = '', options = [] }): [string, Expected] => {
      const isBound = options.includes('bind') || options.includes('rbind') || type === 'bind';
      const flags = Object.entries(BITS).reduce((sum, [name, bit]) => (options.includes(name) ? sum | bit : sum), 0);
      const place = join('/', destination).replace(/(.)\/$/, '$1');
      if (isBound) return [place, { types: [], external: true, flags }];
      // Version 1 is a tmpfs with a folder for each hierarchy, which alone are read-only.
      if (type === 'cgroup')
        return [place, { types: [TYPES.tmpfs, TYPES.cgroup2], external: false, flags: flags & ~BITS.ro }];
      const known = TYPES[type as keyof typeof TYPES];
      if (known === undefined)
        throw new ImageRefused(`the container has a mount of the unknown kind ${type} at ${place}`);
      return [place, { types: [known], external: false, flags }];
    }),
  );
}

interface Mounted {
  readonly place: string;
  readonly entry: Message;
  readonly expected: Expected | undefined;
  readonly byPlace: ReadonlyMap<string, Message>;
}

function checkMount(rights: ContainerRights, { place, entry, expected, byPlace }: Mounted): void {
  const { spec } = rights;
  const [type, key, flags] = [entry.number('fstype'), entry.text('ext_key'), entry.number('flags')];
  if (place === '/') {
    // What is mounted there, the runtime says.
    if (spec.root?.readonly === true && (flags & BITS.ro) === 0)
      throw new ImageRefused('its root filesystem can be written to');
    if (key !== '') throw new ImageRefused('its root filesystem is bound from outside');
    return;
  }
  const need = (wanted: number): void => {
    const missing = Object.entries(BITS).find(([, bit]) => (wanted & bit) !== 0 && (flags & bit) === 0);
    if (missing !== undefined)
      throw new ImageRefused(`its mount at ${place} is not ${missing[0]}, and that of the container is`);
  };
  if (expected?.external === true) {
    if (key !== place) throw new ImageRefused(`its mount at ${place} is not what the runtime binds there`);
    return need(expected.flags);
  }
  if (spec.linux?.maskedPaths?.includes(place) === true) {
    if (key === NULL_KEY) return;
    if (key !== '' || type !== TYPES.tmpfs) throw new ImageRefused(`it does not mask ${place}, and the container does`);
    checkAnew(place, entry);
    return need(BITS.ro);
  }
  if (spec.linux?.readonlyPaths?.includes(place) === true) {
    const parent = nearest(place, byPlace);
    const rest = place.slice(parent === '/' ? 0 : parent.length);
    const isPart = byPlace.get(parent)?.number('fstype') === type && entry.text('root') === rest && key === '';
    if (!isPart) throw new ImageRefused(`its mount at ${place} is not that part of ${parent}`);
    return need(BITS.ro);
  }
  const hierarchies = (spec.mounts ?? []).find(
    (mount) => mount.type === 'cgroup' && place.startsWith(`${mount.destination}/`),
  );
  if (hierarchies !== undefined && type === TYPES.cgroup) {
    if (key !== place) throw new ImageRefused(`its mount at ${place} is not what the runtime binds there`);
    return need(hierarchies.options?.includes('ro') === true ? BITS.ro : 0);
  }
  if (expected !== undefined) {
    const isCgroup2 = type === TYPES.cgroup2 && expected.types.includes(TYPES.cgroup2) && key === place;
    if (!isCgroup2 && (!expected.types.includes(type) || key !== '')) {
      throw new ImageRefused(`its mount at ${place} is of another kind than that of the container`);
    }
    if (!isCgroup2) checkAnew(place, entry);
    return need(expected.flags);
  }
  // A privileged container may mount such ones itself.
  const isMadeAnew = Object.values(TYPES).includes(type as (typeof TYPES)['proc']) && key === '';
  if (!isMadeAnew || !mayHave(rights, 'CAP_SYS_ADMIN'))
    throw new ImageRefused(`it has a mount at ${place}, and the container has none`);
  checkAnew(place, entry);
}

/** The options and the root of a file system that CRIU mounts itself. */
function checkAnew(place: string, entry: Message): void {
  const odd = entry
    .text('options')
    .split(',')
    .find((option) => !OPTIONS.test(option));
  if (odd !== undefined) throw new ImageRefused(`its mount at ${place} has the option ${odd}`);
  if (entry.text('root') !== '/') throw new ImageRefused(`its mount at ${place} is part of another`);
}

/** What is masked or read-only must lie on top of the file system whose part it is. */
function checkParent(place: string, entry: Message, byPlace: ReadonlyMap<string, Message>): void {
  const parent = nearest(place, byPlace);
  if (byPlace.get(parent)?.number('mnt_id') !== entry.number('parent_mnt_id')) {
    throw new ImageRefused(`its mount at ${place} does not lie on that at ${parent}`);
  }
}

function nearest(place: string, byPlace: ReadonlyMap<string, Message>): string {
  for (let at = place.lastIndexOf('/'); at > 0; at = place.lastIndexOf('/', at - 1)) {
    if (byPlace.has(place.slice(0, at))) return place.slice(0, at);
  }
  return '/';
}

/** What this kernel has of the masked and read-only paths of the container is there. */
export function checkHidden({ spec, exists }: ContainerRights, entries: readonly Message[]): void {
  const places = new Set(entries.map((entry) => entry.text('mountpoint')));
  for (const path of [...(spec.linux?.maskedPaths ?? []), ...(spec.linux?.readonlyPaths ?? [])]) {
    if (!places.has(path) && exists(path))
      throw new ImageRefused(`it neither masks nor protects ${path}, and the container does`);
  }
}

function isPlainPath(path: string): boolean {
  return path === '/' || /^(?:\/(?!\.{1,2}(?:\/|$))[^/]+)+$/.test(path);
}
