import { stat } from 'node:fs/promises';
import { RESTORED_CONDITION } from '../../src/domain/labels.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { condition } from '../../test/cluster/story/history.ts';
import { isRunning, nameOf, nodeOf, ticketIn } from '../../test/cluster/story/seen.ts';
import type { NodeBed } from '../../test/node/bed/bed.ts';
import { restoredFrom, victimOf, type Victim } from '../../test/node/bed/displace.ts';
import { hog, hogPast } from '../../test/node/bed/hog.ts';
import { preemptor } from '../../test/node/bed/keeper.ts';

/** A victim that takes nearly all of a node, and the whole of its grace period. */
export async function startVictim(
  bed: NodeBed,
  name: string,
  {
    mebibytes,
    node,
    graceSeconds,
  }: { readonly mebibytes: number; readonly node?: string; readonly graceSeconds: number },
): Promise<Victim> {
  const pod = hog(name, { mebibytes, cpu: '1500m', ...(node !== undefined && { node }) }) as { readonly spec: object };
  await bed.cluster.applyObjects({ ...pod, spec: { ...pod.spec, terminationGracePeriodSeconds: graceSeconds } });
  const victim = await victimOf(bed, name);
  await hogPast(victim.ip, 3);
  return victim;
}

/** Milliseconds from the creation of a preemptor until it runs, as one watcher saw it. */
export async function preempt(bed: NodeBed, victim: Victim): Promise<number> {
  const name = `serving-${victim.name}`;
  const body = preemptor(name, victim.node);
  const { status } = await bed.transport.request({ method: 'POST', path: '/api/v1/namespaces/default/pods', body });
  if (status !== 201) throw new Error(`creating ${name}: HTTP ${status}`);
  const isIt = (pod: KubeObject): boolean => nameOf(pod) === name;
  const runs = await bed.history.until('Pod', `${name} runs`, (pod) => isIt(pod) && isRunning(pod), 90);
  const created = await bed.history.until('Pod', `${name} created`, isIt);
  return runs.seenMs - created.seenMs;
}

export interface Restored {
  /** From the pod being bound until its node says that it is restored. */
  readonly total: number;
  /** Finding, fetching and verifying the state. */
  readonly stage: number;
  /** Sandbox, network and the container up to its runtime: what any pod takes. */
  readonly create: number;
  /** The agent's answer: checks, and the files put in place. */
  readonly apply: number;
  /** The runtime's restore, with the way of the answer to the wrapper. */
  readonly runc: number;
  /** Both: what is done in place of starting the program. */
  readonly proper: number;
  /** From the container's being there until the pod says so. */
  readonly report: number;
}

/** Waits for the pod that continues a victim. Milliseconds, by when files came to be on its node. */
export async function restored(bed: NodeBed, victim: Victim): Promise<Restored & { readonly node: string }> {
  const again = await restoredFrom(bed, victim);
  await ticketIn(bed, 'Restored', victim.uid);
  const isIt = ({ metadata }: KubeObject): boolean => metadata.uid === again.uid;
  const bound = await bed.history.until('Pod', 'bound', (pod) => isIt(pod) && nodeOf(pod) !== undefined);
  const said = await bed.history.until(
    'Pod',
    'restored',
    (pod) => isIt(pod) && condition(pod, RESTORED_CONDITION) === 'True',
  );
  const node = bed.node(again.node);
  const staged = await saidMs(bed, again.node, 'staged', (line) => line['pod'] === again.name, bound.seenMs);
  const answered = await saidMs(
    bed,
    again.node,
    'ready to be restored',
    (line) => line['podUid'] === again.uid,
    bound.seenMs,
  );
  const asked = answered.at - Number(answered.line['ms']);
  const done = (await stat(node.path(`/run/reprieve/pods/${again.uid}/main.result`))).mtimeMs;
  return {
    node: again.node,
    total: said.seenMs - bound.seenMs,
    stage: staged.at - bound.seenMs,
    create: asked - staged.at,
    apply: answered.at - asked,
    runc: done - answered.at,
    proper: done - asked,
    report: said.seenMs - done,
  };
}

type Line = Readonly<Record<string, unknown>>;

/** When the agent of a node said something last, and with what. */
async function saidMs(
  bed: NodeBed,
  node: string,
  message: string,
  isIt: (line: Line) => boolean,
  afterMs: number,
): Promise<{ readonly at: number; readonly line: Line }> {
  const lines = (await bed.agent(node).log()).split('\n').filter((line) => line.includes(`"msg":"${message}"`));
  const line = lines.map((text) => JSON.parse(text) as Line).findLast(isIt);
  const at = line === undefined ? NaN : new Date(String(line['time'])).getTime();
  if (line === undefined || !(at >= afterMs - 1000)) throw new Error(`the agent of ${node} has not said: ${message}`);
  return { at, line };
}

/** Milliseconds from a pod's being bound until its containers run, as one watcher saw it. */
export async function startedIn(bed: NodeBed, name: string): Promise<number> {
  const isIt = (pod: KubeObject): boolean => nameOf(pod) === name;
  const bound = await bed.history.until('Pod', 'bound', (pod) => isIt(pod) && nodeOf(pod) !== undefined);
  const runs = await bed.history.until('Pod', 'runs', (pod) => isIt(pod) && isRunning(pod));
  return runs.seenMs - bound.seenMs;
}
