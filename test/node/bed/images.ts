import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from '../../cluster/control-plane/cache.ts';
import { runCommand } from '../../cluster/control-plane/command.ts';
import { writeOciArchive, type Image } from './oci.ts';
import { exists, LANGUAGES_TREE, NODE_TREE, treePath } from './rootfs.ts';
import { tarArchive, type TarMember } from './tar.ts';

/** The names under which nodes know the images. No registry answers for this host: what is not imported is not there. */
export const IMAGES = {
  pause: 'images.reprieve.test/pause:1',
  /** busybox as its shell, `hog` and `twin` (programs/hog.c, programs/twin.c). */
  testTools: 'images.reprieve.test/test-tools:1',
  /** The same with other contents of /etc/image-file. */
  otherTools: 'images.reprieve.test/test-tools:2',
  /** CPython, a JDK, Node.js, and the other programs of that folder in /programs. */
  languages: 'images.reprieve.test/languages:1',
} as const;

/** One file for `ctr images import`, made of what `parts` names. */
export interface Archive {
  readonly name: string;
  /** Files and texts; when one changes, the archive is made again. */
  readonly parts: () => Promise<readonly (string | Buffer)[]>;
  /** `folder` is for what it needs on the way. */
  readonly images: (folder: string) => Promise<readonly Image[]>;
}

const here = dirname(fileURLToPath(import.meta.url));
const program = (file: string): string => join(here, 'programs', file);
const SCRIPTS = ['count.py', 'Count.java', 'count.mjs'];

/** Every node has these. */
export const BASIC_IMAGES: Archive = {
  name: 'basic',
  parts: () => Promise.all(['pause.c', 'hog.c', 'twin.c'].map((file) => readFile(program(file)))),
  images: async (folder) => {
    // Debian's busybox is static; /bin of the tree is a link to /usr/bin.
    const shell = await readFile(join(treePath(NODE_TREE), 'usr/bin/busybox'));
    const [pause, hog, twin] = [
      await compile('pause', folder),
      await compile('hog', folder),
      await compile('twin', folder),
    ];
    return [
      { name: IMAGES.pause, command: ['/pause'], layers: [tarArchive([{ path: 'pause', data: pause }])] },
      { name: IMAGES.testTools, command: ['/bin/sh'], layers: [testTools(shell, hog, twin, 'of the image\n')] },
      { name: IMAGES.otherTools, command: ['/bin/sh'], layers: [testTools(shell, hog, twin, 'of another image\n')] },
    ];
  },
};

/** 600 MB on every node: for those who ask for it. */
export const LANGUAGE_IMAGES: Archive = {
  name: 'languages',
  parts: async () => [treePath(LANGUAGES_TREE), process.version, ...(await scripts())],
  images: async (folder) => {
    const [python, java, node] = (await scripts()) as [Buffer, Buffer, Buffer];
    const added = tarArchive([
      { path: 'usr/local/bin/node', data: await readFile(process.execPath) },
      { path: 'programs' },
      { path: 'programs/count.py', data: python },
      { path: 'programs/Count.java', data: java },
      { path: 'programs/count.mjs', data: node },
    ]);
    return [
      {
        name: IMAGES.languages,
        command: ['/bin/sh'],
        layers: [await packedTree(treePath(LANGUAGES_TREE), folder), added],
      },
    ];
  },
};

const WITHOUT = [
  './var/cache',
  './var/lib/apt',
  './usr/share/doc',
  './usr/share/man',
  './usr/share/locale',
  './usr/lib/jvm/*/jmods',
];

/** A tree as a layer: the path of a file in `folder`. */
export async function packedTree(tree: string, folder: string): Promise<string> {
  const path = join(folder, 'tree.tar');
  const excluded = WITHOUT.map((excluded) => `--exclude=${excluded}`);
  const reproducible = ['--sort=name', '--numeric-owner', '--mtime=@0'];
  await runCommand('tar', ['-C', tree, ...reproducible, ...excluded, '-cf', path, '.']);
  return path;
}

function scripts(): Promise<Buffer[]> {
  return Promise.all(SCRIPTS.map((file) => readFile(program(file))));
}

/** Where the archive is, whether made or not: its name follows from what it is made of. */
export async function archivePath({ name, parts }: Archive): Promise<string> {
  const hash = createHash('sha256').update(treePath(NODE_TREE));
  for (const file of ['images.ts', 'oci.ts', 'tar.ts']) hash.update(await readFile(join(here, file)));
  for (const part of await parts()) hash.update(part);
  return join(cacheFolder(), 'images', `${name}-${hash.digest('hex').slice(0, 16)}.tar`);
}

/** Makes the archive where the cache lacks it. Needs gcc, tar and the trees. */
export async function buildArchive(archive: Archive): Promise<void> {
  const path = await archivePath(archive);
  if (await exists(path)) return;
  await mkdir(dirname(path), { recursive: true });
  const building = await mkdtemp(`${path}.`);
  try {
    const complete = join(building, 'complete.tar');
    await writeOciArchive(complete, await archive.images(building), building);
    await rename(complete, path);
  } finally {
    await rm(building, { recursive: true, force: true });
  }
}

async function compile(name: string, folder: string): Promise<Buffer> {
  const out = join(folder, name);
  await runCommand('gcc', ['-static', '-O2', '-Wall', '-Wextra', '-Werror', '-o', out, program(`${name}.c`)]);
  return readFile(out);
}

const FOLDERS = ['bin', 'data', 'dev', 'etc', 'proc', 'root', 'sys', 'tmp'];
const APPLETS = [
  'sh cat echo ls mkdir rm mv cp ln touch stat head tail wc dd sync',
  'sleep date ps kill env id hostname sha256sum mkfifo nc wget httpd true',
  'find sort chmod chown readlink',
].flatMap((line) => line.split(' '));

function testTools(shell: Buffer, hog: Buffer, twin: Buffer, imageFile: string): Buffer {
  return tarArchive([
    ...FOLDERS.map((path): TarMember => ({ path, mode: path === 'tmp' ? 0o1777 : 0o755 })),
    { path: 'bin/busybox', data: shell },
    { path: 'bin/hog', data: hog },
    { path: 'bin/twin', data: twin },
    { path: 'etc/image-file', data: Buffer.from(imageFile) },
    { path: 'data/image-file', data: Buffer.from('of the image\n') },
    ...APPLETS.map((applet): TarMember => ({ path: `bin/${applet}`, link: 'busybox' })),
  ]);
}
