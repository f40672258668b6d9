import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { RESOURCES } from '../../../src/kube/resources.ts';
import type { KubeObject } from '../../../src/kube/transport.ts';
import type { Rule } from '../api-conformance.ts';
import { accepted, expectRefusal, uniqueName, versionOf, type Item } from '../item.ts';

const { podCheckpoints, reprievePolicies, reprieves } = RESOURCES;
const READY = {
  type: 'Ready',
  status: 'True',
  reason: 'Verified',
  message: '',
  lastTransitionTime: '2026-01-01T00:00:00Z',
};

export function customResourceRules(rule: Rule): void {
  rule('a custom resource is created without status, at generation 1', async (item) => {
    const created = await createCheckpoint(item, { status: { conditions: [READY] } });
    expect(created).toMatchObject({
      apiVersion: 'reprieve.dev/v1alpha1',
      kind: 'PodCheckpoint',
      metadata: { generation: 1, namespace: item.namespace },
      spec: { node: 'n1' },
    });
    expect(created).not.toHaveProperty('status');
  });

  rule('items of custom resources say what they are', async (item) => {
    await createCheckpoint(item);
    const [listed] = await item.client.list(podCheckpoints, { namespace: item.namespace });
    expect(listed).toMatchObject({ apiVersion: 'reprieve.dev/v1alpha1', kind: 'PodCheckpoint' });
  });

  rule('nothing but the status goes through the status of a custom resource', async (item) => {
    const { metadata } = await createCheckpoint(item);
    const patch = { metadata: { labels: { a: '1' } }, spec: { node: 'n2' }, status: { conditions: [READY] } };
    const patched = accepted(await item.patch(podCheckpoints, metadata.name, 'merge', patch, 'status'));
    expect(patched).toMatchObject({ spec: { node: 'n1' }, status: { conditions: [READY] } });
    expect(patched.metadata).not.toHaveProperty('labels');
    expect(patched.metadata.generation).toBe(1);
    expect(versionOf(patched)).toBeGreaterThan(Number(metadata.resourceVersion));
    const main = { metadata: { labels: { a: '1' } }, status: null };
    expect(accepted(await item.patch(podCheckpoints, metadata.name, 'merge', main))).toMatchObject({
      metadata: { labels: { a: '1' }, generation: 1 },
      status: { conditions: [READY] },
    });
  });

  rule('strategic merge patch is not for custom resources', async (item) => {
    const { metadata } = await createCheckpoint(item);
    const patch = { metadata: { labels: { a: '1' } } };
    const response = await item.patch(podCheckpoints, metadata.name, 'strategic', patch);
    expectRefusal(response, 415, 'UnsupportedMediaType', /application\/merge-patch\+json/);
  });

  rule('json patch with a test on a custom resource', async (item) => {
    const { metadata } = await createCheckpoint(item, { metadata: { generateName: 'cp-', labels: { a: '1' } } });
    const patch = (value: string) => [
      { op: 'test', path: '/metadata/labels/a', value },
      { op: 'remove', path: '/metadata/labels/a' },
    ];
    expectRefusal(await item.patch(podCheckpoints, metadata.name, 'json', patch('2')), 422, 'Invalid');
    const patched = accepted(await item.patch(podCheckpoints, metadata.name, 'json', patch('1')));
    expect(patched.metadata).not.toHaveProperty('labels');
  });

  rule('PUT of a custom resource needs its version', async (item) => {
    const checkpoint = await createCheckpoint(item);
    const { resourceVersion: _, ...metadata } = checkpoint.metadata;
    const response = await item.put(podCheckpoints, { ...checkpoint, metadata });
    expectRefusal(response, 422, 'Invalid', /metadata.resourceVersion: Invalid value.*must be specified for an update/);
    const labelled = { ...checkpoint, metadata: { ...checkpoint.metadata, labels: { a: '1' } } };
    accepted(await item.put(podCheckpoints, labelled));
    expectRefusal(await item.put(podCheckpoints, labelled), 409, 'Conflict', /the object has been modified/);
  });

  rule('the generation of a custom resource follows its spec', async (item) => {
    const name = uniqueName('policy');
    const created = await item.client.create(reprievePolicies, null, { metadata: { name }, spec: { precedence: 1 } });
    item.cleanUp(() => item.client.delete(reprievePolicies, null, name));
    expect(created.metadata).toMatchObject({ generation: 1 });
    expect(created.metadata).not.toHaveProperty('namespace');
    const change = { type: 'merge' } as const;
    const changed = await item.client.patch(reprievePolicies, null, name, { spec: { precedence: 2 } }, change);
    expect(changed.metadata.generation).toBe(2);
    const same = await item.client.patch(reprievePolicies, null, name, { spec: { precedence: 2 } }, change);
    expect(same.metadata).toMatchObject({ generation: 2, resourceVersion: changed.metadata.resourceVersion });
  });

  rule('the status of a policy has its own path, and its version guards it', async (item) => {
    const metadata = { name: uniqueName('policy') };
    const status = { observedGeneration: 1, selectedPods: 2 };
    const created = await item.client.create(reprievePolicies, null, { metadata, spec: {}, status });
    item.cleanUp(() => item.client.delete(reprievePolicies, null, metadata.name));
    expect(created).not.toHaveProperty('status');
    const { resourceVersion } = created.metadata;
    const patch = { metadata: { resourceVersion }, spec: { precedence: 7 }, status };
    const onStatus = { type: 'merge', subresource: 'status' } as const;
    const patched = await item.client.patch(reprievePolicies, null, metadata.name, patch, onStatus);
    expect(patched['status']).toEqual(status);
    expect(patched['spec']).toEqual(created['spec']);
    expect(patched.metadata.generation).toBe(1);
    const again = item.client.patch(reprievePolicies, null, metadata.name, patch, onStatus);
    await expect(again).rejects.toMatchObject({ status: 409 });
  });

  rule('being deleted moves the generation of a custom resource that is held', async (item) => {
    const { metadata } = await createCheckpoint(item, { metadata: { name: 'a', finalizers: ['reprieve.dev/hold'] } });
    const watch = await item.watch(podCheckpoints, { resourceVersion: metadata.resourceVersion ?? '' });
    const held = accepted(await item.remove(podCheckpoints, 'a'));
    expect(held.metadata).toMatchObject({ generation: 2, deletionGracePeriodSeconds: 0 });
    accepted(await item.patch(podCheckpoints, 'a', 'merge', { metadata: { finalizers: [] } }));
    expect(await watch.nextOf(2)).toEqual(['MODIFIED a', 'DELETED a']);
  });

  rule('a field that a custom resource can be selected by', async (item) => {
    const first = await createCheckpoint(item);
    await createCheckpoint(item, { spec: { ...specOf('n2') } });
    const options = { namespace: item.namespace, fieldSelector: 'spec.node=n1' };
    const found = await item.client.list(podCheckpoints, options);
    expect(found.map(({ metadata }) => metadata.name)).toEqual([first.metadata.name]);
  });

  rule('the spec of a PodCheckpoint is immutable', async (item) => {
    const { metadata } = await createCheckpoint(item);
    const response = await item.patch(podCheckpoints, metadata.name, 'merge', { spec: { node: 'n2' } });
    expectRefusal(response, 422, 'Invalid', /immutable/);
  });

  rule('the release of a PodCheckpoint is final', async (item) => {
    const { metadata } = await createCheckpoint(item);
    const releasing = (release: object | null): ReturnType<Item['patch']> =>
      item.patch(podCheckpoints, metadata.name, 'merge', { spec: { release } });
    expect(accepted(await releasing({ message: 'it is off' }))['spec']).toMatchObject({
      release: { message: 'it is off' },
    });
    expectRefusal(await releasing({ message: 'another reason' }), 422, 'Invalid', /a release is final/);
    expectRefusal(await releasing(null), 422, 'Invalid', /a release is final/);
  });

  rule('a PodCheckpoint of the revision before can be released and selected', async (item) => {
    const { pod } = specOf('n1') as { readonly pod: object };
    const deadline = '2026-01-01T00:00:00Z';
    const spec = { pod, nodeName: 'n1', reason: 'Preemption', keepFrozen: true, deadline };
    const { metadata } = await createCheckpoint(item, { spec });
    const release = { message: 'it is off' };
    accepted(await item.patch(podCheckpoints, metadata.name, 'merge', { spec: { release } }));
    const options = { namespace: item.namespace, fieldSelector: 'spec.nodeName=n1' };
    const [found] = await item.client.list(podCheckpoints, options);
    expect(found?.metadata.uid).toBe(metadata.uid);
  });

  rule('a displacement has exactly one cause', async (item) => {
    const spec = recordedTicket()['spec'] as { readonly displacement: object };
    const create = (cause: object): ReturnType<Item['post']> => {
      const displacement = { ...spec.displacement, cause };
      return item.post(reprieves, {
        apiVersion: 'reprieve.dev/v1alpha1',
        kind: 'Reprieve',
        metadata: { generateName: 'ticket-' },
        spec: { ...spec, displacement },
      });
    };
    const manual = { askedOn: 'Pod', why: 'its disk is slow' };
    const eviction = { by: 'Eviction', requester: 'admin', why: 'EvictionByEvictionAPI' };
    accepted(await create({ manual }));
    accepted(await create({ eviction }));
    for (const cause of [{}, { manual, eviction }])
      expectRefusal(await create(cause), 422, 'Invalid', /a displacement has exactly one cause/);
  });

  rule('a custom resource is held to its schema', async (item) => {
    const response = await item.post(podCheckpoints, {
      apiVersion: 'reprieve.dev/v1alpha1',
      kind: 'PodCheckpoint',
      metadata: { name: 'a' },
      spec: { node: 7 },
    });
    expectRefusal(response, 422, 'Invalid', /spec/);
  });
}

/** A ticket as revision 9 of the CRDs recorded it. */
function recordedTicket(): KubeObject {
  const file = new URL('../../fixtures/records/revision-9.json', import.meta.url);
  const objects = JSON.parse(readFileSync(file, 'utf8')) as readonly KubeObject[];
  const ticket = objects.find(({ kind }) => kind === reprieves.kind);
  if (ticket === undefined) throw new Error('no ticket is recorded');
  return ticket;
}

function specOf(node: string): object {
  return { pod: { name: 'a', uid: 'a5fbb5a4-22c3-4b5f-8dba-15d1a5f02b2b' }, node, reason: 'Manual' };
}

function createCheckpoint(item: Item, object: object = {}): Promise<KubeObject> {
  return item.create(podCheckpoints, { metadata: { generateName: 'cp-' }, spec: specOf('n1'), ...object });
}
