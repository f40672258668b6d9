import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { receive } from './receive.ts';

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'receive-'));
  path = join(folder, 'file.part');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function* inPieces(data: Buffer, size: number, failAfter = Infinity): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += size) {
    if (at >= failAfter) throw new Error('the connection broke');
    yield data.subarray(at, at + size);
  }
}

const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
const fromStart = { from: 0, bytes: 5_000_000, onBytes: () => {} };

it.each([
  ['nothing', 0, 100],
  ['less than a buffer', 1000, 300],
  ['a whole number of buffers', 3 * 1024 * 1024, 16 * 1024],
  ['pieces that do not fit the buffers', 3_333_333, 16_383],
  ['pieces larger than a buffer', 5_000_000, 2_500_000],
])('writes and hashes %s', async (_, bytes, size) => {
  const data = randomBytes(bytes);
  expect(await receive(inPieces(data, size), path, { ...fromStart, bytes })).toEqual({ bytes, sha256: sha256(data) });
  expect(sha256(await readFile(path))).toBe(sha256(data));
});

it('keeps what came before a break, and goes on there, without a digest of what it has not seen', async () => {
  const data = randomBytes(3_000_000);
  await expect(receive(inPieces(data, 16_384, 2_000_000), path, fromStart)).rejects.toThrow('the connection broke');
  const kept = await readFile(path);
  expect(kept.length).toBeGreaterThan(1_900_000);
  expect(kept.equals(data.subarray(0, kept.length))).toBe(true);
  const rest = inPieces(data.subarray(kept.length), 16_384);
  expect(await receive(rest, path, { ...fromStart, from: kept.length })).toBeNull();
  expect((await readFile(path)).equals(data)).toBe(true);
});

it('refuses what is beyond the file, and writes none of it', async () => {
  const data = randomBytes(100_000);
  const receiving = receive(inPieces(data, 16_384), path, { ...fromStart, bytes: 50_000 });
  await expect(receiving).rejects.toThrow('more arrives than the file has');
  const kept = await readFile(path);
  expect(kept.length).toBeLessThanOrEqual(50_000);
  expect(kept.equals(data.subarray(0, kept.length))).toBe(true);
});

it('leaves nothing of an older file behind', async () => {
  await writeFile(path, randomBytes(5000));
  await receive(inPieces(Buffer.from('new'), 3), path, fromStart);
  expect(await readFile(path, 'utf8')).toBe('new');
});
