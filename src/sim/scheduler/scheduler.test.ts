import { describe, expect, it } from 'vitest';
import { RESOURCES } from '../../kube/resources.ts';
import { extenderOf, TestCluster } from './test-cluster.ts';

describe('scheduling', () => {
  it('binds a pod, with the condition, and counts how long it waited', async () => {
    const cluster = new TestCluster();
    await cluster.node('n1');
    await cluster.pod({ name: 'a' });
    await cluster.clock.advance(1000);
    expect(cluster.nodeOf('a')).toBe('n1');
    expect(cluster.find('a')?.status?.conditions).toMatchObject([{ type: 'PodScheduled', status: 'True' }]);
    expect(cluster.plane.scheduler.statistics()).toMatchObject({
      bound: [{ name: 'a', node: 'n1', waitMs: 0, neededPreemption: false }],
      preemptionAttempts: 0,
      evictions: [],
    });
  });

  it('serves the higher priority first and fills nodes by the least allocated', async () => {
    const cluster = new TestCluster();
    await cluster.pod({ name: 'low', cpu: 3 });
    await cluster.pod({ name: 'high', cpu: 3, priority: 10 });
    await cluster.clock.advance(1000);
    expect(cluster.messageOf('low')).toBe('no nodes available to schedule pods');
    await cluster.node('n1');
    await cluster.clock.advance(5000);
    expect([cluster.nodeOf('high'), cluster.nodeOf('low')]).toEqual(['n1', null]);
    expect(cluster.messageOf('low')).toBe(
      '0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.',
    );
    await cluster.node('n2');
    await cluster.clock.advance(10_000);
    expect(cluster.nodeOf('low')).toBe('n2');
    await cluster.node('n3');
    await cluster.clock.advance(1000);
    await cluster.pod({ name: 'third' });
    await cluster.clock.advance(1000);
    expect(cluster.nodeOf('third')).toBe('n3');
  });

  const constraints: Record<string, { spec: object; want: string | null }> = {
    'a node selector': { spec: { nodeSelector: { disk: 'ssd' } }, want: 'ssd' },
    'a required term': { spec: required({ matchExpressions: [{ key: 'disk', operator: 'Exists' }] }), want: 'ssd' },
    'a required field': {
      spec: required({ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['plain'] }] }),
      want: 'plain',
    },
    'a term that no node matches': {
      spec: required({ matchExpressions: [{ key: 'x', operator: 'Exists' }] }),
      want: null,
    },
    'a toleration': {
      spec: {
        nodeSelector: { kind: 'tainted' },
        tolerations: [{ key: 'gpu', operator: 'Exists', effect: 'NoSchedule' }],
      },
      want: 'tainted',
    },
    'no toleration': { spec: { nodeSelector: { kind: 'tainted' } }, want: null },
    'a cordoned node': { spec: { nodeSelector: { kind: 'cordoned' } }, want: null },
    'a preference': {
      spec: {
        affinity: {
          nodeAffinity: {
            preferredDuringSchedulingIgnoredDuringExecution: [
              { weight: 1, preference: { matchExpressions: [{ key: 'disk', operator: 'In', values: ['ssd'] }] } },
            ],
          },
        },
      },
      want: 'ssd',
    },
  };
  for (const [what, { spec, want }] of Object.entries(constraints)) {
    it(`respects ${what}`, async () => {
      const cluster = new TestCluster();
      await cluster.node('plain');
      await cluster.node('ssd', 4, { labels: { disk: 'ssd' } });
      await cluster.node('tainted', 4, { labels: { kind: 'tainted' }, taints: [{ key: 'gpu', effect: 'NoSchedule' }] });
      await cluster.node('cordoned', 4, { labels: { kind: 'cordoned' }, spec: { unschedulable: true } });
      await cluster.pod({ name: 'a', spec });
      await cluster.clock.advance(1000);
      expect(cluster.nodeOf('a')).toBe(want);
    });
  }

  it('holds a gated pod and takes it when the gate is off', async () => {
    const cluster = new TestCluster();
    await cluster.node('n1');
    await cluster.pod({ name: 'a', spec: { schedulingGates: [{ name: 'x/y' }] } });
    await cluster.clock.advance(1000);
    expect(cluster.nodeOf('a')).toBe(null);
    await cluster.client.patch(RESOURCES.pods, 'default', 'a', { spec: { schedulingGates: null } }, { type: 'merge' });
    await cluster.clock.advance(0);
    expect(cluster.nodeOf('a')).toBe('n1');
  });

  it('tries a pod again after a binding that failed', async () => {
    const cluster = new TestCluster();
    await cluster.node('n1');
    let failures = 1;
    cluster.server.hooks.intercept = ({ path }) =>
      Promise.resolve(path.endsWith('/binding') && failures-- > 0 ? 'reset' : null);
    await cluster.pod({ name: 'a' });
    await cluster.clock.advance(500);
    expect(cluster.nodeOf('a')).toBe(null);
    await cluster.clock.advance(1000);
    expect(cluster.nodeOf('a')).toBe('n1');
  });

  it('asks extenders to filter and to prioritise', async () => {
    const extender = extenderOf(
      (verb) =>
        verb === 'filter'
          ? { NodeNames: ['n1', 'n2'], FailedAndUnresolvableNodes: { n3: 'not that one' } }
          : [{ Host: 'n2', Score: 10 }],
      { verbs: ['filter', 'prioritize'] },
    );
    const cluster = new TestCluster([extender]);
    for (const name of ['n1', 'n2', 'n3']) await cluster.node(name);
    await cluster.pod({ name: 'a' });
    await cluster.clock.advance(1000);
    expect(cluster.nodeOf('a')).toBe('n2');
    expect(extender.calls).toMatchObject([
      { Nodes: null, NodeNames: ['n1', 'n2', 'n3'], Pod: { metadata: { name: 'a' } } },
      { Nodes: null, NodeNames: ['n1', 'n2'] },
    ]);
  });

  it('tries the nominated node first and alone, then all of them', async () => {
    const extender = extenderOf(
      (_verb, { NodeNames }) => ({ NodeNames: (NodeNames as string[]).filter((name) => name !== 'n2') }),
      { verbs: ['filter'] },
    );
    const cluster = new TestCluster([extender]);
    await cluster.pod({ name: 'a', spec: { schedulingGates: [{ name: 'x/y' }] } });
    await cluster.setStatus('a', { nominatedNodeName: 'n2' });
    for (const name of ['n1', 'n2', 'n3']) await cluster.node(name);
    await cluster.client.patch(RESOURCES.pods, 'default', 'a', { spec: { schedulingGates: null } }, { type: 'merge' });
    await cluster.clock.advance(0);
    expect(extender.calls.map(({ NodeNames }) => NodeNames)).toEqual([['n2'], ['n1', 'n2', 'n3']]);
    expect(cluster.nodeOf('a')).toBe('n1');
  });

  it('does not schedule past an extender that fails, unless it is ignorable', async () => {
    for (const ignorable of [false, true]) {
      const cluster = new TestCluster([extenderOf(() => 500, { verbs: ['filter'], ignorable })]);
      await cluster.node('n1');
      await cluster.pod({ name: 'a' });
      await cluster.clock.advance(1000);
      expect(cluster.nodeOf('a')).toBe(ignorable ? 'n1' : null);
      expect(cluster.messageOf('a')).toBe(ignorable ? '' : 'failed filter with extender extender, code 500');
    }
  });
});

function required(term: object): object {
  const nodeSelectorTerms = [term];
  return {
    affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } },
  };
}
