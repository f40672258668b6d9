import { expect } from 'vitest';
import { RESOURCES } from '../../../src/kube/resources.ts';
import type { Rule } from '../api-conformance.ts';
import { accepted, expectRefusal, type Item } from '../item.ts';

const { pods } = RESOURCES;
const RESTORE = { name: 'reprieve.dev/restore' };
const OTHER = { name: 'example.com/other' };

const requires = (...expressions: (readonly [string, string])[]) => ({
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [
        { matchExpressions: expressions.map(([key, value]) => ({ key, operator: 'In', values: [value] })) },
      ],
    },
  },
});
const prefers = (host: string) => [
  {
    weight: 100,
    preference: { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [host] }] },
  },
];

export function podUpdateRules(rule: Rule): void {
  rule('of a spec hardly anything may change', async (item) => {
    const { metadata } = await item.createPod();
    for (const spec of [
      { hostname: 'other' },
      { nodeName: 'n1' },
      { nodeSelector: { a: '1' } },
      { affinity: requires(['a', '1']) },
      { terminationGracePeriodSeconds: 5 },
      { runtimeClassName: 'reprieve' },
      { priority: 5 },
    ]) {
      const response = await item.patch(pods, metadata.name, 'strategic', { spec });
      expectRefusal(response, 422, 'Invalid', /spec: Forbidden: pod updates may not change fields other than/);
    }
    const added = { spec: { containers: [{ name: 'x', image: 'example.invalid/x:1' }] } };
    const response = await item.patch(pods, metadata.name, 'strategic', added);
    expectRefusal(response, 422, 'Invalid', /pod updates may not add or remove containers/);
  });

  rule('images, deadlines and further tolerations may change, and move the generation', async (item) => {
    const { metadata } = await item.createPod();
    const change = async (spec: object): Promise<number | undefined> =>
      accepted(await item.patch(pods, metadata.name, 'strategic', { spec })).metadata.generation;
    expect(await change({ containers: [{ name: 'main', image: 'example.invalid/main:2' }] })).toBe(2);
    expect(await change({ activeDeadlineSeconds: 100 })).toBe(3);
    expect(await change({ activeDeadlineSeconds: 50 })).toBe(4);
    const longer = await item.patch(pods, metadata.name, 'merge', { spec: { activeDeadlineSeconds: 60 } });
    expectRefusal(longer, 422, 'Invalid', /must be less than or equal to previous value/);
    const append = [{ op: 'add', path: '/spec/tolerations/-', value: { key: 'a', operator: 'Exists' } }];
    expect(accepted(await item.patch(pods, metadata.name, 'json', append)).metadata.generation).toBe(5);
  });

  rule('gates can only go', async (item) => {
    const { metadata } = await item.createPod({ schedulingGates: [OTHER, RESTORE] });
    const { name } = metadata;
    const added = { spec: { schedulingGates: [{ name: 'example.com/new' }] } };
    const refusal = await item.patch(pods, name, 'strategic', added);
    expectRefusal(
      refusal,
      422,
      'Invalid',
      /only deletion is allowed, but found new scheduling gate 'example.com\/new'/,
    );
    const removal = { spec: { schedulingGates: [{ $patch: 'delete', ...RESTORE }] } };
    expect(accepted(await item.patch(pods, name, 'strategic', removal))['spec']).toMatchObject({
      schedulingGates: [OTHER],
    });
    const last = await item.patch(pods, name, 'json', [
      { op: 'test', path: '/spec/schedulingGates/0/name', value: OTHER.name },
      { op: 'remove', path: '/spec/schedulingGates/0' },
    ]);
    expect(accepted(last)['spec']).not.toHaveProperty('schedulingGates');
    // The condition is for the scheduler to change.
    expect(accepted(last)['status']).toMatchObject({ conditions: [{ reason: 'SchedulingGated' }] });
    const again = await item.patch(pods, name, 'merge', { spec: { schedulingGates: [RESTORE] } });
    expectRefusal(again, 422, 'Invalid', /only deletion is allowed/);
  });

  rule('a gated pod may be narrowed to fewer nodes', async (item) => {
    const change = await gatedPod(item, { nodeSelector: { a: '1' }, affinity: requires(['zone', 'x']) });
    accepted(await change({ nodeSelector: { a: '1', b: '2' } }));
    accepted(await change({ affinity: requires(['zone', 'x'], ['reprieve.dev/class', 'c1']) }));
    const preferred = { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: prefers('n1') } };
    const patched = accepted(await change({ affinity: preferred }));
    expect(patched['spec']).toMatchObject({ affinity: preferred, nodeSelector: { a: '1', b: '2' } });
    accepted(await change({ affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: null } } }));
  });

  rule('a gated pod without affinity may get any', async (item) => {
    const change = await gatedPod(item, {});
    const nodeAffinity = {
      ...requires(['zone', 'x']).nodeAffinity,
      preferredDuringSchedulingIgnoredDuringExecution: prefers('n1'),
    };
    expect(accepted(await change({ affinity: { nodeAffinity } }))['spec']).toMatchObject({
      affinity: { nodeAffinity },
    });
  });

  rule('a gated pod may not be widened to more nodes', async (item) => {
    const change = await gatedPod(item, { nodeSelector: { a: '1' }, affinity: requires(['zone', 'x']) });
    expectRefusal(await change({ nodeSelector: { a: null } }), 422, 'Invalid', /only additions to spec.nodeSelector/);
    expectRefusal(await change({ nodeSelector: { a: '2' } }), 422, 'Invalid', /only additions to spec.nodeSelector/);
    expectRefusal(
      await change({ affinity: null }),
      422,
      'Invalid',
      /no additions\/deletions to non-empty NodeSelectorTerms/,
    );
    expectRefusal(await change({ affinity: requires(['zone', 'y']) }), 422, 'Invalid', /only additions are allowed/);
    // What is new comes behind what was there.
    const before = requires(['class', 'c1'], ['zone', 'x']);
    expectRefusal(await change({ affinity: before }), 422, 'Invalid', /only additions are allowed/);
    const podAntiAffinity = {
      requiredDuringSchedulingIgnoredDuringExecution: [
        { labelSelector: { matchLabels: { a: '1' } }, topologyKey: 'kubernetes.io/hostname' },
      ],
    };
    expectRefusal(await change({ affinity: { podAntiAffinity } }), 422, 'Invalid', /spec: Forbidden/);
    expectRefusal(await change({ runtimeClassName: 'reprieve' }), 422, 'Invalid', /spec: Forbidden/);
  });

  rule('one update may narrow a pod and open its last gate', async (item) => {
    const change = await gatedPod(item, {});
    const spec = { affinity: requires(['zone', 'x']), schedulingGates: null };
    const opened = accepted(await change(spec));
    expect(opened['spec']).toMatchObject({ affinity: requires(['zone', 'x']) });
    expect(opened['spec']).not.toHaveProperty('schedulingGates');
    expectRefusal(await change({ nodeSelector: { a: '1' } }), 422, 'Invalid', /spec: Forbidden/);
  });
}

async function gatedPod(item: Item, spec: object): Promise<(change: object) => ReturnType<Item['patch']>> {
  const { metadata } = await item.createPod({ schedulingGates: [RESTORE], ...spec });
  return (change) => item.patch(pods, metadata.name, 'merge', { spec: change });
}
