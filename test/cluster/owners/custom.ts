import { expect } from 'vitest';
import { RESOURCES } from '../../../src/kube/resources.ts';
import type { KubeObject } from '../../../src/kube/transport.ts';
import { conditionIn, isGated, nameOf, victimUidOf, wasEvicted } from '../story/seen.ts';
import { played, type Rows } from './objects.ts';
import { becomes, continued, settles } from './judge.ts';
import type { OwnerRow } from './row.ts';

export const CUSTOM: Rows = {
  'makes the same name again': async (row) => {
    const owner = await rankedJob(row);
    const make = (name: string): Promise<KubeObject> => row.create(played(row, owner, { name: `${row.name}-${name}` }));
    await make('leader');
    const victims = await row.displaced(await row.started(1));
    await row.goes(victims[0]?.uid);
    expect(isGated(await make('worker'))).toBe(false);
    expect(isGated(await make('leader'))).toBe(true);
    await row.leaves();
    expect((await continued(row, victims)).map(nameOf)).toEqual([`${row.name}-leader`]);
    await settles(row, 2);
  },
  'generates names: its pod is not saved, and says so before': async (row) => {
    const owner = await rankedJob(row);
    const make = (): Promise<KubeObject> => row.create(played(row, owner, { generateName: `${row.name}-` }));
    await make();
    const pods = await row.started(1);
    await becomes(() => policySays(row, /RankedJob generates the names of its pods/), true);
    await row.preempted(pods);
    expect(isGated(await make())).toBe(false);
    await row.leaves();
    await settles(row, 1);
    expect(row.lab.history.of('Reprieve').some(({ object }) => victimUidOf(object) === pods[0]?.uid)).toBe(false);
    expect(wasEvicted(row.lab, pods[0]?.uid ?? '')).toBe(true);
  },
  'generates names, and tells its pods apart by a label': async (row) => {
    const owner = await rankedJob(row);
    const make = (rank: string): Promise<KubeObject> =>
      row.create(played(row, owner, { generateName: `${row.name}-`, labels: { app: row.name, rank } }));
    await make('0');
    await make('1');
    const victims = await row.displaced(await row.started(2));
    const ranks = new Map<string, unknown>();
    for (const { uid } of victims)
      ranks.set(uid, rankOf(await row.seen('a victim', ({ metadata }) => metadata.uid === uid)));
    await make('1');
    await make('0');
    await row.leaves();
    expect((await continued(row, victims)).map(rankOf)).toEqual([...ranks.values()]);
    await settles(row, 2);
  },
};
const rankOf = ({ metadata }: KubeObject): unknown => metadata.labels?.['rank'];

function rankedJob(row: OwnerRow): Promise<KubeObject> {
  return row.create({ apiVersion: 'example.com/v1', kind: 'RankedJob', metadata: { name: row.name } });
}

async function policySays(row: OwnerRow, words: RegExp): Promise<boolean> {
  const found = await row.client.get(RESOURCES.reprievePolicies, null, 'batch');
  return words.test(conditionIn(found, 'Restorable')?.message ?? '');
}
