import { expect, it } from 'vitest';
import { makeResources } from '../../../test/support/builders.ts';
import { PartPool } from './part-pool.ts';

const owner = (uid: string) => ({ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid });
const toleration = (key: string) => ({ key, operator: 'Exists' as const, value: '', effect: null });

it('gives the first of equal parts to all', () => {
  const pool = new PartPool();
  const labels = { app: 'web', tier: 'a' };
  const requests = makeResources();
  const tolerations = [toleration('x')];
  const web = owner('1');
  for (let i = 0; i < 2; i++) {
    expect(pool.labels({ ...labels })).toBe(pool.labels(labels));
    expect(pool.requests({ ...requests })).toBe(pool.requests(requests));
    expect(pool.tolerations([toleration('x')])).toBe(pool.tolerations(tolerations));
    expect(pool.owner(owner('1'))).toBe(pool.owner(web));
  }
});

it('tells different parts apart', () => {
  const pool = new PartPool();
  for (const labels of [
    {},
    { app: 'web' },
    { app: 'db' },
    { app: 'web', tier: 'a' },
    { 'app=web': '' },
    { app: 'web=' },
  ]) {
    expect(pool.labels(labels)).toEqual(labels);
  }
  for (const requests of [{}, { cpuMilli: 1 }, { extended: { gpu: 1 } }, { extended: { gpu: 2 } }].map(makeResources)) {
    expect(pool.requests(requests)).toEqual(requests);
  }
  for (const tolerations of [[], [toleration('x')], [toleration('x'), toleration('y')]]) {
    expect(pool.tolerations(tolerations)).toEqual(tolerations);
  }
  for (const one of [null, owner('1'), owner('2')]) expect(pool.owner(one)).toEqual(one);
  for (const text of [null, '', 'n1', 'n2']) expect(pool.text(text)).toBe(text);
});
