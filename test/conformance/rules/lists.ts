import { expect } from 'vitest';
import { pathOf, RESOURCES } from '../../../src/kube/resources.ts';
import type { KubeObject } from '../../../src/kube/transport.ts';
import type { Rule } from '../api-conformance.ts';
import { accepted, expectRefusal, type Item } from '../item.ts';

const { leases, pods } = RESOURCES;

export function listRules(rule: Rule): void {
  rule('a list has a kind, a version and its items in the order of their names', async (item) => {
    for (const name of ['b', 'c', 'a']) await item.createLease({ name });
    const response = await item.send({ method: 'GET', path: item.path(leases) });
    expect(response.body).toMatchObject({ apiVersion: 'coordination.k8s.io/v1', kind: 'LeaseList' });
    const list = accepted(response);
    expect(list.metadata.resourceVersion).toMatch(/^\d+$/);
    expect(namesOf(list)).toEqual(['a', 'b', 'c']);
  });

  rule('items of built-in kinds do not say what they are', async (item) => {
    await item.createLease();
    const [lease] = await item.client.list(leases, { namespace: item.namespace });
    expect(lease).not.toHaveProperty('kind');
    expect(lease).not.toHaveProperty('apiVersion');
  });

  rule('a list without a namespace spans all of them', async (item) => {
    const lease = await item.createLease({ labels: { only: item.namespace } });
    const query = { labelSelector: `only=${item.namespace}` };
    const list = await item.send({ method: 'GET', path: pathOf(leases), query });
    expect(namesOf(list.body)).toEqual([lease.metadata.name]);
  });

  rule('label selectors', async (item) => {
    await item.createLease({ name: 'a', labels: { app: 'web', tier: 'front' } });
    await item.createLease({ name: 'b', labels: { app: 'web' } });
    await item.createLease({ name: 'c', labels: { app: 'db', tier: 'back' } });
    await item.createLease({ name: 'd' });
    const cases: Record<string, string> = {
      'app=web': 'ab',
      'app==web,tier=front': 'a',
      'app!=web': 'cd',
      'app in (web,db)': 'abc',
      'app in (web, db),tier notin (front)': 'bc',
      'app notin (web)': 'cd',
      tier: 'ac',
      '!tier': 'bd',
      '!tier,app': 'b',
      'app=': '',
    };
    for (const [labelSelector, names] of Object.entries(cases)) {
      expect({ [labelSelector]: await listed(item, { labelSelector }) }).toEqual({ [labelSelector]: names });
    }
  });

  rule('field selectors of metadata', async (item) => {
    for (const name of ['a', 'b']) await item.createLease({ name });
    expect(await listed(item, { fieldSelector: 'metadata.name=b' })).toBe('b');
    expect(await listed(item, { fieldSelector: 'metadata.name!=b' })).toBe('a');
    const fieldSelector = `metadata.namespace=${item.namespace},metadata.name=a`;
    expect(await listed(item, { fieldSelector })).toBe('a');
  });

  rule('field selectors of pods', async (item) => {
    await item.createPod({ nodeName: 'n1' }, { name: 'a' });
    await item.createPod({}, { name: 'b' });
    await item.createPod({ nodeName: 'n2' }, { name: 'c' });
    await item.patch(pods, 'c', 'merge', { status: { phase: 'Succeeded' } }, 'status');
    const cases: Record<string, string> = {
      'spec.nodeName=n1': 'a',
      'spec.nodeName=': 'b',
      'spec.nodeName!=': 'ac',
      'status.phase=Succeeded': 'c',
      'status.phase!=Succeeded': 'ab',
      'status.phase!=Succeeded,spec.nodeName!=': 'a',
      'spec.schedulerName=nobody,metadata.name=b': 'b',
    };
    for (const [fieldSelector, names] of Object.entries(cases)) {
      expect({ [fieldSelector]: await listed(item, { fieldSelector }, pods) }).toEqual({ [fieldSelector]: names });
    }
  });

  rule('selectors that cannot be are refused with 400', async (item) => {
    for (const query of [
      { labelSelector: 'app in web' },
      { labelSelector: '=' },
      { fieldSelector: 'spec.holderIdentity=me' },
    ]) {
      expectRefusal(await item.send({ method: 'GET', path: item.path(leases), query }), 400, 'BadRequest');
    }
  });

  rule('a list in pages shows the moment of its first page', async (item) => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) await item.createLease({ name });
    const path = item.path(leases);
    const first = await item.send({ method: 'GET', path, query: { limit: '2' } });
    expect(namesOf(first.body)).toEqual(['a', 'b']);
    const { metadata } = first.body as { metadata: { continue: string; resourceVersion: string } };
    expect(metadata).toMatchObject({ remainingItemCount: 3 });

    await item.remove(leases, 'd');
    await item.createLease({ name: 'bb' });
    const second = await item.send({ method: 'GET', path, query: { limit: '2', continue: metadata.continue } });
    expect(namesOf(second.body)).toEqual(['c', 'd']);
    const next = second.body as { metadata: { continue: string; resourceVersion: string } };
    expect(next.metadata.resourceVersion).toBe(metadata.resourceVersion);
    const third = await item.send({ method: 'GET', path, query: { limit: '2', continue: next.metadata.continue } });
    expect(namesOf(third.body)).toEqual(['e']);
    expect((third.body as { metadata: object }).metadata).not.toHaveProperty('continue');
  });

  rule('a page after compaction is Expired', async (item) => {
    for (const name of ['a', 'b']) await item.createLease({ name });
    const path = item.path(leases);
    const first = await item.send({ method: 'GET', path, query: { limit: '1' } });
    await item.createLease({ name: 'c' });
    await item.compact();
    const token = (first.body as { metadata: { continue: string } }).metadata.continue;
    const response = await item.send({ method: 'GET', path, query: { limit: '1', continue: token } });
    expectRefusal(response, 410, 'Expired');
  });
}

function namesOf(list: unknown): string[] {
  return (list as { items: KubeObject[] }).items.map(({ metadata }) => metadata.name);
}

async function listed(
  { client, namespace }: Item,
  selectors: { labelSelector?: string; fieldSelector?: string },
  type: typeof leases | typeof pods = leases,
): Promise<string> {
  const objects = await client.list(type, { namespace, ...selectors });
  return objects.map(({ metadata }) => metadata.name).join('');
}
