import { createHash } from 'node:crypto';
import { tarArchive, type TarMember } from './tar.ts';

export interface Image {
  /** Name and tag under which containerd knows it after the import. */
  readonly name: string;
  readonly command: readonly string[];
  /** Uncompressed tar archives, the lowest first. */
  readonly layers: readonly Buffer[];
}

/** Images in one archive, as `ctr images import` takes it: https://github.com/opencontainers/image-spec/blob/main/image-layout.md */
export function ociArchive(images: readonly Image[]): Buffer {
  const blobs = new Map<string, Buffer>(); // sha256 -> content
  const blob = (content: Buffer): { digest: string; size: number } => {
    const hash = createHash('sha256').update(content).digest('hex');
    blobs.set(hash, content);
    return { digest: `sha256:${hash}`, size: content.length };
  };
  const type = (name: string): { mediaType: string } => ({ mediaType: `application/vnd.oci.image.${name}` });
  const platform = { os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch };
  const manifests = images.map((image) => {
    const layers = image.layers.map(blob);
    const config = blob(
      json({
        ...platform,
        config: { Cmd: image.command, Env: ['PATH=/usr/local/bin:/usr/bin:/bin'] },
        rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
      }),
    );
    const manifest = json({
      schemaVersion: 2,
      ...type('manifest.v1+json'),
      config: { ...type('config.v1+json'), ...config },
      layers: layers.map((layer) => ({ ...type('layer.v1.tar'), ...layer })),
    });
    const annotations = { 'io.containerd.image.name': image.name };
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
