import { access } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { NodeBed } from './bed/bed.ts';
import { hog, hogPast, type Program } from './bed/hog.ts';

/** What CRIU makes of the runtimes that people use: frozen and saved by hand, each goes on with all it holds. */
const RUNC = ['runc', '--root', '/run/containerd/runc/k8s.io'];
const STATE_DISK_MIB = 1024;

let bed: NodeBed;

beforeAll(async () => {
  bed = await NodeBed.start({ nodes: 1, languages: true, stateDiskMiB: STATE_DISK_MIB });
});
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]();
});

it.each<Program>(['python', 'java', 'node'])('saves a %s program, which goes on', async (program) => {
  const { ip, node, containers } = await bed.runPod(
    hog(program, { program, mebibytes: 32, runtimeClassName: 'reprieve' }),
  );
  const [id = ''] = containers;
  const { count } = await hogPast(ip, 5);
  await node.run(...RUNC, 'pause', id);
  const folder = `/var/lib/reprieve/${program}`;
  await node.run('mkdir', '-p', `${folder}/images`, `${folder}/work`);
  const where = ['--image-path', `${folder}/images`, '--work-path', `${folder}/work`];
  await node.run(...RUNC, 'checkpoint', '--leave-running', ...where, id);
  await expect(access(node.path(`${folder}/images/inventory.img`))).resolves.toBeUndefined();
  await node.run(...RUNC, 'resume', id);
  expect(await hogPast(ip, count)).toMatchObject({ data: 'ok' });
});

it('gives /var/lib/reprieve a disk of the wanted size', async () => {
  const [node] = bed.nodes;
  const [, size = ''] = (await node?.run('df', '--output=size', '-B1M', '/var/lib/reprieve'))?.split('\n') ?? [];
  expect(Number(size)).toBeLessThanOrEqual(STATE_DISK_MIB);
  expect(await node?.run('findmnt', '-no', 'FSTYPE', '/var/lib/reprieve')).toBe('ext4\n');
});
