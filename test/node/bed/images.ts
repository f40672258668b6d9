import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from '../../cluster/control-plane/cache.ts';
import { runCommand } from '../../cluster/control-plane/command.ts';
import { exists, NODE_TREE, treePath } from './rootfs.ts';
import { tarArchive, type TarMember } from './tar.ts';

/** The names under which nodes know the images. No registry answers for this host: what is not imported is not there. */
export const IMAGES = {
  pause: 'images.reprieve.test/pause:1',
  /** busybox as its shell, and `hog` (programs/hog.c). */
  testTools: 'images.reprieve.test/test-tools:1',
} as const;

interface Image {
  readonly name: string;
  readonly command: readonly string[];
  readonly files: readonly TarMember[];
}

const programs = join(dirname(fileURLToPath(import.meta.url)), 'programs');
const sources = ['pause', 'hog'] as const;

/** Where the OCI archive with all images is, whether made or not: its name follows from what it is made of. */
export async function imagesPath(): Promise<string> {
  const hash = createHash('sha256').update(treePath(NODE_TREE));
  const parts = [fileURLToPath(import.meta.url), ...sources.map((name) => join(programs, `${name}.c`))];
  for (const part of parts) hash.update(await readFile(part));
  return join(cacheFolder(), 'images', `${hash.digest('hex').slice(0, 16)}.tar`);
}

/** Compiles the programs and packs the images where the cache lacks them. Needs the tree of a node, for busybox. */
export async function buildImages(): Promise<void> {
  const path = await imagesPath();
  if (await exists(path)) return;
  await mkdir(dirname(path), { recursive: true });
  const building = await mkdtemp(`${path}.`);
  try {
    const [pause, hog] = (await Promise.all(sources.map((name) => compile(name, building)))) as [Buffer, Buffer];
    const archive = join(building, 'images.tar');
    await writeFile(archive, ociArchive([pauseImage(pause), testTools(await busybox(), hog)]));
    await rename(archive, path);
  } finally {
    await rm(building, { recursive: true, force: true });
  }
}

async function compile(name: string, folder: string): Promise<Buffer> {
  const program = join(folder, name);
  await runCommand('gcc', [
    '-static',
    '-O2',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-o',
    program,
    join(programs, `${name}.c`),
  ]);
  return readFile(program);
}

/** Debian's static one; /bin of the tree is a link to /usr/bin. */
async function busybox(): Promise<Buffer> {
  return readFile(join(treePath(NODE_TREE), 'usr/bin/busybox'));
}

function pauseImage(pause: Buffer): Image {
  return { name: IMAGES.pause, command: ['/pause'], files: [{ path: 'pause', data: pause }] };
}

const FOLDERS = ['bin', 'data', 'dev', 'etc', 'proc', 'root', 'sys', 'tmp'];
const APPLETS = [
  'sh cat echo ls mkdir rm mv cp ln touch stat head tail wc dd sync',
  'sleep date ps kill env id hostname sha256sum mkfifo nc wget httpd true',
].flatMap((line) => line.split(' '));

function testTools(shell: Buffer, hog: Buffer): Image {
  return {
    name: IMAGES.testTools,
    command: ['/bin/sh'],
    files: [
      ...FOLDERS.map((path): TarMember => ({ path, mode: path === 'tmp' ? 0o1777 : 0o755 })),
      { path: 'bin/busybox', data: shell },
      { path: 'bin/hog', data: hog },
      ...APPLETS.map((applet): TarMember => ({ path: `bin/${applet}`, link: 'busybox' })),
    ],
  };
}

/** https://github.com/opencontainers/image-spec/blob/main/image-layout.md, one layer for each image. */
function ociArchive(images: readonly Image[]): Buffer {
  const blobs = new Map<string, Buffer>(); // sha256 -> content
  const blob = (content: Buffer): { digest: string; size: number } => {
    const hash = createHash('sha256').update(content).digest('hex');
    blobs.set(hash, content);
    return { digest: `sha256:${hash}`, size: content.length };
  };
  const type = (name: string): { mediaType: string } => ({ mediaType: `application/vnd.oci.image.${name}` });
  const platform = { os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch };
  const manifests = images.map(({ name, command, files }) => {
    const layer = blob(tarArchive(files));
    const config = blob(
      json({
        ...platform,
        config: { Cmd: command, Env: ['PATH=/bin'] },
        rootfs: { type: 'layers', diff_ids: [layer.digest] },
      }),
    );
    const manifest = json({
      schemaVersion: 2,
      ...type('manifest.v1+json'),
      config: { ...type('config.v1+json'), ...config },
      layers: [{ ...type('layer.v1.tar'), ...layer }],
    });
    const annotations = { 'io.containerd.image.name': name };
    return { ...type('manifest.v1+json'), ...blob(manifest), annotations, platform };
  });
  return tarArchive([
    { path: 'oci-layout', data: json({ imageLayoutVersion: '1.0.0' }), mode: 0o644 },
    { path: 'index.json', data: json({ schemaVersion: 2, manifests }), mode: 0o644 },
    ...[...blobs].map(([hash, data]): TarMember => ({ path: `blobs/sha256/${hash}`, data, mode: 0o644 })),
  ]);
}

function json(value: object): Buffer {
  return Buffer.from(JSON.stringify(value));
}
