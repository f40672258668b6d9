import { expect, it } from 'vitest';
import { ApiServer } from '../sim/api-server/api-server.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { KubeClient } from './client.ts';
import { RESOURCES } from './resources.ts';
import { RuntimeClassWatch } from './runtime-class-watch.ts';

it('tells whether our RuntimeClass exists, at first and at each change, and nothing of others', async () => {
  const clock = new VirtualClock();
  const server = new ApiServer({ clock });
  const client = new KubeClient(server);
  const told: boolean[] = [];
  const watch = new RuntimeClassWatch({ transport: server, clock, onChange: (exists) => told.push(exists) });
  const create = (name: string) => client.create(RESOURCES.runtimeClasses, null, { metadata: { name }, handler: name });
  await create('gvisor');
  watch.start();
  await clock.advance(100);
  expect(told).toEqual([false]);
  await create('reprieve');
  await clock.advance(100);
  await client.delete(RESOURCES.runtimeClasses, null, 'gvisor');
  await clock.advance(100);
  expect(told).toEqual([false, true]);
  await client.delete(RESOURCES.runtimeClasses, null, 'reprieve');
  await clock.advance(100);
  expect(told).toEqual([false, true, false]);
  await watch.stop();
});
