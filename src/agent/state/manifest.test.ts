import { createHash } from 'node:crypto';
import { appendFile, mkdir, mkdtemp, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ZodError } from 'zod';
import { makeManifest } from './make-manifest.ts';
import {
  encodeManifest,
  listFiles,
  manifestDigest,
  readManifest,
  verify,
  writeManifest,
  type Manifest,
} from './manifest.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'manifest-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function write(path: string, content: string): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), content);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

describe('listFiles', () => {
  it('lists contents by path, without what is no state', async () => {
    await write('shm.tar', 'b');
    await write('containers/web/images/core-1.img', 'a');
    await write('containers/web/work/dump.log', 'x');
    await write('order.json', 'x');
    await write('manifest.json', 'x');
    expect(await listFiles(folder)).toEqual([
      { path: 'containers/web/images/core-1.img', bytes: 1, sha256: sha256('a') },
      { path: 'shm.tar', bytes: 1, sha256: sha256('b') },
    ]);
  });

  it('takes a known digest only while the size agrees', async () => {
    await write('a', 'xx');
    await write('b', 'xx');
    const known = { bytes: 2, sha256: sha256('known') };
    const files = await listFiles(
      folder,
      new Map([
        ['a', known],
        ['b', { ...known, bytes: 1 }],
      ]),
    );
    expect(files.map(({ sha256 }) => sha256)).toEqual([sha256('known'), sha256('xx')]);
  });

  it('refuses a symlink', async () => {
    await symlink('/etc/passwd', join(folder, 'link'));
    await expect(listFiles(folder)).rejects.toThrow('link is neither a file nor a folder');
  });
});

describe('verify', () => {
  let manifest: Manifest;
  beforeEach(async () => {
    await write('a.img', 'aaaa');
    await write('sub/b.tar', 'bbbb');
    manifest = makeManifest({ files: await listFiles(folder) });
  });

  it('finds nothing wrong with what was saved', async () => {
    expect(await verify(folder, manifest)).toBeNull();
  });

  it.each<[string, () => Promise<void>, string]>([
    ['a file that is missing', () => rm(join(folder, 'a.img')), 'a.img is missing'],
    ['a file too many', () => write('sub/c', ''), 'sub/c is not in the manifest'],
    ['a file cut off', () => truncate(join(folder, 'sub/b.tar'), 3), 'sub/b.tar has 3 bytes, and the manifest says 4'],
    ['a file with more', () => appendFile(join(folder, 'a.img'), 'x'), 'a.img has 5 bytes'],
    ['a byte that changed', () => write('sub/b.tar', 'bbxb'), 'sub/b.tar was changed'],
    ['a symlink', () => symlink('a.img', join(folder, 'l')), 'l is neither'],
    [
      'a symlink in place of a file',
      async () => {
        await rm(join(folder, 'a.img'));
        await write('order.json', 'aaaa');
        await symlink('order.json', join(folder, 'a.img'));
      },
      'a.img is neither',
    ],
  ])('names %s', async (_, change, message) => {
    await change();
    expect(await verify(folder, manifest)).toEqual({
      reason: 'DigestMismatch',
      message: expect.stringContaining(message) as string,
    });
  });
});

describe('a manifest', () => {
  it('has one text, whatever the order of its keys', () => {
    const manifest = makeManifest();
    const reversed = Object.fromEntries(Object.entries(manifest).reverse()) as Manifest;
    expect(encodeManifest(reversed)).toBe(encodeManifest(manifest));
    expect(manifestDigest('x')).toBe(`sha256:${sha256('x')}`);
  });

  it('comes back from the disk, and leaves no draft', async () => {
    const path = join(folder, 'manifest.json');
    const digest = await writeManifest(path, makeManifest());
    expect(await readManifest(path, digest)).toEqual({ manifest: makeManifest() });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await expect(stat(`${path}.tmp`)).rejects.toThrow('ENOENT');
    expect(manifestDigest(await readFile(path, 'utf8'))).toBe(digest);
  });

  it('is not trusted with another digest, or when it is missing', async () => {
    const path = join(folder, 'manifest.json');
    const digest = await writeManifest(path, makeManifest());
    await appendFile(path, ' ');
    expect(await readManifest(path, digest)).toMatchObject({ refusal: { reason: 'DigestMismatch' } });
    await rm(path);
    expect(await readManifest(path, digest)).toMatchObject({ refusal: { message: 'manifest.json is missing' } });
  });

  const file = { path: 'a', bytes: 1, sha256: '0'.repeat(64) };
  it.each<[string, object]>([
    ['of another version', { version: 2 }],
    ['with a key too many', { more: 1 }],
    ['without containers', { containers: [] }],
    ['with an absolute path', { files: [{ ...file, path: '/a' }] }],
    ['with a path that leads out', { files: [{ ...file, path: 'a/../../b' }] }],
    ['with an empty part in a path', { files: [{ ...file, path: 'a//b' }] }],
    ['with a path twice', { files: [file, file] }],
    ['with files in no order', { files: [{ ...file, path: 'b' }, file] }],
    ['with a negative size', { files: [{ ...file, bytes: -1 }] }],
    ['with half a digest', { files: [{ ...file, sha256: '00' }] }],
  ])('is refused %s', async (_, parts) => {
    const path = join(folder, 'manifest.json');
    const encoded = JSON.stringify({ ...makeManifest(), ...parts });
    await writeFile(path, encoded);
    expect(await readManifest(path, manifestDigest(encoded))).toMatchObject({
      refusal: { reason: 'DigestMismatch', message: expect.stringContaining('another version') as string },
    });
    await expect(writeManifest(path, JSON.parse(encoded) as Manifest)).rejects.toThrow(ZodError);
  });
});
