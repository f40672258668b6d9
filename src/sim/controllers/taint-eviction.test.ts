import { describe, expect, it } from 'vitest';
import { RESOURCES } from '../../kube/resources.ts';
import { TestCluster } from '../scheduler/test-cluster.ts';

const TAINT = { key: 'maintenance', value: 'now', effect: 'NoExecute' };

/** A pod with these tolerations on a node that is tainted now. */
async function tainted(tolerations: readonly object[], taint: object = TAINT): Promise<TestCluster> {
  const cluster = new TestCluster();
  await cluster.node('n1');
  await cluster.pod({ name: 'a', node: 'n1', spec: { tolerations } });
  await cluster.setStatus('a', { phase: 'Running' });
  await cluster.clock.advance(1000);
  await setTaints(cluster, [taint]);
  return cluster;
}

async function setTaints(cluster: TestCluster, taints: readonly object[]): Promise<void> {
  await cluster.client.patch(RESOURCES.nodes, null, 'n1', { spec: { taints } }, { type: 'merge' });
  await cluster.clock.advance(1000);
}

const isGoing = (cluster: TestCluster): boolean => cluster.find('a')?.metadata.deletionTimestamp !== undefined;

describe('a NoExecute taint', () => {
  it('deletes a pod that does not tolerate it, which says why', async () => {
    const cluster = await tainted([]);
    expect(isGoing(cluster)).toBe(true);
    expect(cluster.find('a')?.status?.conditions).toContainEqual(
      expect.objectContaining({ type: 'DisruptionTarget', status: 'True', reason: 'DeletionByTaintManager' }),
    );
  });

  it.each([
    ['by key', [{ key: 'maintenance', operator: 'Exists' }]],
    ['by value', [{ key: 'maintenance', value: 'now', effect: 'NoExecute' }]],
    ['whatever it is', [{ operator: 'Exists' }]],
  ])('leaves a pod that tolerates it %s', async (_, tolerations) => {
    const cluster = await tainted(tolerations);
    await cluster.clock.advance(600_000);
    expect(isGoing(cluster)).toBe(false);
  });

  it('deletes a pod that tolerates another value', async () => {
    expect(isGoing(await tainted([{ key: 'maintenance', value: 'later' }]))).toBe(true);
  });

  it('deletes a pod that tolerates it for a while when that is over', async () => {
    const cluster = await tainted([{ key: 'maintenance', operator: 'Exists', tolerationSeconds: 60 }]);
    await cluster.clock.advance(50_000);
    expect(isGoing(cluster)).toBe(false);
    await cluster.clock.advance(10_000);
    expect(isGoing(cluster)).toBe(true);
  });

  it('leaves it where the taint is taken off before', async () => {
    const cluster = await tainted([{ key: 'maintenance', operator: 'Exists', tolerationSeconds: 60 }]);
    await setTaints(cluster, []);
    await cluster.clock.advance(120_000);
    expect(isGoing(cluster)).toBe(false);
  });

  it('meets a pod that is bound there later', async () => {
    const cluster = new TestCluster();
    await cluster.node('n1', 4, { taints: [TAINT] });
    await cluster.pod({ name: 'a', node: 'n1' });
    await cluster.clock.advance(1000);
    expect(isGoing(cluster)).toBe(true);
  });

  it('is not one that only keeps new pods away', async () => {
    const cluster = await tainted([], { key: 'maintenance', effect: 'NoSchedule' });
    await cluster.clock.advance(60_000);
    expect(isGoing(cluster)).toBe(false);
  });
});
