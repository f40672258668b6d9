import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AGENT_FINALIZER } from '../../src/domain/labels.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { condition, field } from '../cluster/story/history.ts';
import { ordered, victimUidOf } from '../cluster/story/seen.ts';
import { policy } from '../cluster/story/workloads.ts';
import { NodeBed } from './bed/bed.ts';
import { clear, displace, restoredFrom, victimOf, type Victim } from './bed/displace.ts';
import { hogPast } from './bed/hog.ts';
import { keeper } from './bed/keeper.ts';

/** A checkpoint that somebody made by hand, and a preemption of the same pod. */
let bed: NodeBed;

beforeAll(async () => {
  bed = await NodeBed.start({ agents: {} });
  await bed.cluster.applyObjects(policy('batch', 'batch'));
});
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]();
});
afterEach(async () => {
  await bed.cluster.kubectl('delete', 'podcheckpoints', '--all', '--wait=false');
  await clear(bed);
});

let count = 0;

async function running(): Promise<Victim & { readonly count: number }> {
  const name = `keeper-${++count}`;
  await bed.cluster.applyObjects(keeper(name, 'bare', { mebibytes: 512 }));
  const victim = await victimOf(bed, name);
  const answer = await hogPast(victim.ip, 5);
  return { ...victim, count: answer.count };
}

async function orderManual({ name, uid, node }: Victim): Promise<void> {
  await bed.cluster.applyObjects({
    apiVersion: 'reprieve.dev/v1alpha1',
    kind: 'PodCheckpoint',
    metadata: { name: manualOf(name), finalizers: [AGENT_FINALIZER] },
    spec: { pod: { name, uid }, nodeName: node, reason: 'Manual' },
  });
}

const manualOf = (pod: string): string => `manual-${pod}`;
const until = (name: string, type: string, status: string): Promise<{ readonly object: KubeObject }> =>
  bed.history.until(
    'PodCheckpoint',
    `${name} ${type}=${status}`,
    (checkpoint) => checkpoint.metadata.name === name && condition(checkpoint, type) === status,
  );

/** How a victim goes on that was saved for a preemption. */
async function aftermath(victim: Victim & { readonly count: number }): Promise<object> {
  const again = await restoredFrom(bed, victim);
  const { data } = await hogPast(again.ip, victim.count);
  const failed = bed.history
    .of('PodCheckpoint')
    .filter(({ object }) => victimUidOf(object) === victim.uid && field(object, 'spec', 'keepFrozen') === true)
    .filter(({ object }) => condition(object, 'Failed') === 'True');
  return { data, failed, restarts: bed.pod(again.name).restarts };
}
const UNHARMED = { data: 'ok', failed: [], restarts: 0 };

describe('manual checkpoint beside a preemption', () => {
  it('saves the pod for the preemption when the manual dump is done', async () => {
    const victim = await running();
    await orderManual(victim);
    await displace(bed, victim);
    await until(manualOf(victim.name), 'Ready', 'True');
    expect(await aftermath(victim)).toEqual(UNHARMED);
  });

  it('does not disturb the preemption that came first', async () => {
    const victim = await running();
    const displaced = displace(bed, victim);
    await ordered(bed, victim.uid);
    await orderManual(victim);
    await displaced;
    const { object } = await until(manualOf(victim.name), 'Failed', 'True');
    const conditions = field(object, 'status', 'conditions') as { type: string; reason: string }[];
    expect(conditions.find(({ type }) => type === 'Failed')?.reason).toBe('PodGone');
    expect(await aftermath(victim)).toEqual(UNHARMED);
  });
});
