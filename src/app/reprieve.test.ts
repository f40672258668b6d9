import { describe, expect, it } from 'vitest';
import { OWNER_UID_LABEL } from '../domain/labels.ts';
import { KubeClient } from '../kube/client.ts';
import { RESOURCES } from '../kube/resources.ts';
import { TransportError, type KubeTransport, type WatchEvent } from '../kube/transport.ts';
import { ApiServer } from '../sim/api-server/api-server.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { Reprieve } from './reprieve.ts';

/** Watches that stay open and say nothing more when their connection breaks. */
function unbroken(transport: KubeTransport): KubeTransport {
  return {
    request: (request) => transport.request(request),
    watch: async (request) => {
      const watch = await transport.watch(request);
      return { ...watch, events: silentAtTheEnd(watch.events, request.signal) };
    },
  };
}

async function* silentAtTheEnd(events: AsyncIterable<WatchEvent>, signal?: AbortSignal): AsyncGenerator<WatchEvent> {
  try {
    yield* events;
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
  }
  await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error)));
}

async function setUp(leadership: { term(): number | null }, wrap = (transport: KubeTransport) => transport) {
  const clock = new VirtualClock();
  const server = new ApiServer({ clock });
  const requests: string[] = [];
  server.hooks.intercept = async ({ method, path, query, user }) => {
    if (user === 'reprieve') requests.push(query?.['dryRun'] ? 'a canary' : `${method} ${path}`);
    return null;
  };
  const transport = wrap(server.transport('reprieve'));
  const reprieve = new Reprieve({ transport, clock, leadership, instance: 'r-1' });
  const started = reprieve.start();
  await clock.advance(0);
  await started;
  return { clock, server, client: new KubeClient(server.transport('admin')), reprieve, requests };
}

describe('leading', () => {
  it('begins when the records were read again: the watches of a follower may be behind', async () => {
    let term: number | null = null;
    const { clock, reprieve, server, requests } = await setUp({ term: () => term });
    const leads = (): boolean => (reprieve.describe() as { leads: boolean }).leads;
    expect(leads()).toBe(false);
    const gate = Promise.withResolvers<null>();
    server.hooks.intercept = async ({ method, path, query }) => {
      requests.push(query?.['dryRun'] ? 'a canary' : `${method} ${path}`);
      return gate.promise;
    };
    requests.length = 0;
    term = 1;
    const changed = reprieve.leadershipChanged();
    await clock.advance(0);
    const listed = new Set(requests.map((request) => request.split('/').at(-1)));
    expect(listed).toEqual(new Set(['podcheckpoints', 'reprieves', 'a canary']));
    expect(leads()).toBe(false);
    gate.resolve(null);
    await clock.advance(0);
    await changed;
    expect(leads()).toBe(true);
    term = 2;
    expect(leads()).toBe(false);
    await reprieve.stop();
  });

  it('ends with the term: nothing is written after it', async () => {
    let term: number | null = 1;
    const { clock, reprieve, client, requests } = await setUp({ term: () => term });
    term = null;
    await reprieve.leadershipChanged();
    const before = requests.length;
    await client.create(RESOURCES.pods, 'default', {
      metadata: { name: 'gated' },
      spec: { schedulingGates: [{ name: 'reprieve.dev/restore' }], containers: [{ name: 'main', image: 'app:1' }] },
    });
    await clock.advance(60_000);
    const isOfFollower = (request: string): boolean => request.startsWith('GET') || request.includes('/leases');
    expect(requests.slice(before).filter((request) => !isOfFollower(request))).toEqual([]);
    term = 2;
    const changed = reprieve.leadershipChanged();
    await clock.advance(60_000);
    await changed;
    expect(requests.filter((request) => request.startsWith('PATCH'))).not.toEqual([]);
    await reprieve.stop();
  });
});

describe('a follower', () => {
  it('finds the ticket of a new pod beside one that cannot be read', async () => {
    const { reprieve, client } = await setUp({ term: () => null });
    const owner = { apiVersion: 'batch/v1', kind: 'Job', name: 'train', uid: 'uid-train' };
    const create = async (name: string, spec: object): Promise<void> => {
      const metadata = { name, labels: { [OWNER_UID_LABEL]: owner.uid } };
      await client.create(RESOURCES.reprieves, 'default', { metadata, spec });
    };
    await create('a-odd', { owner, displacement: { pods: 'all' } });
    await create('b-good', { owner, pod: { name: 'train-0', uid: 'uid-train-0' } });
    const request = {
      namespace: 'default',
      name: null,
      owner,
      completionIndex: null,
      labels: {},
      priorityClassName: '',
      dryRun: false,
      gated: false,
      plainFor: null,
      object: {},
    };
    expect(await reprieve.engine.admitPod(request)).toEqual({ gate: true, reason: 'OpenTicket' });
    await reprieve.stop();
  });
});

describe('after a restore of etcd', () => {
  it('knows nothing of the lost revisions, and sees what happens since', async () => {
    const { clock, server, reprieve, client } = await setUp({ term: () => 1 });
    const owner = { apiVersion: 'batch/v1', kind: 'Job', name: 'train', uid: 'uid-train' };
    const create = async (name: string): Promise<void> => {
      const metadata = { name, labels: { [OWNER_UID_LABEL]: owner.uid } };
      await client.create(RESOURCES.reprieves, 'default', { metadata, spec: { owner, pod: { name, uid: name } } });
    };
    const label = (value: string) =>
      client.patch(RESOURCES.nodes, null, 'node-1', { metadata: { labels: { value } } }, { type: 'merge' });
    await client.create(RESOURCES.nodes, null, { metadata: { name: 'node-1' } });
    await create('kept');
    await create('deleted-since');
    const backup = server.backup();
    await create('lost');
    await client.delete(RESOURCES.reprieves, 'default', 'deleted-since');
    for (let change = 0; change < 20; change++) await label(`lost-${change}`);
    await clock.advance(1_000);
    const tickets = (): string[] => [...reprieve.index.tickets()].map(({ name }) => name).toSorted();
    expect(tickets()).toEqual(['kept', 'lost']);

    server.restore(backup);
    await create('made-since');
    await clock.advance(30_000);
    expect(tickets()).toEqual(['deleted-since', 'kept', 'made-since']);
    expect((reprieve.describe() as { leads: boolean }).leads).toBe(true);
    // At a version that an object of the lost revisions had as well.
    await label('now');
    await clock.advance(1_000);
    expect([...reprieve.index.nodes()][0]?.node.labels).toMatchObject({ value: 'now' });
    await reprieve.stop();
  });

  it('notices it by the Lease of the replica where no watch breaks, also after versions have grown beyond the lost ones', async () => {
    const { clock, server, reprieve, client } = await setUp({ term: () => 1 }, unbroken);
    const create = (name: string) =>
      client.create(RESOURCES.reprieves, 'default', { metadata: { name }, spec: { pod: { name, uid: name } } });
    const label = (value: string) =>
      client.patch(RESOURCES.nodes, null, 'node-1', { metadata: { labels: { value } } }, { type: 'merge' });
    await client.create(RESOURCES.nodes, null, { metadata: { name: 'node-1', labels: { value: 'kept' } } });
    await create('kept');
    await clock.advance(20_000);
    const backup = server.backup();
    await clock.advance(20_000);
    await create('lost');
    await label('lost');
    await clock.advance(1_000);
    const names = (): string[] => [...reprieve.index.tickets()].map(({ name }) => name).toSorted();
    expect(names()).toEqual(['kept', 'lost']);
    server.restore(backup);
    for (let number = 0; number < 40; number++) await create(`new-${number}`);
    await clock.advance(10_000);
    expect(names()).not.toContain('lost');
    expect([...reprieve.index.nodes()][0]?.node.labels).toMatchObject({ value: 'kept' });
    expect(names()).toHaveLength(41);
    expect(reprieve.answersFromIndex).toBe(true);
    await reprieve.stop();
  });
});
