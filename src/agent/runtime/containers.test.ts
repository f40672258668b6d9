import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../ports/clock.ts';
import { ContainerIndex } from './containers.ts';
import type { ListedContainer } from './runc.ts';

let bundles: string;
let listed: ListedContainer[];
let asked: string[];
let nowMs: number;
let glances: Map<string, ListedContainer>;
let index: ContainerIndex;

beforeEach(async () => {
  bundles = await mkdtemp(join(tmpdir(), 'bundles-'));
  [listed, asked, nowMs, glances] = [[], [], 1000, new Map()];
  const state = (id: string): Promise<ListedContainer | undefined> => {
    asked.push(id);
    return Promise.resolve(listed.find((one) => one.id === id));
  };
  index = new ContainerIndex({
    bundles,
    runc: { state, glance: (id) => glances.get(id) ?? null },
    clock: { ...systemClock, monotonic: () => nowMs },
  });
});
afterEach(() => rm(bundles, { recursive: true, force: true }));

function containerd(name: string, podUid: string): Record<string, string> {
  return {
    'io.kubernetes.cri.container-type': name === '' ? 'sandbox' : 'container',
    ...(name === '' ? {} : { 'io.kubernetes.cri.container-name': name }),
    'io.kubernetes.cri.sandbox-id': 'sb',
    'io.kubernetes.cri.sandbox-uid': podUid,
    'io.kubernetes.cri.sandbox-name': 'web-0',
    'io.kubernetes.cri.sandbox-namespace': 'shop',
  };
}

async function bundle(path: string, annotations: Record<string, string>): Promise<void> {
  await mkdir(join(bundles, path), { recursive: true });
  await writeFile(join(bundles, path, 'config.json'), JSON.stringify({ annotations, linux: { cgroupsPath: '/x' } }));
}

function runs(...ids: readonly string[]): void {
  listed = ids.map((id) => ({ id, pid: 7, status: 'running', bundle: join(bundles, id) }));
}

describe('ContainerIndex', () => {
  it('gives the containers of one pod, the sandbox first', async () => {
    await bundle('c2', containerd('web', 'u1'));
    await bundle('c1', containerd('agent', 'u1'));
    await bundle('sb', containerd('', 'u1'));
    await bundle('other', containerd('web', 'u2'));
    runs('c2', 'c1', 'sb', 'other');
    const found = await index.podContainers('u1');
    expect(found.map(({ id, kind, name }) => [id, kind, name])).toEqual([
      ['sb', 'sandbox', ''],
      ['c1', 'container', 'agent'],
      ['c2', 'container', 'web'],
    ]);
    expect(found[1]).toMatchObject({
      podUid: 'u1',
      namespace: 'shop',
      podName: 'web-0',
      sandboxId: 'sb',
      pid: 7,
      status: 'running',
      bundle: join(bundles, 'c1'),
      spec: { linux: { cgroupsPath: '/x' } },
    });
  });

  it('reads the annotations and folders of CRI-O', async () => {
    await bundle('c1/userdata', {
      'io.kubernetes.cri-o.ContainerType': 'container',
      'io.kubernetes.cri-o.SandboxID': 'sb',
      'io.kubernetes.container.name': 'web',
      'io.kubernetes.pod.uid': 'u1',
      'io.kubernetes.pod.name': 'web-0',
      'io.kubernetes.pod.namespace': 'shop',
    });
    runs('c1');
    expect(await index.podContainers('u1')).toMatchObject([
      {
        id: 'c1',
        name: 'web',
        namespace: 'shop',
        podName: 'web-0',
        sandboxId: 'sb',
        bundle: join(bundles, 'c1/userdata'),
      },
    ]);
  });

  it('does not ask runc about a pod that has no container here', async () => {
    await bundle('c1', containerd('web', 'u1'));
    expect(await index.podContainers('u2')).toEqual([]);
    expect(asked).toEqual([]);
  });

  it('reads each bundle once, and those that were not whole again', async () => {
    await bundle('c1', containerd('web', 'u1'));
    await mkdir(join(bundles, 'c2'));
    await writeFile(join(bundles, 'c2/config.json'), '{"annotations":{"io.kub');
    runs('c1', 'c2');
    expect((await index.podContainers('u1')).map(({ id }) => id)).toEqual(['c1']);
    await bundle('c1', containerd('renamed', 'u1'));
    await bundle('c2', containerd('zeta', 'u1'));
    expect((await index.podContainers('u1')).map(({ name }) => name)).toEqual(['web', 'zeta']);
  });

  it('forgets what is gone, and what runc does not have', async () => {
    await bundle('c1', containerd('web', 'u1'));
    await bundle('c2', containerd('two', 'u1'));
    runs('c1');
    expect((await index.podContainers('u1')).map(({ id }) => id)).toEqual(['c1']);
    await rm(join(bundles, 'c1'), { recursive: true });
    expect(await index.identity('c1')).toBeUndefined();
    expect((await index.identity('c2'))?.name).toBe('two');
  });

  it('passes over containers of no pod, and a folder that is not there', async () => {
    await bundle('c1', { other: 'x' });
    expect(await index.identity('c1')).toBeUndefined();
    await rm(bundles, { recursive: true });
    expect(await index.podContainers('u1')).toEqual([]);
  });

  it('asks runc only where the kernel cannot tell', async () => {
    await bundle('sb', containerd('', 'u1'));
    await bundle('c1', containerd('web', 'u1'));
    runs('sb', 'c1');
    for (const one of listed) glances.set(one.id, { ...one, status: 'paused' });
    expect((await index.podContainers('u1')).map(({ id, status }) => [id, status])).toEqual([
      ['sb', 'paused'],
      ['c1', 'paused'],
    ]);
    expect(asked).toEqual([]);
    glances.delete('c1');
    expect((await index.podContainers('u1')).map(({ status }) => status)).toEqual(['paused', 'running']);
    expect(asked).toEqual(['c1']);
  });

  it('asks runc once for all who are content with what it said a while ago', async () => {
    await bundle('c1', containerd('web', 'u1'));
    runs('c1');
    await index.podContainers('u1', 5000);
    nowMs += 5000;
    expect((await index.podContainers('u1', 5000)).map(({ id }) => id)).toEqual(['c1']);
    expect(asked).toEqual(['c1']);
    nowMs += 1;
    await index.podContainers('u1', 5000);
    await index.podContainers('u1');
    expect(asked).toEqual(['c1', 'c1', 'c1']);
  });

  it('asks runc about no container of another pod: for one that is being frozen, runc never answers', async () => {
    await bundle('c1', containerd('web', 'u1'));
    await bundle('c2', containerd('web', 'u2'));
    runs('c1', 'c2');
    await index.podContainers('u1');
    expect(asked).toEqual(['c1']);
  });
});
