import { createHash } from 'node:crypto';
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BuildOptions } from '../cluster/control-plane/binaries.ts';
import { cacheFolder } from '../cluster/control-plane/cache.ts';
import { runCommand } from '../cluster/control-plane/command.ts';
import { buildTree, madeOnce, treePath, type TreeRecipe } from '../node/bed/rootfs.ts';
import type { ImageName, Ingredients, Program } from './types.ts';

/** What every tree begins as. */
const BASE: TreeRecipe = { name: 'base', suite: 'sid', packages: ['ca-certificates'] };
/** Lines of what a registry did not have when the tree was made. */
const MISSING = 'opt/missing';
const SOURCES = join(dirname(fileURLToPath(import.meta.url)), 'sources');

/** What all programs of an image need. */
export interface ProgramsTree {
  readonly image: ImageName;
  readonly needs: Required<Ingredients>;
}

const KINDS = ['debian', 'npm', 'pypi', 'maven', 'compiled'] as const;
type Kind = (typeof KINDS)[number];

export function treeOf(image: ImageName, programs: readonly Program[]): ProgramsTree {
  const needs = programs.filter((program) => program.image === image).map((program) => program.needs);
  const all = (kind: Kind): readonly string[] => [...new Set(needs.flatMap((its) => its[kind] ?? []))].sort();
  return {
    image,
    needs: {
      debian: all('debian'),
      npm: all('npm'),
      pypi: all('pypi'),
      maven: all('maven'),
      compiled: all('compiled'),
    },
  };
}

/** Where the tree is, whether made or not. */
export async function programsTreePath({ image, needs }: ProgramsTree): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(needs));
  hash.update(await readFile(fileURLToPath(import.meta.url)));
  for (const file of needs.compiled) hash.update(await readSource(file));
  return join(cacheFolder(), 'trees', `programs-${image}-${hash.digest('hex').slice(0, 16)}`);
}

export function readSource(file: string): Promise<string> {
  return readFile(join(SOURCES, file), 'utf8');
}

/**
 * Makes the tree where the cache lacks it: two to six minutes. What a registry does not have is left out, and named by
 * {@link missingIn}. Needs root, the machine's Debian mirror, and the ordinary client of each registry.
 */
export async function buildProgramsTree(tree: ProgramsTree, options: BuildOptions): Promise<void> {
  await buildTree(BASE, options);
  await madeOnce(await programsTreePath(tree), `the tree of ${tree.image}`, options, async (building) => {
    await runCommand('cp', ['-a', treePath(BASE), building]);
    await installDebian(tree.needs.debian, building);
    for (const kind of KINDS) {
      if (kind === 'debian') continue;
      for (const ingredient of tree.needs[kind]) {
        await ADD[kind](ingredient, building).catch((error: Error) => {
          options.log(`without ${ingredient}: ${error.message}`);
          return lack(building, ingredient);
        });
      }
    }
  });
}

/** Ingredients that the tree was made without. */
export async function missingIn(tree: ProgramsTree): Promise<readonly string[]> {
  const text = await readFile(join(await programsTreePath(tree), MISSING), 'utf8').catch(() => '');
  return text.split('\n').filter((line) => line !== '');
}

async function installDebian(packages: readonly string[], tree: string): Promise<void> {
  // The maintainer scripts of servers would start them.
  await writeFile(join(tree, 'usr/sbin/policy-rc.d'), '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  await writeFile(join(tree, 'etc/resolv.conf'), await readFile('/etc/resolv.conf'));
  // A mirror that stands still for some weeks is as good as another.
  await inside(tree, 'apt-get', '-o', 'Acquire::Check-Valid-Until=false', 'update', '-qq');
  const known = await inside(tree, 'apt-cache', 'pkgnames');
  const names = new Set(known.split('\n'));
  for (const name of packages) if (!names.has(name)) await lack(tree, name);
  const install = ['apt-get', 'install', '-y', '-qq', '--no-install-recommends'];
  await inside(tree, ...install, ...packages.filter((name) => names.has(name)));
  await inside(tree, 'apt-get', 'clean');
}

/** Registry -> how one thing of it is put into a tree. */
const ADD: Readonly<Record<Exclude<Kind, 'debian'>, (ingredient: string, tree: string) => Promise<void>>> = {
  npm: async (name, tree) => {
    const quiet = ['--no-audit', '--no-fund', '--silent'];
    await runCommand('npm', ['install', '--prefix', join(tree, 'opt/npm'), ...quiet, name]);
  },
  pypi: async (name, tree) => {
    await runCommand('python3', ['-m', 'pip', 'install', '--quiet', '--target', join(tree, 'opt/pypi'), name]);
  },
  maven: async (coordinates, tree) => {
    const [group = '', artifact = '', version = ''] = coordinates.split(':');
    const folder = join(tree, 'opt/maven', artifact);
    await mkdir(folder, { recursive: true });
    const pom = `<project><modelVersion>4.0.0</modelVersion><groupId>programs</groupId><artifactId>jars</artifactId><version>1</version>
      <dependencies><dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency></dependencies></project>`;
    await writeFile(join(folder, 'pom.xml'), pom);
    const copy = ['-q', '-B', 'dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${folder}`];
    await runCommand('mvn', copy, { cwd: folder });
  },
  compiled: compile,
};

async function compile(file: string, tree: string): Promise<void> {
  const source = join(SOURCES, file);
  const out = join(tree, 'opt/bin', basename(file, extname(file)));
  await mkdir(dirname(out), { recursive: true });
  if (file.endsWith('.c')) {
    await runCommand('gcc', ['-shared', '-fPIC', '-O2', '-o', out, source]);
    return;
  }
  if (file.endsWith('.go')) {
    await runCommand('go', ['build', '-o', out, source], {
      env: { ...process.env, CGO_ENABLED: '0', GO111MODULE: 'off' },
    });
    return;
  }
  const folder = await mkdtemp(join(tmpdir(), 'reprieve-crate-'));
  try {
    await runCommand('cargo', ['init', '--quiet', '--name', 'program', '--vcs', 'none', folder]);
    await appendFile(join(folder, 'Cargo.toml'), 'tokio = { version = "1", features = ["full"] }\n');
    await writeFile(join(folder, 'src/main.rs'), await readFile(source));
    await runCommand('cargo', ['build', '--quiet', '--release'], { cwd: folder });
    await runCommand('cp', [join(folder, 'target/release/program'), out]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What a command printed that ran with the tree as its root. */
function inside(tree: string, ...command: string[]): Promise<string> {
  const script = 'mount -t proc proc "$0/proc"; mount --rbind /dev "$0/dev"; exec chroot "$0" "$@"';
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
  return runCommand('unshare', ['--mount', 'sh', '-ec', script, tree, ...command], { env });
}

async function lack(tree: string, ingredient: string): Promise<void> {
  await appendFile(join(tree, MISSING), `${ingredient}\n`);
}
