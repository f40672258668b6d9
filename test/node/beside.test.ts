import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AGENT_FINALIZER, CHECKPOINTABLE_CONDITION } from '../../src/domain/labels.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { condition, field } from '../cluster/story/history.ts';
import { ordered, victimUidOf } from '../cluster/story/seen.ts';
import { policy } from '../cluster/story/workloads.ts';
import { NodeBed } from './bed/bed.ts';
import { clear, displace, restoredFrom, versionsOf, victimOf, type Victim } from './bed/displace.ts';
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

async function running(mebibytes = 512): Promise<Victim & { readonly count: number }> {
  const name = `keeper-${++count}`;
  await bed.cluster.applyObjects(keeper(name, 'bare', { mebibytes }));
  const victim = await victimOf(bed, name);
  const answer = await hogPast(victim.ip, 5);
  return { ...victim, count: answer.count };
}

async function orderManual({ name, uid, node }: Victim): Promise<void> {
  await bed.cluster.applyObjects({
    apiVersion: 'reprieve.dev/v1alpha1',
    kind: 'PodCheckpoint',
    metadata: { name: manualOf(name), finalizers: [AGENT_FINALIZER] },
    spec: { pod: { name, uid }, node: node, reason: 'Manual' },
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
    .filter(({ object }) => victimUidOf(object) === victim.uid && field(object, 'spec', 'hold') === 'UntilDeleted')
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

describe('a manual checkpoint that is fresh', () => {
  beforeAll(async () => {
    const batch = policy('batch', 'batch') as { readonly spec: { readonly preemption: object } };
    const preemption = { ...batch.spec.preemption, freshFor: '10m' };
    await bed.cluster.applyObjects({ ...batch, spec: { ...batch.spec, preemption } });
  });
  afterAll(async () => {
    await bed.cluster.applyObjects(policy('batch', 'batch'));
  });

  it('is what the preempted pod continues, without another dump, and survives', async () => {
    const victim = await running(1024); // large enough that saving it again costs more than the work since
    const name = manualOf(victim.name);
    await orderManual(victim);
    const { object: manual } = await until(name, 'Ready', 'True');
    await displace(bed, victim);
    const again = await restoredFrom(bed, victim);
    expect(await hogPast(again.ip, victim.count)).toMatchObject({ data: 'ok' });
    const versions = versionsOf(bed, victim.uid).map(({ object }) => condition(object, CHECKPOINTABLE_CONDITION));
    expect(versions).not.toContain('False');
    const orders = bed.history.of('PodCheckpoint').filter(({ object }) => victimUidOf(object) === victim.uid);
    expect(new Set(orders.map(({ object }) => object.metadata.uid))).toEqual(new Set([manual.metadata.uid]));
    const kept = JSON.parse(await bed.cluster.kubectl('get', 'podcheckpoint', name, '-o', 'json')) as KubeObject;
    expect(kept.metadata.deletionTimestamp).toBeUndefined();
    expect(condition(kept, 'Ready')).toBe('True');
  });
});
