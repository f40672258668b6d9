import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PodUid } from '../../domain/ids.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { DEFAULT_RULES } from '../../../test/support/builders.ts';
import { NO_PEERS } from '../../../test/support/obedient-runtime.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import type { Checkpointer, Guarantee } from '../checkpointer/checkpointer.ts';
import type { Dump } from '../orders/savable-pod.ts';
import { DiskStore } from '../state/disk-store.ts';
import { checkpointsFolder } from '../state/layout.ts';
import { HoldRecords, type HoldRecord } from './hold-record.ts';
import { NodePods } from './node-pods.ts';
import type { PodContainer, PodProcesses } from './pod-processes.ts';

const KEY = 'default_c_1';
const TERMS = { key: KEY, keepFrozen: true, thawAt: { serverMs: 60_000, monotonicMs: 1e15 } };
const UID = 'u1' as PodUid;
const NEVER = new AbortController().signal;
const SAVED: Dump = { failure: null, saved: { containers: [], bytes: 1, manifestDigest: 'sha256:0' } };

interface PodParts {
  readonly deleting?: boolean;
  readonly phase?: string;
  readonly containers?: readonly string[];
  /** A deletion adds one, as at the API server; null: nobody counts. */
  readonly generation?: number | null;
  /** By the kubelet. */
  readonly observed?: number;
}

function podObject(parts: PodParts = {}): KubeObject {
  const { deleting = false, phase = 'Running', containers = ['main'], generation = deleting ? 2 : 1 } = parts;
  const { observed = 1 } = parts;
  return {
    metadata: {
      name: 'a',
      namespace: 'default',
      uid: UID,
      ...(generation !== null && { generation }),
      ...(deleting && { deletionTimestamp: '2026-01-01T00:00:00Z' }),
    },
    spec: { containers: containers.map((name) => ({ name })) },
    status: { phase, ...(generation !== null && { observedGeneration: observed }) },
  };
}

/** Processes that only remember what was done to them. */
class FakeProcesses implements PodProcesses, Checkpointer {
  guarantee: Guarantee = 'StaysFrozen';
  readonly bytesPerSecond = null;
  readonly done: string[] = [];
  all: PodContainer[] = [{ id: 'i1', name: 'main', status: 'running' }];
  unpausable = '';
  unkillable: string | null = null;
  dumped: Dump = SAVED;
  unlistable = false;
  dumpOfBefore: Promise<void> = Promise.resolve();

  undisturbed(): Promise<void> {
    return this.dumpOfBefore;
  }
  containers(): Promise<readonly PodContainer[]> {
    if (this.unlistable) return Promise.reject(new Error('runc failed (1)'));
    return Promise.resolve(this.all);
  }
  lastingObstacle(): Promise<null> {
    return Promise.resolve(null);
  }
  stateBytes(): Promise<null> {
    return Promise.resolve(null);
  }
  obstacle(): Promise<null> {
    return Promise.resolve(null);
  }
  async pause(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      this.done.push(`pause ${id}`);
      if (id === this.unpausable) throw new Error('cgroup is gone');
      this.#become(id, 'paused');
    }
  }
  resume(id: string): Promise<void> {
    this.done.push(`resume ${id}`);
    this.#become(id, 'running');
    return Promise.resolve();
  }
  kill(id: string): Promise<void> {
    if (id === this.unkillable) return Promise.reject(new Error('cannot fork'));
    this.done.push(`kill ${id}`);
    this.all = this.all.filter((one) => one.id !== id);
    return Promise.resolve();
  }
  save(): Promise<Dump> {
    this.done.push('dump');
    return Promise.resolve(this.dumped);
  }
  progress(): Promise<null> {
    return Promise.resolve(null);
  }
  #become(id: string, status: PodContainer['status']): void {
    this.all = this.all.map((one) => (one.id === id ? { ...one, status } : one));
  }
}

let folder: string; // with one for each order, for its record and its state
let store: DiskStore;
let processes: FakeProcesses;
let clock: VirtualClock;
let killed: string[];
let found: (string | null)[];
const errors: unknown[] = [];

beforeEach(async () => {
  const stateDir = await mkdtemp(join(tmpdir(), 'node-pods-'));
  folder = checkpointsFolder(stateDir);
  await mkdir(folder);
  processes = new FakeProcesses();
  clock = new VirtualClock();
  store = new DiskStore({ nodeName: 'n1', stateDir, clock, peers: NO_PEERS });
  killed = [];
  errors.length = 0;
  found = [];
});
afterEach(() => rm(dirname(folder), { recursive: true, force: true }));

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

function newPods(): NodePods {
  return new NodePods({
    processes,
    checkpointer: processes,
    store,
    clock,
    recordsFolder: folder,
    maxConcurrentDumps: 1,
    onFound: (pod) => found.push(pod.frozenBy),
    onKilled: (key) => killed.push(key),
    onError: (error) => errors.push(error),
  });
}

/** Lets the clock run while the disk is asked. */
async function passesFor(ms: number): Promise<void> {
  for (let leftMs = ms; leftMs > 0; leftMs -= 1_000) {
    await clock.advance(1_000);
    await settle();
  }
}

/** As a new process of the agent. */
async function start(objects: readonly KubeObject[] = [podObject()]): Promise<NodePods> {
  const pods = newPods();
  await pods.load();
  for (const object of objects) pods.changed(null, object);
  pods.endOrphans(objects);
  await pods.looked;
  return pods;
}

describe('freezing', () => {
  it('stops every container, and a later process knows', async () => {
    processes.all.push({ id: 'i2', name: 'side', status: 'running' });
    const object = podObject({ containers: ['main', 'side'] });
    const pod = (await start([object])).find(UID);
    expect(await pod?.freeze(TERMS, NEVER)).toBeNull();
    expect(pod).toMatchObject({ state: 'frozen', frozenBy: KEY });
    expect(processes.done).toEqual(['pause i1', 'pause i2']);
    expect((await start([object])).find(UID)).toMatchObject({ state: 'frozen', frozenBy: KEY });
  });

  it('of all or none: where one cannot be stopped, the others go on', async () => {
    processes.all.push({ id: 'i2', name: 'side', status: 'running' });
    processes.unpausable = 'i2';
    const pod = (await start([podObject({ containers: ['main', 'side'] })])).find(UID);
    expect(await pod?.freeze(TERMS, NEVER)).toMatchObject({ reason: 'DumpFailed', message: /cgroup is gone/ });
    expect(pod).toMatchObject({ state: 'running', frozenBy: null });
    expect(processes.all.every(({ status }) => status === 'running')).toBe(true);
  });

  it.each([
    ['has not started', [{ id: 'i2', name: 'main', status: 'other' }]],
    ['is missing', []],
  ] as const)('of a pod whose container %s is refused, and nothing stopped', async (_, all) => {
    processes.all = [...all];
    const pod = (await start()).find(UID);
    expect(await pod?.freeze(TERMS, NEVER)).toMatchObject({ reason: 'NotRunning', message: /container main/ });
    expect(processes.done).toEqual([]);
  });
});

describe('a backend that pods run on under', () => {
  beforeEach(() => {
    processes.guarantee = 'RunsOn';
  });

  it('freezes no pod for a request that keeps it frozen', async () => {
    const pod = (await start()).find(UID);
    expect(await pod?.freeze(TERMS, NEVER)).toMatchObject({ reason: 'NotCheckpointable' });
    expect(pod).toMatchObject({ state: 'running', frozenBy: null });
    expect(processes.done).toEqual([]);
  });

  it('is left to stop the containers itself, and a later process finds those that it left stopped', async () => {
    const pod = (await start()).find(UID);
    expect(await pod?.freeze({ ...TERMS, keepFrozen: false }, NEVER)).toBeNull();
    expect(await pod?.dump(KEY, DEFAULT_RULES, NEVER)).toEqual(SAVED);
    expect(processes.done).toEqual(['dump']);
    await processes.pause(['i1']); // it died in the middle
    const found = (await start()).find(UID);
    expect(found?.hold).toMatchObject({ keepFrozen: false });
    await found?.thaw();
    expect(processes.all).toEqual([{ id: 'i1', name: 'main', status: 'running' }]);
  });
});

describe('the end of a pod that stands frozen', () => {
  it('is a kill where it is saved, without going on for a moment', async () => {
    const pods = await start();
    const pod = pods.find(UID);
    await pod?.freeze(TERMS, NEVER);
    await pod?.dump(KEY, DEFAULT_RULES, NEVER);
    pods.changed(podObject(), podObject({ deleting: true, observed: 2 }));
    pods.changed(podObject(), podObject({ deleting: true, observed: 2 })); // seen twice
    await settle();
    expect(processes.done).toEqual(['pause i1', 'dump', 'kill i1']);
    expect(killed).toEqual([KEY]);
    expect(pod?.state).toBe('ended');
  });

  describe('waits for the kubelet, which would start anew what dies before it knows of the deletion', () => {
    const NOT_YET = ['pause i1', 'dump'];
    const DEAD = [...NOT_YET, 'kill i1'];
    let pods: NodePods;
    beforeEach(async () => {
      pods = await start();
      await pods.find(UID)?.freeze(TERMS, NEVER);
      await pods.find(UID)?.dump(KEY, DEFAULT_RULES, NEVER);
    });
    afterEach(() => pods.stop());

    async function seen(parts: PodParts): Promise<void> {
      pods.changed(podObject(), podObject({ deleting: true, ...parts }));
      await settle();
    }

    it('and is a kill as soon as that says so', async () => {
      await seen({});
      expect(processes.done).toEqual(NOT_YET);
      expect(pods.find(UID)?.state).toBe('ended'); // nobody may thaw it any more
      await seen({ observed: 2 });
      expect(processes.done).toEqual(DEAD);
    });

    it('for what it says of the deletion, not of a later change', async () => {
      await seen({});
      await seen({ generation: 3, observed: 2 });
      expect(processes.done).toEqual(DEAD);
    });

    it('which may be dead: after 30 s the pod is', async () => {
      await seen({});
      await clock.advance(29_000);
      await settle();
      expect(processes.done).toEqual(NOT_YET);
      await clock.advance(2_000);
      await settle();
      expect(processes.done).toEqual(DEAD);
    });

    it.each<[string, PodParts]>([
      ['says nothing of what it sees', { observed: 0 }],
      ['cannot say it, since nobody counts', { generation: null }],
    ])('for a second where that %s', async (_, parts) => {
      await seen(parts);
      expect(processes.done).toEqual(NOT_YET);
      await clock.advance(1_000);
      await settle();
      expect(processes.done).toEqual(DEAD);
    });

    it('no longer where the object is gone', async () => {
      await seen({});
      pods.changed(podObject({ deleting: true }), null);
      await settle();
      expect(processes.done).toEqual(DEAD);
    });

    it('standing still all the while, whoever asks for it to go on', async () => {
      await seen({});
      await pods.find(UID)?.thaw();
      expect(processes.done).toEqual(NOT_YET);
    });

    it('and longer than this agent lives: the next one ends it', async () => {
      await writeFile(join(folder, KEY, 'manifest.json'), '{}');
      await seen({});
      pods.stop();
      await settle();
      expect(processes.done).toEqual(NOT_YET);
      pods = await start([podObject({ deleting: true, observed: 2 })]);
      await settle();
      expect(processes.done).toEqual(DEAD);
    });

    it('before its state goes as well, where nobody wants that any more', async () => {
      await seen({});
      await pods.forget(KEY);
      expect(await readdir(folder)).toEqual([KEY]);
      await seen({ observed: 2 });
      expect(await readdir(folder)).toEqual([]);
    });
  });

  it('is its own where it is not: it goes on, and ends as whoever deleted it meant', async () => {
    const pods = await start();
    const pod = pods.find(UID);
    await pod?.freeze(TERMS, NEVER);
    pods.changed(podObject(), podObject({ deleting: true }));
    await settle();
    expect(processes.done).toEqual(['pause i1', 'resume i1']);
    expect(pod?.ended.aborted).toBe(true);
  });

  it('removes a state, when its pod is thawed, that was to be forgotten while the pod was frozen', async () => {
    const pods = await start();
    const pod = pods.find(UID);
    await pod?.freeze(TERMS, NEVER);
    await pods.forget(KEY);
    expect(await readdir(folder)).toEqual([KEY]);
    await pod?.thaw();
    await settle();
    expect(await readdir(folder)).toEqual([]);
    pods.stop();
  });

  it('is noticed when somebody else brings it about', async () => {
    const pods = await start();
    const pod = pods.find(UID);
    await pod?.freeze(TERMS, NEVER);
    processes.all = [{ id: 'i9', name: 'main', status: 'running' }]; // the kubelet has started it again
    await clock.advance(2_000);
    await settle();
    expect(killed).toEqual([KEY]);
    expect(pod).toMatchObject({ state: 'running', frozenBy: null });
    pods.stop();
  });
});

describe('a later process', () => {
  async function leftFrozen({ saved }: { readonly saved: boolean }): Promise<void> {
    await (await start()).find(UID)?.freeze(TERMS, NEVER);
    if (saved) await writeFile(join(folder, KEY, 'manifest.json'), '{}');
    processes.done.length = 0;
  }

  it.each([
    ['kills what is saved and was deleted meanwhile', true, [podObject({ deleting: true, observed: 2 })], ['kill i1']],
    ['waits as the one before it, for the kubelet', true, [podObject({ deleting: true })], []],
    ['lets go what is not saved and was deleted meanwhile', false, [podObject({ deleting: true })], ['resume i1']],
    ['kills what is saved and is gone', true, [], ['kill i1']],
    ['leaves to its orders what stands frozen for one', true, [podObject()], []],
  ] as const)('%s', async (_, saved, objects, done) => {
    await leftFrozen({ saved });
    await start([...objects]);
    await settle();
    expect(processes.done).toEqual(done);
  });

  it('lets all go on where only some stand still: the one before it died in between', async () => {
    processes.all.push({ id: 'i2', name: 'side', status: 'running' });
    const object = podObject({ containers: ['main', 'side'] });
    await (await start([object])).find(UID)?.freeze(TERMS, NEVER);
    await processes.resume('i2');
    const pod = (await start([object])).find(UID);
    expect(pod).toMatchObject({ state: 'running', frozenBy: null });
    expect(processes.all.every(({ status }) => status === 'running')).toBe(true);
  });

  it('waits for a dump that outlived the one before it: until then what is frozen seems to run', async () => {
    await leftFrozen({ saved: false });
    const frozen = processes.all;
    processes.all = [{ id: 'i1', name: 'main', status: 'running' }];
    let ends = (): void => undefined;
    processes.dumpOfBefore = new Promise((resolve) => (ends = resolve));
    const starting = start();
    await settle();
    processes.all = frozen;
    ends();
    expect((await starting).find(UID)).toMatchObject({ state: 'frozen', frozenBy: KEY });
  });

  it('tells at once of what it finds, and until when that may stand', async () => {
    await leftFrozen({ saved: true });
    const pods = await start();
    expect(found).toEqual([KEY]);
    expect(pods.find(UID)?.hold).toMatchObject({ ...TERMS, isSaved: true });
  });

  it('finds what an agent of another version left, and has it thawed at once', async () => {
    await leftFrozen({ saved: true });
    const { pod, containers } = (await new HoldRecords(folder).read(KEY)) as HoldRecord;
    await writeFile(join(folder, KEY, 'order.json'), JSON.stringify({ pod, containers }));
    const pods = await start();
    expect(pods.find(UID)?.hold).toMatchObject({ thawAt: { serverMs: 0, monotonicMs: 0 }, keepFrozen: true });
    expect(errors).toEqual([]);
  });

  it('starts though it cannot find out what stands frozen, and thaws that at its time', async () => {
    await (
      await start()
    )
      .find(UID)
      ?.freeze({ ...TERMS, thawAt: { serverMs: 0, monotonicMs: clock.monotonic() + 5_000 } }, NEVER);
    processes.done.length = 0;
    processes.unlistable = true;
    const pods = newPods();
    await pods.load();
    await passesFor(4_000);
    expect(processes.done).toEqual([]);
    await passesFor(10_000);
    expect(processes.done).toEqual(['resume i1']);
    pods.stop();
  });

  it('does not touch what others have frozen', async () => {
    processes.all = [{ id: 'i1', name: 'main', status: 'paused' }];
    await start();
    expect(processes.done).toEqual([]);
  });
});

describe('states on the disk', () => {
  it('are known, and go when they are forgotten', async () => {
    await mkdir(join(folder, KEY));
    const pods = await start();
    expect(pods.references()).toEqual([KEY]);
    await pods.forget(KEY);
    expect(await readdir(folder)).toEqual([]);
    await pods.forget(KEY);
  });

  it('stay as long as a pod stands frozen for them', async () => {
    const pods = await start();
    await pods.find(UID)?.freeze(TERMS, NEVER);
    await pods.forget(KEY);
    expect(await readdir(folder)).toEqual([KEY]);
  });
});

describe('a pod of several containers', () => {
  const two = (parts: PodParts = {}): KubeObject => podObject({ containers: ['main', 'side'], ...parts });
  let pods: NodePods;
  beforeEach(async () => {
    processes.all.push({ id: 'i2', name: 'side', status: 'running' });
    pods = await start([two()]);
  });
  afterEach(() => pods.stop());

  async function passes(ms: number): Promise<void> {
    await clock.advance(ms);
    await settle();
  }

  async function isSaved(): Promise<void> {
    await pods.find(UID)?.freeze(TERMS, NEVER);
    await pods.find(UID)?.dump(KEY, DEFAULT_RULES, NEVER);
  }

  async function seen(parts: PodParts): Promise<void> {
    pods.changed(two(), two({ deleting: true, ...parts }));
    await settle();
  }

  it('is held as long as one of them stands frozen, and goes on when it is let go', async () => {
    await pods.find(UID)?.freeze(TERMS, NEVER);
    processes.all = processes.all.filter(({ id }) => id !== 'i1');
    await passes(2_000);
    expect(killed).toEqual([]);
    expect(pods.find(UID)?.frozenBy).toBe(KEY);
    await pods.find(UID)?.thaw();
    expect(processes.all).toEqual([{ id: 'i2', name: 'side', status: 'running' }]);
  });

  it('is dead when the last of them is', async () => {
    await pods.find(UID)?.freeze(TERMS, NEVER);
    processes.all = [];
    await passes(2_000);
    expect(killed).toEqual([KEY]);
  });

  it('ends as a whole where one dies while the kill waits for the kubelet', async () => {
    await isSaved();
    await seen({});
    processes.all = processes.all.filter(({ id }) => id !== 'i1');
    await passes(2_000);
    expect(killed).toEqual([]);
    await seen({ observed: 2 });
    expect(processes.all).toEqual([]);
    expect(killed).toEqual([KEY]);
  });

  it('never goes on where the agent died between two kills', async () => {
    await isSaved();
    await writeFile(join(folder, KEY, 'manifest.json'), '{}');
    pods.stop();
    processes.all = processes.all.filter(({ id }) => id !== 'i1');
    processes.done.length = 0;
    pods = await start([two({ deleting: true, observed: 2 })]);
    await settle();
    expect(processes.done).toEqual(['kill i2']);
  });

  it('goes on where the agent died between two resumes, saved or not', async () => {
    await isSaved();
    await writeFile(join(folder, KEY, 'manifest.json'), '{}');
    pods.stop();
    await processes.resume('i1');
    pods = await start([two()]);
    expect(processes.all.map(({ status }) => status)).toEqual(['running', 'running']);
    expect(pods.find(UID)?.state).toBe('running');
  });

  it('is not frozen where its deletion is seen meanwhile', async () => {
    const freezing = pods.find(UID)?.freeze(TERMS, NEVER);
    await seen({ observed: 2 });
    expect(await freezing).toMatchObject({ reason: 'NotRunning' });
    expect(processes.all.map(({ status }) => status)).toEqual(['running', 'running']);
  });

  it('is killed again where one could not be, and the other at once', async () => {
    await isSaved();
    processes.unkillable = 'i1';
    await seen({ observed: 2 });
    expect(errors.splice(0)).toHaveLength(1);
    expect(processes.all.map(({ id }) => id)).toEqual(['i1']);
    processes.unkillable = null;
    await passes(2_000);
    expect(processes.all).toEqual([]);
    expect(killed).toEqual([KEY]);
  });
});
