import { expect, it } from 'vitest';
import { STATE_BYTES_ANNOTATION } from '../../domain/labels.ts';
import { KubeClient } from '../../kube/client.ts';
import { podOf } from '../../kube/project/pod.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { ApiServer } from '../../sim/api-server/api-server.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import { NodeApi } from '../node-api.ts';
import { ObstacleWatch } from './obstacle-watch.ts';

const MI = 2 ** 20;
const SECOND = 1000;
/** What stands in /proc of a process for as long as CRIU dumps it. */
const CRIU_SOCKET = { reason: 'SocketShared', message: 'it has the unix socket @/crtools-pr-1884' } as const;

/** A pod that a policy selects and one that none does, looked at every ten seconds. */
async function setUp() {
  const clock = new VirtualClock();
  const server = new ApiServer({ clock });
  const client = new KubeClient(server);
  for (const name of ['selected', 'other']) {
    await client.create(RESOURCES.pods, 'default', {
      metadata: { name, labels: { app: name } },
      spec: { nodeName: 'n1', containers: [{ name: 'main', image: 'app:1' }] },
    });
    const status = { status: { phase: 'Running' } };
    await client.patch(RESOURCES.pods, 'default', name, status, { type: 'merge', subresource: 'status' });
  }
  const policy = { metadata: { name: 'p' }, spec: { match: { podSelector: { matchLabels: { app: 'selected' } } } } };
  await client.create(RESOURCES.reprievePolicies, null, policy);
  const memory = { bytes: 100 * MI };
  const dump = { isOn: false, beginsDuringLook: false };
  const hangs = { name: '' };
  const looks: string[] = [];
  const errors: string[] = [];
  let writes = 0;
  server.hooks.written = ({ kind }) => void (kind === RESOURCES.pods && writes++);
  const watch = new ObstacleWatch({
    pods: () => server.list(RESOURCES.pods),
    policies: () => server.list(RESOURCES.reprievePolicies),
    namespaces: () => [],
    isFrozen: () => dump.isOn,
    obstacle: ({ metadata }) => {
      looks.push(metadata.name);
      if (metadata.name === hangs.name) return new Promise(() => undefined);
      dump.isOn ||= dump.beginsDuringLook;
      return Promise.resolve(dump.isOn ? CRIU_SOCKET : null);
    },
    memoryBytes: () => Promise.resolve(memory.bytes),
    api: new NodeApi(server, clock, new AbortController().signal),
    events: { emit: () => undefined },
    clock,
    onError: (error) => void errors.push((error as Error).message),
  });
  watch.start();
  await clock.advance(0);
  const said = async (name: string): Promise<string | undefined> =>
    (await client.get(RESOURCES.pods, 'default', name)).metadata.annotations?.[STATE_BYTES_ANNOTATION];
  const isCheckpointable = async (): Promise<boolean> =>
    podOf(await client.get(RESOURCES.pods, 'default', 'selected')).notCheckpointable === null;
  return {
    clock,
    server,
    client,
    hangs,
    looks,
    errors,
    memory,
    dump,
    said,
    isCheckpointable,
    writes: () => writes,
    watch,
  };
}

it('says how large a pod is that a policy selects, and no other', async () => {
  const { said, watch } = await setUp();
  expect(await said('selected')).toBe(String(100 * MI));
  expect(await said('other')).toBeUndefined();
  watch.stop();
});

it('says it again when that has changed by more than a quarter, at most once a minute', async () => {
  const { clock, memory, said, writes, watch } = await setUp();
  expect(writes()).toBe(1);
  memory.bytes = 120 * MI;
  await clock.advance(300 * SECOND);
  expect(writes()).toBe(1);
  memory.bytes = 130 * MI;
  await clock.advance(10 * SECOND);
  expect(await said('selected')).toBe(String(130 * MI));
  memory.bytes = 900 * MI;
  await clock.advance(40 * SECOND);
  expect(writes()).toBe(2);
  await clock.advance(30 * SECOND);
  expect(await said('selected')).toBe(String(900 * MI));
  watch.stop();
});

it('says nothing of a pod that is being saved, however long that takes', async () => {
  const { clock, memory, dump, isCheckpointable, writes, watch } = await setUp();
  dump.isOn = true;
  memory.bytes = 900 * MI;
  await clock.advance(300 * SECOND);
  expect(await isCheckpointable()).toBe(true);
  expect(writes()).toBe(1);
  watch.stop();
});

it('forgets what it saw of a pod whose dump began during the look', async () => {
  const { clock, dump, isCheckpointable, watch } = await setUp();
  dump.beginsDuringLook = true;
  await clock.advance(10 * SECOND);
  expect(dump.isOn).toBe(true);
  expect(await isCheckpointable()).toBe(true);
  watch.stop();
});

it('goes on to the next pod where a look hangs, and does not look at that one again meanwhile', async () => {
  const { clock, client, hangs, looks, errors, watch } = await setUp();
  const later = {
    metadata: { name: 'zz', labels: { app: 'selected' } },
    spec: { nodeName: 'n1', containers: [{ name: 'main', image: 'app:1' }] },
  };
  await client.create(RESOURCES.pods, 'default', later);
  const status = { status: { phase: 'Running' } };
  await client.patch(RESOURCES.pods, 'default', 'zz', status, { type: 'merge', subresource: 'status' });
  hangs.name = 'selected';
  looks.length = 0;
  await clock.advance(45 * SECOND);
  expect(looks).toEqual(['selected', 'zz', 'zz', 'zz']);
  expect(errors).toEqual(['no answer within 10 s']);
  watch.stop();
});
