import { expect, it } from 'vitest';
import { FetchRoom, type FetchClaim } from './fetch-room.ts';

const MIB = 2 ** 20;
const given = (claim: FetchClaim | string): FetchClaim => {
  if (typeof claim === 'string') throw new Error(claim);
  return claim;
};

it('counts what other fetches have still to write', async () => {
  let freeBytes = 100 * MIB;
  const room = new FetchRoom(() => Promise.resolve(freeBytes));
  const first = given(await room.claim(60 * MIB));
  expect(await room.claim(41 * MIB)).toContain('41 MiB are to come, and this node has room for 40 MiB');
  first.arrived(20 * MIB);
  freeBytes -= 20 * MIB;
  expect(await room.claim(41 * MIB)).toContain('room for 40 MiB');
  given(await room.claim(40 * MIB)).release();
  first.release();
  given(await room.claim(80 * MIB));
});

it('gives two that ask at the same time no room twice', async () => {
  const room = new FetchRoom(() => Promise.resolve(100));
  const claims = await Promise.all([room.claim(60), room.claim(60)]);
  expect(claims.filter((claim) => typeof claim === 'string')).toHaveLength(1);
});

it('keeps no claim of a fetch for which the disk did not answer', async () => {
  let answer: Promise<number> = Promise.reject(new Error('statfs'));
  const room = new FetchRoom(() => answer);
  await expect(room.claim(60)).rejects.toThrow('statfs');
  answer = Promise.resolve(60);
  given(await room.claim(60));
});
