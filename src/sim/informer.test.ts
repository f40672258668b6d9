import { describe, expect, it } from 'vitest';
import { KubeClient } from '../kube/client.ts';
import { RESOURCES } from '../kube/resources.ts';
import { TransportError } from '../kube/transport.ts';
import { ApiServer } from './api-server/api-server.ts';
import { Informer } from './informer.ts';
import { VirtualClock } from './virtual-clock.ts';

const POD = { spec: { containers: [{ name: 'main', image: 'main:1' }] } };

function setUp() {
  const clock = new VirtualClock();
  const server = new ApiServer({ clock });
  const client = new KubeClient(server);
  const create = (name: string) => client.create(RESOURCES.pods, 'default', { metadata: { name }, ...POD });
  const informer = new Informer({ transport: server, clock, resource: RESOURCES.pods });
  const changes: string[] = [];
  informer.onChange((before, after) => {
    const name = (after ?? before)?.metadata.name;
    changes.push(`${before === null ? '+' : after === null ? '-' : '~'}${name}`);
  });
  const names = (): string[] => informer.list().map(({ metadata }) => metadata.name);
  return { clock, server, client, create, informer, changes, names };
}

describe('Informer', () => {
  it('lists, then follows', async () => {
    const { clock, client, create, informer, changes, names } = setUp();
    const a = await create('a');
    informer.start();
    await informer.synced;
    await create('b');
    await client.patch(RESOURCES.pods, 'default', 'b', { metadata: { labels: { x: 'y' } } }, { type: 'merge' });
    await client.delete(RESOURCES.pods, 'default', 'a');
    await clock.settle();
    expect(changes).toEqual(['+a', '+b', '~b', '~a', '-a']);
    expect(names()).toEqual(['b']);
    expect([informer.byUid(a.metadata.uid ?? ''), informer.byName('default', 'a')]).toEqual([null, null]);
    expect(informer.byName('default', 'b')?.metadata.labels).toEqual({ x: 'y' });
  });

  const ends: Record<string, (server: ApiServer) => void> = {
    'the server closes the watch': (server) => server.closeWatches(),
    'the connection breaks': (server) => server.closeWatches(new TransportError('reset')),
    'the version has expired': (server) => {
      server.closeWatches();
      server.compact();
    },
  };
  for (const [what, end] of Object.entries(ends)) {
    it(`lists again after a pause where ${what}, and tells what it has missed`, async () => {
      const { clock, server, client, create, informer, changes, names } = setUp();
      await create('a');
      await create('same');
      informer.start();
      await clock.settle();
      end(server);
      await client.delete(RESOURCES.pods, 'default', 'a');
      await create('a');
      await create('b');
      await clock.advance(900);
      expect(names()).toEqual(['a', 'same']);
      await clock.advance(200);
      expect(changes).toEqual(['+a', '+same', '-a', '+a', '+b']);
      expect(informer.relists).toBe(1);
      expect(informer.byName('default', 'a')).toEqual(informer.list().find(({ metadata }) => metadata.name === 'a'));
    });
  }

  it('keeps trying while the server does not answer', async () => {
    const { clock, server, create, informer, names } = setUp();
    await create('a');
    let broken = true;
    server.hooks.intercept = () => Promise.resolve(broken ? 'reset' : null);
    informer.start();
    await clock.advance(5000);
    expect([informer.isSynced, names()]).toEqual([false, []]);
    broken = false;
    await clock.advance(1000);
    expect([informer.isSynced, names()]).toEqual([true, ['a']]);
  });

  it('stops', async () => {
    const { clock, server, create, informer, names } = setUp();
    informer.start();
    await clock.settle();
    informer.stop();
    await clock.settle();
    expect(server.watchCount).toBe(0);
    await create('a');
    await clock.advance(60_000);
    expect(names()).toEqual([]);
  });
});
