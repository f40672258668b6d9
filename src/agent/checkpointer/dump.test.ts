import {
  appendFile,
  link,
  mkdir,
  mkdtemp,
  open,
  readFile,
  readdir,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NO_PEERS } from '../../../test/support/obedient-runtime.ts';
import { systemClock } from '../../ports/clock.ts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCommand } from '../runtime/command.ts';
import type { RuntimeContainer } from '../runtime/containers.ts';
import { parseMountinfo } from '../runtime/mountinfo.ts';
import type { CheckpointOptions } from '../runtime/runc.ts';
import { extract } from '../state/archive.ts';
import { savedPartsOf } from './dump-desk.ts';
import { dumpPod, type DumpOptions } from './dump.ts';
import { makeImage } from './make-image.ts';
import { DiskStore } from '../state/disk-store.ts';
import { SavedPodLayout } from '../state/layout.ts';
import { readManifest, verify } from '../state/manifest.ts';
import type { CommittedState } from '../state/state-store.ts';

const MIB = 1024 ** 2;
let folder: string;
let layout: SavedPodLayout;
let store: DiskStore;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dump-'));
  const stateDir = join(folder, 'state');
  store = new DiskStore({ nodeName: 'n1', stateDir, clock: systemClock, peers: NO_PEERS });
  layout = new SavedPodLayout(stateDir, { namespace: 'shop', name: 'cp', uid: 'abc' });
  for (const name of ['web/upper', 'log/upper', 'cache', 'shm']) await mkdir(join(folder, name), { recursive: true });
  await writeFile(join(folder, 'web/upper/changed'), 'by web');
  await writeFile(join(folder, 'log/upper/changed'), 'by log');
  await writeFile(join(folder, 'cache/kept'), 'in cache');
  await writeFile(join(folder, 'shm/shared'), 'in shm');
});
afterEach(() => rm(folder, { recursive: true }));

function container(name: string): RuntimeContainer {
  const spec = { mounts: [{ destination: '/proc' }, { destination: '/cache' }] };
  return { id: `id-${name}`, name, bundle: join(folder, name), spec } as unknown as RuntimeContainer;
}

/** Writes its images piece by piece, as criu does. */
async function writeImages(imagePath: string): Promise<void> {
  await writeFile(join(imagePath, 'core-1.img'), 'core', { mode: 0o644 });
  for (let piece = 0; piece < 6; piece += 1) {
    await appendFile(join(imagePath, 'pages-1.img'), Buffer.alloc(MIB + 1, `piece ${piece}`));
    await sleep(8);
  }
}

function options(
  checkpoint: (id: string, options: CheckpointOptions) => Promise<void>,
  parts: Partial<DumpOptions> = {},
): DumpOptions {
  const overlays = ['web', 'log'].map(
    (name) =>
      `1 2 0:1 / ${folder}/${name}/rootfs rw - overlay overlay rw,lowerdir=/l,upperdir=${folder}/${name}/upper,workdir=/w\n`,
  );
  return {
    containers: [container('web'), container('log')],
    layout,
    clock: systemClock,
    token: 'token',
    runc: { checkpoint },
    pids: () => [],
    run: runCommand,
    mounts: parseMountinfo(overlays.join('')),
    volumes: [{ name: 'cache', path: join(folder, 'cache') }],
    shm: join(folder, 'shm'),
    pod: { namespace: 'shop', name: 'web-0', uid: 'u1' },
    takenAt: new Date('2026-11-20T10:00:00Z'),
    compatibility: 'x86-1',
    images: async () =>
      new Map([
        ['web', 'sha256:1'],
        ['log', 'sha256:2'],
      ]),
    ...parts,
  };
}

/** Dumps a pod and commits it to the disk of the node. */
async function save(given: DumpOptions): Promise<CommittedState> {
  const { contents, known } = await dumpPod(given);
  return store.commit(layout, contents, { known, signal: given.signal });
}

describe('dumpPod', () => {
  it('packs after CRIU what CRIU has given a name only for as long as it worked', async () => {
    const path = join(folder, 'cache/first');
    await writeFile(path, 'kept');
    const opened = await open(path);
    await link(path, join(folder, 'cache/second'));
    await rm(path);
    const name = join(folder, 'cache/link_remap.21');
    const pod = options(
      async (_, { imagePath }) => {
        await writeFile(name, '');
        await writeImages(imagePath);
        const original = makeImage(
          [
            [2, 20],
            [3, [[6, path]]],
          ],
          [
            [2, 21],
            [3, [[6, name]]],
          ],
        );
        await writeFile(join(imagePath, 'files.img'), original);
        await writeFile(
          join(imagePath, 'remap-fpath.img'),
          makeImage([
            [1, 20],
            [2, 21],
            [3, 0],
          ]),
        );
        await rm(name);
      },
      { containers: [{ ...container('web'), pid: process.pid }], pids: () => [process.pid] },
    );
    await save(pod);
    await opened.close();
    await extract(layout.volume('cache'), join(folder, 'again'), { run: runCommand });
    expect(await readFile(join(folder, 'again/link_remap.21'), 'utf8')).toBe('kept');
    expect((await readdir(join(folder, 'cache'))).sort()).toEqual(['kept', 'second']);
  });

  it('saves memory, files, volumes and shared memory, and says so in a manifest', async () => {
    const state = await save(options((_, { imagePath }) => writeImages(imagePath)));
    const read = await readManifest(layout.manifest, state.manifestDigest);
    expect(read).toEqual({ manifest: state.manifest });
    expect(state.manifest).toMatchObject({
      pod: { namespace: 'shop', name: 'web-0', uid: 'u1' },
      takenAt: '2026-11-20T10:00:00.000Z',
      compatibility: 'x86-1',
      containers: [
        { name: 'web', image: 'sha256:1', mounts: ['/cache', '/proc'] },
        { name: 'log', image: 'sha256:2' },
      ],
      volumes: ['cache'],
    });
    expect(state.manifest.files.map(({ path }) => path)).toEqual([
      'containers/log/images/core-1.img',
      'containers/log/images/pages-1.img',
      'containers/log/rootfs.tar',
      'containers/web/images/core-1.img',
      'containers/web/images/pages-1.img',
      'containers/web/rootfs.tar',
      'shm.tar',
      'volumes/cache.tar',
    ]);
    // Digests made while the files grew are those of the whole files.
    expect(await verify(layout.folder, state.manifest)).toBeNull();
    const saved = savedPartsOf(state);
    const [web, log] = saved.containers;
    expect(web?.name).toBe('web');
    expect(web?.bytes).toBe(log?.bytes);
    expect(web?.bytes).toBeGreaterThan(6 * MIB);
    expect(saved.bytes).toBeGreaterThan((web?.bytes ?? 0) * 2);
  });

  it('leaves volumes and shared memory out where they are not to be saved, and says so', async () => {
    const state = await save(options((_, { imagePath }) => writeImages(imagePath), { volumes: null, shm: null }));
    const read = await readManifest(layout.manifest, state.manifestDigest);
    expect(read).toMatchObject({ manifest: { volumes: null } });
    expect(state.manifest.files.some(({ path }) => /shm|volumes/.test(path))).toBe(false);
  });

  it('saves each file where it belongs, for root alone', async () => {
    await save(options((_, { imagePath }) => writeImages(imagePath)));
    const contents = [
      [layout.container('web').rootfs, 'changed', 'by web'],
      [layout.container('log').rootfs, 'changed', 'by log'],
      [layout.volume('cache'), 'kept', 'in cache'],
      [layout.shm, 'shared', 'in shm'],
    ] as const;
    for (const [archive, name, content] of contents) {
      const to = await mkdtemp(join(folder, 'out-'));
      await extract(archive, to, { run: runCommand });
      expect(await readFile(join(to, name), 'utf8')).toBe(content);
    }
    const entries = await readdir(layout.folder, { withFileTypes: true, recursive: true });
    const open = [];
    for (const entry of entries) {
      const path = join(entry.parentPath, entry.name);
      if (((await stat(path)).mode & 0o077) !== 0) open.push(path);
    }
    expect(open).toEqual([]);
  });

  it('leaves shared memory out where there is none', async () => {
    const state = await save(options((_, { imagePath }) => writeImages(imagePath), { shm: null, volumes: [] }));
    expect(state.manifest.files.some(({ path }) => /shm|volumes/.test(path))).toBe(false);
  });

  it('fails as the dump fails, and leaves no manifest', async () => {
    const dump = save(
      options(async (_, { imagePath }) => {
        await writeImages(imagePath);
        throw new Error('criu said no');
      }),
    );
    await expect(dump).rejects.toThrow('criu said no');
    await expect(stat(layout.manifest)).rejects.toThrow('ENOENT');
  });

  it('waits for the dump when an archive fails, and says why', async () => {
    let dumping = false;
    const dump = save(
      options(
        async (_, { imagePath }) => {
          dumping = true;
          await writeImages(imagePath);
          dumping = false;
        },
        { volumes: [{ name: 'cache', path: join(folder, 'none') }] },
      ),
    );
    await expect(dump).rejects.toThrow('does not exist');
    expect(dumping).toBe(false);
  });

  it('ends with the reason when it is aborted', async () => {
    const abort = new AbortController();
    const dump = save(
      options(
        async (_, { imagePath, signal }) => {
          abort.abort(new Error('no longer wanted'));
          await writeImages(imagePath);
          signal?.throwIfAborted();
        },
        { signal: abort.signal },
      ),
    );
    await expect(dump).rejects.toThrow('no longer wanted');
    await expect(stat(layout.manifest)).rejects.toThrow('ENOENT');
  });

  it('refuses a root filesystem of which it cannot tell what changed', async () => {
    const dump = save(options((_, { imagePath }) => writeImages(imagePath), { mounts: [] }));
    await expect(dump).rejects.toThrow('the root filesystem of container web is no overlay');
  });

  it('calls nothing saved where an image is not known', async () => {
    const dump = save(
      options((_, { imagePath }) => writeImages(imagePath), { images: async () => new Map([['web', 'sha256:1']]) }),
    );
    await expect(dump).rejects.toThrow('the image of container log is not known');
    await expect(stat(layout.manifest)).rejects.toThrow('ENOENT');
  });

  it('refuses to call a symlink saved', async () => {
    const dump = save(
      options(async (_, { imagePath }) => {
        await writeImages(imagePath);
        await symlink('core-1.img', join(imagePath, 'parent'));
      }),
    );
    await expect(dump).rejects.toThrow('parent is neither a file nor a folder');
  });
});
