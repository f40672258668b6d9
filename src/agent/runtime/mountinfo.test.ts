import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mountAt, overlayAt, parseMountinfo, readMounts, resolveLayers, type OverlayMount } from './mountinfo.ts';

function overlay(superOptions: string): OverlayMount | undefined {
  return overlayAt(
    parseMountinfo(`50 67 0:46 / /b/rootfs rw,nosuid,relatime - overlay overlay ${superOptions}\n`),
    '/b/rootfs',
  );
}

describe('parseMountinfo', () => {
  it('reads a line with and without tags', () => {
    const [plain, tagged] = parseMountinfo(
      '36 35 98:0 /mnt1 /mnt2 rw,noatime - ext3 /dev/root rw,errors=continue\n' +
        '37 35 0:5 / /m rw shared:1 master:2 - tmpfs tmpfs rw\n',
    );
    expect(plain).toEqual({
      device: '98:0',
      root: '/mnt1',
      mountPoint: '/mnt2',
      options: ['rw', 'noatime'],
      fsType: 'ext3',
      source: '/dev/root',
      superOptions: ['rw', 'errors=continue'],
    });
    expect(tagged).toMatchObject({ mountPoint: '/m', fsType: 'tmpfs', superOptions: ['rw'] });
  });

  it('takes escapes back, also those of other alphabets', () => {
    const [mount] = parseMountinfo('1 2 0:1 / /a\\040b\\134c\\011ä rw - tmpfs x\\040y rw\n');
    expect(mount).toMatchObject({ mountPoint: '/a b\\c\tä', source: 'x y' });
  });

  it('reads the mounts of this process', async () => {
    expect((await readMounts()).some(({ mountPoint }) => mountPoint === '/')).toBe(true);
  });
});

describe('mountAt', () => {
  it('finds the topmost one', () => {
    const mounts = parseMountinfo('1 0 0:1 / /a rw - tmpfs below rw\n2 1 0:2 / /a rw - tmpfs above rw\n');
    expect(mountAt(mounts, '/a')?.source).toBe('above');
    expect(mountAt(mounts, '/a/b')).toBeUndefined();
  });
});

describe('overlayAt', () => {
  it('finds what is needed to mount it again', () => {
    expect(overlay('rw,lowerdir=/l/2:/l/1,upperdir=/u,workdir=/w,index=off,metacopy=on')).toEqual({
      mountPoint: '/b/rootfs',
      source: 'overlay',
      lowerdirs: ['/l/2', '/l/1'],
      upperdir: '/u',
      workdir: '/w',
      options: ['nosuid', 'relatime', 'index=off', 'metacopy=on'],
    });
  });

  it('reads names with commas, colons and spaces as the kernel writes them', () => {
    const found = overlay('rw,lowerdir=/we\\054ird\\134:a\\040b:/l,upperdir=/u\\054:v,workdir=/w');
    expect(found?.lowerdirs).toEqual(['/we,ird:a b', '/l']);
    expect(found?.upperdir).toBe('/u,:v');
  });

  it('reads one option for each layer', () => {
    expect(overlay('rw,lowerdir+=/a,lowerdir+=/b:c,upperdir=/u,workdir=/w')?.lowerdirs).toEqual(['/a', '/b:c']);
  });

  it('finds none where nothing can be written, or something else is mounted', () => {
    expect(overlay('ro,lowerdir=/l/2:/l/1')).toBeUndefined();
    expect(overlayAt(parseMountinfo('1 0 0:1 / /b/rootfs rw - ext4 /dev/x rw\n'), '/b/rootfs')).toBeUndefined();
  });
});

describe('resolveLayers', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'layers-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function made(...names: readonly string[]): Promise<void> {
    for (const name of names) await mkdir(join(folder, name), { recursive: true });
  }

  it('finds relative layers beside the upper folder, many of them', async () => {
    const names = Array.from({ length: 120 }, (_, at) => `snapshots/${at}/fs`);
    await made(...names, 'snapshots/120/fs', 'snapshots/120/work');
    const lowerdirs = names.map((name) => name.slice('snapshots/'.length));
    const upper = join(folder, 'snapshots/120');
    const found = overlay(`rw,lowerdir=${lowerdirs.join(':')},upperdir=${upper}/fs,workdir=${upper}/work`);
    expect(await resolveLayers(found as OverlayMount)).toEqual(names.map((name) => join(folder, name)));
  });

  it('takes no upper folder for the layer below it', async () => {
    await made('snapshots/1/fs', 'fs');
    const found = overlay(`rw,lowerdir=fs,upperdir=${folder}/snapshots/1/fs,workdir=${folder}/snapshots/1/work`);
    expect(await resolveLayers(found as OverlayMount)).toEqual([join(folder, 'fs')]);
  });

  it('takes absolute ones as they are', async () => {
    await made('a', 'u');
    const found = overlay(`rw,lowerdir=${folder}/a,upperdir=${folder}/u,workdir=${folder}/w`);
    expect(await resolveLayers(found as OverlayMount)).toEqual([join(folder, 'a')]);
  });

  it('gives up when one is not there', async () => {
    await made('1/fs', 'u');
    const found = overlay(`rw,lowerdir=1/fs:2/fs,upperdir=${folder}/u,workdir=${folder}/w`);
    expect(await resolveLayers(found as OverlayMount)).toBeNull();
  });
});
