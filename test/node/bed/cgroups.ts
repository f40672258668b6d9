import { readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { exists } from './rootfs.ts';

const MOUNT = '/sys/fs/cgroup';

/** One hierarchy of cgroup v2; or one for each controller of v1, and often one of v2 without controllers besides. */
function hierarchies(): { version: 1 | 2; roots: string[] } {
  const controllers = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => ({ path: line.split(' ')[4] ?? '', type: / - (\S+)/.exec(line)?.[1] }))
    .filter(({ path, type }) => path.startsWith(MOUNT) && (type === 'cgroup' || type === 'cgroup2'));
  const version = controllers.some(({ type }) => type === 'cgroup') ? 1 : 2;
  return { version, roots: [...new Set(controllers.map(({ path }) => path))] };
}

/**
 * A cgroup that a kubelet takes as the root of its pods (`cgroupRoot: /NAME`). Two kubelets on one kernel need different
 * ones, or each removes the other's pods.
 */
export function makeCgroup(name: string): void {
  const { version, roots } = hierarchies();
  for (const root of roots) {
    const parts = name.split('/');
    for (let depth = 1; depth <= parts.length; depth++) {
      const folder = join(root, ...parts.slice(0, depth));
      const parent = join(folder, '..');
      mkdirSync(folder, { recursive: true });
      // A new group of cpuset (v1) may run nowhere until it is told where; one of v2 has the controllers its parent gives it.
      if (version === 2) give(parent);
      else if (root.endsWith('cpuset'))
        for (const file of ['cpuset.cpus', 'cpuset.mems'])
          writeFileSync(join(folder, file), readFileSync(join(parent, file)));
    }
    if (version === 2) give(join(root, name));
  }
}

function give(parent: string): void {
  const controllers = readFileSync(join(parent, 'cgroup.controllers'), 'utf8').trim().split(' ');
  writeFileSync(join(parent, 'cgroup.subtree_control'), controllers.map((controller) => `+${controller}`).join(' '));
}

/** Processes of a frozen group do not even die of SIGKILL (v1). */
export async function thawCgroup(name: string): Promise<void> {
  for (const root of hierarchies().roots) {
    for (const group of await groupsBelow(join(root, name))) {
      for (const [file, text] of [
        ['freezer.state', 'THAWED'],
        ['cgroup.freeze', '0'],
      ] as const)
        if (await exists(join(group, file))) await writeFile(join(group, file), text).catch(goneIsFine);
    }
  }
}

/** Removes the group and those below it, waiting for their processes to be gone; they are ended by whoever started them. */
export async function removeCgroup(name: string, withinMs = 10_000): Promise<void> {
  const deadlineMs = Date.now() + withinMs;
  for (const root of hierarchies().roots) {
    for (const group of (await groupsBelow(join(root, name))).reverse()) {
      for (;;) {
        const error = await rmdir(group).then(
          () => null,
          (failure: NodeJS.ErrnoException) => failure,
        );
        if (error === null || error.code === 'ENOENT') break;
        if (Date.now() > deadlineMs) {
          const pids = (await readFile(join(group, 'cgroup.procs'), 'utf8').catch(() => '')).split('\n').join(' ');
          throw new Error(`${group} cannot be removed (${error.code}); its processes: ${pids}`);
        }
        await sleep(50);
      }
    }
  }
}

/** Parents before children; none where the group is not there. */
async function groupsBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => null);
  if (entries === null) return [];
  const below = await Promise.all(
    entries.filter((entry) => entry.isDirectory()).map(({ name }) => groupsBelow(join(folder, name))),
  );
  return [folder, ...below.flat()];
}

function goneIsFine(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT' && error.code !== 'ENODEV') throw error;
}
