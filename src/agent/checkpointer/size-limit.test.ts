import { expect, it } from 'vitest';
import { DEFAULT_RULES } from '../../../test/support/builders.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import type { RunCommand } from '../runtime/command.ts';
import { SizeLimit } from './size-limit.ts';

const MIB = 2 ** 20;

/** A folder of `bytes` that `du` is asked about, and the limit that watches it. */
function watched(maxBytes: number) {
  const clock = new VirtualClock();
  const folder = { bytes: 0, looks: 0 };
  const run: RunCommand = () => {
    folder.looks++;
    return Promise.resolve({ stdout: `${folder.bytes}\t/state\n`, stderr: '' });
  };
  const disk = { freeBytes: 10 * MIB };
  const limit = new SizeLimit({
    folder: '/state',
    rules: { ...DEFAULT_RULES, maxBytes },
    run,
    clock,
    freeBytes: () => Promise.resolve(disk.freeBytes),
    keepFreeBytes: 4 * MIB,
  });
  return { clock, folder, limit, disk };
}

it('ends a dump that becomes too large, and says how large it may be', async () => {
  const { clock, folder, limit } = watched(10 * MIB);
  folder.bytes = 10 * MIB;
  await clock.advance(1_000);
  expect(limit.exceeded.aborted).toBe(false);
  folder.bytes = 12 * MIB;
  await clock.advance(500);
  expect(limit.exceeded.aborted).toBe(true);
  expect(limit.failure).toEqual({ reason: 'TooLarge', message: 'its state has 12 MiB, and may have 10 MiB' });
});

it('ends a dump while others fill the disk, before less is free than has to remain for long', async () => {
  const { clock, limit, disk } = watched(0);
  await clock.advance(1_000);
  expect(limit.exceeded.aborted).toBe(false);
  disk.freeBytes = 3 * MIB;
  await clock.advance(500);
  expect(limit.exceeded.aborted).toBe(true);
  const message = '3 MiB of the disk are free, and 4 MiB are to remain';
  expect([limit.failure, limit.judge(1)]).toEqual([
    { reason: 'NoSpace', message },
    { reason: 'NoSpace', message },
  ]);
});

it('judges the finished state too, which no look may have seen', () => {
  const { limit } = watched(10 * MIB);
  expect(limit.judge(10 * MIB)).toBeNull();
  expect(limit.judge(10 * MIB + 1)).toMatchObject({ reason: 'TooLarge' });
});

it('looks at nothing without a limit, and no more after the end', async () => {
  const without = watched(0);
  await without.clock.advance(5_000);
  expect([without.folder.looks, without.limit.judge(1e12)]).toEqual([0, null]);
  const ended = watched(10 * MIB);
  ended.limit.end();
  ended.folder.bytes = 1e12;
  await ended.clock.advance(5_000);
  expect(ended.limit.failure).toBeNull();
});
