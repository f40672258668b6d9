import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../../cluster/control-plane/command.ts';

export interface Image {
  /** Name and tag under which containerd knows it after the import. */
  readonly name: string;
  readonly command: readonly string[];
  /** Uncompressed tar archives, the lowest first: the bytes, or the path of a file, which is moved. */
  readonly layers: readonly (Buffer | string)[];
}

interface Blob {
  readonly digest: string;
  readonly size: number;
}

const PLATFORM = { os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch };

/**
 * Writes images into one archive, as `ctr images import` takes it. `folder` is for what it needs on the way:
 * https://github.com/opencontainers/image-spec/blob/main/image-layout.md
 */
export async function writeOciArchive(path: string, images: readonly Image[], folder: string): Promise<void> {
  const layout = new Layout(join(folder, 'layout'));
  await mkdir(layout.blobs, { recursive: true });
  const manifests: object[] = [];
  for (const { name, command, layers } of images) {
    const blobs: Blob[] = [];
    for (const layer of layers)
      blobs.push(typeof layer === 'string' ? await layout.move(layer) : await layout.add(layer));
    const config = await layout.json({
      ...PLATFORM,
      config: { Cmd: command, Env: ['PATH=/usr/local/bin:/usr/bin:/bin'] },
      rootfs: { type: 'layers', diff_ids: blobs.map(({ digest }) => digest) },
    });
    const manifest = await layout.json({
      schemaVersion: 2,
      ...type('manifest.v1+json'),
      config: { ...type('config.v1+json'), ...config },
      layers: blobs.map((blob) => ({ ...type('layer.v1.tar'), ...blob })),
    });
    const annotations = { 'io.containerd.image.name': name };
    manifests.push({ ...type('manifest.v1+json'), ...manifest, annotations, platform: PLATFORM });
  }
  await writeFile(join(layout.folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  await writeFile(join(layout.folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
  await runCommand('tar', ['-C', layout.folder, '-cf', path, 'oci-layout', 'index.json', 'blobs']);
}

class Layout {
  readonly folder: string;
  readonly blobs: string;

  constructor(folder: string) {
    this.folder = folder;
    this.blobs = join(folder, 'blobs/sha256');
  }

  async add(content: Buffer): Promise<Blob> {
    const path = join(this.folder, 'new');
    await writeFile(path, content);
    return this.move(path);
  }

  json(value: object): Promise<Blob> {
    return this.add(Buffer.from(JSON.stringify(value)));
  }

  async move(path: string): Promise<Blob> {
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
    const digest = hash.digest('hex');
    const { size } = await stat(path);
    await rename(path, join(this.blobs, digest));
    return { digest: `sha256:${digest}`, size };
  }
}

function type(name: string): { mediaType: string } {
  return { mediaType: `application/vnd.oci.image.${name}` };
}
