import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { DEFAULT_RULES } from '../../../test/support/builders.ts';
import { NO_PEERS, NO_QUOTA } from '../../../test/support/obedient-runtime.ts';
import type { AgentConfiguration } from '../../config/configuration.ts';
import { createLog } from '../../observe/log.ts';
import { systemClock } from '../../ports/clock.ts';
import { runCommand, type RunCommand } from '../runtime/command.ts';
import type { RuntimeContainer } from '../runtime/containers.ts';
import { parseMountinfo } from '../runtime/mountinfo.ts';
import { DiskStore } from '../state/disk-store.ts';
import type { SaveRequest } from './checkpointer.ts';
import { DumpDesk } from './dump-desk.ts';

const MIB = 1024 ** 2;
const NEVER = new AbortController().signal;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'desk-'));
});
afterEach(() => rm(folder, { recursive: true }));

class SmallStore extends DiskStore {
  readonly #freeBytes: number;

  constructor(freeBytes: number) {
    super({ nodeName: 'n1', stateDir: join(folder, 'state'), clock: systemClock, peers: NO_PEERS });
    this.#freeBytes = freeBytes;
  }

  override freeBytes(): Promise<number> {
    return Promise.resolve(this.#freeBytes);
  }
}

/** A desk, and pods of one namespace with a file of 4 MiB each; `run` may hold a dump up. */
async function makeDesk({
  run = runCommand,
  freeBytes = 6 * MIB,
  quota = NO_QUOTA,
}: {
  readonly run?: RunCommand;
  readonly freeBytes?: number;
  readonly quota?: AgentConfiguration['quota'];
}) {
  const mounts: string[] = [];
  const containers = new Map<string, RuntimeContainer>();
  for (const id of ['a', 'b']) {
    const bundle = join(folder, id);
    await mkdir(join(bundle, 'upper'), { recursive: true });
    await writeFile(join(bundle, 'upper/file'), Buffer.alloc(4 * MIB, 1));
    mounts.push(`1 2 0:1 / ${bundle}/rootfs rw - overlay overlay rw,lowerdir=/l,upperdir=${bundle}/upper,workdir=/w\n`);
    const spec = { annotations: { 'io.kubernetes.cri-o.ImageRef': 'sha256:1' } };
    containers.set(id, { id, name: 'main', pid: 0, sandboxId: 's', bundle, spec } as unknown as RuntimeContainer);
  }
  const desk = new DumpDesk({
    settings: {
      stateDir: '/proc', // on no disk of the kubelet: all that is free may be used
      kubeletDir: folder,
      kubeletConfig: '',
      reserveBytes: 0,
      quota,
      runtime: { command: 'runc', root: '', bundles: '', containerdAddress: '' },
    },
    store: new SmallStore(freeBytes),
    runc: {
      pidsWith: () => [],
      checkpoint: (_, { imagePath }) => writeFile(join(imagePath, 'pages-1.img'), 'memory'),
    },
    run,
    clock: systemClock,
    log: createLog('silent'),
    compatibility: () => null,
    mounts: () => Promise.resolve(parseMountinfo(mounts.join(''))),
  });
  const dump = (id: string): ReturnType<DumpDesk['dump']> => {
    const pod = { namespace: 'shop', name: id, uid: id };
    const request: SaveRequest = {
      pod,
      key: `shop_${id}_1`,
      containers: [id],
      rules: DEFAULT_RULES,
      token: 't',
      longestFreezeMs: null,
    };
    return desk.dump(request, [containers.get(id) as RuntimeContainer], NEVER);
  };
  return { desk, dump };
}

/** Archives are not made before the test says so. */
function held(): { readonly run: RunCommand; readonly goOn: () => void } {
  const archives = Promise.withResolvers<void>();
  const run: RunCommand = async (command, ...rest) => {
    if (command === 'unshare') await archives.promise;
    return runCommand(command, ...rest);
  };
  return { run, goOn: archives.resolve };
}

it('does not count the same space for two dumps', async () => {
  const { run, goOn } = held();
  const { desk, dump } = await makeDesk({ run });
  const first = dump('a');
  while ((await desk.progress('shop_a_1')) === null) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(await dump('b')).toMatchObject({ failure: { reason: 'NoSpace' } });
  goOn();
  expect(await first).toMatchObject({ failure: null });
  expect(await dump('b')).toMatchObject({ failure: null });
});

it('saves no pod beyond the quota of its namespace, those counted that are being saved', async () => {
  const { run, goOn } = held();
  const quota = { ...NO_QUOTA, namespace: { bytes: 6 * MIB, states: 100 } };
  const { desk, dump } = await makeDesk({ run, freeBytes: 100 * MIB, quota });
  const first = dump('a');
  while ((await desk.progress('shop_a_1')) === null) await new Promise((resolve) => setTimeout(resolve, 5));
  const message = expect.stringContaining('agent.quota.namespace.bytes') as string;
  expect(await dump('b')).toEqual({ failure: { reason: 'QuotaExceeded', message } });
  goOn();
  expect(await first).toMatchObject({ failure: null });
});

it('saves no pod beyond the number of states, and one that was saved before again', async () => {
  const quota = { ...NO_QUOTA, node: { bytes: null, states: 1 } };
  const { desk, dump } = await makeDesk({ freeBytes: 100 * MIB, quota });
  expect(await desk.quotaUsedUp('shop')).toBeNull();
  expect(await dump('a')).toMatchObject({ failure: null });
  expect(await desk.quotaUsedUp('shop')).toMatchObject({ reason: 'QuotaExceeded' });
  expect(await dump('b')).toMatchObject({ failure: { reason: 'QuotaExceeded' } });
  expect(await dump('a')).toMatchObject({ failure: null });
});
