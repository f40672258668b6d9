import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DECIDE_ANNOTATION, RESTORE_GATE, RESTORED_CONDITION } from '../../src/domain/labels.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { condition, field } from '../cluster/story/history.ts';
import { conditionIn, eventsAbout, ticketIn } from '../cluster/story/seen.ts';
import { policy } from '../cluster/story/workloads.ts';
import { NodeBed } from './bed/bed.ts';
import { clear, displace, restoredFrom, victimOf, type Victim } from './bed/displace.ts';
import { hogPast } from './bed/hog.ts';
import { keeper, type KeeperShape, type Owner } from './bed/keeper.ts';

/** What becomes of a pod that a node cannot restore: another node tries, or its replacement is held; nothing starts cold. */
let bed: NodeBed;

beforeAll(async () => {
  bed = await NodeBed.start({ agents: {} });
});
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]();
});
afterEach(async () => {
  await mendCriu();
  await clear(bed);
});

/** From now on CRIU fails on node2, where displaced pods of node1 go. Nothing was dumped there. */
async function breakCriu(): Promise<void> {
  const script = 'p=$(command -v criu) && mv "$p" "$p.whole" && printf "#!/bin/sh\\nexit 1\\n" >"$p" && chmod 755 "$p"';
  await bed.node('node2').run('sh', '-c', script);
}

async function mendCriu(): Promise<void> {
  await bed.node('node2').run('sh', '-c', 'p=$(command -v criu) && if [ -e "$p.whole" ]; then mv "$p.whole" "$p"; fi');
}

async function policyWith(restore: object): Promise<void> {
  const batch = policy('batch', 'batch') as { readonly spec: object };
  await bed.cluster.applyObjects({ ...batch, spec: { ...batch.spec, restore } });
}

/** A keeper on node1 that has counted for a while; then its room is taken. */
async function displaced(
  name: string,
  owner: Owner,
  shape: KeeperShape = {},
): Promise<Victim & { readonly count: number }> {
  await bed.cluster.applyObjects(keeper(name, owner, { node: 'node1', ...shape }));
  const victim = await victimOf(bed, name);
  expect(victim.node).toBe('node1');
  const { count } = await hogPast(victim.ip, 10);
  await breakCriu();
  await displace(bed, victim);
  return { ...victim, count };
}

/** Pods of an app that came after the victim, as they were written last. */
function successors(app: string, { uid }: Victim): readonly KubeObject[] {
  const last = new Map<string, KubeObject>();
  for (const { object } of bed.history.of('Pod')) {
    const { labels, uid: own = '' } = object.metadata;
    if (labels?.['app'] === app && own !== uid) last.set(own, object);
  }
  return [...last.values()];
}

describe('onFailure: Hold', () => {
  const cases: readonly { readonly name: string; readonly owner: Owner; readonly shape?: KeeperShape }[] = [
    { name: 'never', owner: 'bare', shape: { restartPolicy: 'Never' } },
    { name: 'onfailure', owner: 'bare', shape: { restartPolicy: 'OnFailure' } },
    { name: 'always', owner: 'bare', shape: { restartPolicy: 'Always' } },
    { name: 'job', owner: 'Job' }, // Never, backoffLimit 0
  ];
  it.each(cases)('holds the replacement of a pod ($name) until a person decides', async ({ name, owner, shape }) => {
    await policyWith({ attempts: 1, onFailure: 'Hold' });
    const victim = await displaced(name, owner, shape);
    const { object: ticket } = await ticketIn(bed, 'Held', victim.uid);
    expect(conditionIn(ticket, 'Restored')).toMatchObject({ status: 'Unknown', reason: 'Held' });
    expect(field(ticket, 'status', 'failedNodes')).toMatchObject([{ node: 'node2', reason: 'RestoreFailed' }]);
    const { object: held } = await bed.history.until(
      'Pod',
      `${name} told that it is held`,
      (pod) => pod.metadata.labels?.['app'] === name && conditionIn(pod, RESTORED_CONDITION)?.reason === 'Held',
    );
    expect(field(held, 'spec', 'schedulingGates')).toEqual([{ name: RESTORE_GATE }]);
    expect(await eventsAbout(bed, held.metadata.name)).toContain('RestoreHeld');
    for (const pod of successors(name, victim)) {
      const statuses = (field(pod, 'status', 'containerStatuses') ?? []) as readonly { readonly started?: boolean }[];
      expect(statuses.filter(({ started }) => started)).toEqual([]);
    }

    await mendCriu();
    await bed.cluster.kubectl('annotate', 'reprieves', ticket.metadata.name, `${DECIDE_ANNOTATION}=retry`);
    const again = await restoredFrom(bed, victim);
    expect((await hogPast(again.ip, victim.count)).data).toBe('ok');
    expect(
      bed.history.last('Reprieve', ticket.metadata.name)?.metadata.annotations?.[DECIDE_ANNOTATION],
    ).toBeUndefined();
    if (owner === 'Job') {
      const job = JSON.parse(await bed.cluster.kubectl('get', 'job', name, '-o', 'json')) as KubeObject;
      expect(field(job, 'status', 'failed') ?? 0).toBe(0);
    }
  });
});

describe('a restore that failed on one node', () => {
  it.each(['bare', 'Job'] as const)('is done by another node (%s)', async (owner) => {
    await policyWith({ attempts: 2, onFailure: 'ColdStart' });
    const name = `second-${owner.toLowerCase()}`;
    const victim = await displaced(name, owner);
    await bed.history.until(
      'Reprieve',
      'a failed node',
      (ticket) => conditionIn(ticket, 'Restored')?.reason === 'TriesElsewhere',
    );
    await bed.cluster.kubectl('delete', 'pod', `serving-${victim.name}`.slice(0, 60), '--force', '--grace-period=0');
    const again = await restoredFrom(bed, victim);
    expect(again.node).toBe('node1');
    expect((await hogPast(again.ip, victim.count)).data).toBe('ok');
    const pods = successors(name, victim);
    expect(pods.filter((pod) => condition(pod, RESTORED_CONDITION) === 'False')).toEqual([]);
  });
});
