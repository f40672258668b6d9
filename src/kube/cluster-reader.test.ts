import { expect, it } from 'vitest';
import type { IndexEvent } from '../index/types.ts';
import { ApiServer } from '../sim/api-server/api-server.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { KubeClient } from './client.ts';
import { ClusterReader, type ReaderIndex } from './cluster-reader.ts';
import { RESOURCES } from './resources.ts';

it('reads every kind into the index, says when it has all, and stops', async () => {
  const clock = new VirtualClock();
  const server = new ApiServer({ clock });
  const client = new KubeClient(server);
  const seen: string[] = [];
  const index: ReaderIndex = {
    apply: (event: IndexEvent) => seen.push(`${event.type} ${event.kind}`),
    // oxlint-disable-next-line require-yield -- one step is enough for one object
    *replacing(kind, values) {
      seen.push(`all ${kind} ${values.length}`);
      return { missed: [], redundant: [] };
    },
  };
  await client.create(RESOURCES.nodes, null, { metadata: { name: 'n1' } });
  const spec = { containers: [{ name: 'c', image: 'i' }] };
  await client.create(RESOURCES.pods, 'default', { metadata: { name: 'p1' }, spec: { ...spec, nodeName: 'n1' } });

  const selectors = { pod: { fieldSelector: 'spec.nodeName=n1' } };
  const reader = new ClusterReader({ transport: server, clock, index, selectors, random: () => 0 });
  expect(reader.isSynced()).toBe(false);
  reader.start();
  await reader.synced;
  expect(reader.isSynced()).toBe(true);
  const kinds = [
    'budget',
    'checkpoint',
    'csiNode',
    'namespace',
    'node',
    'pod',
    'policy',
    'service',
    'storageClass',
    'ticket',
    'volume',
    'volumeClaim',
  ];
  expect(new Set(seen.map((line) => line.split(' ')[1]))).toEqual(new Set(kinds));
  expect(seen).toHaveLength(kinds.length);
  expect(seen).toContain('all pod 1');

  seen.length = 0;
  await client.create(RESOURCES.reprieves, 'default', { metadata: { name: 't' }, spec: {} });
  await client.create(RESOURCES.pods, 'default', { metadata: { name: 'p2' }, spec }); // not on n1
  await client.delete(RESOURCES.nodes, null, 'n1');
  await clock.settle();
  expect(new Set(seen)).toEqual(new Set(['delete node', 'upsert ticket']));
  expect(reader.stats().ticket).toMatchObject({ events: 1, lastEventMs: clock.now() });

  await reader.stop();
  expect(server.watchCount).toBe(0);
});
