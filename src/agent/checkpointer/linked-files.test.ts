import { link, mkdir, mkdtemp, open, readFile, readdir, rm, writeFile, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { runCommand } from '../runtime/command.ts';
import { linkedFiles, makeLinks } from './linked-files.ts';
import { makeImage } from './make-image.ts';

let folder: string;
let opened: FileHandle[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'linked-'));
  await mkdir(join(folder, 'images'));
  opened = [];
});
afterEach(async () => {
  for (const file of opened) await file.close();
  await rm(folder, { recursive: true });
});

/** Opens a new file, and takes its name away. */
async function deleted(name: string, otherName?: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, `in ${name}`);
  opened.push(await open(path));
  if (otherName !== undefined) await link(path, join(folder, otherName));
  await rm(path);
  return path;
}

it('finds files that are open under a name that is gone and have another, and names them as CRIU does', async () => {
  await deleted('without');
  const path = await deleted('semaphore', 'other');
  const files = (await linkedFiles([process.pid])).filter((file) => file.path.startsWith(folder));
  expect(files.map((file) => file.path)).toEqual([path]);
  const images = join(folder, 'images');
  const [id, name] = [20, join(folder, 'link_remap.21')];
  await writeFile(
    join(images, 'files.img'),
    makeImage(
      [
        [1, 1],
        [2, id],
        [
          3,
          [
            [1, id],
            [6, path],
          ],
        ],
      ],
      [
        [1, 1],
        [2, 21],
        [
          3,
          [
            [1, 21],
            [6, name],
          ],
        ],
      ],
    ),
  );
  // The second is a file without any name, whose contents CRIU has in an image.
  await writeFile(
    join(images, 'remap-fpath.img'),
    makeImage(
      [
        [1, id],
        [2, 21],
        [3, 0],
      ],
      [
        [1, 7],
        [2, 1],
        [3, 1],
      ],
    ),
  );
  const remove = await makeLinks(images, files, { root: '/', run: runCommand });
  expect(await readFile(name, 'utf8')).toBe('in semaphore');
  await remove();
  expect(await readdir(folder)).toEqual(['images', 'other']);
});

it('makes none where CRIU needed none', async () => {
  const remove = await makeLinks(join(folder, 'images'), [], { root: '/', run: runCommand });
  await remove();
  expect(await readdir(folder)).toEqual(['images']);
});

it('fails where the file that CRIU has seen is gone', async () => {
  const images = join(folder, 'images');
  await writeFile(
    join(images, 'files.img'),
    makeImage([
      [1, 1],
      [2, 20],
      [
        3,
        [
          [1, 20],
          [6, '/gone'],
        ],
      ],
    ]),
  );
  await writeFile(
    join(images, 'remap-fpath.img'),
    makeImage([
      [1, 20],
      [2, 21],
      [3, 0],
    ]),
  );
  await expect(makeLinks(images, [], { root: '/', run: runCommand })).rejects.toThrow('/gone was deleted');
});
