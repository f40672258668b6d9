import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DEFAULT_RULES } from '../../../test/support/builders.ts';
import { CommandError, runCommand } from '../runtime/command.ts';
import { estimateSpace, excessOf, lackOfSpace, ranFull } from './space.ts';

const MIB = 1024 ** 2;

it('counts what is in the folders', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'space-'));
  await mkdir(join(folder, '-b'));
  await writeFile(join(folder, '-b/f'), Buffer.alloc(3 * MIB, 1));
  await writeFile(join(folder, 'g'), Buffer.alloc(MIB, 1));
  const { fileBytes, memoryBytes } = await estimateSpace({
    pids: [],
    processes: [],
    folders: [folder],
    run: runCommand,
  });
  await rm(folder, { recursive: true });
  expect(memoryBytes).toBe(0);
  expect(fileBytes).toBeGreaterThanOrEqual(4 * MIB);
  expect(fileBytes).toBeLessThan(5 * MIB);
});

it('does not mind files that go while it counts', async () => {
  const run = (): Promise<never> =>
    Promise.reject(new CommandError('du', 1, 'failed (1)', 'no such file', '4096\t/a\n'));
  expect(await estimateSpace({ pids: [], processes: [], folders: ['/a'], run })).toEqual({
    memoryBytes: 0,
    fileBytes: 4096,
  });
});

it('names the numbers when there is no room', () => {
  const estimate = { memoryBytes: 100 * MIB, fileBytes: 20 * MIB };
  expect(lackOfSpace(estimate, { freeBytes: 130 * MIB, keepFreeBytes: 10 * MIB })).toBeNull();
  expect(lackOfSpace(estimate, { freeBytes: 130 * MIB, keepFreeBytes: 11 * MIB })).toBe(
    'the pod has up to 100 MiB of memory and 20 MiB of files, and 130 MiB are free, of which 11 MiB are to remain',
  );
});

it('names the numbers when the state would be larger than it may be', () => {
  const estimate = { memoryBytes: 100 * MIB, fileBytes: 20 * MIB };
  expect(excessOf(estimate, DEFAULT_RULES)).toBeNull();
  expect(excessOf(estimate, { ...DEFAULT_RULES, maxBytes: 120 * MIB })).toBeNull();
  expect(excessOf(estimate, { ...DEFAULT_RULES, maxBytes: 119 * MIB })).toBe(
    'the pod has up to 100 MiB of memory and 20 MiB of files, and its checkpoint may have 119 MiB',
  );
});

it.each([
  ['nothing is free', 0, 60, true],
  ['a little is free again, and less than was still to be written', 5, 60, true],
  ['less is free than is to remain', 9, 119, true],
  ['the rest would have had room', 70, 60, false],
  ['it was nearly done', 11, 115, false],
])('tells a disk that ran full from another failure: %s', (_, free, written, full) => {
  const after = { freeBytes: free * MIB, writtenBytes: written * MIB, keepFreeBytes: 10 * MIB };
  expect(ranFull({ memoryBytes: 100 * MIB, fileBytes: 20 * MIB }, after)).toBe(full);
});

it('counts the pages of each process that criu writes, also those that a fork has shared', async () => {
  const proc = await mkdtemp(join(tmpdir(), 'proc-'));
  const rollup =
    'Rss: 9000 kB\nPss_Shmem: 10 kB\nAnonymous: 8192 kB\nAnonHugePages: 4096 kB\nSwap: 6 kB\nSwapPss: 1 kB\n';
  for (const pid of ['7', '8']) {
    await mkdir(join(proc, pid));
    await writeFile(join(proc, pid, 'smaps_rollup'), rollup);
  }
  const question = { pids: [], processes: [7, 8, 9], folders: [], run: runCommand, proc };
  const { memoryBytes } = await estimateSpace(question);
  await rm(proc, { recursive: true });
  expect(memoryBytes).toBe(2 * (8192 + 6 + 10) * 1024);
});
