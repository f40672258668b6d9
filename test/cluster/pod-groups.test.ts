import { afterAll, beforeAll, expect, it } from 'vitest';
import { Lab } from './story/lab.ts';
import { bound, nodeOf, running, ticketIn, workLost } from './story/seen.ts';
import { pod, policy } from './story/workloads.ts';

/** Pods of a PodGroup (KEP-4671) are scheduled together. kube-scheduler asks no extender whom to preempt for them: the guard saves the victims. */
const GATES = '--feature-gates=GenericWorkload=true';

let lab: Lab;
beforeAll(async () => {
  lab = await Lab.start({
    nodes: 2,
    guardOnly: true,
    apiServerFlags: [GATES, '--runtime-config=scheduling.k8s.io/v1beta1=true'],
    controllerManagerFlags: [GATES],
    schedulerFlags: [GATES],
  });
  await lab.cluster.applyObjects(policy('batch', 'batch'));
});
afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

const group = {
  apiVersion: 'scheduling.k8s.io/v1beta1',
  kind: 'PodGroup',
  metadata: { name: 'group' },
  spec: { schedulingPolicy: { gang: { minCount: 2 } }, priorityClassName: 'serving' },
};

function member(name: string): object {
  const made = pod(name, { priorityClassName: 'serving', cpu: '3' }) as { readonly spec: object };
  return { ...made, spec: { ...made.spec, schedulingGroup: { podGroupName: 'group' } } };
}

it('the victims of a group on two nodes are saved, the group starts together, and they come back', async () => {
  const names = ['low-1', 'low-2'];
  await lab.cluster.applyObjects(...names.map((name) => pod(name, { priorityClassName: 'batch', cpu: '3' })));
  const victims = await Promise.all(names.map((name) => running(lab, name)));

  await lab.cluster.applyObjects(group, member('member-1'), member('member-2'));
  const nodes = await Promise.all(
    ['member-1', 'member-2'].map(async (name) => nodeOf((await bound(lab, name)).object)),
  );
  expect(new Set(nodes)).toEqual(new Set(['node-1', 'node-2']));
  for (const { uid } of victims) await ticketIn(lab, 'Waiting', uid);

  await lab.cluster.kubectl('delete', 'podgroup/group', 'pod/member-1', 'pod/member-2', '--wait=false');
  for (const { uid } of victims) expect(await workLost(lab, uid)).toBe(0);
});
