import { setTimeout as sleep } from 'node:timers/promises';
import { Lab } from '../../test/cluster/story/lab.ts';
import { condition, field, type Version } from '../../test/cluster/story/history.ts';
import { bound, nameOf, ordered, resumed, running } from '../../test/cluster/story/seen.ts';
import { pod, policy } from '../../test/cluster/story/workloads.ts';

/**
 * From the creation of a preemptor until it is bound, with Reprieve and natively, in turns on one control plane. All times
 * are those at which one watcher saw the changes. The simulated agent takes 200 ms to save a victim (50 ms to freeze it,
 * 150 ms to write 75 MiB); what is beyond that and kube-scheduler's own part is what the programs need to tell each other.
 */
const ROUNDS = 20;
const SAVING_MS = 200;
/** What a simulated victim needs to end by itself after SIGTERM. */
const NATIVE_END_MS = 1000;
const STATE = '75Mi';

interface Round {
  /** Created until kube-scheduler's question has led to the order to save. */
  readonly asked: number;
  /** The order until the state is verified. */
  readonly saved: number;
  /** Verified until the victim is being deleted. */
  readonly committed: number;
  /** Being deleted until the preemptor is bound. */
  readonly bound: number;
  readonly total: number;
}

await using lab = await Lab.start({ nodes: 3, replicas: 2 });
const protectedRounds: Round[] = [];
const nativeTotals: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  protectedRounds.push(await withReprieve(`saved-${round}`));
  nativeTotals.push(await natively(`native-${round}`));
}
const handOvers = await handOver();

const part = (name: keyof Round): number[] => protectedRounds.map((round) => round[name]);
print('milliseconds, p50 and p95 of 20 rounds', 'p50', 'p95');
row('creation to the order to save', part('asked'));
row(`saving (the agent takes ${SAVING_MS})`, part('saved'));
row('state verified to victim deleted', part('committed'));
row('victim deleted to preemptor bound', part('bound'));
row('creation to bound, victim saved', part('total'));
row(
  `beyond its parts: asked + ${SAVING_MS} + bound`,
  protectedRounds.map(({ total, asked, bound: binding }) => total - asked - SAVING_MS - binding),
);
row(`creation to bound, native (a victim ends in ${NATIVE_END_MS})`, nativeTotals);
row('SIGTERM of the leader to another one leading', handOvers);

async function withReprieve(name: string): Promise<Round> {
  await lab.cluster.applyObjects(policy('batch', 'batch'));
  const victim = await start(name);
  const high = await createPreemptor(name, victim.node);
  const order = await ordered(lab, victim.uid);
  const ready = await lab.history.until('PodCheckpoint', 'Ready', (object) => {
    return field(object, 'spec', 'pod', 'uid') === victim.uid && condition(object, 'Ready') === 'True';
  });
  const deleted = await deletion(victim.uid);
  const end = await bound(lab, high);
  const created = await creation(high);
  await resumed(lab, victim.uid);
  await clear(name);
  return {
    asked: order.seenMs - created.seenMs,
    saved: ready.seenMs - order.seenMs,
    committed: deleted.seenMs - ready.seenMs,
    bound: end.seenMs - deleted.seenMs,
    total: end.seenMs - created.seenMs,
  };
}

async function natively(name: string): Promise<number> {
  await lab.cluster.kubectl('delete', 'reprievepolicies', '--all');
  const victim = await start(name);
  const high = await createPreemptor(name, victim.node);
  const end = await bound(lab, high);
  const created = await creation(high);
  await clear(name);
  return end.seenMs - created.seenMs;
}

async function start(name: string): Promise<{ readonly uid: string; readonly node: string }> {
  await lab.cluster.applyObjects(pod(name, { priorityClassName: 'batch', cpu: '3', state: STATE }));
  const victim = await running(lab, name);
  await sleep(300);
  return victim;
}

/** Created by one request: kubectl takes a while of its own. */
async function createPreemptor(victim: string, node: string): Promise<string> {
  const name = `high-${victim}`;
  const body = pod(name, { priorityClassName: 'serving', cpu: '3', node });
  const { status } = await lab.transport.request({ method: 'POST', path: '/api/v1/namespaces/default/pods', body });
  if (status !== 201) throw new Error(`creating ${name}: HTTP ${status}`);
  return name;
}

function creation(name: string): Promise<Version> {
  return lab.history.until('Pod', `${name} created`, (object) => nameOf(object) === name);
}

function deletion(uid: string): Promise<Version> {
  return lab.history.until('Pod', `deletion of ${uid}`, ({ metadata }) => {
    return metadata.uid === uid && metadata.deletionTimestamp !== undefined;
  });
}

async function clear(name: string): Promise<void> {
  await lab.cluster.kubectl('delete', 'pods', '--all', '--grace-period=0', '--force', '--wait=true');
  // What was protected comes back; what was not is gone: either way the next round begins with empty nodes.
  await lab.history.until(
    'Pod',
    `${name} gone`,
    (object, { type }) => type === 'DELETED' && nameOf(object) === `high-${name}`,
  );
}

/** From SIGTERM until the Lease is another one's. */
async function handOver(): Promise<number[]> {
  const holder = ({ object }: Version): unknown => field(object, 'spec', 'holderIdentity');
  const times: number[] = [];
  for (let round = 0; round < 5; round++) {
    const leader = await lab.leader();
    const former = holder(lab.history.of('Lease', 'reprieve').at(-1) as Version);
    const startMs = Date.now();
    const stopped = leader.stop();
    const taken = await lab.history.until('Lease', 'another holder', (_object, version) => {
      return version.seenMs >= startMs && holder(version) !== undefined && holder(version) !== former;
    });
    times.push(taken.seenMs - startMs);
    await stopped;
    await leader.start();
    await sleep(1_000);
  }
  return times;
}

function print(label: string, p50: string, p95: string): void {
  process.stdout.write(`${label.padEnd(56)}${p50.padStart(8)}${p95.padStart(8)}\n`);
}

function row(label: string, values: readonly number[]): void {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): string => String(sorted[Math.ceil(share * sorted.length) - 1]);
  print(label, at(0.5), at(0.95));
}
