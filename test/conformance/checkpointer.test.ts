import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Checkpointer, SaveRequest } from '../../src/agent/checkpointer/checkpointer.ts';
import { CriuCheckpointer } from '../../src/agent/checkpointer/criu-checkpointer.ts';
import { DumpDesk } from '../../src/agent/checkpointer/dump-desk.ts';
import { RuntimeProcesses } from '../../src/agent/pods/runtime-processes.ts';
import type { PodProcesses } from '../../src/agent/pods/pod-processes.ts';
import { runCommand } from '../../src/agent/runtime/command.ts';
import type { ContainerIndex } from '../../src/agent/runtime/containers.ts';
import { parseMountinfo } from '../../src/agent/runtime/mountinfo.ts';
import type { CheckpointOptions, Runc } from '../../src/agent/runtime/runc.ts';
import { DiskStore } from '../../src/agent/state/disk-store.ts';
import type { StateStore } from '../../src/agent/state/state-store.ts';
import { createLog } from '../../src/observe/log.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { DEFAULT_RULES } from '../support/builders.ts';
import { NO_PEERS, NO_QUOTA, ObedientRuntime } from '../support/obedient-runtime.ts';

const KEY = 'shop_web-0_11111111';
const NEVER = new AbortController().signal;
const POD = { namespace: 'shop', name: 'web-0', uid: 'u1' };
const OBJECT = { metadata: POD, spec: { containers: [{ name: 'main' }] } };
const REQUEST: SaveRequest = {
  pod: POD,
  key: KEY,
  containers: ['i1'],
  rules: DEFAULT_RULES,
  token: 'token',
  longestFreezeMs: null,
};

/** One running pod `u1` with the container `i1`. */
interface Engines {
  readonly checkpointer: Checkpointer;
  readonly processes: PodProcesses;
}

/** runc and CRIU as far as they write files; the rest is what runs on a node. */
async function criu(store: StateStore, folder: string): Promise<Engines> {
  const bundle = join(folder, 'bundle');
  const upper = join(bundle, 'upper');
  await mkdir(upper, { recursive: true });
  await writeFile(join(upper, 'changed'), 'by the pod');
  await mkdir(join(folder, 'proc'));
  let status = 'running';
  const becomes = (next: string): Promise<void> => Promise.resolve(void (status = next));
  const runc = {
    undisturbed: () => Promise.resolve(),
    pidsWith: () => [],
    pause: () => becomes('paused'),
    resume: () => becomes('running'),
    kill: () => becomes('stopped'),
    async checkpoint(_: string, { imagePath, signal }: CheckpointOptions): Promise<void> {
      await writeFile(join(imagePath, 'pages-1.img'), 'memory');
      signal?.throwIfAborted();
    },
  } as unknown as Runc;
  const identity = { id: 'i1', kind: 'container', name: 'main', podUid: 'u1', pid: 0, sandboxId: 's1', bundle };
  const annotations = { 'io.kubernetes.cri-o.ImageRef': 'sha256:1' };
  const spec = { annotations, linux: { namespaces: [{ type: 'pid' }] } };
  const index = {
    podContainers: () => Promise.resolve([{ ...identity, spec, status }]),
    identity: () => Promise.resolve(identity),
  } as unknown as ContainerIndex;
  const overlay = `1 2 0:1 / ${bundle}/rootfs rw - overlay overlay rw,lowerdir=/l,upperdir=${upper},workdir=/w\n`;
  const desk = new DumpDesk({
    settings: {
      // On no disk of the kubelet: all that is free may be used.
      stateDir: '/proc',
      kubeletDir: folder,
      kubeletConfig: '',
      reserveBytes: 0,
      quota: NO_QUOTA,
      runtime: { command: 'runc', root: '', bundles: '', containerdAddress: '' },
    },
    store,
    runc,
    run: runCommand,
    clock: systemClock,
    log: createLog('silent'),
    compatibility: () => 'x86-1',
    mounts: () => Promise.resolve(parseMountinfo(overlay)),
  });
  const proc = join(folder, 'proc');
  const parts = { index, runc, run: runCommand, memoryOf: () => 0, proc, desk, clock: systemClock };
  const checkpointer = new CriuCheckpointer(parts);
  return { checkpointer, processes: new RuntimeProcesses({ index, runc }) };
}

function obedient(guarantee: Checkpointer['guarantee']) {
  return (store: StateStore): Promise<Engines> => {
    const runtime = new ObedientRuntime(store, guarantee);
    return Promise.resolve({ checkpointer: runtime, processes: runtime });
  };
}

describe.each<[string, (store: StateStore, folder: string) => Promise<Engines>]>([
  ['runc and CRIU', criu],
  ['one of tests, under which pods stay frozen', obedient('StaysFrozen')],
  ['one of tests, under which pods run on', obedient('RunsOn')],
])('Checkpointer: %s', (_, begin) => {
  let folder: string;
  let store: StateStore;
  let engines: Engines;
  let checkpointer: Checkpointer;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'checkpointer-'));
    const stateDir = join(folder, 'state');
    await mkdir(stateDir);
    store = new DiskStore({ nodeName: 'n1', stateDir, clock: systemClock, peers: NO_PEERS });
    engines = await begin(store, folder);
    checkpointer = engines.checkpointer;
    if (checkpointer.guarantee === 'StaysFrozen') await engines.processes.pause(['i1']);
  });
  afterEach(() => rm(folder, { recursive: true }));

  const statusNow = async () => (await engines.processes.containers('u1')).map(({ status }) => status);
  /** As its guarantee says. */
  const asBefore = () => [checkpointer.guarantee === 'StaysFrozen' ? 'paused' : 'running'];

  it('saves a pod so that its store opens the state by the digest that is told', async () => {
    const dump = await checkpointer.save(REQUEST, NEVER);
    if (dump.failure !== null) throw new Error(dump.failure.message);
    const { containers, bytes, manifestDigest } = dump.saved;
    const location = { node: 'n1', reference: KEY };
    const state = await store.open({ location, manifestDigest, bytes, podUid: 'u2', ticket: 't' }, NEVER);
    if ('refusal' in state) throw new Error(state.refusal.message);
    expect(state.manifest).toMatchObject({ pod: REQUEST.pod, containers: [{ name: 'main' }] });
    expect(bytes).toBe(state.manifest.files.reduce((sum, file) => sum + file.bytes, 0));
    expect(containers).toMatchObject([{ name: 'main', imageDigest: state.manifest.containers[0]?.image }]);
  });

  it('leaves the containers as it guarantees, saved or not', async () => {
    expect(await statusNow()).toEqual(asBefore());
    expect(await checkpointer.save(REQUEST, NEVER)).toMatchObject({ failure: null });
    expect(await statusNow()).toEqual(asBefore());
    await checkpointer.save({ ...REQUEST, containers: ['i1', 'dead'] }, NEVER);
    expect(await statusNow()).toEqual(asBefore());
    await checkpointer.save(REQUEST, AbortSignal.abort(new Error('called off'))).catch(() => undefined);
    expect(await statusNow()).toEqual(asBefore());
  });

  it('saves nothing of a pod of which a container is gone', async () => {
    const { failure } = await checkpointer.save({ ...REQUEST, containers: ['i1', 'dead'] }, NEVER);
    expect(failure?.reason).toBe('DumpFailed');
    expect(await store.isWhole(KEY)).toBe(false);
  });

  it('leaves no whole state where it is called off, and says why', async () => {
    const stop = new AbortController();
    const saved = checkpointer.save(REQUEST, stop.signal);
    stop.abort(new Error('called off'));
    await expect(saved).rejects.toThrow('called off');
    expect(await store.isWhole(KEY)).toBe(false);
  });

  it('saves again what was begun before', async () => {
    const draft = await store.begin(KEY);
    await draft.create(['main']);
    await writeFile(join(draft.container('main').images, 'pages-9.img'), 'of before');
    expect(await checkpointer.save(REQUEST, NEVER)).toMatchObject({ failure: null });
    expect(await checkpointer.save(REQUEST, NEVER)).toMatchObject({ failure: null });
    expect(await store.isWhole(KEY)).toBe(true);
  });

  it('tells no progress before a save and after it', async () => {
    expect(await checkpointer.progress(KEY)).toBeNull();
    await checkpointer.save(REQUEST, NEVER);
    expect(await checkpointer.progress(KEY)).toBeNull();
  });

  it('has nothing against a pod like any other', async () => {
    await engines.processes.resume('i1');
    expect(await checkpointer.obstacle(OBJECT)).toBeNull();
    expect(await checkpointer.lastingObstacle(OBJECT, DEFAULT_RULES)).toBeNull();
    await checkpointer.undisturbed('token');
  });
});
