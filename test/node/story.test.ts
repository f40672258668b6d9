import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FROZEN_CONDITION } from '../../src/domain/labels.ts';
import { condition } from '../cluster/story/history.ts';
import { policy } from '../cluster/story/workloads.ts';
import { NodeBed } from './bed/bed.ts';
import { clear, displace, restoredFrom, versionsOf, victimOf } from './bed/displace.ts';
import { askHog, hogPast } from './bed/hog.ts';
import { keeper, SHOW, type Owner } from './bed/keeper.ts';

/** The story of Reprieve on real nodes: frozen, saved, evicted, restored on another node, and nothing of it lost. */
let bed: NodeBed;

beforeAll(async () => {
  bed = await NodeBed.start({ agents: {} });
  await bed.cluster.applyObjects(policy('batch', 'batch'));
});
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]();
});
afterEach(() => clear(bed));

const inside = (pod: string, script: string): Promise<string> =>
  bed.cluster.kubectl('exec', pod, '--', 'sh', '-c', script);

describe('a displaced pod goes on, on the other node, as it was when it was frozen', () => {
  const cases: readonly { readonly owner: Owner; readonly mebibytes: number }[] = [
    { owner: 'bare', mebibytes: 512 },
    { owner: 'Job', mebibytes: 64 },
    { owner: 'StatefulSet', mebibytes: 64 },
  ];
  it.each(cases)('$owner with $mebibytes MiB', async ({ owner, mebibytes }) => {
    await bed.cluster.applyObjects(keeper(`keeper-${owner.toLowerCase()}`, owner, { mebibytes }));
    const victim = await victimOf(bed, `keeper-${owner.toLowerCase()}`);
    const files = await inside(victim.name, SHOW);
    const { count } = await hogPast(victim.ip, 20);

    await displace(bed, victim);
    const frozen = versionsOf(bed, victim.uid).filter(({ object }) => condition(object, FROZEN_CONDITION) === 'True');
    expect(frozen.length).toBeGreaterThan(0);
    const again = await restoredFrom(bed, victim);
    expect(again.node).not.toBe(victim.node);
    if (owner !== 'Job') expect(again.name).toBe(victim.name);

    // It counts on from where it stood, and all that it holds in memory is what it wrote.
    const answer = await hogPast(again.ip, count);
    expect(answer.data).toBe('ok');
    expect(await inside(again.name, SHOW)).toBe(files);
    // What it says goes on in the log of the new pod, without a gap and without saying anything twice.
    const said = (await bed.cluster.kubectl('logs', again.name)).trim().split('\n').map(Number);
    expect(said[0]).toBeGreaterThan(count);
    expect(said).toEqual(said.map((_, at) => (said[0] as number) + at));
    // Its liveness probe passes, and it was not started again.
    expect(bed.pod(again.name).restarts).toBe(0);
    if (owner === 'Job') {
      const job = JSON.parse(await bed.cluster.kubectl('get', 'job', 'keeper-job', '-o', 'json')) as {
        readonly status: { readonly failed?: number };
      };
      expect(job.status.failed ?? 0).toBe(0);
    }
  });
});

describe('a preemptor that is deleted half-way', () => {
  it('leaves the victim as it was, running', async () => {
    await bed.cluster.applyObjects(keeper('undone', 'bare', { mebibytes: 512 }));
    const victim = await victimOf(bed, 'undone');
    const before = await hogPast(victim.ip, 5);
    void displace(bed, victim).catch(() => undefined);
    await bed.history.until('PodCheckpoint', 'an order', ({ spec }) => {
      const { pod } = spec as { readonly pod: { readonly uid: string } };
      return pod.uid === victim.uid;
    });
    await bed.cluster.kubectl('delete', 'pod', 'serving-undone', '--wait=false');
    await bed.cluster.kubectl('wait', '--for=delete', 'podcheckpoints', '--all', '--timeout=60s');
    const after = await hogPast(victim.ip, before.count);
    expect(after.data).toBe('ok');
    expect(versionsOf(bed, victim.uid).every(({ object }) => object.metadata.deletionTimestamp === undefined)).toBe(
      true,
    );
    expect(await askHog(victim.ip)).not.toBeNull();
  });
});
