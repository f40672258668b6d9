import { readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerIdentity } from '../runtime/containers.ts';
import type { OciMount } from '../runtime/oci-spec.ts';

/** A mount of a spec, and where it is in the container: `/var/run` of an image is often a link to `/run`. */
export interface SpecMount extends OciMount {
  readonly place: string;
}

/** No image has more links on the way to one place; the kernel follows no more. */
const MOST_LINKS = 40;

/** `root`: where the files of the container are seen. */
export function specMounts({ spec }: Pick<ContainerIdentity, 'spec'>, root: string): Promise<readonly SpecMount[]> {
  return Promise.all(
    (spec.mounts ?? []).map(async (mount) => ({ ...mount, place: await resolved(root, mount.destination) })),
  );
}

/** The mount that a path of the container lies on; undefined: its root filesystem. */
export function mountOf(mounts: readonly SpecMount[], path: string): SpecMount | undefined {
  return mounts
    .filter(({ place }) => path === place || path.startsWith(`${place}/`))
    .toSorted((a, b) => b.place.length - a.place.length)[0];
}

/** The path without links, seen from within `root`. */
async function resolved(root: string, path: string): Promise<string> {
  let at = '';
  const rest = path.split('/');
  for (let links = 0; rest.length > 0;) {
    const part = rest.shift() as string;
    if (part === '' || part === '.') continue;
    if (part === '..') {
      at = at.slice(0, at.lastIndexOf('/'));
      continue;
    }
    const target = await readlink(join(root, at, part)).catch(() => null);
    if (target === null || ++links > MOST_LINKS) {
      at = `${at}/${part}`;
      continue;
    }
    if (target.startsWith('/')) at = '';
    rest.unshift(...target.split('/'));
  }
  return at === '' ? '/' : at;
}
