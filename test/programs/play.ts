import { setTimeout as sleep } from 'node:timers/promises';
import { CHECKPOINTABLE_CONDITION } from '../../src/domain/labels.ts';
import type { PodCheckpointStatus } from '../../src/kube/crd/pod-checkpoint.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { condition, field, type Version } from '../cluster/story/history.ts';
import { conditionIn, isRunning, nameOf, nodeOf, phaseOf, victimUidOf } from '../cluster/story/seen.ts';
import type { NodeBed } from '../node/bed/bed.ts';
import { clear, versionsOf, victimOf, type Victim } from '../node/bed/displace.ts';
import { preemptor } from '../node/bed/keeper.ts';
import { Leftovers, networkLocks } from '../node/bed/leftovers.ts';
import { differences, factsIn, isComplete } from './judge.ts';
import { manifestsOf } from './manifests.ts';
import type { Facts, Program, Result } from './types.ts';

const STARTING_MS = 300_000;
/** The agent looks for obstacles every ten seconds; the second look finds what a program opened after it was Ready. */
const LOOKED_MS = 12_000;
const SETTLING_MS = 60_000;
const LOOKING_MS = 1_000;
const OUTCOME_SECONDS = 150;

/** How a displacement ended, as the records say. */
type Outcome = 'Restored' | 'ColdStarted' | 'Abandoned' | 'not saved' | 'evicted unsaved';

/**
 * Starts a program on node1, waits until it is under load and the agent has looked at it, displaces it, and asks the program that was
 * restored on the other node what became of it. Leaves the bed as it was.
 */
export async function play(bed: NodeBed, program: Program): Promise<Result> {
  const leftovers = await Leftovers.since(bed);
  try {
    const result = await judged(bed, program);
    await clear(bed);
    const left = await leftovers.found();
    return { ...result, ...(left.length > 0 && { left }) };
  } finally {
    await clear(bed).catch(() => {}); // what failed is told
    await bed.cluster.kubectl('delete', 'configmap', program.slug, '--ignore-not-found');
  }
}

async function judged(bed: NodeBed, program: Program): Promise<Result> {
  await bed.cluster.applyObjects(...(await manifestsOf(program)));
  const victim = await victimOf(bed, program.slug);
  const started = await underLoad(bed, victim.name, program);
  await sleep(LOOKED_MS);
  const now = versionsOf(bed, victim.uid).at(-1)?.object as KubeObject;
  const said = conditionIn(now, CHECKPOINTABLE_CONDITION);
  if (said?.status === 'False') return { verdict: 'refused', why: `${said.reason}: ${said.message}` };
  const before = (await look(bed, victim.name, program)) ?? started;

  const serving = `serving-${program.slug}`;
  await bed.cluster.applyObjects(preemptor(serving, victim.node));
  const outcome = await outcomeOf(bed, victim);
  if (outcome !== 'Restored') return { verdict: 'late', why: `${outcome}: ${whyOf(bed, victim)}` };
  await bed.history.until('Pod', `${serving} runs`, (pod) => nameOf(pod) === serving && isRunning(pod));
  const again = claimOf(bed, victim);
  const wrong = await wrongWith(bed, again, program, before);
  const { node, containers } = bed.pod(again.metadata.name);
  for (const container of containers) wrong.push(...(await networkLocks(node, container)));
  if (node.name === victim.node) wrong.push(`it is on ${victim.node} again`);
  if (wrong.length > 0) return { verdict: 'late', why: wrong.join('; ') };
  return { verdict: 'whole', ...figuresOf(bed, victim, again) };
}

/** Waits until it prints all that is judged, and two looks show what is to grow growing, and the rest unchanged. */
async function underLoad(bed: NodeBed, pod: string, program: Program): Promise<Facts> {
  const deadlineMs = Date.now() + STARTING_MS;
  let before: Facts | null = null;
  let last: Facts | null = null;
  for (; Date.now() < deadlineMs; await sleep(LOOKING_MS)) {
    last = await look(bed, pod, program);
    if (last === null || !isComplete(program.judge, last)) continue;
    if (before !== null && differences(program.judge, before, last).length === 0) return last;
    before = last;
  }
  const log = await bed.cluster.kubectl('logs', pod, '--tail=8').catch(String);
  throw new Error(`${program.slug} has not started: ${JSON.stringify(last)}\n${log}`);
}

async function wrongWith(bed: NodeBed, again: KubeObject, program: Program, before: Facts): Promise<string[]> {
  const { uid } = again.metadata;
  await bed.history
    .until('Pod', 'Ready again', (pod) => pod.metadata.uid === uid && condition(pod, 'Ready') === 'True')
    .catch(() => {}); // the program says it better
  const deadlineMs = Date.now() + SETTLING_MS;
  for (;;) {
    const after = await look(bed, again.metadata.name, program);
    const wrong = after === null ? ['it does not answer'] : differences(program.judge, before, after);
    if (wrong.length === 0 || Date.now() > deadlineMs) return wrong;
    await sleep(LOOKING_MS);
  }
}

/** What it prints of itself; null where it cannot be asked. */
async function look(bed: NodeBed, pod: string, program: Program): Promise<Facts | null> {
  // `kubectl exec` has no limit of its own, and a program that hangs must not hold up the others.
  const command = ['exec', pod, '-c', 'main', '--', 'timeout', '30', 'sh', '-c', `${program.look}\ntrue`];
  const text = await bed.cluster.kubectl(...command).catch(() => null);
  return text === null ? null : factsIn(text);
}

async function outcomeOf(bed: NodeBed, victim: Victim): Promise<Outcome> {
  let outcome: Outcome | null = null;
  const isOver = ({ kind, object, type }: Version): boolean => {
    if (kind === 'Reprieve' && victimUidOf(object) === victim.uid) outcome = endOf(phaseOf(object));
    if (kind === 'PodCheckpoint' && victimUidOf(object) === victim.uid && condition(object, 'Failed') === 'True')
      outcome = 'not saved';
    if (
      kind === 'Pod' &&
      object.metadata.uid === victim.uid &&
      type === 'DELETED' &&
      ticketOf(bed, victim) === undefined
    )
      outcome = 'evicted unsaved';
    return outcome !== null;
  };
  const deadlineMs = Date.now() + OUTCOME_SECONDS * 1000;
  while (!bed.history.versions.some(isOver)) {
    if (Date.now() > deadlineMs) throw new Error(`no outcome: ${JSON.stringify(ticketOf(bed, victim)?.['status'])}`);
    await sleep(200);
  }
  return outcome as unknown as Outcome;
}

function endOf(phase: unknown): Outcome | null {
  return phase === 'Restored' || phase === 'ColdStarted' || phase === 'Abandoned' ? phase : null;
}

function ticketOf(bed: NodeBed, victim: Victim): KubeObject | undefined {
  return bed.history.of('Reprieve').findLast(({ object }) => victimUidOf(object) === victim.uid)?.object;
}

function orderOf(bed: NodeBed, victim: Victim): KubeObject | undefined {
  return bed.history.of('PodCheckpoint').findLast(({ object }) => victimUidOf(object) === victim.uid)?.object;
}

/** What the records say of a displacement that did not end in a restored pod. */
function whyOf(bed: NodeBed, victim: Victim): string {
  const [order, ticket] = [orderOf(bed, victim), ticketOf(bed, victim)];
  const failed = order && conditionIn(order, 'Failed');
  const restored = ticket && conditionIn(ticket, 'Restored');
  return failed?.message ?? restored?.message ?? 'no record says why';
}

/** The pod that continues a victim whose ticket is `Restored`. */
function claimOf(bed: NodeBed, victim: Victim): KubeObject {
  const uid = field(ticketOf(bed, victim) as KubeObject, 'status', 'claim', 'uid') as string;
  return versionsOf(bed, uid).at(-1)?.object as KubeObject;
}

function figuresOf(bed: NodeBed, victim: Victim, again: KubeObject): Pick<Result, 'bytes' | 'savedMs' | 'restoredMs'> {
  const { bytes, takenAt, completedAt } = (orderOf(bed, victim) as KubeObject)['status'] as PodCheckpointStatus;
  const versions = versionsOf(bed, again.metadata.uid as string);
  const bound = versions.find(({ object }) => nodeOf(object) !== undefined);
  const ready = versions.find(({ object }) => condition(object, 'Ready') === 'True');
  return {
    ...(bytes !== undefined && { bytes }),
    ...(takenAt !== undefined &&
      completedAt !== undefined && { savedMs: Date.parse(completedAt) - Date.parse(takenAt) }),
    ...(bound && ready && { restoredMs: ready.seenMs - bound.seenMs }),
  };
}
