import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import { RESOURCES, type ResourceType } from '../../../src/kube/resources.ts';
import type { KubeObject } from '../../../src/kube/transport.ts';
import { condition, field } from '../story/history.ts';
import { conditionIn, nameOf, phaseOf, resumed, ticketIn, workLost, type RunningPod } from '../story/seen.ts';
import type { OwnerRow } from './row.ts';

/** What must hold of the rows of `owners.test.ts`. */
const FINAL: ReadonlySet<unknown> = new Set(['Restored', 'ColdStarted', 'Abandoned']);

/** The pod that has continued each, where it stopped. */
export async function continued(row: OwnerRow, victims: readonly RunningPod[]): Promise<readonly KubeObject[]> {
  const claimants: KubeObject[] = [];
  for (const { uid } of victims) {
    expect(await workLost(row.lab, uid)).toBe(0);
    claimants.push((await resumed(row.lab, uid)).object);
  }
  return claimants;
}

/** The tickets of these pods end so, and nothing continues them. */
export async function ends(
  row: OwnerRow,
  victims: readonly RunningPod[],
  phase: 'Abandoned' | 'ColdStarted',
  reason: string,
): Promise<void> {
  for (const { uid } of victims) {
    const { object } = await ticketIn(row.lab, phase, uid);
    expect(conditionIn(object, 'Restored')?.reason).toBe(reason);
  }
}

/** The Job is complete, and never counted a failure. */
export async function completes(row: OwnerRow, name = row.name): Promise<KubeObject> {
  const isDone = (object: KubeObject): boolean =>
    nameOf(object) === name && (condition(object, 'Complete') ?? condition(object, 'Failed')) === 'True';
  const { object } = await row.lab.history.until('Job', `the end of Job ${name}`, isDone);
  const versions = row.lab.history.of('Job', name).map((version) => version.object);
  expect(versions.filter((one) => Number(field(one, 'status', 'failed') ?? 0) > 0)).toEqual([]);
  expect(condition(object, 'Complete')).toBe('True');
  return object;
}

/** An Event about the object of the row's name. */
export async function told(row: OwnerRow, reason: string): Promise<void> {
  const fieldSelector = `involvedObject.name=${row.name},reason=${reason}`;
  const read = async (): Promise<boolean> =>
    (await row.client.list(RESOURCES.events, { namespace: 'default', fieldSelector })).length > 0;
  await becomes(read, true);
}

/** The controller of the row's name has as many pods as it wants, and all of them are ready. */
export async function isWhole(row: OwnerRow, type: ResourceType, count: number): Promise<void> {
  const read = async (): Promise<unknown> => {
    const owner = await row.client.get(type, 'default', row.name);
    return [field(owner, 'status', 'replicas'), field(owner, 'status', 'readyReplicas')];
  };
  await becomes(read, [count, count]);
}

/** As `expect.poll`, which knows no tests that run at the same time. */
export async function becomes(read: () => unknown, want: unknown): Promise<void> {
  for (let attempt = 0; attempt < 150; attempt++) {
    if (isDeepStrictEqual(await read(), want)) return;
    await sleep(200);
  }
  expect(await read()).toEqual(want);
}

/** What holds for every owner in the end: all of its pods run, no state was continued twice, and every ticket has ended. */
export async function settles(row: OwnerRow, pods: number): Promise<readonly KubeObject[]> {
  const alive = (): KubeObject[] => row.now().filter((object) => phaseOf(object) !== 'Succeeded');
  await becomes(() => alive().map(phaseOf), Array(pods).fill('Running'));
  const tickets = await row.client.list(RESOURCES.reprieves, { namespace: 'default' });
  const ours = tickets.filter((ticket) => String(field(ticket, 'spec', 'pod', 'name')).startsWith(`${row.name}-`));
  expect(ours.map(phaseOf).filter((phase) => !FINAL.has(phase))).toEqual([]);
  for (const ticket of ours) {
    const uids = new Set(row.restoredFrom(nameOf(ticket)));
    expect(uids.size).toBe(phaseOf(ticket) === 'Restored' ? 1 : 0);
  }
  return alive();
}
