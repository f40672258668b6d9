import { describe, expect, it } from 'vitest';
import { makeTicket } from '../../test/support/builders.ts';
import { TICKETS_SEEN_ANNOTATION } from '../domain/labels.ts';
import type { WebhookReplica } from '../domain/webhook-replica.ts';
import { ApiServer } from '../sim/api-server/api-server.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { KubeClient } from './client.ts';
import { Membership } from './membership.ts';
import { replicaLeaseName } from './replica-lease.ts';
import { ReplicaWatch } from './replica-watch.ts';
import { RESOURCES } from './resources.ts';
import { TicketProgress } from './ticket-progress.ts';

const NAMESPACE = 'reprieve-system';
const SECOND = 1_000;
const NAME = replicaLeaseName('A_1');

/** A replica that has just started, and what a leader knows of it. */
async function setUp() {
  const clock = new VirtualClock();
  const server = new ApiServer({ clock });
  const client = new KubeClient(server.transport('admin'));
  const tickets = new TicketProgress(clock);
  tickets.listed([makeTicket({ resourceVersion: '7' })], '8', false);
  const listings: (() => void)[] = [];
  let wentBack = 0;
  const membership = new Membership({
    client: new KubeClient(server.transport('replica')),
    clock,
    namespace: NAMESPACE,
    instance: 'A_1',
    tickets,
    relistTickets: () => new Promise((resolve) => listings.push(resolve)),
    onWentBack: () => {
      wentBack++;
      tickets.forget(); // as the owner of both does
    },
    onError: () => undefined,
  });
  let known: readonly WebhookReplica[] = [];
  const gone: string[] = [];
  const watch = new ReplicaWatch({
    transport: server.transport('leader'),
    clock,
    namespace: NAMESPACE,
    instance: 'leader',
    random: () => 0.5,
    onReplicas: (replicas) => (known = replicas.filter(({ name }) => name !== 'leader')),
    whileGone: ({ name }) => gone.push(name),
  });
  watch.start();
  membership.start();
  await clock.advance(10);
  const joined = async (): Promise<void> => {
    for (const resolve of listings.splice(0)) resolve();
    await clock.advance(0);
  };
  const published = async (): Promise<string | undefined> =>
    (await client.get(RESOURCES.leases, NAMESPACE, NAME)).metadata.annotations?.[TICKETS_SEEN_ANNOTATION];
  const fail = (fails: boolean): void => {
    server.hooks.intercept = async ({ user, method }) =>
      fails && user === 'replica' && method !== 'GET' ? { status: 503, headers: {}, body: {} } : null;
  };
  return {
    clock,
    server,
    client,
    tickets,
    membership,
    listings,
    joined,
    published,
    fail,
    gone,
    known: () => known,
    backs: () => wentBack,
  };
}

describe('a replica', () => {
  it('answers from its index once it has listed the tickets after displacements began to wait for it', async () => {
    const { membership, known, joined, listings } = await setUp();
    expect(known()).toEqual([{ name: 'A_1', seen: '7' }]);
    expect(listings).toHaveLength(1);
    expect(membership.knowsTickets).toBe(false);
    expect(membership.problem).toBe(null);
    await joined();
    expect(membership.knowsTickets).toBe(true);
    await membership.stop();
  });

  it('publishes at once that it has seen a ticket, and otherwise every 5 s', async () => {
    const { membership, tickets, clock, published, joined } = await setUp();
    await joined();
    tickets.upserted(makeTicket({ resourceVersion: '20', phase: 'Saving' }));
    await clock.advance(0);
    expect(await published()).toBe('20');
    tickets.upserted(makeTicket({ resourceVersion: '21', phase: 'Restored' }));
    await clock.advance(4 * SECOND);
    expect(await published()).toBe('20');
    await clock.advance(2 * SECOND);
    expect(await published()).toBe('21');
    await membership.stop();
  });

  it('is not ready, and answers nothing from its index, 10 s after its last renewal; no displacement waits for it after 15 s', async () => {
    const { membership, clock, fail, known, joined, gone } = await setUp();
    await joined();
    fail(true);
    await clock.advance(9 * SECOND);
    expect(membership.knowsTickets).toBe(true);
    await clock.advance(1.5 * SECOND);
    expect(membership.knowsTickets).toBe(false);
    expect(membership.problem).toMatch(/was not renewed for 10 s/);
    expect(known()).toHaveLength(1);
    await clock.advance(8 * SECOND);
    expect(known()).toEqual([]);
    expect(gone).toContain(NAME);
    fail(false);
    await clock.advance(2 * SECOND);
    expect(membership.problem).toBe(null);
    expect(membership.knowsTickets).toBe(false); // it joins anew
    expect(known()).toHaveLength(1);
    await joined();
    expect(membership.knowsTickets).toBe(true);
    await membership.stop();
  });

  it('leaves when its watch is behind, and comes back when a listing has caught up', async () => {
    const { membership, clock, tickets, known, joined } = await setUp();
    await joined();
    tickets.exists('50');
    await clock.advance(5 * SECOND);
    expect(membership.knowsTickets).toBe(false);
    expect(membership.problem).toMatch(/behind/);
    await clock.advance(5 * SECOND);
    expect(known()).toEqual([]);
    tickets.listed([makeTicket({ resourceVersion: '50' })], '50', false);
    await joined();
    await clock.advance(5 * SECOND);
    expect(known()).toEqual([{ name: 'A_1', seen: '50' }]);
    await joined();
    expect(membership.knowsTickets).toBe(true);
    await membership.stop();
  });

  it('answers nothing from its index once it stops: no displacement waits for it from then on', async () => {
    const { membership, joined } = await setUp();
    await joined();
    const stopped = membership.stop();
    expect(membership.knowsTickets).toBe(false);
    await stopped;
  });

  it('removes its Lease when it stops', async () => {
    const { membership, clock, client, known } = await setUp();
    const stopped = membership.stop();
    await clock.advance(2 * SECOND);
    await stopped;
    expect(await client.list(RESOURCES.leases, { namespace: NAMESPACE })).toEqual([]);
    expect(known()).toEqual([]);
  });

  it('joins anew after somebody removed or changed its Lease', async () => {
    for (const change of ['delete', 'patch'] as const) {
      const { membership, clock, client, joined, listings, backs } = await setUp();
      await joined();
      const labels = { someone: 'else' };
      if (change === 'delete') await client.delete(RESOURCES.leases, NAMESPACE, NAME);
      else await client.patch(RESOURCES.leases, NAMESPACE, NAME, { metadata: { labels } }, { type: 'merge' });
      await clock.advance(6 * SECOND);
      expect(membership.knowsTickets).toBe(false);
      expect(listings).toHaveLength(1);
      expect(backs()).toBe(0);
      await joined();
      expect(membership.knowsTickets).toBe(true);
      await membership.stop();
    }
  });
});

describe('after a restore of etcd', () => {
  it('a renewal shows it within 5 s, and nothing of the lost revisions is published', async () => {
    const { server, membership, clock, tickets, client, published, joined, backs } = await setUp();
    await joined();
    const backup = server.backup();
    tickets.upserted(makeTicket({ resourceVersion: '900', phase: 'Saving' }));
    await clock.advance(60 * SECOND);
    expect(await published()).toBe('900');
    const leases: unknown[] = [];
    server.hooks.written = ({ kind, object }) => {
      if (kind === RESOURCES.leases) leases.push(object.metadata.annotations?.[TICKETS_SEEN_ANNOTATION]);
    };
    server.restore(backup);
    await clock.advance(6 * SECOND);
    expect(backs()).toBe(1);
    expect(membership.knowsTickets).toBe(false);
    expect(leases).not.toContain('900');
    await membership.stop();
    expect(await client.list(RESOURCES.leases, { namespace: NAMESPACE })).toEqual([]);
  });
});
