import { appendFile, mkdir, mkdtemp, open, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileStamps } from './file-stamps.ts';
import { SavedPodLayout } from './layout.ts';
import type { Manifest } from './manifest.ts';

const PAGES = 'containers/main/images/pages-1.img';
const FILES = [
  { path: PAGES, bytes: 5, sha256: 'a'.repeat(64) },
  { path: 'shm.tar', bytes: 3, sha256: 'b'.repeat(64) },
];
const MANIFEST = { files: FILES } as unknown as Manifest;

let stateDir: string;
let layout: SavedPodLayout;
let stamps: FileStamps;

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'stamps-'));
  layout = SavedPodLayout.of(stateDir, 'default_c_1');
  for (const [path, text] of [
    [PAGES, 'pages'],
    ['shm.tar', 'shm'],
  ] as const) {
    await mkdir(dirname(join(layout.folder, path)), { recursive: true });
    await writeFile(join(layout.folder, path), text);
  }
  stamps = new FileStamps();
  await stamps.remember(layout, MANIFEST);
  await sleep(10); // older kernels count times in ticks
});
afterEach(() => rm(stateDir, { recursive: true }));

const known = async (): Promise<readonly string[]> => [...(await stamps.untouched(layout, MANIFEST)).keys()];
const pages = (): string => join(layout.folder, PAGES);

describe('FileStamps', () => {
  it('knows what nobody has touched, with the digests of the manifest', async () => {
    const [first, second] = FILES.map(({ bytes, sha256 }) => ({ bytes, sha256 }));
    expect([...(await stamps.untouched(layout, MANIFEST))]).toEqual([
      [PAGES, first],
      ['shm.tar', second],
    ]);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['was appended to', () => appendFile(pages(), 'x')],
    [
      'was changed in one byte, and given its old times back',
      async () => {
        const { atime, mtime } = await stat(pages());
        const file = await open(pages(), 'r+');
        await file.write('P', 0);
        await file.close();
        await utimes(pages(), atime, mtime);
      },
    ],
    [
      'is another one of the same size',
      async () => {
        await writeFile(`${pages()}.new`, 'pages');
        await rename(`${pages()}.new`, pages());
      },
    ],
    ['is gone', () => rm(pages())],
  ])('does not vouch for a file that %s', async (_, touch) => {
    await touch();
    expect(await known()).toEqual(['shm.tar']);
  });

  it('knows nothing of what another process has written', async () => {
    stamps = new FileStamps();
    expect(await known()).toEqual([]);
  });
});
