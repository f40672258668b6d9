import { expect } from 'vitest';
import { RESOURCES } from '../../../src/kube/resources.ts';
import type { Rule } from '../api-conformance.ts';
import { accepted, expectRefusal } from '../item.ts';

const { leases, pods } = RESOURCES;
const OTHER_UID = 'a5fbb5a4-22c3-4b5f-8dba-15d1a5f02b2b';

export function patchRules(rule: Rule): void {
  rule('merge: null removes, lists are replaced', async (item) => {
    await item.createLease({ name: 'a', labels: { x: '1', y: '2' }, finalizers: ['reprieve.dev/a', 'reprieve.dev/b'] });
    item.cleanUp(() => item.patch(leases, 'a', 'merge', { metadata: { finalizers: null } }));
    const patch = {
      metadata: { labels: { x: null, z: '3' }, finalizers: ['reprieve.dev/c'] },
      spec: { holderIdentity: 'me' },
    };
    expect(accepted(await item.patch(leases, 'a', 'merge', patch))).toMatchObject({
      metadata: { labels: { y: '2', z: '3' }, finalizers: ['reprieve.dev/c'] },
      spec: { holderIdentity: 'me' },
    });
  });

  rule('json: add, replace, remove, copy and move', async (item) => {
    const annotations = { 'reprieve.dev/frozen': 'yes', keep: '1' };
    const { metadata } = await item.createPod({}, { annotations });
    const patch = [
      { op: 'test', path: '/metadata/uid', value: metadata.uid },
      { op: 'remove', path: '/metadata/annotations/reprieve.dev~1frozen' },
      { op: 'add', path: '/metadata/labels', value: { a: '1' } },
      { op: 'add', path: '/metadata/labels/b', value: '2' },
      { op: 'replace', path: '/metadata/labels/a', value: '3' },
      { op: 'copy', from: '/metadata/labels/b', path: '/metadata/labels/c' },
      { op: 'move', from: '/metadata/labels/b', path: '/metadata/labels/d' },
    ];
    const patched = accepted(await item.patch(pods, metadata.name, 'json', patch));
    expect(patched.metadata.labels).toEqual({ a: '3', c: '2', d: '2' });
    expect(patched.metadata.annotations).toEqual({ keep: '1' });
  });

  rule('json: a test that fails is 422, and nothing of the patch is done', async (item) => {
    const pod = await item.createPod({}, { labels: { a: '1' } });
    const { name } = pod.metadata;
    for (const test of [
      { op: 'test', path: '/metadata/uid', value: OTHER_UID },
      { op: 'test', path: '/metadata/annotations/absent', value: 'x' },
    ]) {
      const patch = [{ op: 'replace', path: '/metadata/labels/a', value: '2' }, test];
      const response = await item.patch(pods, name, 'json', patch);
      expectRefusal(response, 422, 'Invalid', /^the server rejected our request due to an error in our request$/);
    }
    expect(await item.get(pods, name)).toEqual(pod);
  });

  rule('json: an operation without its target is 422', async (item) => {
    const { metadata } = await item.createPod();
    for (const operation of [
      { op: 'remove', path: '/metadata/labels/absent' },
      { op: 'replace', path: '/metadata/labels/absent', value: '1' },
      { op: 'add', path: '/metadata/labels/a', value: '1' }, // there are no labels to add to
      { op: 'remove', path: '/spec/containers/7' },
    ]) {
      expectRefusal(await item.patch(pods, metadata.name, 'json', [operation]), 422, 'Invalid');
    }
  });

  rule('a body that is no patch is 400', async (item) => {
    const { metadata } = await item.createPod();
    expectRefusal(await item.patch(pods, metadata.name, 'json', { op: 'add' }), 400, 'BadRequest');
    expectRefusal(await item.patch(pods, metadata.name, 'strategic', [{ op: 'add' }]), 400, 'BadRequest');
    expectRefusal(await item.patch(pods, metadata.name, 'merge', ['x']), 400, 'BadRequest');
  });

  rule('strategic: owner references by UID, finalizers as a set', async (item) => {
    const owner = (uid: string, name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', name, uid });
    // The collector of garbage takes what has no living owner; the finalizer keeps the pod long enough for this.
    const finalizers = ['reprieve.dev/a'];
    const { metadata } = await item.createPod({}, { finalizers });
    const { name } = metadata;
    item.cleanUp(() => item.patch(pods, name, 'merge', { metadata: { finalizers: null } }));
    const first = { metadata: { ownerReferences: [owner(OTHER_UID, 'a')] } };
    accepted(await item.patch(pods, name, 'strategic', first));
    const second = { metadata: { ownerReferences: [{ uid: OTHER_UID, name: 'b' }], finalizers } };
    const patched = accepted(await item.patch(pods, name, 'strategic', second));
    expect(patched.metadata.ownerReferences).toEqual([owner(OTHER_UID, 'b')]);
    expect(patched.metadata.finalizers).toEqual(finalizers);
    const removal = { metadata: { ownerReferences: [{ $patch: 'delete', uid: OTHER_UID }] } };
    expect(accepted(await item.patch(pods, name, 'strategic', removal)).metadata).not.toHaveProperty('ownerReferences');
    const emptied = { metadata: { '$deleteFromPrimitiveList/finalizers': finalizers } };
    expect(accepted(await item.patch(pods, name, 'strategic', emptied)).metadata).not.toHaveProperty('finalizers');
  });

  rule('strategic: containers by name', async (item) => {
    const containers = [
      { name: 'a', image: 'example.invalid/a:1' },
      { name: 'b', image: 'example.invalid/b:1' },
    ];
    const { metadata } = await item.createPod({ containers });
    const patch = { spec: { containers: [{ name: 'b', image: 'example.invalid/b:2' }] } };
    expect(accepted(await item.patch(pods, metadata.name, 'strategic', patch))['spec']).toMatchObject({
      containers: [
        { name: 'a', image: 'example.invalid/a:1' },
        { name: 'b', image: 'example.invalid/b:2' },
      ],
    });
  });

  rule('strategic: tolerations are replaced as a whole, so that leaving one out is refused', async (item) => {
    const tolerations = [{ key: 'a', operator: 'Exists' }];
    const { metadata } = await item.createPod({ tolerations });
    const patch = { spec: { tolerations: [{ key: 'b', operator: 'Exists' }] } };
    const response = await item.patch(pods, metadata.name, 'strategic', patch);
    expectRefusal(response, 422, 'Invalid', /existing toleration can not be modified/);
  });

  rule('strategic: entries without their merge key and unknown directives are refused', async (item) => {
    const { metadata } = await item.createPod();
    const unknown = { metadata: { $patch: 'shuffle' } };
    expectRefusal(await item.patch(pods, metadata.name, 'strategic', unknown), 500, '', /Unknown patch/i);
    const nameless = { spec: { containers: [{ image: 'example.invalid/main:2' }] } };
    const response = await item.patch(pods, metadata.name, 'strategic', nameless);
    expectRefusal(response, 500, '', /does not contain declared merge key: name/);
  });

  rule('a patch with a version is an optimistic lock', async (item) => {
    const pod = await item.createPod();
    const { name, resourceVersion } = pod.metadata;
    const patch = (value: string) => ({ metadata: { resourceVersion, labels: { a: value } } });
    accepted(await item.patch(pods, name, 'merge', patch('1')));
    for (const type of ['merge', 'strategic'] as const) {
      expectRefusal(await item.patch(pods, name, type, patch('2')), 409, 'Conflict', /the object has been modified/);
    }
    const status = { ...patch('2'), status: { phase: 'Running' } };
    expectRefusal(await item.patch(pods, name, 'strategic', status, 'status'), 409, 'Conflict');
  });

  rule('a patch with the UID of another object is refused', async (item) => {
    const { metadata } = await item.createPod();
    const patch = { metadata: { uid: OTHER_UID }, status: { phase: 'Running' } };
    for (const [type, subresource] of [
      ['merge', undefined],
      ['strategic', 'status'],
    ] as const) {
      const response = await item.patch(pods, metadata.name, type, patch, subresource);
      expectRefusal(response, 422, 'Invalid', /metadata.uid: Invalid value: .*field is immutable/);
    }
    const same = { metadata: { uid: metadata.uid }, status: { phase: 'Running' } };
    accepted(await item.patch(pods, metadata.name, 'strategic', same, 'status'));
  });
}
