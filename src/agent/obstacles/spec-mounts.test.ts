import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { mountOf, specMounts } from './spec-mounts.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'root-'));
  await mkdir(join(root, 'run/inner'), { recursive: true });
  await mkdir(join(root, 'var'));
});
afterEach(() => rm(root, { recursive: true }));

it.each([
  ['an absolute one', '/run'],
  ['a relative one', '../run'],
  ['one that would lead out of the container', '../../../run'],
])('finds a mount behind a link: %s', async (_, target) => {
  await symlink(target, join(root, 'var/run'));
  const spec = { mounts: [{ destination: '/var/run/config' }, { destination: '/run' }, { destination: '/' }] };
  const mounts = await specMounts({ spec }, root);
  expect(mounts.map(({ place }) => place)).toEqual(['/run/config', '/run', '/']);
  expect(mountOf(mounts, '/run/config/a')?.destination).toBe('/var/run/config');
  expect(mountOf(mounts, '/run/configured')?.destination).toBe('/run');
});

it('gives up on links that lead in a circle', async () => {
  await symlink('circle', join(root, 'circle'));
  const [mount] = await specMounts({ spec: { mounts: [{ destination: '/circle/a' }] } }, root);
  expect(mount?.place).toBe('/circle/a');
});
