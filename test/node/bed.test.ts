import { access, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { condition } from '../cluster/story/history.ts';
import { NodeBed } from './bed/bed.ts';
import { askHog, hog, hogPast } from './bed/hog.ts';

/** The bed itself: what every other suite of this folder takes for granted. */
const RUNC = ['runc', '--root', '/run/containerd/runc/k8s.io'];
const STATE_DISK_MIB = 1024;

let bed: NodeBed;

beforeAll(async () => {
  bed = await NodeBed.start({ stateDiskMiB: STATE_DISK_MIB });
});
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]();
});

it('has two nodes, and the versions it promises', async () => {
  const list = await bed.cluster.kubectl('get', 'nodes', '-o', 'json');
  const { items } = JSON.parse(list) as { readonly items: readonly Parameters<typeof condition>[0][] };
  expect(items.map((node) => [node.metadata.name, condition(node, 'Ready')])).toEqual([
    ['node1', 'True'],
    ['node2', 'True'],
  ]);
  const [first] = bed.nodes;
  expect(await first?.run('containerd', '--version')).toMatch(/ 2\.[1-9]/);
  expect(await first?.run('runc', '--version')).toMatch(/^runc version 1\.[3-9]/);
  expect(await first?.run('criu', '--version')).toMatch(/^Version: 4\./);
  expect(await first?.run('criu', 'check')).toBe('Looks good.\n');
});

it('runs a pod whose logs, commands and port can be reached', async () => {
  const { ip, node } = await bed.runPod(hog('reached', { node: 'node1' }));
  expect(node.name).toBe('node1');
  const { count } = await hogPast(ip, 3);
  expect(await bed.cluster.kubectl('logs', 'reached')).toMatch(/^1\n2\n3\n/);
  expect(Number(await bed.cluster.kubectl('exec', 'reached', '--', 'cat', '/count'))).toBeGreaterThanOrEqual(count);
});

it('routes from a pod on one node to a pod on the other', async () => {
  const [from, to] = await Promise.all([
    bed.runPod(hog('caller', { node: 'node1' })),
    bed.runPod(hog('called', { node: 'node2' })),
  ]);
  const heard = await bed.cluster.kubectl('exec', from.name, '--', 'nc', to.ip, '8080');
  expect(heard).toMatch(/^count=\d+ data=ok\n$/);
});

it('starts a killed container again', async () => {
  const before = await bed.runPod(hog('mortal', { node: 'node2' }));
  await before.node.run(...RUNC, 'kill', before.containers[0] ?? '', 'KILL');
  await bed.history.until(
    'Pod',
    'a restart',
    ({ metadata }) => metadata.name === 'mortal' && bed.pod('mortal').restarts > 0,
  );
  const after = await bed.runPod(hog('mortal', { node: 'node2' }));
  expect(after.containers).not.toEqual(before.containers);
  await hogPast(after.ip, 0);
});

it('freezes a container, saves it with CRIU, and lets it go on', async () => {
  const { ip, node, containers } = await bed.runPod(hog('saved', { node: 'node1', runtimeClassName: 'reprieve' }));
  const [id = ''] = containers;
  await hogPast(ip, 5);
  await node.run(...RUNC, 'pause', id);
  const counted = await readFile(node.path(`/proc/${await initOf(node, id)}/root/count`), 'utf8');
  const folder = '/var/lib/reprieve/by-hand';
  await node.run('mkdir', '-p', `${folder}/images`, `${folder}/work`);
  const where = ['--image-path', `${folder}/images`, '--work-path', `${folder}/work`];
  await node.run(...RUNC, 'checkpoint', '--leave-running', ...where, id);
  await expect(access(node.path(`${folder}/images/inventory.img`))).resolves.toBeUndefined();
  expect(await readFile(node.path(`/proc/${await initOf(node, id)}/root/count`), 'utf8')).toBe(counted);
  await node.run(...RUNC, 'resume', id);
  await hogPast(ip, Number(counted));
  expect(bed.pod('saved')).toMatchObject({ containers, restarts: 0 });
});

it('keeps a running pod while containerd and kubelet are killed and started again', async () => {
  const { ip, node, containers } = await bed.runPod(hog('survivor', { node: 'node2' }));
  await node.kill('kubelet');
  await node.kill('containerd');
  const { count } = await hogPast(ip, 0);
  await node.start('containerd');
  await node.start('kubelet');
  await hogPast(ip, count);
  // A kubelet that has just started learns its pods from the API server first.
  const command = (): Promise<string> => bed.cluster.kubectl('exec', 'survivor', '--', 'cat', '/count').catch(String);
  await expect.poll(command, { timeout: 30_000 }).toMatch(/^\d+\n$/);
  expect(bed.pod('survivor')).toMatchObject({ containers, restarts: 0 });
});

it('runs a program of the checkout inside a node', async () => {
  const [node] = bed.nodes;
  const program = ['-p', '`${os.hostname()} ${process.version}`'];
  expect(await node?.run(process.execPath, ...program)).toBe(`node1 ${process.version}\n`);
});

it('answers nothing for a frozen hog', async () => {
  const { ip, node, containers } = await bed.runPod(hog('frozen', { node: 'node2' }));
  await node.run(...RUNC, 'pause', containers[0] ?? '');
  expect(await askHog(ip)).toBeNull();
});

/** Process id of a container's first process, in the node's own count. */
async function initOf(node: NodeBed['nodes'][number], id: string): Promise<number> {
  return (JSON.parse(await node.run(...RUNC, 'state', id)) as { readonly pid: number }).pid;
}

it('gives /var/lib/reprieve a disk of the wanted size', async () => {
  const [node] = bed.nodes;
  const [, size = ''] = (await node?.run('df', '--output=size', '-B1M', '/var/lib/reprieve'))?.split('\n') ?? [];
  expect(Number(size)).toBeLessThanOrEqual(STATE_DISK_MIB);
  expect(await node?.run('findmnt', '-no', 'FSTYPE', '/var/lib/reprieve')).toBe('ext4\n');
});
