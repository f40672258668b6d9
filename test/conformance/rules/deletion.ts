import { expect } from 'vitest';
import { RESOURCES } from '../../../src/kube/resources.ts';
import type { KubeObject } from '../../../src/kube/transport.ts';
import type { Rule } from '../api-conformance.ts';
import { accepted, expectRefusal, versionOf, type Item } from '../item.ts';

const { leases, pods } = RESOURCES;
const OTHER_UID = 'a5fbb5a4-22c3-4b5f-8dba-15d1a5f02b2b';
const FINALIZER = 'reprieve.dev/hold';

export function deletionRules(rule: Rule): void {
  rule('an object without finalizers goes at once, and the answer is a Status', async (item) => {
    const { metadata } = await item.createLease();
    const response = await item.remove(leases, metadata.name);
    expect(response.status).toBe(200);
    expect(response.body).toMatchObject({
      kind: 'Status',
      status: 'Success',
      details: { name: metadata.name, group: 'coordination.k8s.io', kind: 'leases', uid: metadata.uid },
    });
    expectRefusal(await item.remove(leases, metadata.name), 404, 'NotFound');
  });

  rule('UID and version are preconditions', async (item) => {
    const { metadata } = await item.createLease();
    const { name, uid, resourceVersion } = metadata;
    const withUid = await item.remove(leases, name, { preconditions: { uid: OTHER_UID } });
    expectRefusal(withUid, 409, 'Conflict', /the UID in the precondition/);
    await item.patch(leases, name, 'merge', { metadata: { labels: { a: '1' } } });
    const withVersion = await item.remove(leases, name, { preconditions: { uid, resourceVersion } });
    expectRefusal(withVersion, 409, 'Conflict', /the ResourceVersion in the precondition/);
    const current = await item.get(leases, name);
    const preconditions = { uid, resourceVersion: current.metadata.resourceVersion };
    accepted(await item.remove(leases, name, { preconditions }));
  });

  rule('finalizers hold an object, and the last one releases it', async (item) => {
    const lease = await item.createLease({ name: 'a', finalizers: [FINALIZER, 'reprieve.dev/second'] });
    const watch = await item.watch(leases, { resourceVersion: lease.metadata.resourceVersion ?? '' });
    const held = accepted(await item.remove(leases, 'a'));
    expect(held.metadata).toMatchObject({
      uid: lease.metadata.uid,
      deletionTimestamp: expect.any(String) as string,
      deletionGracePeriodSeconds: 0,
    });
    const added = { metadata: { finalizers: [FINALIZER, 'reprieve.dev/second', 'reprieve.dev/third'] } };
    const refusal = await item.patch(leases, 'a', 'merge', added);
    expectRefusal(refusal, 422, 'Invalid', /no new finalizers can be added if the object is being deleted/);
    expect(accepted(await item.remove(leases, 'a')).metadata.resourceVersion).toBe(held.metadata.resourceVersion);
    accepted(await item.patch(leases, 'a', 'merge', { metadata: { finalizers: [FINALIZER] } }));
    accepted(await item.patch(leases, 'a', 'merge', { metadata: { finalizers: null } }));
    expect(await watch.nextOf(3)).toEqual(['MODIFIED a', 'MODIFIED a', 'DELETED a']);
    expectRefusal(await item.send({ method: 'GET', path: item.path(leases, 'a') }), 404, 'NotFound');
  });

  rule('the name of an object that is going is still taken', async (item) => {
    const lease = await heldLease(item);
    const response = await item.post(leases, { metadata: { name: lease.metadata.name }, spec: {} });
    expectRefusal(response, 409, 'AlreadyExists', /object is being deleted: .* already exists/);
  });

  rule('a running pod is given its grace period', async (item) => {
    const pod = await item.createPod({ nodeName: 'n1', terminationGracePeriodSeconds: 45 });
    const { name } = pod.metadata;
    const watch = await item.watch(pods, { resourceVersion: pod.metadata.resourceVersion ?? '' });
    const going = accepted(await item.remove(pods, name));
    expect(going).toMatchObject({ kind: 'Pod', metadata: { deletionGracePeriodSeconds: 45, generation: 2 } });
    expect(await item.get(pods, name)).toEqual(going);
    const event = await watch.next();
    expect(event).toMatchObject({ type: 'MODIFIED', object: { metadata: { deletionGracePeriodSeconds: 45 } } });

    accepted(await item.remove(pods, name, { gracePeriodSeconds: 0, preconditions: { uid: pod.metadata.uid } }));
    const shortened = await watch.next();
    expect(shortened).toMatchObject({ type: 'MODIFIED', object: { metadata: { deletionGracePeriodSeconds: 0 } } });
    const gone = await watch.next();
    expect(gone.type).toBe('DELETED');
    expect(versionOf(gone.object)).toBeGreaterThan(versionOf(shortened.object));
    expectRefusal(await item.remove(pods, name), 404, 'NotFound');
  });

  rule('the end of the grace period is the deletionTimestamp', async (item) => {
    const pod = await item.createPod({ nodeName: 'n1' });
    const { metadata } = accepted(await item.remove(pods, pod.metadata.name, { gracePeriodSeconds: 600 }));
    const endsMs = Date.parse(metadata.deletionTimestamp ?? '');
    expect(endsMs - Date.parse(pod.metadata.creationTimestamp ?? '')).toBeGreaterThanOrEqual(600_000);
    expect(endsMs - Date.parse(pod.metadata.creationTimestamp ?? '')).toBeLessThan(660_000);
  });

  rule('a grace period can be shortened and not be lengthened', async (item) => {
    const { metadata } = await item.createPod({ nodeName: 'n1' });
    const going = accepted(await item.remove(pods, metadata.name, { gracePeriodSeconds: 600 }));
    for (const options of [{ gracePeriodSeconds: 700 }, { gracePeriodSeconds: 600 }, undefined]) {
      expect(accepted(await item.remove(pods, metadata.name, options))).toEqual(going);
    }
    const sooner = accepted(await item.remove(pods, metadata.name, { gracePeriodSeconds: 300 }));
    expect(sooner.metadata.deletionGracePeriodSeconds).toBe(300);
    const endsMs = (pod: KubeObject): number => Date.parse(pod.metadata.deletionTimestamp ?? '');
    expect(endsMs(going) - endsMs(sooner)).toBe(300_000);
    // Being deleted is counted once.
    expect(sooner.metadata.generation).toBe(going.metadata.generation);
  });

  rule('a pod that nobody runs goes at once, whatever grace it is given', async (item) => {
    const unassigned = await item.createPod({}, { name: 'unassigned' });
    await item.createPod({ nodeName: 'n1' }, { name: 'ended' });
    await item.patch(pods, 'ended', 'merge', { status: { phase: 'Failed' } }, 'status');
    await item.createPod({ nodeName: 'n1' }, { name: 'killed' });
    const watch = await item.watch(pods, {
      resourceVersion: unassigned.metadata.resourceVersion ?? '',
      fieldSelector: 'metadata.name=unassigned',
    });
    expect(accepted(await item.remove(pods, 'unassigned', { gracePeriodSeconds: 60 }))['kind']).toBe('Pod');
    accepted(await item.remove(pods, 'ended'));
    accepted(await item.remove(pods, 'killed', { gracePeriodSeconds: 0 }));
    expect(await item.client.list(pods, { namespace: item.namespace })).toEqual([]);
    expect(await watch.nextOf(2)).toEqual(['MODIFIED unassigned', 'DELETED unassigned']);
  });

  rule('finalizers hold a pod past its grace period', async (item) => {
    const { metadata } = await item.createPod({ nodeName: 'n1' }, { name: 'a', finalizers: [FINALIZER] });
    item.cleanUp(() => item.patch(pods, 'a', 'merge', { metadata: { finalizers: null } }));
    accepted(await item.remove(pods, 'a'));
    const held = accepted(await item.remove(pods, 'a', { gracePeriodSeconds: 0 }));
    expect(held.metadata).toMatchObject({ uid: metadata.uid, deletionGracePeriodSeconds: 0 });
    accepted(await item.patch(pods, 'a', 'merge', { metadata: { finalizers: null } }));
    expectRefusal(await item.send({ method: 'GET', path: item.path(pods, 'a') }), 404, 'NotFound');
  });

  rule('finalizers that go before the kubelet is done do not release a pod', async (item) => {
    await item.createPod({ nodeName: 'n1' }, { name: 'a', finalizers: [FINALIZER] });
    accepted(await item.remove(pods, 'a'));
    const freed = accepted(await item.patch(pods, 'a', 'merge', { metadata: { finalizers: null } }));
    expect(await item.get(pods, 'a')).toEqual(freed);
    accepted(await item.remove(pods, 'a', { gracePeriodSeconds: 0 }));
    expectRefusal(await item.remove(pods, 'a'), 404, 'NotFound');
  });

  rule('a pod that is going can still be written', async (item) => {
    const { metadata } = await item.createPod({ nodeName: 'n1' });
    const going = accepted(await item.remove(pods, metadata.name));
    const patch = { metadata: { deletionTimestamp: null, annotations: { a: '1' } } };
    const patched = accepted(await item.patch(pods, metadata.name, 'merge', patch));
    expect(patched.metadata).toMatchObject({
      annotations: { a: '1' },
      deletionTimestamp: going.metadata.deletionTimestamp,
      deletionGracePeriodSeconds: 30,
    });
    const status = { status: { phase: 'Succeeded' } };
    accepted(await item.patch(pods, metadata.name, 'strategic', status, 'status'));
  });

  rule('preconditions on the version of a pod see its status too', async (item) => {
    const { metadata } = await item.createPod({ nodeName: 'n1' });
    const { name, uid, resourceVersion } = metadata;
    const frozen = accepted(await item.patch(pods, name, 'merge', { status: { phase: 'Running' } }, 'status'));
    const stale = await item.remove(pods, name, { preconditions: { uid, resourceVersion } });
    expectRefusal(stale, 409, 'Conflict');
    expect((await item.get(pods, name)).metadata).not.toHaveProperty('deletionTimestamp');
    const preconditions = { uid, resourceVersion: frozen.metadata.resourceVersion };
    accepted(await item.remove(pods, name, { preconditions, gracePeriodSeconds: 0 }));
    expectRefusal(await item.remove(pods, name), 404, 'NotFound');
  });
}

async function heldLease(item: Item): Promise<KubeObject> {
  const lease = await item.createLease({ finalizers: [FINALIZER] });
  const { name } = lease.metadata;
  item.cleanUp(() => item.patch(leases, name, 'merge', { metadata: { finalizers: null } }));
  await item.remove(leases, name);
  return lease;
}
