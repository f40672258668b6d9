import { afterAll, beforeAll, expect, it } from 'vitest';
import { CHECKPOINT_LABEL, DEFAULT_NAMESPACE } from '../../src/domain/labels.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { field } from '../cluster/story/history.ts';
import { ordered, victimUidOf } from '../cluster/story/seen.ts';
import { NodeBed } from './bed/bed.ts';
import { clear, displace, restoredFrom, victimOf, type Victim } from './bed/displace.ts';
import { hogPast } from './bed/hog.ts';
import { keeper } from './bed/keeper.ts';

/** An agent that lives, stops in order, or is dead: what Reprieve and the operator see of it. */
let bed: NodeBed;

beforeAll(async () => {
  bed = await NodeBed.start({ agents: {} });
  await bed.cluster.applyObjects({
    apiVersion: 'reprieve.dev/v1alpha1',
    kind: 'ReprievePolicy',
    metadata: { name: 'patient' },
    spec: {
      match: { priorityClassNames: ['batch'] },
      preemption: { decision: 'Always', onFailure: 'Evict', maxDelay: '10m' },
    },
  });
});
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]();
});

let count = 0;

async function running(mebibytes: number): Promise<Victim> {
  const name = `keeper-${++count}`;
  await bed.cluster.applyObjects(keeper(name, 'bare', { mebibytes }));
  const victim = await victimOf(bed, name);
  await hogPast(victim.ip, 5);
  return victim;
}

const renewTime = (node: string): Promise<string> =>
  bed.cluster.kubectl(
    'get',
    'lease',
    `reprieve-agent-${node}`,
    '-n',
    DEFAULT_NAMESPACE,
    '-o',
    'jsonpath={.spec.renewTime}',
  );
const labelOf = async (node: string): Promise<string | undefined> => {
  const object = JSON.parse(await bed.cluster.kubectl('get', 'node', node, '-o', 'json')) as {
    readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  };
  return object.metadata.labels[CHECKPOINT_LABEL];
};

it('renews its Lease, and says at the freeze that the pod is frozen', async () => {
  const victim = await running(512);
  const before = await renewTime(victim.node);
  await displace(bed, victim);
  await restoredFrom(bed, victim);
  const reasons = bed.history
    .of('PodCheckpoint')
    .filter(({ object }) => victimUidOf(object) === victim.uid)
    .map(({ object }) => conditionReason(object, 'Frozen'))
    .filter((reason) => reason !== undefined);
  expect([...new Set(reasons)].slice(0, 2)).toEqual(['Saving', 'Held']);
  await expect.poll(() => renewTime(victim.node), { timeout: 15_000 }).not.toBe(before);
  await clear(bed);
});

it('takes its label off the Node when it is stopped, and puts it back when it starts', async () => {
  const { name } = bed.nodes[0] as { readonly name: string };
  await bed.agent(name).stop();
  expect(await labelOf(name)).toBeUndefined();
  await bed.agent(name).start();
  await expect.poll(() => labelOf(name), { timeout: 30_000 }).toBe('true');
});

it('is not waited for when it died, after 40 s', async () => {
  const victim = await running(16);
  await bed.agent(victim.node).kill();
  const startedMs = performance.now();
  const displaced = displace(bed, victim);
  await ordered(bed, victim.uid);
  await displaced; // within 90 s, where the policy would wait ten minutes
  expect(performance.now() - startedMs).toBeGreaterThan(25_000);
  await bed.agent(victim.node).start();
  await clear(bed);
});

function conditionReason(object: KubeObject, type: string): string | undefined {
  const conditions = (field(object, 'status', 'conditions') ?? []) as readonly { type: string; reason: string }[];
  return conditions.find((one) => one.type === type)?.reason;
}
