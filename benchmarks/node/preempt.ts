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
  readonly sandbox: number;
  /** The wrapper's question, the agent's check, the files put in place. */
  readonly apply: number;
  readonly runc: number;
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
  const [container = ''] = bed.pod(again.name).containers;
  const time = async (path: string, which: 'mtimeMs' | 'birthtimeMs' = 'mtimeMs'): Promise<number> =>
    (await stat(node.path(path)))[which];
  const staged = await stagedMs(bed, again.node, again.name, bound.seenMs);
  const created = await time(`/run/containerd/io.containerd.runtime.v2.task/k8s.io/${container}`, 'birthtimeMs');
  const begun = await time(`/run/reprieve/restored/${container}`);
  const done = await time(`/run/reprieve/pods/${again.uid}/main.result`);
  return {
    node: again.node,
    total: said.seenMs - bound.seenMs,
    stage: staged - bound.seenMs,
    sandbox: created - staged,
    apply: begun - created,
    runc: done - begun,
    report: said.seenMs - done,
  };
}

/** When the agent of a node said that the state for a pod is there and verified. */
async function stagedMs(bed: NodeBed, node: string, pod: string, afterMs: number): Promise<number> {
  const lines = (await bed.agent(node).log()).split('\n').filter((line) => line.includes('"msg":"staged"'));
  const said = lines.map((line) => JSON.parse(line) as { readonly time: number | string; readonly pod: string });
  const found = said.findLast((line) => line.pod === pod);
  const ms = found === undefined ? NaN : new Date(found.time).getTime();
  if (!(ms >= afterMs - 1000)) throw new Error(`the agent of ${node} has staged nothing for ${pod}`);
  return ms;
}
