import { expect, it } from 'vitest';
import type { PodUid } from '../../domain/ids.ts';
import { Rests } from './rests.ts';

const uid = 'uid-a' as PodUid;

it('a pod rests twice as long after each failure, to a bound, and not at all once it was moved', () => {
  let nowMs = 0;
  const rests = new Rests({ monotonic: () => nowMs });
  expect(rests.untilMs(uid)).toBeNull();
  const lengths = Array.from({ length: 7 }, () => {
    rests.failed(uid, 'CheckpointFailed', 1_000);
    const untilMs = rests.untilMs(uid) ?? Number.NaN;
    const length = untilMs - nowMs;
    nowMs = untilMs;
    return length;
  });
  expect(lengths).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 16_000, 16_000]);
  rests.forget(uid);
  expect(rests.untilMs(uid)).toBeNull();
});
