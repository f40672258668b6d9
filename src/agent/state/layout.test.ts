import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseReference, referenceOf, SavedPodLayout } from './layout.ts';

const KEY = { namespace: 'shop', name: 'web-0.a', uid: '12ab-34' };

describe('a reference', () => {
  it('says whose it is, and can be read back', () => {
    expect(referenceOf(KEY)).toBe('shop_web-0.a_12ab-34');
    expect(parseReference('shop_web-0.a_12ab-34')).toEqual(KEY);
  });

  it.each([
    '',
    'a_b',
    'a_b_1_2',
    '.._.._1',
    'a_.._1',
    'a_b/c_1',
    'a_../b_1',
    'A_b_1',
    'a_b_g',
    'a_b..c_1',
    '/_b_1',
    'a_b_1\0',
  ])('is not %j', (reference) => {
    expect(() => parseReference(reference)).toThrow(RangeError);
  });

  it('cannot be longer than the name of a folder', () => {
    expect(() => referenceOf({ ...KEY, name: 'n'.repeat(253) })).toThrow('too long by 11 characters');
  });
});

describe('SavedPodLayout', () => {
  it('keeps everything below the folder of the reference', () => {
    const layout = SavedPodLayout.of('/state', 'shop_web-0.a_12ab-34');
    expect(layout.folder).toBe('/state/checkpoints/shop_web-0.a_12ab-34');
    const { volume, ...paths } = layout.container('web');
    expect(volume('2')).toBe(`${layout.folder}/containers/web/volume-2.tar`);
    expect(paths).toEqual({
      images: `${layout.folder}/containers/web/images`,
      work: `${layout.folder}/containers/web/work`,
      rootfs: `${layout.folder}/containers/web/rootfs.tar`,
    });
    expect(layout.volume('cache')).toBe(`${layout.folder}/volumes/cache.tar`);
  });

  it('takes no name that leads elsewhere', () => {
    const layout = new SavedPodLayout('/state', KEY);
    expect(() => layout.container('..')).toThrow(RangeError);
    expect(() => layout.volume('a/b')).toThrow(RangeError);
  });

  it('makes folders that only root can enter', async () => {
    const state = await mkdtemp(join(tmpdir(), 'layout-'));
    const layout = new SavedPodLayout(state, KEY);
    await layout.create(['web']);
    const modes = await Promise.all(
      [layout.folder, join(layout.folder, 'volumes'), layout.container('web').images, layout.container('web').work].map(
        async (path) => (await stat(path)).mode & 0o777,
      ),
    );
    expect(modes).toEqual([0o700, 0o700, 0o700, 0o700]);
    await rm(state, { recursive: true });
  });
});
