import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HoldTerms, SavablePod, SavablePods } from '../../src/agent/orders/savable-pod.ts';
import { NodePods } from '../../src/agent/pods/node-pods.ts';
import { DiskStore } from '../../src/agent/state/disk-store.ts';
import { checkpointsFolder } from '../../src/agent/state/layout.ts';
import type { PodUid } from '../../src/domain/ids.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { Container } from '../../src/sim/nodes/container.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import { SimulatedNode } from '../../src/sim/nodes/simulated-node.ts';
import { SimulatedPods } from '../../src/sim/nodes/simulated-pods.ts';
import { WorkLedger } from '../../src/sim/nodes/work-ledger.ts';
import { VirtualClock } from '../../src/sim/virtual-clock.ts';
import { DEFAULT_RULES } from '../support/builders.ts';
import { NO_PEERS, ObedientRuntime } from '../support/obedient-runtime.ts';

const UID = 'u1' as PodUid;
const KEY = 'default_c_1';
const NEVER = new AbortController().signal;
const POD: KubeObject = {
  metadata: { name: 'a', namespace: 'default', uid: UID },
  spec: { containers: [{ name: 'main', image: 'app:1', resources: { requests: { cpu: '1', memory: '10Mi' } } }] },
  status: { phase: 'Running' },
};
const TERMS: HoldTerms = { key: KEY, keepFrozen: true, thawAt: { serverMs: 60_000, monotonicMs: 60_000 } };

/** A node with one running pod. */
interface Bench {
  /** As a process of the agent begins with them; the one before it has died. */
  readonly start: () => Promise<SavablePods>;
  /** Moves the clock until `work` has settled. */
  readonly done: <T>(work: Promise<T>) => Promise<T>;
  readonly end: () => Promise<void>;
}

/** The agent's records and folders on a real disk, over processes that obey. */
async function realDisk(): Promise<Bench> {
  const stateDir = await mkdtemp(join(tmpdir(), 'savable-pods-'));
  const clock = new VirtualClock();
  const store = new DiskStore({ nodeName: 'n1', stateDir, clock, peers: NO_PEERS });
  const runtime = new ObedientRuntime(store);
  const engines = { processes: runtime, checkpointer: runtime, store };
  const ignored = (): void => undefined;
  const settings = { recordsFolder: checkpointsFolder(stateDir), maxConcurrentDumps: 1 };
  let pods: NodePods | null = null;
  const start = async (): Promise<NodePods> => {
    pods?.stop();
    pods = new NodePods({ ...engines, clock, ...settings, onFound: ignored, onKilled: ignored, onError: ignored });
    await pods.load();
    pods.changed(null, POD);
    await pods.looked;
    return pods;
  };
  const end = async (): Promise<void> => {
    pods?.stop();
    await rm(stateDir, { recursive: true });
  };
  return { start, done: (work) => work, end };
}

async function simulatedDisk(): Promise<Bench> {
  const clock = new VirtualClock();
  const node = new SimulatedNode(nodeSpec('n1'));
  const container = new Container(POD, 'n1', clock);
  node.containers.set(UID, container);
  container.run(0);
  const ignored = (): void => undefined;
  const kubelet = { onFrozen: ignored, onThawed: ignored, onDeleted: ignored };
  const start = async (): Promise<SavablePods> =>
    new SimulatedPods({ node, clock, ledger: new WorkLedger(), faults: {}, ...kubelet });
  const done = async <T>(work: Promise<T>): Promise<T> => {
    await clock.advance(10_000);
    return work;
  };
  return { start, done, end: () => Promise.resolve() };
}

describe.each([
  ['the disk of a node', realDisk],
  ['a simulated node', simulatedDisk],
])('SavablePods over %s', (_, begin) => {
  let bench: Bench;
  let pods: SavablePods;
  let pod: SavablePod;
  beforeEach(async () => {
    bench = await begin();
    pods = await bench.start();
    pod = pods.find(UID) as SavablePod;
  });
  afterEach(() => bench.end());
  const freeze = () => bench.done(pod.freeze(TERMS, NEVER));
  const save = async (): Promise<void> => {
    expect(await freeze()).toBeNull();
    expect(await bench.done(pod.dump(KEY, DEFAULT_RULES, NEVER))).toMatchObject({ failure: null });
  };

  it('knows a pod by its uid', () => {
    expect([...pods.all()]).toEqual([pod]);
    expect([pod.state, pod.hold, pod.frozenBy]).toEqual(['running', null, null]);
  });

  it('freezes a pod for one request only', async () => {
    expect(await freeze()).toBeNull();
    expect([pod.state, pod.frozenBy]).toEqual(['frozen', KEY]);
    expect(pod.hold).toMatchObject({ ...TERMS, isSaved: false });
    expect(await bench.done(pod.freeze({ ...TERMS, key: 'default_d_2' }, NEVER))).toMatchObject({
      reason: 'NotRunning',
    });
    expect(pod.frozenBy).toBe(KEY);
  });

  it('thaws a frozen pod, and does nothing to one that runs', async () => {
    await freeze();
    await bench.done(pod.thaw());
    await bench.done(pod.thaw());
    expect([pod.state, pod.hold, pod.frozenBy]).toEqual(['running', null, null]);
  });

  it('rejects a freeze that is called off', async () => {
    const stop = AbortSignal.abort(new Error('called off'));
    await expect(bench.done(outcomeOf(pod.freeze(TERMS, stop)))).resolves.toBe('rejected');
    expect(pod.state).toBe('running');
  });

  it('keeps a pod frozen after its state is whole', async () => {
    await save();
    expect([pod.state, pod.hold?.isSaved]).toEqual(['frozen', true]);
    expect(await pods.isValid(KEY)).toBe(true);
  });

  it('finds what the process before it has frozen and saved', async () => {
    await save();
    const successor = await bench.start();
    expect(successor.references()).toEqual([KEY]);
    expect(successor.find(UID)?.hold).toMatchObject({ ...TERMS, isSaved: true });
    expect(await successor.isValid(KEY)).toBe(true);
  });

  it('restores nothing from a state that was invalidated', async () => {
    await save();
    await pods.invalidate(KEY);
    expect(await pods.isValid(KEY)).toBe(false);
  });

  it('removes the state of a pod that runs, and nothing where there is none', async () => {
    await save();
    await bench.done(pod.thaw());
    await pods.forget(KEY);
    await pods.forget(KEY);
    expect(await pods.isValid(KEY)).toBe(false);
    expect((await bench.start()).references()).toEqual([]);
  });

  it('remembers since when it is unknown what a state is for', async () => {
    await save();
    expect(await pods.unknownSince(KEY, 1_000)).toBe(1_000);
    expect(await pods.unknownSince(KEY, 2_000)).toBe(1_000);
    await pods.known(KEY);
    expect(await pods.unknownSince(KEY, 3_000)).toBe(3_000);
    expect(await pods.unknownSince('default_d_2', 3_000)).toBeNull();
  });
});

function outcomeOf(work: Promise<unknown>): Promise<'fulfilled' | 'rejected'> {
  return work.then(
    () => 'fulfilled',
    () => 'rejected',
  );
}
