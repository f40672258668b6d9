import { mkdir, mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { evictionBytes, keptBytes } from './kept-space.ts';

const GIB = 2 ** 30;

it.each([
  ['nothing is said', '', 15 * GIB],
  ['other thresholds are said', 'evictionHard: {memory.available: 100Mi}', 0],
  [
    'other thresholds are added to the defaults',
    'evictionHard: {memory.available: 1Mi}\nmergeDefaultEvictionSettings: true',
    15 * GIB,
  ],
  ['a share is said', 'evictionHard: {nodefs.available: "20%"}', 20 * GIB],
  ['bytes are said', 'evictionHard: {nodefs.available: 3Gi, imagefs.available: 2G}', 3 * GIB],
  ['nothing is to be kept', 'evictionHard: {nodefs.available: "0%", imagefs.available: "0%"}', 0],
])('knows at how much free space the kubelet evicts where %s', (_, text, bytes) => {
  expect(evictionBytes(text, 100 * GIB)).toBe(bytes);
});

it('keeps more than the kubelet needs where its pods lie on the same disk, and the reserve anyway', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kept-'));
  try {
    const kubeletDir = join(folder, 'kubelet');
    await mkdir(kubeletDir);
    const kubeletConfig = join(kubeletDir, 'config.yaml');
    const kept = (reserveBytes: number): Promise<number> =>
      keptBytes({ stateDir: folder, kubeletDir, kubeletConfig, reserveBytes });
    const { blocks, bsize } = await statfs(folder);
    expect(await kept(0)).toBeGreaterThan(0.15 * blocks * bsize);
    await writeFile(kubeletConfig, 'evictionHard: {nodefs.available: 1Gi}');
    expect(await kept(0)).toBe(Math.ceil(1.05 * GIB));
    expect(await kept(2 * GIB)).toBe(2 * GIB);
    await rm(kubeletDir, { recursive: true });
    expect(await kept(7)).toBe(7);
  } finally {
    await rm(folder, { recursive: true });
  }
});
