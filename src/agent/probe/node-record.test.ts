import { describe, expect, it } from 'vitest';
import { KubeClient } from '../../kube/client.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { ApiServer } from '../../sim/api-server/api-server.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import { compatibilityOf, type NodeFacts } from './node-facts.ts';
import { NodeRecord, nodePatch } from './node-record.ts';

const FACTS: NodeFacts = {
  architecture: 'amd64',
  kernel: '6.18',
  cpuFeatures: 'abc',
  runtime: 'runc 1.3',
  criu: '4.2',
  cgroups: 'v2',
};
const REPORT = { facts: FACTS, problem: null, dumpSpeed: 500.4, peerPort: 9444 };

describe('nodePatch', () => {
  it('says what a node can do, and where its states are to be had', () => {
    expect(nodePatch(REPORT, '10.0.0.7')).toEqual({
      metadata: {
        labels: { 'reprieve.dev/checkpoint': 'true', 'reprieve.dev/compatibility': compatibilityOf(FACTS) },
        annotations: {
          'reprieve.dev/compatibility-facts': JSON.stringify(FACTS),
          'reprieve.dev/checkpoint-problem': null,
          'reprieve.dev/peer': '10.0.0.7:9444',
          'reprieve.dev/dump-bytes-per-second': '500',
        },
      },
    });
  });

  it.each([
    ['a problem', { ...REPORT, problem: 'criu is missing' }, 'false'],
    ['nothing known', { ...REPORT, facts: null, problem: 'runc is missing' }, 'false'],
  ])('lets nobody count on a node with %s', (_, report, label) => {
    const { metadata } = nodePatch(report, null) as {
      metadata: { labels: Record<string, string>; annotations: Record<string, string | null> };
    };
    expect(metadata.labels['reprieve.dev/checkpoint']).toBe(label);
    expect(metadata.annotations['reprieve.dev/checkpoint-problem']).toBe(report.problem);
    expect(metadata.annotations['reprieve.dev/peer']).toBeNull();
  });

  it('writes an address of IPv6 so that a port can follow', () => {
    expect(JSON.stringify(nodePatch(REPORT, 'fd00::7'))).toContain('"[fd00::7]:9444"');
  });
});

it('takes back that pods can be saved when the agent stops, and is not overruled by a probe under way', async () => {
  const clock = new VirtualClock();
  const client = new KubeClient(new ApiServer({ clock }));
  const node = { metadata: { name: 'n1', labels: { other: 'label' } } };
  await client.create(RESOURCES.nodes, null, node);
  const record = new NodeRecord(client, 'n1');
  await record.write(REPORT);
  const probed = record.write({ ...REPORT, dumpSpeed: 7 });
  await record.withdraw();
  await probed;
  const { labels } = (await client.get(RESOURCES.nodes, null, 'n1')).metadata;
  expect(Object.keys(labels ?? {}).sort()).toEqual(['other', 'reprieve.dev/compatibility']);
});

describe('compatibilityOf', () => {
  it('is a label value, the same for the same facts in any order, and another for each fact that differs', () => {
    const label = compatibilityOf(FACTS);
    expect(label).toMatch(/^amd64-6\.18-[0-9a-f]{10}$/);
    expect(compatibilityOf(Object.fromEntries(Object.entries(FACTS).toReversed()) as unknown as NodeFacts)).toBe(label);
    for (const key of Object.keys(FACTS)) expect(compatibilityOf({ ...FACTS, [key]: 'other' })).not.toBe(label);
  });
});
