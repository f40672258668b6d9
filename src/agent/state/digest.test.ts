import { createHash } from 'node:crypto';
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digestFile, digestGrowingFile } from './digest.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'digest-'));
});
afterEach(() => rm(folder, { recursive: true }));

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

describe('digestFile', () => {
  it.each([0, 1, 1024 * 1024, 5 * 1024 * 1024 + 7])('reads %i bytes', async (bytes) => {
    const content = Buffer.alloc(bytes, 'pattern');
    await writeFile(join(folder, 'f'), content);
    expect(await digestFile(join(folder, 'f'))).toEqual({ bytes, sha256: sha256(content) });
  });

  it('stops when it is aborted', async () => {
    await writeFile(join(folder, 'f'), 'x');
    await expect(digestFile(join(folder, 'f'), AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  });
});

describe('digestGrowingFile', () => {
  it('reads what comes later, up to the last byte', async () => {
    const path = join(folder, 'f');
    const pieces = [3, 1024 * 1024 + 1, 0, 2_000_000].map((bytes, at) => Buffer.alloc(bytes, `piece ${at}`));
    await writeFile(path, '');
    let written = 0;
    const digest = await digestGrowingFile(path, {
      grows: () => written < pieces.length,
      grown: () => appendFile(path, pieces[written++] as Buffer),
    });
    const all = Buffer.concat(pieces);
    expect(digest).toEqual({ bytes: all.length, sha256: sha256(all) });
  });
});
