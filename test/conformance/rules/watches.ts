import { expect } from 'vitest';
import { RESOURCES } from '../../../src/kube/resources.ts';
import type { Rule } from '../api-conformance.ts';
import { versionOf } from '../item.ts';

const { leases, pods } = RESOURCES;

export function watchRules(rule: Rule): void {
  rule('a watch tells every write since its version, in order', async (item) => {
    const resourceVersion = await item.version(leases);
    await item.createLease({ name: 'a' });
    const watch = await item.watch(leases, { resourceVersion });
    await item.patch(leases, 'a', 'merge', { metadata: { labels: { x: '1' } } });
    await item.createLease({ name: 'b' });
    await item.remove(leases, 'a');
    expect(await watch.nextOf(4)).toEqual(['ADDED a', 'MODIFIED a', 'ADDED b', 'DELETED a']);
  });

  rule('events carry the whole object at the version of the write', async (item) => {
    const created = await item.createLease({ name: 'a' });
    const watch = await item.watch(leases, { resourceVersion: created.metadata.resourceVersion ?? '' });
    const patched = await item.patch(leases, 'a', 'merge', { metadata: { labels: { x: '1' } } });
    expect((await watch.next()).object).toEqual(patched.body);
    await item.remove(leases, 'a');
    const { type, object } = await watch.next();
    expect(type).toBe('DELETED');
    expect(object.metadata.labels).toEqual({ x: '1' });
    expect(versionOf(object)).toBeGreaterThan(versionOf(patched.body as typeof object));
  });

  rule('a watch without a version begins with what is there', async (item) => {
    for (const name of ['a', 'b']) await item.createLease({ name });
    const watch = await item.watch(leases);
    await item.createLease({ name: 'c' });
    expect((await watch.nextOf(2)).sort()).toEqual(['ADDED a', 'ADDED b']);
    expect(await watch.nextOf(1)).toEqual(['ADDED c']);
  });

  rule('an object that starts to match is ADDED, one that ceases to is DELETED', async (item) => {
    const resourceVersion = await item.version(leases);
    const watch = await item.watch(leases, { resourceVersion, labelSelector: 'on=yes' });
    const label = (on: string | null, more = {}) =>
      item.patch(leases, 'a', 'merge', { metadata: { labels: { on, ...more } } });
    await item.createLease({ name: 'a' });
    await label('yes');
    await label('yes', { more: '1' });
    const out = await label('no');
    await label('yes');
    await item.remove(leases, 'a');
    expect(await watch.nextOf(2)).toEqual(['ADDED a', 'MODIFIED a']);
    const { type, object } = await watch.next();
    expect(type).toBe('DELETED');
    // It is the last state that matched, at the version of the write that ended it.
    expect(object.metadata.labels).toEqual({ on: 'yes', more: '1' });
    expect(object.metadata.resourceVersion).toBe((out.body as typeof object).metadata.resourceVersion);
    expect(await watch.nextOf(2)).toEqual(['ADDED a', 'DELETED a']);
  });

  rule('a pod appears to the watch of its node when it is bound', async (item) => {
    const resourceVersion = await item.version(pods);
    const onNode = await item.watch(pods, { resourceVersion, fieldSelector: 'spec.nodeName=n1' });
    const unbound = await item.watch(pods, { resourceVersion, fieldSelector: 'spec.nodeName=' });
    await item.createPod({}, { name: 'a' });
    await item.createPod({}, { name: 'b' });
    await item.bind('b', 'n2');
    await item.bind('a', 'n1');
    expect(await onNode.nextOf(1)).toEqual(['ADDED a']);
    expect(await unbound.nextOf(4)).toEqual(['ADDED a', 'ADDED b', 'DELETED b', 'DELETED a']);
  });

  rule('a watch-list ends its beginning with an annotated bookmark', async (item) => {
    for (const name of ['a', 'b']) await item.createLease({ name });
    const watch = await item.watch(leases, {
      sendInitialEvents: 'true',
      resourceVersionMatch: 'NotOlderThan',
      resourceVersion: '',
      allowWatchBookmarks: 'true',
    });
    expect(await watch.nextOf(2)).toEqual(['ADDED a', 'ADDED b']);
    const bookmark = await watch.any();
    expect(bookmark).toMatchObject({
      type: 'BOOKMARK',
      object: {
        kind: 'Lease',
        metadata: {
          resourceVersion: expect.stringMatching(/^\d+$/) as string,
          annotations: { 'k8s.io/initial-events-end': 'true' },
        },
      },
    });
    await item.createLease({ name: 'c' });
    expect(await watch.nextOf(1)).toEqual(['ADDED c']);
  });

  rule('initial events need resourceVersionMatch', async (item) => {
    const query = { watch: '1', sendInitialEvents: 'true', allowWatchBookmarks: 'true' };
    const watch = await item.target.transport.watch({ method: 'GET', path: item.path(leases), query });
    expect(watch.status).toBe(422);
    expect(watch.body).toMatchObject({ kind: 'Status', reason: 'Invalid' });
  });

  rule('a watch that asks for bookmarks gets them as time passes', async (item) => {
    const resourceVersion = await item.version(leases);
    const watch = await item.watch(leases, { resourceVersion, allowWatchBookmarks: 'true' });
    const other = await item.createPod();
    await item.passTime(120_000);
    const event = await watch.any();
    expect(event).toMatchObject({ type: 'BOOKMARK', object: { kind: 'Lease', apiVersion: 'coordination.k8s.io/v1' } });
    // It moves on with writes to other kinds too: that is what it is for.
    expect(versionOf((event as { object: typeof other }).object)).toBeGreaterThanOrEqual(versionOf(other));
  });

  rule('a watch from before the history ends with 410 Expired', async (item) => {
    const resourceVersion = await item.version(leases);
    await item.createLease();
    await item.compact();
    const watch = await item.watch(leases, { resourceVersion });
    expect(await watch.any()).toMatchObject({
      type: 'ERROR',
      object: { kind: 'Status', status: 'Failure', code: 410, reason: 'Expired' },
    });
    expect(await watch.any()).toBeNull();
  });

  rule('the server ends a watch after timeoutSeconds', async (item) => {
    const resourceVersion = await item.version(leases);
    const watch = await item.watch(leases, { resourceVersion, timeoutSeconds: '1' });
    await item.createLease({ name: 'a' });
    expect(await watch.nextOf(1)).toEqual(['ADDED a']);
    await item.target.passTime?.(1000);
    expect(await watch.any()).toBeNull();
  });
}
