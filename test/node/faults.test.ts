import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FROZEN_CONDITION } from '../../src/domain/labels.ts';
import { condition } from '../cluster/story/history.ts';
import { ordered } from '../cluster/story/seen.ts';
import { policy } from '../cluster/story/workloads.ts';
import { NodeBed } from './bed/bed.ts';
import { clear, displace, restoredFrom, victimOf, type Victim } from './bed/displace.ts';
import { hogPast } from './bed/hog.ts';
import { keeper } from './bed/keeper.ts';

/** What must hold whatever dies, at whatever moment (design 7). Each test ends with nothing frozen and nothing lost. */
let bed: NodeBed;

beforeAll(async () => {
  bed = await NodeBed.start({ agents: {} });
  await bed.cluster.applyObjects(policy('batch', 'batch'));
});
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]();
});
afterEach(async () => {
  await clear(bed);
  for (const node of bed.nodes) expect(await frozen(node.name)).toEqual([]);
});

/** Ids of containers that stand frozen on a node. */
async function frozen(nodeName: string): Promise<readonly string[]> {
  const list = await bed.node(nodeName).run('runc', '--root', '/run/containerd/runc/k8s.io', 'list', '-f', 'json');
  const containers = (JSON.parse(list) ?? []) as readonly { readonly id: string; readonly status: string }[];
  return containers.filter(({ status }) => status === 'paused').map(({ id }) => id);
}

let count = 0;

/** A bare keeper under a name that was never used before: the history knows all that ever were. */
async function running(mebibytes: number): Promise<Victim & { readonly count: number }> {
  const name = `keeper-${++count}`;
  await bed.cluster.applyObjects(keeper(name, 'bare', { mebibytes }));
  const victim = await victimOf(bed, name);
  const answer = await hogPast(victim.ip, 10);
  return { ...victim, count: answer.count };
}

/** A moment in the life of a displacement; resolves when it has come. */
const MOMENTS: Readonly<Record<string, (victim: Victim) => Promise<unknown>>> = {
  'as soon as it is ordered': (victim) => ordered(bed, victim.uid),
  'in the middle of the dump': async (victim) => {
    const { object } = await ordered(bed, victim.uid);
    const folder = `/var/lib/reprieve/checkpoints/${object.metadata.namespace}_${object.metadata.name}_${object.metadata.uid}`;
    await appears(victim.node, `${folder}/containers/main/images/pages-1.img`);
  },
  'when the pod is marked frozen': (victim) =>
    bed.history.until(
      'Pod',
      `${victim.name} frozen`,
      (pod) => pod.metadata.uid === victim.uid && condition(pod, FROZEN_CONDITION) === 'True',
    ),
  'when the pod is being deleted': (victim) =>
    bed.history.until(
      'Pod',
      `${victim.name} deleted`,
      (pod) => pod.metadata.uid === victim.uid && pod.metadata.deletionTimestamp !== undefined,
    ),
};

async function appears(nodeName: string, path: string): Promise<void> {
  const node = bed.node(nodeName);
  for (let left = 600; left > 0; left--) {
    if (
      await readFile(node.path(path)).then(
        () => true,
        (error: NodeJS.ErrnoException) => error.code === 'EISDIR',
      )
    )
      return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${path} did not appear on ${nodeName}`);
}

describe('SIGKILL of the agent of the victim’s node', () => {
  it.each(Object.keys(MOMENTS))('%s', async (moment) => {
    const victim = await running(256);
    const displaced = displace(bed, victim);
    await (MOMENTS[moment] as (typeof MOMENTS)[string])(victim);
    await bed.agent(victim.node).kill();
    await bed.agent(victim.node).start();
    await displaced;
    const again = await restoredFrom(bed, victim);
    const answer = await hogPast(again.ip, victim.count);
    expect(answer.data).toBe('ok');
    // Not a second of its work was done twice or not at all: it counts in its log without a gap.
    const said = (await bed.cluster.kubectl('logs', again.name)).trim().split('\n').map(Number);
    expect(said[0]).toBeGreaterThan(victim.count);
  });
});
