import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../ports/clock.ts';
import { DiskStore, type DiskStoreOptions } from './disk-store.ts';

const WANTED = {
  location: { node: 'n1', reference: 'shop_web-0_11111111-1111-1111-1111-111111111111' },
  manifestDigest: `sha256:${'0'.repeat(64)}`,
  bytes: 3,
  podUid: 'u2',
  ticket: 't',
};
const NEVER = new AbortController().signal;

let stateDir: string;
beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'disk-store-'));
});
afterEach(() => rm(stateDir, { recursive: true }));

const storeWith = (fetch: DiskStoreOptions['peers']['fetch']): DiskStore =>
  new DiskStore({ nodeName: 'n2', stateDir, clock: systemClock, peers: { fetch } });
const fetched = (): Promise<readonly string[]> => readdir(join(stateDir, 'fetched'));
const half = async (path: string): Promise<void> => {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, 'abc');
};

it('leaves nothing of a state that was refused on the disk', async () => {
  const store = storeWith(async (_, layout) => {
    await half(join(layout.folder, 'a.part'));
    return { refusal: { reason: 'FetchFailed', message: 'it broke off' } };
  });
  expect(await store.open(WANTED, NEVER)).toHaveProperty('refusal');
  expect(await fetched()).toEqual([]);
});

it('keeps what came before a break, for another process of the agent', async () => {
  const store = storeWith(async (_, layout) => {
    await half(join(layout.folder, 'a.part'));
    throw new Error('the agent stops');
  });
  await expect(store.open(WANTED, NEVER)).rejects.toThrow('the agent stops');
  expect(await fetched()).toEqual(['u2']);
});

it('leaves nothing of a state that was on its way when its pod went', async () => {
  const goesOn = Promise.withResolvers<void>();
  const store = storeWith(async (_, layout) => {
    await goesOn.promise;
    await half(join(layout.folder, 'a.part'));
    throw new Error('the pod is gone');
  });
  const opening = store.open(WANTED, NEVER).catch(() => undefined);
  const closing = store.close('u2');
  goesOn.resolve();
  await Promise.all([opening, closing]);
  expect(await fetched()).toEqual([]);
});
