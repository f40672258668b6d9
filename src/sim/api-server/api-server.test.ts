import { describe, expect, test } from 'vitest';
import { KubeClient } from '../../kube/client.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { TransportError, type KubeWatch } from '../../kube/transport.ts';
import { VirtualClock } from '../virtual-clock.ts';
import type { AdmissionReview } from './admission.ts';
import { ApiServer } from './api-server.ts';
import type { ApiServerOptions, Interception } from './server-options.ts';

const { leases, pods, priorityClasses } = RESOURCES;
const POD = { metadata: { name: 'a' }, spec: { containers: [{ name: 'main', image: 'main:1' }] } };

function makeServer(options: Partial<ApiServerOptions> = {}) {
  const clock = new VirtualClock();
  const server = new ApiServer({ clock, ...options });
  return { clock, server, client: new KubeClient(server) };
}

const watchPods = (server: ApiServer, query = {}, signal?: AbortSignal): Promise<KubeWatch> =>
  server.watch({ method: 'GET', path: '/api/v1/pods', query: { watch: '1', ...query }, ...(signal && { signal }) });

const answer = (review: AdmissionReview, response: object): AdmissionReview => ({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  response: { uid: review.request?.uid ?? '', allowed: true, ...response },
});
const patchOf = (patch: unknown): object => ({
  patchType: 'JSONPatch',
  patch: Buffer.from(JSON.stringify(patch)).toString('base64'),
});

describe('the webhook', () => {
  const gates = [{ op: 'add', path: '/spec/schedulingGates', value: [{ name: 'reprieve.dev/restore' }] }];

  test('sees a new pod with its defaults and without UID, and changes it', async () => {
    const reviews: AdmissionReview[] = [];
    const { server } = makeServer({
      admitPod: (review) => {
        reviews.push(review);
        return Promise.resolve(answer(review, patchOf(gates)));
      },
    });
    const client = new KubeClient(server.transport('job-controller'));
    const pod = await client.create(pods, 'default', { ...POD, metadata: { generateName: 'a-' } });
    expect(reviews[0]?.request).toMatchObject({
      namespace: 'default',
      operation: 'CREATE',
      userInfo: { username: 'job-controller' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      object: {
        metadata: { generateName: 'a-', namespace: 'default' },
        spec: { priority: 0, restartPolicy: 'Always' },
      },
    });
    expect(reviews[0]?.request).not.toHaveProperty('name');
    expect(reviews[0]?.request?.object.metadata).not.toHaveProperty('uid');
    expect(pod).toMatchObject({
      metadata: { name: expect.stringMatching(/^a-/) as string },
      spec: { schedulingGates: [{ name: 'reprieve.dev/restore' }] },
      status: { conditions: [{ type: 'PodScheduled', reason: 'SchedulingGated' }] },
    });
  });

  test.each<[string, NonNullable<ApiServerOptions['admitPod']>]>([
    ['throws', () => Promise.reject(new Error('connection refused'))],
    ['answers for another request', (review) => Promise.resolve(answer(review, { uid: 'x', allowed: false }))],
    ['answers nothing', () => Promise.resolve({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' })],
  ])('is passed over where it %s', async (_what, admitPod) => {
    const { client } = makeServer({ admitPod });
    expect(await client.create(pods, 'default', POD)).toMatchObject({ status: { phase: 'Pending' } });
  });

  test('can refuse, and fails the request with a patch that does not apply', async () => {
    const { client, server } = makeServer();
    server.hooks.admitPod = (review) =>
      Promise.resolve(answer(review, { allowed: false, status: { code: 403, message: 'no', reason: 'Forbidden' } }));
    await expect(client.create(pods, 'default', POD)).rejects.toMatchObject({ status: 403, reason: 'Forbidden' });
    server.hooks.admitPod = (review) => Promise.resolve(answer(review, patchOf([{ op: 'remove', path: '/none' }])));
    await expect(client.create(pods, 'default', POD)).rejects.toMatchObject({ status: 500 });
  });

  test('is not asked about other kinds', async () => {
    const { client } = makeServer({ admitPod: () => Promise.reject(new Error('asked')) });
    await client.create(leases, 'default', { metadata: { name: 'a' } });
    expect(await client.list(leases)).toHaveLength(1);
  });
});

describe('faults', () => {
  test('an interception answers, resets before or resets after', async () => {
    let next: Interception = null;
    const { client, server } = makeServer({ intercept: () => Promise.resolve(next) });
    next = { status: 429, headers: { 'retry-after': '2' }, body: { reason: 'TooManyRequests', message: 'slow down' } };
    await expect(client.create(pods, 'default', POD)).rejects.toMatchObject({ status: 429, retryAfterMs: 2000 });
    next = 'reset';
    await expect(client.create(pods, 'default', POD)).rejects.toThrow(TransportError);
    expect(server.list(pods)).toHaveLength(0);
    next = 'reset-after';
    await expect(client.create(pods, 'default', POD)).rejects.toThrow(TransportError);
    expect(server.list(pods)).toHaveLength(1);
  });

  test('an interception sees who asks, and refuses watches', async () => {
    const seen: string[] = [];
    const { server } = makeServer({
      intercept: ({ user, isWatch, method, path }) => {
        seen.push(`${user} ${isWatch ? 'WATCH' : method} ${path}`);
        return Promise.resolve({ status: 500, headers: {}, body: { kind: 'Status' } });
      },
    });
    const watch = await server.transport('agent').watch({ method: 'GET', path: '/api/v1/pods' });
    expect(watch).toMatchObject({ status: 500, body: { kind: 'Status' } });
    expect(seen).toEqual(['agent WATCH /api/v1/pods']);
  });

  test('broken watches throw what they broke with', async () => {
    const { client, server } = makeServer();
    const watch = await watchPods(server);
    const events = watch.events[Symbol.asyncIterator]();
    await client.create(pods, 'default', POD);
    server.closeWatches(new TransportError('gone'));
    expect((await events.next()).value).toMatchObject({ type: 'ADDED' });
    await expect(events.next()).rejects.toThrow('gone');
    expect(server.watchCount).toBe(0);
  });
});

describe('watches', () => {
  test('are forgotten when they are aborted, left or timed out', async () => {
    const { clock, server } = makeServer();
    const aborted = new AbortController();
    const first = await watchPods(server, { allowWatchBookmarks: 'true' }, aborted.signal);
    const second = await watchPods(server);
    await watchPods(server, { timeoutSeconds: '10' });
    expect(server.watchCount).toBe(3);
    const pending = first.events[Symbol.asyncIterator]().next();
    aborted.abort(new Error('enough'));
    await expect(pending).rejects.toThrow('enough');
    expect(server.watchCount).toBe(2);
    await second.events[Symbol.asyncIterator]().return?.();
    expect(server.watchCount).toBe(1);
    await clock.advance(10_000);
    expect(server.watchCount).toBe(0);
  });

  test('history is kept to its limit, and older starts are Expired', async () => {
    const { client, server } = makeServer({ historyLimit: 10 });
    const from = server.resourceVersion;
    for (let i = 0; i < 25; i++) await client.create(leases, 'default', { metadata: { generateName: 'l-' } });
    const open = (resourceVersion: string): Promise<KubeWatch> =>
      server.watch({ method: 'GET', path: '/apis/coordination.k8s.io/v1/leases', query: { resourceVersion } });
    const late = await open(from);
    expect((await late.events[Symbol.asyncIterator]().next()).value).toMatchObject({
      type: 'ERROR',
      object: { code: 410 },
    });
    const recent = await open(String(Number(server.resourceVersion) - 10));
    expect((await recent.events[Symbol.asyncIterator]().next()).value).toMatchObject({ type: 'ADDED' });
  });
});

describe('time', () => {
  test('a request takes the latency of the server, and can be given up meanwhile', async () => {
    const { clock, server, client } = makeServer({ latencyMs: 20 });
    let isDone = false;
    const created = client.create(pods, 'default', POD).then(() => (isDone = true));
    await clock.advance(19);
    expect(isDone).toBe(false);
    await clock.advance(1);
    await created;
    const aborted = new AbortController();
    const request = server.request({ method: 'GET', path: '/api/v1/pods', signal: aborted.signal });
    aborted.abort(new Error('enough'));
    await expect(request).rejects.toThrow('enough');
  });
});

test('equal servers give equal objects', async () => {
  const create = async (seed: number): Promise<unknown> => {
    const { client } = makeServer({ seed });
    return client.create(pods, 'default', { ...POD, metadata: { generateName: 'a-' } });
  };
  expect(await create(1)).toEqual(await create(1));
  expect(await create(1)).not.toEqual(await create(2));
});

test('nobody outside holds a part of the store', async () => {
  const { client } = makeServer();
  const labels: Record<string, string> = { a: '1' };
  const created = await client.create(leases, 'default', { metadata: { name: 'a', labels } });
  labels['a'] = '2';
  expect(created.metadata.labels).toEqual({ a: '1' });
  expect(() => Object.assign(created.metadata, { uid: 'x' })).toThrow(TypeError);
});

test('the hook for schemas refuses with its reason', async () => {
  const { client } = makeServer({
    validate: (type, object, old) =>
      type === RESOURCES.podCheckpoints && old !== null && old['spec'] !== object['spec'] ? 'spec is immutable' : null,
  });
  await client.create(RESOURCES.podCheckpoints, 'default', { metadata: { name: 'a' }, spec: { nodeName: 'n1' } });
  const patch = { spec: { nodeName: 'n2' } };
  await expect(client.patch(RESOURCES.podCheckpoints, 'default', 'a', patch, { type: 'merge' })).rejects.toMatchObject({
    status: 422,
    message: expect.stringContaining('spec is immutable') as string,
  });
});

test('a class that is the default of all applies to pods without one', async () => {
  const { client } = makeServer();
  await client.create(priorityClasses, null, { metadata: { name: 'usual' }, value: 5, globalDefault: true });
  const pod = await client.create(pods, 'default', POD);
  expect(pod['spec']).toMatchObject({ priority: 5, priorityClassName: 'usual' });
});
