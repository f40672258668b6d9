import { expect, it } from 'vitest';
import { makeTicket } from '../../test/support/builders.ts';
import { ownerKey, type OwnerKey } from '../domain/ids.ts';
import type { OwnerFacts } from '../domain/owner-facts.ts';
import type { PodOwner } from '../domain/pod.ts';
import type { Ticket } from '../domain/ticket.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { KubeApiError } from './api-error.ts';
import { OwnerWatch } from './owner-watch.ts';
import type { KubeObject } from './transport.ts';

const SECOND = 1_000;
const owner = (name: string, kind = 'ReplicaSet') => ({ apiVersion: 'apps/v1', kind, name, uid: `uid-${name}` });

function setUp(...tickets: readonly Ticket[]) {
  const clock = new VirtualClock();
  const asked: string[] = [];
  const told = new Map<OwnerKey, OwnerFacts>();
  const jobs: { namespace: string; owner: PodOwner }[] = [];
  const state = { tickets, jobs, stored: undefined as KubeObject | 'gone' | 'refused' | undefined };
  const watch = new OwnerWatch({
    clock,
    tickets: () => state.tickets,
    jobs: () => state.jobs,
    client: {
      get: async ({ plural }, _namespace, name) => {
        asked.push(`${plural}/${name}`);
        if (state.stored === 'gone') throw new KubeApiError(404, 'NotFound', 'gone', null, name);
        if (state.stored === 'refused') throw new KubeApiError(403, 'Forbidden', 'no');
        return (
          state.stored ?? { metadata: { name, uid: `uid-${name}` }, spec: { replicas: 1 }, status: { replicas: 1 } }
        );
      },
    },
    onFacts: (key, facts) => void (facts === null ? told.delete(key) : told.set(key, facts)),
  });
  watch.begin();
  return { clock, asked, told, state, watch };
}

it('reads the controllers of tickets that wait for a pod, every ten seconds', async () => {
  const claim = { name: 'x', uid: 'x' as Ticket['pod']['uid'] };
  const { clock, asked, told, state } = setUp(
    makeTicket({ owner: owner('web') }),
    makeTicket({ owner: owner('web') }),
    makeTicket({ owner: owner('claimed'), claim }),
    makeTicket({ owner: owner('saving'), phase: 'Saving' }),
    makeTicket({ owner: owner('ended'), phase: 'Restored' }),
    makeTicket({ owner: owner('ranked', 'RankedJob') }),
    makeTicket({}),
  );
  await clock.advance(6 * SECOND);
  expect(asked).toEqual(['replicasets/web']);
  expect(told.get(ownerKey('default', { uid: 'uid-web' }))?.count).toEqual({ wants: 1, lacks: 0, isSettled: false });
  await clock.advance(10 * SECOND);
  expect(asked).toHaveLength(2);
  expect(told.get(ownerKey('default', { uid: 'uid-web' }))?.count?.isSettled).toBe(true);
  state.tickets = [];
  await clock.advance(60 * SECOND);
  expect([asked.length, told.size]).toEqual([2, 0]);
});

it('tells that a controller is gone, and nothing where it may not read', async () => {
  const { clock, told, state } = setUp(makeTicket({ owner: owner('web') }));
  state.stored = 'refused';
  await clock.advance(6 * SECOND);
  expect(told.size).toBe(0);
  state.stored = 'gone';
  await clock.advance(10 * SECOND);
  expect(told.get(ownerKey('default', { uid: 'uid-web' }))?.end?.reason).toBe('OwnerGone');
});

it('reads at most ten a second, however many wait, and each of them in its turn', async () => {
  const names = Array.from({ length: 120 }, (_, at) => `web-${at}`);
  const { clock, asked, watch } = setUp(...names.map((name) => makeTicket({ owner: owner(name) })));
  await clock.advance(6 * SECOND);
  expect(asked).toHaveLength(50);
  await clock.advance(10 * SECOND);
  expect(new Set(asked).size).toBe(120);
  watch.end();
  await clock.advance(60 * SECOND);
  expect(asked.length).toBeLessThanOrEqual(150);
});

it('reads Jobs of pods that would be saved each minute, and tells of those only that an eviction would fail', async () => {
  const { clock, asked, told, state } = setUp();
  const job = (name: string): PodOwner => ({ apiVersion: 'batch/v1', kind: 'Job', name, uid: `uid-${name}` });
  state.jobs.push({ namespace: 'default', owner: job('train') });
  state.stored = { metadata: { name: 'train', uid: 'uid-train' }, spec: { backoffLimit: 3 }, status: { failed: 2 } };
  await clock.advance(30 * SECOND);
  expect([asked, told.size]).toEqual([['jobs/train'], 0]);
  state.stored = { ...state.stored, status: { failed: 3 } };
  await clock.advance(60 * SECOND);
  expect(told.get(ownerKey('default', { uid: 'uid-train' }))?.failsByEviction?.message).toContain(
    'backoffLimit 3, 3 failed',
  );
  state.jobs.length = 0;
  await clock.advance(10 * SECOND);
  expect(told.size).toBe(0);
});
