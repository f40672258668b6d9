import { expect } from 'vitest';
import { RESOURCES } from '../../../src/kube/resources.ts';
import type { Rule } from '../api-conformance.ts';
import { accepted, expectRefusal, podSpec, uniqueName, versionOf } from '../item.ts';

const { leases, pods, podDisruptionBudgets } = RESOURCES;

export function objectRules(rule: Rule): void {
  rule('create fills in the system fields', async (item) => {
    const response = await item.post(leases, { metadata: { name: 'a', uid: 'mine', generation: 9 }, spec: {} });
    expect(response.status).toBe(201);
    expect(response.body).toMatchObject({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        name: 'a',
        namespace: item.namespace,
        uid: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/) as string,
        resourceVersion: expect.stringMatching(/^\d+$/) as string,
        creationTimestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/) as string,
      },
    });
    expect(await item.get(leases, 'a')).toEqual(response.body);
  });

  rule('a dry run answers what would be created, and stores nothing', async (item) => {
    const query = { dryRun: 'All' };
    const body = { metadata: { generateName: 'dry-' }, spec: podSpec() };
    const response = await item.send({ method: 'POST', path: item.path(pods), query, body });
    expect(response.status).toBe(201);
    expect(response.body).toMatchObject({ metadata: { namespace: item.namespace }, spec: { restartPolicy: 'Always' } });
    expect(await item.client.list(pods, { namespace: item.namespace })).toEqual([]);
  });

  rule('generateName makes a name of its own for each', async (item) => {
    const [first, second] = [await item.createLease(), await item.createLease()];
    expect(first.metadata.name).toMatch(/^lease-[a-z0-9]{5}$/);
    expect(second.metadata.name).not.toBe(first.metadata.name);
    expect(second.metadata.uid).not.toBe(first.metadata.uid);
  });

  rule('a name that is taken is refused with AlreadyExists', async (item) => {
    await item.createLease({ name: 'a' });
    const response = await item.post(leases, { metadata: { name: 'a' }, spec: {} });
    expectRefusal(response, 409, 'AlreadyExists', /leases.coordination.k8s.io "a" already exists/);
  });

  rule('what is not there is NotFound', async (item) => {
    const path = item.path(pods, 'none');
    for (const method of ['GET', 'DELETE'] as const) {
      const response = await item.send({ method, path });
      expectRefusal(response, 404, 'NotFound', /^pods "none" not found$/);
      expect(response.body).toMatchObject({ details: { name: 'none', kind: 'pods' } });
    }
    expectRefusal(await item.patch(pods, 'none', 'merge', {}), 404, 'NotFound');
    expectRefusal(await item.patch(pods, 'none', 'strategic', {}, 'status'), 404, 'NotFound');
    expectRefusal(await item.bind('none', 'n'), 404, 'NotFound');
  });

  rule('an unknown path is 404', async (item) => {
    const response = await item.send({ method: 'GET', path: '/apis/reprieve.dev/v1alpha1/nothings' });
    expect(response.status).toBe(404);
  });

  rule('names, namespaces and kinds that contradict the path are refused', async (item) => {
    const elsewhere = { metadata: { name: 'a', namespace: 'default' }, spec: {} };
    expectRefusal(await item.post(leases, elsewhere), 400, 'BadRequest', /namespace/);
    expectRefusal(
      await item.post(leases, { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' } }),
      400,
      'BadRequest',
    );
    const lease = await item.createLease();
    const renamed = { ...lease, metadata: { ...lease.metadata, name: 'other' } };
    const response = await item.send({ method: 'PUT', path: item.path(leases, lease.metadata.name), body: renamed });
    expectRefusal(response, 400, 'BadRequest', /name/);
  });

  rule('invalid metadata is refused with 422', async (item) => {
    const cases: readonly (readonly [object, RegExp])[] = [
      [{}, /name or generateName is required/],
      [{ name: 'Not_A_Name' }, /metadata.name: Invalid value/],
      [{ name: 'a', labels: { key: 'no spaces' } }, /metadata.labels: Invalid value/],
      [{ name: 'a', labels: { key: 'x'.repeat(64) } }, /metadata.labels: Invalid value/],
      [{ name: 'a', annotations: { big: 'x'.repeat(262_145) } }, /metadata.annotations: Too long/],
      [{ name: 'a', ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'p', uid: '' }] }, /uid: Required value/],
    ];
    for (const [metadata, message] of cases) {
      expectRefusal(await item.post(leases, { metadata, spec: {} }), 422, 'Invalid', message);
    }
  });

  rule('an object that was read cannot be created as it is', async (item) => {
    const lease = await item.createLease();
    await item.remove(leases, lease.metadata.name);
    const response = await item.post(leases, lease);
    expectRefusal(response, 500, '', /resourceVersion should not be set on objects to be created/);
  });

  rule('PUT at an old version is a Conflict', async (item) => {
    const old = await item.createLease();
    await item.patch(leases, old.metadata.name, 'merge', { metadata: { labels: { a: '1' } } });
    expectRefusal(await item.put(leases, old), 409, 'Conflict', /the object has been modified/);
  });

  rule('PUT with the UID of another object is a Conflict', async (item) => {
    const lease = await item.createLease();
    const { resourceVersion: _, ...metadata } = lease.metadata;
    const other = { ...lease, metadata: { ...metadata, uid: 'a5fbb5a4-22c3-4b5f-8dba-15d1a5f02b2b' } };
    expectRefusal(await item.put(leases, other), 409, 'Conflict', /Precondition failed: UID in precondition/);
  });

  rule('PUT with the UID of a lease that is gone is a Conflict', async (item) => {
    const lease = await item.createLease();
    await item.send({ method: 'DELETE', path: item.path(leases, lease.metadata.name) });
    expectRefusal(await item.put(leases, lease), 409, 'Conflict', /Precondition failed: UID in precondition/);
  });

  rule('PUT without a version goes through for pods and is refused for leases', async (item) => {
    const pod = await item.createPod();
    const unversioned = { ...pod, metadata: { ...pod.metadata, resourceVersion: '', labels: { a: '1' } } };
    expect(accepted(await item.put(pods, unversioned)).metadata.labels).toEqual({ a: '1' });
    const lease = await item.createLease();
    const response = await item.put(leases, { ...lease, metadata: { name: lease.metadata.name } });
    expectRefusal(
      response,
      422,
      'Invalid',
      /metadata.resourceVersion: Invalid value: .*must be specified for an update/,
    );
  });

  rule('PUT of what is not there creates a lease, and no pod', async (item) => {
    const metadata = { name: uniqueName() };
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec: { holderIdentity: 'me' } };
    expect((await item.put(leases, lease)).status).toBe(201);
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: podSpec() };
    expectRefusal(await item.put(pods, pod), 404, 'NotFound');
  });

  rule('system fields survive whatever a client sends back of them', async (item) => {
    const lease = await item.createLease();
    const { name, resourceVersion = '' } = lease.metadata;
    const updated = accepted(
      await item.put(leases, { metadata: { name, resourceVersion, creationTimestamp: '2001-01-01T00:00:00Z' } }),
    );
    expect(updated.metadata).toMatchObject({
      uid: lease.metadata.uid,
      creationTimestamp: lease.metadata.creationTimestamp,
    });
  });

  rule('a write that changes nothing keeps the version', async (item) => {
    const pod = await item.createPod({}, { labels: { a: '1' } });
    const { name } = pod.metadata;
    const writes = [
      await item.put(pods, pod),
      await item.patch(pods, name, 'merge', { metadata: { labels: { a: '1' }, annotations: { absent: null } } }),
      await item.patch(pods, name, 'strategic', { metadata: { labels: { a: '1' } } }),
      await item.patch(pods, name, 'json', [{ op: 'replace', path: '/metadata/labels/a', value: '1' }]),
      await item.patch(pods, name, 'merge', { status: { phase: 'Pending' } }, 'status'),
    ];
    for (const write of writes) expect(versionOf(accepted(write))).toBe(versionOf(pod));
  });

  rule('the generation follows the spec and nothing else', async (item) => {
    const spec = { minAvailable: 1, selector: { matchLabels: { app: 'none' } } };
    const budget = await item.create(podDisruptionBudgets, { metadata: { name: 'a' }, spec });
    expect(budget.metadata.generation).toBe(1);
    const labelled = await item.patch(podDisruptionBudgets, 'a', 'merge', { metadata: { labels: { a: '1' } } });
    expect(accepted(labelled).metadata.generation).toBe(1);
    const changed = await item.patch(podDisruptionBudgets, 'a', 'merge', { spec: { minAvailable: 2 } });
    expect(accepted(changed).metadata.generation).toBe(2);
  });

  rule('methods that a path does not have are 405', async (item) => {
    const pod = await item.createPod();
    const path = item.path(pods, pod.metadata.name);
    expectRefusal(await item.send({ method: 'POST', path, body: pod }), 405, 'MethodNotAllowed');
    expectRefusal(await item.send({ method: 'DELETE', path: `${path}/status` }), 405, 'MethodNotAllowed');
  });
}
