import { describe, expect, it } from 'vitest';
import { Heartbeat } from '../agent/heartbeat.ts';
import type { NodeName } from '../domain/ids.ts';
import { ApiServer } from '../sim/api-server/api-server.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { agentLeaseName } from './agent-lease.ts';
import { AgentWatch } from './agent-watch.ts';
import { KubeClient } from './client.ts';
import { RESOURCES } from './resources.ts';

const NAMESPACE = 'reprieve-system';
const NODE = 'n1' as NodeName;
const SECOND = 1_000;

/** Agents on so many nodes, which have renewed their Leases for a minute, and a process that has watched them meanwhile. */
async function setUp(nodes = 1) {
  const clock = new VirtualClock();
  const server = new ApiServer({ clock });
  const client = new KubeClient(server.transport('agents'));
  const told: string[] = [];
  const lives = new Map<string, AbortController>();
  const begin = (node: string): void => {
    const life = new AbortController();
    lives.set(node, life);
    const options = { client, clock, nodeName: node as NodeName, namespace: NAMESPACE, onError: () => undefined };
    void new Heartbeat({ ...options, random: () => 0.5 }).run(life.signal);
  };
  for (let number = 1; number <= nodes; number++) {
    await client.create(RESOURCES.nodes, null, { metadata: { name: `n${number}` } });
    begin(`n${number}`);
  }
  const watching = (): AgentWatch => {
    const watch = new AgentWatch({
      transport: server.transport('reprieve'),
      clock,
      namespace: NAMESPACE,
      random: () => 0.5,
      onChange: (node, silent) => told.push(`${node} ${silent ? 'silent' : 'heard'}`),
    });
    watch.start();
    return watch;
  };
  const watch = watching();
  await clock.advance(60 * SECOND);
  return { clock, server, client, told, watch, watching, begin, die: (node: string) => lives.get(node)?.abort() };
}

describe('an agent', () => {
  it('is alive as long as it renews its Lease', async () => {
    const { clock, told, watch } = await setUp();
    await clock.advance(3_600 * SECOND);
    expect(told).toEqual([]);
    expect(watch.count()).toEqual({ all: 1, silent: 0 });
  });

  it('has one Lease, which goes with its node', async () => {
    const { client } = await setUp();
    const lease = await client.get(RESOURCES.leases, NAMESPACE, agentLeaseName(NODE));
    const { uid } = (await client.get(RESOURCES.nodes, null, NODE)).metadata;
    expect(lease.metadata.ownerReferences).toMatchObject([{ kind: 'Node', name: NODE, uid }]);
  });

  it('is silent 40 s after its last renewal, and heard again at the next one', async () => {
    const { clock, told, die, begin, watch } = await setUp();
    die(NODE);
    await clock.advance(29 * SECOND); // its last renewal is ten seconds old
    expect(told).toEqual([]);
    await clock.advance(16 * SECOND);
    expect(told).toEqual(['n1 silent']);
    expect(watch.count()).toEqual({ all: 1, silent: 1 });
    await clock.advance(3_600 * SECOND);
    begin(NODE);
    await clock.advance(1 * SECOND);
    expect(told).toEqual(['n1 silent', 'n1 heard']);
  });

  it('is silent for no process that has not observed it for 40 s', async () => {
    const { clock, told, die, watching, watch } = await setUp();
    await watch.stop();
    die(NODE);
    await clock.advance(600 * SECOND);
    watching();
    await clock.advance(39 * SECOND);
    expect(told).toEqual([]);
    await clock.advance(6 * SECOND);
    expect(told).toEqual(['n1 silent']);
  });

  it('is not silent because our watch is late', async () => {
    const { clock, told, server } = await setUp();
    server.hooks.intercept = async ({ user, query }) => (user === 'reprieve' && query?.['watch'] ? 'reset' : null);
    server.closeWatches();
    await clock.advance(300 * SECOND);
    expect(told).toEqual([]);
  });

  it('is not silent because the API server was away, nor right after', async () => {
    const { clock, told, server } = await setUp();
    server.hooks.intercept = async () => 'reset';
    server.closeWatches();
    await clock.advance(600 * SECOND);
    delete server.hooks.intercept;
    await clock.advance(60 * SECOND);
    expect(told).toEqual([]);
  });

  it('is not silent because of the clock of its node', async () => {
    const { clock, told, client, die } = await setUp();
    die(NODE);
    for (let renewals = 0; renewals < 20; renewals++) {
      const patch = { spec: { renewTime: `2001-01-01T00:00:${10 + renewals}.000000Z` } };
      await client.patch(RESOURCES.leases, NAMESPACE, agentLeaseName(NODE), patch, { type: 'merge' });
      await clock.advance(10 * SECOND);
    }
    expect(told).toEqual([]);
  });

  it('of before there were Leases, or without any, is never called silent', async () => {
    const { clock, told, client, die } = await setUp();
    die(NODE);
    await client.delete(RESOURCES.leases, NAMESPACE, agentLeaseName(NODE));
    await clock.advance(600 * SECOND);
    expect(told).toEqual([]);
  });
});

describe('many agents', () => {
  it('that are cut off together are silent together', async () => {
    const { clock, told, die, watch } = await setUp(40);
    for (let number = 1; number <= 30; number++) die(`n${number}`);
    await clock.advance(45 * SECOND);
    expect(told).toHaveLength(30);
    expect(watch.count()).toEqual({ all: 40, silent: 30 });
  });
});
