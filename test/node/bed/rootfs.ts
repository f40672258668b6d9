import { createHash } from 'node:crypto';
import { access, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder } from '../../cluster/control-plane/cache.ts';
import { runCommand } from '../../cluster/control-plane/command.ts';
import { withLock } from '../../cluster/control-plane/lock.ts';
import type { BuildOptions } from '../../cluster/control-plane/binaries.ts';

/** A Debian tree. Plain data: its hash names the folder in the cache, so another recipe never meets an old tree. */
export interface TreeRecipe {
  readonly name: string;
  readonly suite: string;
  readonly packages: readonly string[];
}

/** A node: containerd 2.1, runc 1.3, CRIU 4.2 (the 3.17 of Debian 12 fails on kernels of today), and what they call. */
export const NODE_TREE: TreeRecipe = {
  name: 'node',
  suite: 'sid',
  packages: [
    'containerd runc criu containernetworking-plugins',
    'iproute2 iptables conntrack mount util-linux kmod procps attr ca-certificates',
    'busybox-static libstdc++6 libatomic1', // the last two are what Node.js links to
  ].flatMap((line) => line.split(' ')),
};

/** What containers run: CPython, a JDK, and the libraries that Node.js links to. */
export const LANGUAGES_TREE: TreeRecipe = {
  name: 'languages',
  suite: 'sid',
  packages: ['python3-minimal', 'openjdk-25-jdk-headless', 'libstdc++6', 'libatomic1'],
};

/** Where the tree is, whether made or not. */
export function treePath(recipe: TreeRecipe): string {
  const hash = createHash('sha256').update(JSON.stringify(recipe)).digest('hex');
  return join(cacheFolder(), 'trees', `${recipe.name}-${hash.slice(0, 16)}`);
}

/** Makes the tree where the cache lacks it: about 50 s. Needs root and the machine's Debian mirror. */
export async function buildTree(recipe: TreeRecipe, options: BuildOptions): Promise<void> {
  const { name, suite, packages } = recipe;
  await madeOnce(treePath(recipe), `the tree ${name} from Debian ${suite}`, options, async (building) => {
    const mirror = await debianMirror();
    await haveDebootstrap(options.log);
    const command = ['--variant=minbase', `--include=${packages.join(',')}`, suite, building, mirror];
    await runCommand('debootstrap', command, options.signal ? { signal: options.signal } : {});
    await rm(join(building, 'var/cache/apt'), { recursive: true, force: true });
  });
}

/** Makes a folder of the cache where it is not there. It is complete or absent. */
export async function madeOnce(
  folder: string,
  what: string,
  { log, signal }: BuildOptions,
  make: (building: string) => Promise<void>,
): Promise<void> {
  if (await exists(folder)) return;
  await mkdir(join(folder, '..'), { recursive: true });
  await withLock(folder, signal, async () => {
    if (await exists(folder)) return; // another process made it while we waited
    const building = `${folder}.building`;
    await rm(building, { recursive: true, force: true });
    try {
      log(`making ${what} (once; minutes)`);
      const startedMs = Date.now();
      await make(building);
      await rename(building, folder);
      log(`made ${what} in ${((Date.now() - startedMs) / 1000).toFixed(0)} s`);
    } finally {
      await rm(building, { recursive: true, force: true });
    }
  });
}

async function haveDebootstrap(log: BuildOptions['log']): Promise<void> {
  if (await works('debootstrap', ['--version'])) return;
  log('installing debootstrap');
  const install = ['install', '-y', '-qq', '--no-install-recommends', 'debootstrap'];
  try {
    await runCommand('apt-get', ['update', '-qq']);
    await runCommand('apt-get', install);
  } catch (error) {
    throw new Error(`"apt-get ${install.join(' ')}" failed: install debootstrap by other means`, { cause: error });
  }
}

const SOURCES = ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list'];

/** The mirror that this machine itself installs from. */
async function debianMirror(): Promise<string> {
  for (const path of SOURCES) {
    const text = await readFile(path, 'utf8').catch(() => '');
    const found = /^URIs:\s*(\S+)/m.exec(text) ?? /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)/m.exec(text);
    if (found?.[1] !== undefined) return found[1];
  }
  throw new Error(`no Debian mirror in ${SOURCES.join(' or ')}: name one there, as apt itself needs it`);
}

/** Whether a command is there and ends well. */
export async function works(command: string, args: readonly string[]): Promise<boolean> {
  return runCommand(command, args).then(
    () => true,
    () => false,
  );
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
