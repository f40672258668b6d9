import { preemptionIn } from '../../test/support/preemption.ts';
import { beforeEach, describe, expect, it } from 'vitest';
import type { NodeName, PodUid } from '../domain/ids.ts';
import type { CheckpointRules } from '../domain/checkpoint-rules.ts';
import type { Checkpoint } from '../domain/checkpoint.ts';
import { RESTORE_GATE } from '../domain/labels.ts';
import type { Pod } from '../domain/pod.ts';
import type { PolicyReport } from '../domain/policy.ts';
import { DELETE_TIMEOUT_MS, lastEvictionMs } from '../domain/thaw-rule.ts';
import type { Ticket } from '../domain/ticket.ts';
import type { IndexEvent } from '../index/types.ts';
import type { CheckpointOrder, PodRef, TicketOrder } from '../ports/cluster-writer.ts';
import { ApiServer } from '../sim/api-server/api-server.ts';
import type { Interception, ServerRequest } from '../sim/api-server/server-options.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { KubeClient } from './client.ts';
import { KubeClusterWriter } from './cluster-writer.ts';
import { checkpointOf } from './project/checkpoint.ts';
import { podOf } from './project/pod.ts';
import { policyOf } from './project/policy.ts';
import { restoreShapeOf } from './project/restore-shape.ts';
import { ticketOf } from './project/ticket.ts';
import { RESOURCES } from './resources.ts';
import { TimedTransport } from './server-time.ts';
import type { KubeObject } from './transport.ts';

const NOW_MS = Date.UTC(2026, 0, 1, 12, 0, 0, 250);
const CHECKPOINT = 'web-0-c1';

let clock: VirtualClock;
let server: ApiServer;
let client: KubeClient;
let applied: IndexEvent[];
let writer: KubeClusterWriter;

beforeEach(async () => {
  clock = new VirtualClock({ startMs: NOW_MS });
  server = new ApiServer({ clock });
  const timed = new TimedTransport(server.transport(), clock);
  client = new KubeClient(timed);
  await client.create(RESOURCES.priorityClasses, null, { metadata: { name: 'low' }, value: 10 });
  applied = [];
  writer = new KubeClusterWriter({ client, clock, serverTime: timed, apply: (event) => applied.push(event) });
});

/** Lets `change` happen just before the first request that matches reaches the server. */
function before(matches: (request: ServerRequest) => boolean, change: () => Promise<Interception | void>): void {
  let isDone = false;
  server.hooks.intercept = async (request) => {
    if (isDone || !matches(request)) return null;
    isDone = true;
    return (await change()) ?? null;
  };
}

const token = { name: 'kube-api-access-x7k2p', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } };

function createGated(name: string): Promise<Pod> {
  return createPod(name, { spec: { nodeName: undefined, schedulingGates: [{ name: RESTORE_GATE }] } });
}

async function createPod(name: string, more: { metadata?: object; spec?: object } = {}): Promise<Pod> {
  const containers = [
    {
      name: 'main',
      image: 'app:1',
      resources: { requests: { cpu: '500m', memory: '1Gi' } },
      volumeMounts: [
        { name: 'data', mountPath: '/data' },
        { name: token.name, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' },
      ],
    },
  ];
  const volumes = [{ name: 'data', emptyDir: {} }, token];
  const created = await client.create(RESOURCES.pods, 'default', {
    metadata: { name, labels: { app: 'web' }, ...more.metadata },
    spec: { containers, volumes, nodeName: 'n1', priorityClassName: 'low', ...more.spec },
  });
  return podOf(created);
}

async function setConditions(name: string, ...conditions: object[]): Promise<Pod> {
  const patch = { status: { phase: 'Running', conditions } };
  return podOf(
    await client.patch(RESOURCES.pods, 'default', name, patch, { type: 'strategic', subresource: 'status' }),
  );
}

const frozen = (by: string = CHECKPOINT) => ({
  type: 'reprieve.dev/Frozen',
  status: 'True',
  reason: 'Saved',
  message: by,
});
const thawed = { type: 'reprieve.dev/Frozen', status: 'False', reason: 'Thawed', message: '' };

const preemptor: PodRef = { namespace: 'default', name: 'urgent', uid: 'p-uid' as PodUid };

function ticketOrder(victim: PodRef, displacementId = 'd1'): TicketOrder {
  const restore = {
    nodes: 'Any',
    attempts: 2,
    onFailure: 'ColdStart',
    maxWaitMs: 5_400_000,
    identityLabels: [],
  } as const;
  const planned = {
    uid: victim.uid,
    namespace: victim.namespace,
    name: victim.name,
    node: 'n1' as NodeName,
    plan: 'Save',
    checkpoint: CHECKPOINT,
    onFailure: 'Evict',
    terms: { policy: 'batch', maxDelayMs: 60_000, checkpoint: rules, restore },
  } as const;
  return {
    name: 'web-0-ticket',
    victim,
    planned,
    displacement: {
      id: displacementId,
      cause: {
        kind: 'Preemption',
        preemptor: { ...preemptor, priority: 1000 },
        node: 'n1' as NodeName,
        numPdbViolations: 1,
      },
      pods: [planned],
      commit: 'AllSaved',
      decidedMs: NOW_MS,
      deadlineMs: NOW_MS + 60_250,
    },
    restore,
    policyName: 'batch',
  };
}

const rules: CheckpointRules = { sockets: 'Refuse', volumes: 'None', maxBytes: 2 ** 20 };

function checkpointOrder(pod: PodRef): CheckpointOrder {
  return {
    namespace: 'default',
    name: CHECKPOINT,
    pod,
    node: 'n1' as NodeName,
    reason: 'Preemption',
    ticket: 'web-0-ticket',
    keepFrozen: true,
    rules,
    deadlineMs: NOW_MS + 90_000,
  };
}

const get = (name: string): Promise<KubeObject> => client.get(RESOURCES.pods, 'default', name);
const ticketNow = async (): Promise<Ticket> =>
  ticketOf(await client.get(RESOURCES.reprieves, 'default', 'web-0-ticket'));
const checkpointNow = async (): Promise<Checkpoint> =>
  checkpointOf(await client.get(RESOURCES.podCheckpoints, 'default', CHECKPOINT));

const templateIn = (raw: KubeObject): object | undefined =>
  (raw as { spec?: { pod?: { template?: object } } }).spec?.pod?.template;

async function createdTicket(pod: Pod): Promise<Ticket> {
  expect(await writer.createTicket(ticketOrder(pod))).toBe('done');
  return ticketNow();
}

describe('createTicket', () => {
  it('leaves the end of a controller that it may not read to the garbage collector', async () => {
    const ranked = { apiVersion: 'example.com/v1', kind: 'RankedJob', name: 'train', uid: 'uid-train' };
    await createdTicket(await createPod('web-0', { metadata: { ownerReferences: [{ ...ranked, controller: true }] } }));
    const raw = await client.get(RESOURCES.reprieves, 'default', 'web-0-ticket');
    expect(raw.metadata.ownerReferences).toEqual([ranked]);
  });

  const owner = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'web', uid: 'sts', controller: true };

  it('stores what the pod was and the whole displacement, and starts in Saving', async () => {
    const pod = await createPod('web-0', {
      metadata: { ownerReferences: [owner], annotations: { 'reprieve.dev/displacements': '1' } },
    });
    const ticket = await createdTicket(pod);
    expect(ticket).toMatchObject({
      pod: { name: 'web-0', uid: pod.uid, completionIndex: null, displacements: 1 },
      owner: { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'web', uid: 'sts' },
      priority: 10,
      requests: { cpuMilli: 500, memoryBytes: 1024 ** 3, pods: 1 },
      restoreShape: restoreShapeOf(await get('web-0')),
      displacement: ticketOrder(pod).displacement,
      checkpoint: CHECKPOINT,
      restore: ticketOrder(pod).restore,
      phase: 'Saving',
      phaseMs: NOW_MS,
      claim: null,
      attempts: 0,
    });
    const raw = await client.get(RESOURCES.reprieves, 'default', 'web-0-ticket');
    expect(raw.metadata.labels).toEqual({ 'reprieve.dev/pod-uid': pod.uid, 'reprieve.dev/owner-uid': 'sts' });
    expect(raw).toMatchObject({
      spec: {
        displacement: { decidedAt: '2026-01-01T12:00:00.250Z', deadline: '2026-01-01T12:01:00.500Z' },
      },
      status: { phase: 'Saving', conditions: [{ type: 'Restored', status: 'Unknown', reason: 'Saving' }] },
    });
    expect(raw).not.toHaveProperty('spec.pod.template'); // its controller makes the next pod
    expect(raw.metadata.ownerReferences).toBeUndefined(); // read by us
    expect(applied.filter(({ kind }) => kind === 'ticket')).toHaveLength(2);
  });

  it('stores what a bare pod is made of again', async () => {
    await createdTicket(await createPod('web-0', { metadata: { annotations: { note: 'mine' } } }));
    const raw = await client.get(RESOURCES.reprieves, 'default', 'web-0-ticket');
    expect(raw).toMatchObject({
      spec: { pod: { template: { metadata: { labels: { app: 'web' }, annotations: { note: 'mine' } } } } },
    });
    const { spec } = (raw as { spec?: { pod?: { template?: { spec?: object } } } }).spec?.pod?.template ?? {};
    for (const gone of ['nodeName', 'kube-api-access']) expect(JSON.stringify(spec)).not.toContain(gone);
  });

  it('is done when it was done before, also where it died between its two writes', async () => {
    const pod = await createPod('web-0');
    before(
      ({ path }) => path.endsWith('/status'),
      () => Promise.resolve('reset'),
    );
    await expect(writer.createTicket(ticketOrder(pod))).rejects.toThrow('reset');
    expect(await writer.createTicket(ticketOrder(pod))).toBe('done');
    expect(await writer.createTicket(ticketOrder(pod))).toBe('done');
    expect((await client.get(RESOURCES.reprieves, 'default', 'web-0-ticket'))['status']).toMatchObject({
      phase: 'Saving',
    });
  });

  it.each<[string, (pod: Pod) => Promise<TicketOrder>]>([
    ['another displacement has the ticket', async (pod) => (await createdTicket(pod), ticketOrder(pod, 'd2'))],
    ['the victim has another UID', (pod) => Promise.resolve(ticketOrder({ ...pod, uid: 'other' as PodUid }))],
    ['the victim is gone', (pod) => Promise.resolve(ticketOrder({ ...pod, name: 'web-9' }))],
    [
      'the victim is going',
      async (pod) => (await client.delete(RESOURCES.pods, 'default', pod.name), ticketOrder(pod)),
    ],
  ])('is moved when %s', async (_, prepare) => {
    const pod = await createPod('web-0');
    expect(await writer.createTicket(await prepare(pod))).toBe('moved');
  });
});

describe('checkpoints', () => {
  it('wait for the agent before they go, and can be released', async () => {
    const pod = await createPod('web-0');
    const order = checkpointOrder(pod);
    expect(await writer.createCheckpoint(order)).toBe('done');
    expect(await writer.createCheckpoint(order)).toBe('done');
    const other = { ...pod, uid: 'other' as PodUid };
    expect(await writer.createCheckpoint({ ...order, pod: other })).toBe('moved');
    const raw = await client.get(RESOURCES.podCheckpoints, 'default', CHECKPOINT);
    // Retention decides when it goes, and no garbage collector.
    expect(raw.metadata.ownerReferences).toBeUndefined();
    expect(raw.metadata).toMatchObject({
      finalizers: ['reprieve.dev/agent'],
      labels: { 'reprieve.dev/pod-uid': pod.uid },
    });
    expect(raw['spec']).toEqual({
      pod: { name: 'web-0', uid: pod.uid },
      node: 'n1',
      reason: 'Preemption',
      hold: 'UntilDeleted',
      thawAt: '2026-01-01T12:01:30.250Z',
      owner: { ticket: 'web-0-ticket' },
      sockets: 'Refuse',
      volumes: 'None',
      maxBytes: '1048576',
    });
    const checkpoint = await checkpointNow();
    expect(await writer.releaseCheckpoint(checkpoint, 'the preemption is off', null)).toBe('done');
    expect(await writer.releaseCheckpoint(checkpoint, 'another reason', null)).toBe('done');
    expect(await checkpointNow()).toMatchObject({ release: 'the preemption is off', released: false, deleting: false });
    expect(await writer.deleteCheckpoint(checkpoint)).toBe('done');
    expect((await checkpointNow()).deleting).toBe(true);
    expect(await writer.createCheckpoint(order)).toBe('moved');
    expect(await writer.removeFinalizer(checkpoint)).toBe('done');
    await expect(checkpointNow()).rejects.toThrow(/not found/);
    expect(await writer.releaseCheckpoint(checkpoint, 'the preemption is off', null)).toBe('done');
    expect(await writer.deleteCheckpoint(checkpoint)).toBe('done');
    expect(await writer.removeFinalizer(checkpoint)).toBe('done');
  });
});

describe('nominate', () => {
  it('sets and clears, once each', async () => {
    const pod = await createPod('urgent', { spec: { nodeName: undefined } });
    expect(await writer.nominate(pod, 'n1' as NodeName)).toBe('done');
    expect(podOf(await get('urgent')).nominatedNodeName).toBe('n1');
    const version = (await get('urgent')).metadata.resourceVersion;
    expect(await writer.nominate(pod, 'n1' as NodeName)).toBe('done');
    expect((await get('urgent')).metadata.resourceVersion).toBe(version);
    expect(await writer.nominate(pod, null)).toBe('done');
    expect(podOf(await get('urgent')).nominatedNodeName).toBeNull();
  });

  it('leaves a bound pod, another pod and no pod alone', async () => {
    const bound = await createPod('urgent');
    const n1 = 'n1' as NodeName;
    expect(await writer.nominate(bound, n1)).toBe('moved');
    expect(await writer.nominate(bound, null)).toBe('done');
    expect(await writer.nominate({ ...bound, uid: 'other' as PodUid }, n1)).toBe('moved');
    expect(await writer.nominate({ ...bound, name: 'nobody' }, n1)).toBe('moved');
  });

  it('tries again when kube-scheduler writes in between', async () => {
    const pod = await createPod('urgent', { spec: { nodeName: undefined } });
    before(
      ({ method }) => method === 'PATCH',
      async () => void (await setConditions('urgent', { type: 'X', status: 'True' })),
    );
    expect(await writer.nominate(pod, 'n1' as NodeName)).toBe('done');
  });
});

describe('adoptTicket', () => {
  it('replaces the displacement and nothing else', async () => {
    const ticket = await createdTicket(await createPod('web-0'));
    const cause = preemptionIn(ticket.displacement);
    const urgent = { ...cause.preemptor, priority: 2000 };
    const displacement = { ...ticket.displacement, id: 'd2', cause: { ...cause, preemptor: urgent } };
    expect(await writer.adoptTicket(ticket, displacement)).toBe('done');
    const after = await ticketNow();
    expect(after).toMatchObject({ uid: ticket.uid, checkpoint: ticket.checkpoint, phase: 'Saving', generation: 2 });
    expect(after.displacement).toEqual(displacement);
    expect(await writer.adoptTicket(ticket, displacement)).toBe('done'); // the answer was lost
  });

  it('leaves a ticket alone that changed meanwhile', async () => {
    const ticket = await createdTicket(await createPod('web-0'));
    await writer.setTicketPhase(ticket, { phase: 'Displacing', reason: 'Evicted', message: '' });
    expect(await writer.adoptTicket(ticket, { ...ticket.displacement, id: 'd2' })).toBe('moved');
    expect((await ticketNow()).displacement.id).toBe('d1');
  });
});

describe('evict', () => {
  const order = (victim: PodRef, frozenBy: string | null = CHECKPOINT) => ({
    victim,
    frozenBy,
    thawAtMs: frozenBy === null ? null : NOW_MS + 60_000,
    disruption: { reason: 'PreemptionByScheduler', message: 'preempted' } as const,
  });
  const isDelete = ({ method }: ServerRequest): boolean => method === 'DELETE';

  it('marks the frozen pod as kube-scheduler does, and deletes that version', async () => {
    await createPod('web-0', { metadata: { finalizers: ['test/keep'] } });
    const pod = await setConditions('web-0', frozen());
    const deletes: unknown[] = [];
    server.hooks.intercept = (request) => {
      if (isDelete(request)) deletes.push(request.body);
      return Promise.resolve(null);
    };
    expect(await writer.evict(order(pod))).toBe('done');
    const after = podOf(await get('web-0'));
    expect(after).toMatchObject({ disruptionTarget: true, frozenBy: CHECKPOINT });
    expect(after.deletionMs).not.toBeNull();
    expect(deletes).toMatchObject([
      { preconditions: { uid: pod.uid, resourceVersion: expect.stringMatching(/./) as string } },
    ]);
    expect(applied.at(-1)).toMatchObject({ kind: 'pod', value: { deletionMs: after.deletionMs } });
    expect(await writer.evict(order(pod))).toBe('done'); // terminating
  });

  const ephemeral = { volumes: [{ name: 'scratch', ephemeral: { volumeClaimTemplate: { spec: {} } } }] };
  const claims = { resourceClaims: [{ name: 'gpu', resourceClaimTemplateName: 'gpu' }] };
  const controller = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'rs', controller: true };
  it.each<[string, Parameters<typeof createPod>[1], 'Orphan' | undefined]>([
    ['keeps what belongs to a bare pod, which comes back', {}, 'Orphan'],
    ['lets the volume claim of a bare pod go, of which the next pod gets its own', { spec: ephemeral }, undefined],
    ['lets the generated resource claim of a bare pod go', { spec: claims }, undefined],
    ['lets go what belongs to a pod of a controller', { metadata: { ownerReferences: [controller] } }, undefined],
  ])('%s', async (_, more, propagationPolicy) => {
    await createPod('web-0', more);
    const pod = await setConditions('web-0', frozen());
    const bodies: unknown[] = [];
    server.hooks.intercept = (request) => {
      if (isDelete(request)) bodies.push(request.body);
      return Promise.resolve(null);
    };
    await writer.evict(order(pod));
    expect(bodies.map((body) => (body as { propagationPolicy?: string }).propagationPolicy)).toEqual([
      propagationPolicy,
    ]);
  });

  it('has the API server give up a delete that takes too long', async () => {
    const pod = await createPod('web-0');
    await setConditions('web-0', frozen());
    const queries: unknown[] = [];
    server.hooks.intercept = (request) => {
      if (isDelete(request)) queries.push(request.query);
      return Promise.resolve(null);
    };
    await writer.evict(order(pod));
    expect(queries).toEqual([{ timeout: `${DELETE_TIMEOUT_MS}ms` }]);
  });

  it.each([
    ['deletes a frozen pod that is thawed late enough', 1, 'done'],
    ['leaves a frozen pod alone that might be thawed before the delete takes effect', 0, 'moved'],
  ] as const)('%s', async (_, spareMs, outcome) => {
    const pod = await createPod('web-0');
    await setConditions('web-0', frozen());
    const latestMs = Math.floor(NOW_MS / 1_000) * 1_000 + 1_000; // by a header that counts seconds
    const thawAtMs = latestMs + spareMs - lastEvictionMs(0);
    expect(await writer.evict({ ...order(pod), thawAtMs })).toBe(outcome);
    const isDeleted = (await client.list(RESOURCES.pods)).every(({ metadata }) => metadata.deletionTimestamp);
    expect(isDeleted).toBe(outcome === 'done');
  });

  it('never touches a pod that is not frozen by this checkpoint', async () => {
    const pod = await createPod('web-0');
    expect(await writer.evict(order(pod))).toBe('moved');
    await setConditions('web-0', frozen('another'));
    expect(await writer.evict(order(pod))).toBe('moved');
    expect(podOf(await get('web-0'))).toMatchObject({ disruptionTarget: false, deletionMs: null });
  });

  it('does not delete a pod that is thawed between mark and delete', async () => {
    await createPod('web-0');
    const pod = await setConditions('web-0', frozen());
    before(isDelete, async () => void (await setConditions('web-0', thawed)));
    expect(await writer.evict(order(pod))).toBe('moved');
    expect(podOf(await get('web-0')).deletionMs).toBeNull();
  });

  it('tries again when the pod changed and is still frozen', async () => {
    await createPod('web-0', { metadata: { finalizers: ['test/keep'] } });
    const pod = await setConditions('web-0', frozen());
    before(isDelete, async () => void (await setConditions('web-0', { type: 'Ready', status: 'False' })));
    expect(await writer.evict(order(pod))).toBe('done');
    expect(podOf(await get('web-0')).deletionMs).not.toBeNull();
  });

  it('decides again when the pod never stands still', async () => {
    await createPod('web-0');
    const pod = await setConditions('web-0', frozen());
    let count = 0;
    server.hooks.intercept = async (request) => {
      if (isDelete(request)) await setConditions('web-0', { type: 'Ready', status: 'False', message: String(count++) });
      return null;
    };
    expect(await writer.evict(order(pod))).toBe('moved');
    expect(count).toBe(5);
  });

  it('evicts an unsaved pod as it is, even while it changes', async () => {
    const pod = await createPod('web-0', { metadata: { finalizers: ['test/keep'] } });
    before(isDelete, async () => void (await setConditions('web-0', { type: 'Ready', status: 'False' })));
    expect(await writer.evict(order(pod, null))).toBe('done');
    expect(podOf(await get('web-0'))).toMatchObject({ disruptionTarget: true });
    expect(podOf(await get('web-0')).deletionMs).not.toBeNull();
  });

  it('is done when the answer was lost, or the pod is gone, ended, or another one', async () => {
    await createPod('web-0');
    const pod = await setConditions('web-0', frozen());
    before(isDelete, () => Promise.resolve('reset-after'));
    await expect(writer.evict(order(pod))).rejects.toThrow('reset');
    expect(await writer.evict(order(pod))).toBe('done');
    expect(await writer.evict(order({ ...pod, name: 'nobody' }))).toBe('done');
    const other = await createPod('web-1');
    expect(await writer.evict(order({ ...other, uid: 'former' as PodUid }))).toBe('done');
    expect(podOf(await get('web-1')).deletionMs).toBeNull();
  });
});

describe('recreatePod', () => {
  it('makes the pod again, gated and with its ticket, once', async () => {
    const pod = await createPod('web-0', { spec: { overhead: { cpu: '1' } } });
    const ticket = await createdTicket(pod);
    expect(await writer.recreatePod(ticket, false)).toBe('moved'); // the victim still has the name
    await client.delete(RESOURCES.pods, 'default', 'web-0', { gracePeriodSeconds: 0 });
    expect(await writer.recreatePod(ticket, false)).toBe('done');
    expect(await writer.recreatePod(ticket, false)).toBe('done');
    const raw = await get('web-0');
    expect(podOf(raw)).toMatchObject({
      labels: { app: 'web' },
      gates: ['reprieve.dev/restore'],
      runtimeClassName: 'reprieve',
      ticket: 'web-0-ticket',
      nodeName: null,
      priority: 10,
      restoreShape: ticket.restoreShape,
    });
    expect(raw['spec']).not.toHaveProperty('overhead');
    expect((await get('web-0')).metadata.uid).not.toBe(pod.uid);
  });

  it('gives the fields back to the managers that had them, also after a crash between the two writes', async () => {
    const as = (user: string) => new KubeClient(server.transport(user));
    const body = {
      metadata: { name: 'web-0', labels: { app: 'web' } },
      spec: { containers: [{ name: 'main', image: 'a:1' }] },
    };
    const ticket = await createdTicket(podOf(await as('system:user:alice').create(RESOURCES.pods, 'default', body)));
    const managers = async () => (await get('web-0')).metadata.managedFields?.map(({ manager }) => manager);
    for (const crash of [false, true]) {
      await client.delete(RESOURCES.pods, 'default', 'web-0', { gracePeriodSeconds: 0 });
      before(
        ({ method, path }) => crash && method === 'PATCH' && path.endsWith('/pods/web-0'),
        () => Promise.resolve('reset'),
      );
      await writer.recreatePod(ticket, false).catch(() => undefined);
      expect((await managers())?.includes('alice')).toBe(!crash);
      expect(await writer.claim(await ticketNow(), podOf(await get('web-0')))).toBe('done');
      const alice = (await get('web-0')).metadata.managedFields?.find(({ manager }) => manager === 'alice');
      expect(JSON.stringify(alice?.fieldsV1)).toContain('"f:app"');
    }
  });

  it('lets the pod belong to its owner without delaying its deletion, where it may not', async () => {
    const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'session', uid: 'c' };
    const ownerReferences = [{ ...owner, blockOwnerDeletion: true }];
    const ticket = await createdTicket(await createPod('web-0', { metadata: { ownerReferences } }));
    await client.delete(RESOURCES.pods, 'default', 'web-0', { gracePeriodSeconds: 0 });
    const message =
      "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on";
    const body = { kind: 'Status', status: 'Failure', reason: 'Forbidden', code: 403, message };
    before(
      ({ method, body: sent }) => method === 'POST' && JSON.stringify(sent).includes('blockOwnerDeletion'),
      () => Promise.resolve({ status: 403, headers: {}, body }),
    );
    expect(await writer.recreatePod(ticket, false)).toBe('done');
    expect((await get('web-0')).metadata.ownerReferences).toEqual([owner]);
  });

  it('makes a plain pod without our RuntimeClass, also where the displaced pod had it', async () => {
    const ticket = await createdTicket(await createPod('web-0', { spec: { runtimeClassName: 'reprieve' } }));
    await client.delete(RESOURCES.pods, 'default', 'web-0', { gracePeriodSeconds: 0 });
    expect(await writer.recreatePod(ticket, true)).toBe('done');
    expect(podOf(await get('web-0'))).toMatchObject({ runtimeClassName: null, gates: [], ticket: 'web-0-ticket' });
  });

  it('leaves a pod alone that somebody else made', async () => {
    const ticket = await createdTicket(await createPod('web-0'));
    await client.delete(RESOURCES.pods, 'default', 'web-0', { gracePeriodSeconds: 0 });
    await createPod('web-0');
    expect(await writer.recreatePod(ticket, false)).toBe('moved');
  });

  it('is moved without its ticket', async () => {
    const ticket = await createdTicket(await createPod('web-0'));
    expect(await writer.deleteTicket(ticket, null)).toBe('done');
    expect(await writer.deleteTicket(ticket, null)).toBe('done');
    expect(await writer.recreatePod(ticket, false)).toBe('moved');
  });
});

describe('undo', () => {
  it('happens only while the victim stands: a ticket is what brings one back that was deleted after all', async () => {
    const pod = await createPod('web-0', { metadata: { finalizers: ['test/hold'] } });
    const ticket = await createdTicket(pod);
    await writer.createCheckpoint(checkpointOrder(pod));
    const checkpoint = await checkpointNow();
    await client.delete(RESOURCES.pods, 'default', 'web-0', { gracePeriodSeconds: 0 });
    for (const victim of [pod, { ...pod, name: 'gone' }]) {
      expect(await writer.deleteTicket(ticket, victim)).toBe('moved');
      expect(await writer.releaseCheckpoint(checkpoint, 'it is off', victim)).toBe('moved');
    }
    expect((await checkpointNow()).release).toBeNull();
    const other = await createPod('web-1');
    expect(await writer.releaseCheckpoint(checkpoint, 'it is off', other)).toBe('done');
    expect((await checkpointNow()).release).toBe('it is off');
    expect(await writer.deleteTicket(ticket, other)).toBe('done');
  });
});

describe('claim and phases', () => {
  it('binds a ticket to one pod only, at the version that was read', async () => {
    const pod = await createPod('web-0');
    const ticket = await createdTicket(pod);
    const [first, second] = [await createGated('web-1'), await createGated('web-2')];
    expect(await writer.claim(ticket, first)).toBe('done');
    expect(await writer.claim(ticket, first)).toBe('done'); // the answer was lost
    expect(await writer.claim(ticket, second)).toBe('moved');
    expect((await ticketNow()).claim).toEqual({ name: 'web-1', uid: first.uid });
    expect(podOf(await get('web-1')).ticket).toBe('web-0-ticket'); // its node finds the ticket, whoever removes the gate
    const late = await createGated('web-3');
    await writer.ungate(late, null);
    expect(await writer.claim(await ticketNow(), late)).toBe('moved');
    expect(await writer.claim(await ticketNow(), null)).toBe('done');
    expect(await ticketNow()).toMatchObject({ claim: null, phase: 'Saving' });
  });

  it('records once where the state lies, with a phase or with a claim', async () => {
    await createdTicket(await createPod('web-0'));
    const state = {
      node: 'n1' as NodeName,
      reference: 'default_web-0_1',
      manifestDigest: `sha256:${'0'.repeat(64)}`,
      compatibility: null,
    };
    const displacing = { phase: 'Displacing', reason: 'Evicted', message: '' } as const;
    await writer.setTicketPhase(await ticketNow(), { ...displacing, state });
    expect((await ticketNow()).state).toEqual(state);
    await writer.claim(await ticketNow(), await createGated('web-1'), {});
    await writer.setTicketPhase(await ticketNow(), { ...displacing, phase: 'Waiting', afresh: true });
    expect((await ticketNow()).state).toEqual(state);
  });

  it('moves phases with time and reason, counts attempts, and keeps the claim', async () => {
    await createdTicket(await createPod('web-0'));
    const pod = await createGated('web-1');
    await writer.claim(await ticketNow(), pod);
    const path = ['Displacing', 'Waiting', 'Admitted', 'Restoring', 'Waiting', 'Restoring', 'Restored'] as const;
    for (const phase of path) {
      await clock.advance(1000);
      expect(await writer.setTicketPhase(await ticketNow(), { phase, reason: 'Queued', message: 'so' })).toBe('done');
      expect(await ticketNow()).toMatchObject({ phase, phaseMs: clock.now(), claim: { uid: pod.uid } });
    }
    expect((await ticketNow()).attempts).toBe(2);
    const raw = await client.get(RESOURCES.reprieves, 'default', 'web-0-ticket');
    expect(raw['status']).toMatchObject({
      conditions: [
        {
          type: 'Restored',
          status: 'True',
          reason: 'Queued',
          message: 'so',
          lastTransitionTime: '2026-01-01T12:00:07.250Z',
        },
      ],
    });
  });

  it('records when the displaced pod was evicted, and keeps that', async () => {
    await createdTicket(await createPod('web-0'));
    const evictedMs = Date.parse('2026-01-01T12:00:05Z');
    const evicted = { phase: 'Displacing', reason: 'Evicted', message: '', evictedMs } as const;
    await writer.setTicketPhase(await ticketNow(), evicted);
    await writer.setTicketPhase(await ticketNow(), { phase: 'Waiting', reason: 'Queued', message: '' });
    expect(await ticketNow()).toMatchObject({ phase: 'Waiting', evictedMs });
  });

  it('is moved when the ticket changed or went', async () => {
    const ticket = await createdTicket(await createPod('web-0'));
    const evicted = { phase: 'Displacing', reason: 'Evicted', message: '' } as const;
    await writer.setTicketPhase(ticket, evicted);
    const abandoned = { phase: 'Abandoned', reason: 'NotSaved', message: '' } as const;
    expect(await writer.setTicketPhase(ticket, abandoned)).toBe('moved');
    expect(await writer.setTicketPhase(ticket, evicted)).toBe('done'); // ours, answer lost
    await writer.deleteTicket(ticket, null);
    expect(await writer.setTicketPhase(ticket, evicted)).toBe('moved');
  });

  it('gives up no claim on the word of a watch: it asks for the pod, and shows it to the index', async () => {
    await createdTicket(await createPod('web-0'));
    const gated = await createGated('web-1');
    await writer.claim(await ticketNow(), gated);
    const claimant = podOf(await client.get(RESOURCES.pods, 'default', 'web-1'));
    applied.length = 0;
    const abandoned = { phase: 'Abandoned', reason: 'PodDeleted', message: '', whileGone: claimant } as const;
    expect(await writer.claim(await ticketNow(), null, { whileGone: claimant })).toBe('moved');
    expect(await writer.setTicketPhase(await ticketNow(), abandoned)).toBe('moved');
    expect(await ticketNow()).toMatchObject({ phase: 'Saving', claim: { uid: claimant.uid } });
    expect(applied).toContainEqual({ type: 'upsert', kind: 'pod', value: claimant });
    await client.delete(RESOURCES.pods, 'default', 'web-1', { gracePeriodSeconds: 0 });
    expect(await writer.setTicketPhase(await ticketNow(), abandoned)).toBe('done');
    expect(await writer.claim(await ticketNow(), null, { whileGone: claimant })).toBe('done');
  });
});

describe('a pod that makes way', () => {
  it('is asked for once more: it may have been placed or restored meanwhile', async () => {
    await createdTicket(await createPod('web-0'));
    const bound = await createPod('web-1');
    const replaced = { pod: bound.uid, reason: 'NotPlaced' } as const;
    const change = { phase: 'Waiting', reason: 'NotPlaced', message: '', replaced } as const;
    applied.length = 0;
    expect(await writer.setTicketPhase(await ticketNow(), { ...change, whileAt: { ...bound, nodeName: null } })).toBe(
      'moved',
    );
    expect(applied).toContainEqual({ type: 'upsert', kind: 'pod', value: bound });
    expect(await writer.setTicketPhase(await ticketNow(), { ...change, whileAt: bound })).toBe('done');
    expect(await ticketNow()).toMatchObject({ phase: 'Waiting', replacedPods: [replaced] });
  });
});

describe('what a ticket says while it stays in its phase', () => {
  const blocked = [{ reason: 'InsufficientCpu', nodes: 3 }];
  const status = (): Promise<object> => client.get(RESOURCES.reprieves, 'default', 'web-0-ticket');

  it('keeps why it is there beside what it waits for, which its next phase clears', async () => {
    const ticket = await createdTicket(await createPod('web-0'));
    expect(await writer.tellTicket(ticket, { condition: null, waitsFor: 'position 1', blocked })).toBe('done');
    const told = await ticketNow();
    expect(told).toMatchObject({ waitsFor: 'position 1', said: { reason: 'Saving' } });
    expect(await status()).toMatchObject({ status: { blocked } });
    expect(await writer.tellTicket(ticket, { condition: null, waitsFor: 'position 1', blocked })).toBe('done'); // an answer was lost
    expect(await writer.tellTicket(ticket, { condition: null, waitsFor: 'position 2', blocked })).toBe('moved');
    await writer.setTicketPhase(told, { phase: 'Displacing', reason: 'Evicted', message: '' });
    expect((await ticketNow()).waitsFor).toBeNull();
    expect(await status()).not.toHaveProperty('status.blocked');
  });

  it('says what the API server refuses', async () => {
    const ticket = await createdTicket(await createPod('web-0'));
    const condition = { reason: 'Refused', message: 'exceeded quota' } as const;
    expect(await writer.tellTicket(ticket, { condition, waitsFor: null, blocked: null })).toBe('done');
    expect((await ticketNow()).said).toEqual(condition);
  });
});

describe('a pod that makes way', () => {
  it('is recorded, and its ticket gives up the claim', async () => {
    await createdTicket(await createPod('web-0'));
    const pod = await createGated('web-1');
    await writer.claim(await ticketNow(), pod);
    const claimed = await ticketNow();
    const replaced = { pod: pod.uid, reason: 'NodesGone' } as const;
    const change = { phase: 'Waiting', reason: 'NodesGone', message: '', replaced } as const;
    expect(await writer.setTicketPhase(claimed, change)).toBe('done');
    expect(await ticketNow()).toMatchObject({ phase: 'Waiting', claim: null, replacedPods: [replaced] });
    expect(await writer.setTicketPhase(claimed, change)).toBe('done'); // an answer was lost
  });
});

describe('a restore that failed', () => {
  it('leaves its node and pod in the record, and ends the claim of a ticket that goes on', async () => {
    await createdTicket(await createPod('web-0'));
    const pod = await createGated('web-1');
    await writer.claim(await ticketNow(), pod);
    const failed = { node: 'n1' as NodeName, pod: pod.uid, reason: 'RestoreFailed' };
    const change = { phase: 'Waiting', reason: 'TriesElsewhere', message: 'criu said no', failed } as const;
    expect(await writer.setTicketPhase(await ticketNow(), change)).toBe('done');
    expect(await ticketNow()).toMatchObject({ phase: 'Waiting', claim: null, failedNodes: [failed] });
    const afresh = { phase: 'Waiting', reason: 'Queued', message: '', afresh: true } as const;
    expect(await writer.setTicketPhase(await ticketNow(), afresh)).toBe('done');
    expect((await ticketNow()).failedNodes).toEqual([]);
  });

  it('keeps the claim of a ticket that ends: its pod starts cold where it is', async () => {
    await createdTicket(await createPod('web-0'));
    const pod = await createGated('web-1');
    await writer.claim(await ticketNow(), pod);
    const failed = { node: 'n1' as NodeName, pod: pod.uid, reason: 'RestoreFailed' };
    const change = { phase: 'ColdStarted', reason: 'RestoreFailed', message: '', failed } as const;
    await writer.setTicketPhase(await ticketNow(), change);
    expect(await ticketNow()).toMatchObject({ claim: { uid: pod.uid }, failedNodes: [failed] });
  });

  it('ends with its pod, marked before it is deleted, and never with one that was restored', async () => {
    const pod = await createPod('web-1');
    expect(await writer.endPod(pod)).toBe('done');
    const raw = await get('web-1');
    expect(raw.metadata.deletionTimestamp).toBeDefined();
    expect(raw['status']).toMatchObject({ conditions: [{ type: 'DisruptionTarget', reason: 'RestoreFailed' }] });
    expect(podOf(raw).disruptionTarget).toBe(false); // not a preemption
    expect(await writer.endPod(pod)).toBe('done');
    const restored = await createPod('web-2');
    await setConditions('web-2', { type: 'reprieve.dev/Restored', status: 'True', reason: 'Restored' });
    expect(await writer.endPod(restored)).toBe('moved');
    expect((await get('web-2')).metadata.deletionTimestamp).toBeUndefined();
  });

  it('is told to a held pod for as long as it is gated', async () => {
    const pod = await createGated('web-1');
    expect(await writer.tellHeld(pod, 'why')).toBe('done');
    expect(podOf(await get('web-1')).toldHeld).toBe(true);
    await writer.ungate(pod, null);
    expect(await writer.tellHeld(pod, 'why')).toBe('moved');
  });
});

describe('a decision by hand', () => {
  it('is removed once it was acted on, unless it is another by then', async () => {
    await createdTicket(await createPod('web-0'));
    const decide = (value: string) =>
      client.patch(
        RESOURCES.reprieves,
        'default',
        'web-0-ticket',
        { metadata: { annotations: { 'reprieve.dev/decide': value } } },
        { type: 'merge' },
      );
    await decide('cold');
    const ticket = await ticketNow();
    await decide('retry');
    expect(await writer.clearDecision(ticket)).toBe('moved');
    expect(await writer.clearDecision(await ticketNow())).toBe('done');
    expect((await ticketNow()).decide).toBeNull();
  });
});

describe('tellQueued', () => {
  it('writes what the pod waits for, and nothing into one that has changed meanwhile', async () => {
    const pod = await createPod('web-1', {
      spec: { nodeName: undefined, schedulingGates: [{ name: 'reprieve.dev/restore' }] },
    });
    expect(await writer.tellQueued(pod, 'Queued', 'position 2')).toBe('done');
    expect(podOf(await get('web-1'))).toMatchObject({ queuedAs: 'position 2', restored: null });
    expect(await writer.tellQueued(pod, 'Queued', 'position 1')).toBe('moved');
    expect(podOf(await get('web-1')).queuedAs).toBe('position 2');
    expect(await writer.tellQueued({ ...pod, name: 'gone' }, 'Queued', 'position 1')).toBe('moved');
  });
});

describe('ungate', () => {
  const gates = [{ name: 'other/gate' }, { name: 'reprieve.dev/restore' }];
  const ssd = { key: 'ssd', operator: 'Exists' };
  const affinity = {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [ssd] }] },
    },
  };
  const placement = {
    preferredNode: 'n1' as NodeName,
    requiredNode: null,
    compatibility: 'c1',
    excludedNodes: [],
    anywhere: false,
  };
  const gatedPod = (name: string): Promise<Pod> =>
    createPod(name, {
      metadata: { annotations: { 'reprieve.dev/displace': 'as its template says' } },
      spec: { nodeName: undefined, schedulingGates: gates, affinity },
    });

  it('lifts our gate only, and says what to continue and where', async () => {
    const ticket = await createdTicket(
      await createPod('web-0', { metadata: { annotations: { 'reprieve.dev/displacements': '2' } } }),
    );
    const pod = await gatedPod('web-1');
    before(
      ({ method }) => method === 'PATCH',
      async () => void (await setConditions('web-1', { type: 'X', status: 'True' })),
    );
    expect(await writer.ungate(pod, { ticket, placement })).toBe('done');
    const raw = await get('web-1');
    expect(podOf(raw)).toMatchObject({
      gates: ['other/gate'],
      ticket: 'web-0-ticket',
      displacements: 3,
      displaceFor: null,
    });
    expect(raw['spec']).toMatchObject({
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [
              { matchExpressions: [ssd, { key: 'reprieve.dev/compatibility', operator: 'In', values: ['c1'] }] },
            ],
          },
          preferredDuringSchedulingIgnoredDuringExecution: [
            { weight: 100, preference: { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n1'] }] } },
          ],
        },
      },
    });
    expect(await writer.ungate(pod, { ticket, placement })).toBe('done');
  });

  it('marks a pod that may run anywhere, and requires nothing', async () => {
    const ticket = await createdTicket(await createPod('web-0'));
    const pod = await gatedPod('web-1');
    const anywhere = { ...placement, compatibility: null, anywhere: true };
    expect(await writer.ungate(pod, { ticket, placement: anywhere })).toBe('done');
    const raw = await get('web-1');
    expect(podOf(raw)).toMatchObject({ ticket: 'web-0-ticket', gateExpired: true });
    expect(raw['spec']).toMatchObject({ affinity });
  });

  it('lifts the gate for a cold start, and has the pod displaced no second time', async () => {
    const pod = await gatedPod('web-1');
    expect(await writer.ungate(pod, null)).toBe('done');
    expect(await writer.ungate(pod, null)).toBe('done');
    const raw = await get('web-1');
    expect(podOf(raw)).toMatchObject({ gates: ['other/gate'], ticket: null, displaceFor: null });
    expect(raw['spec']).toMatchObject({ affinity });
  });

  it('says why a pod continues nothing whose ticket ended', async () => {
    const pod = await gatedPod('web-1');
    expect(await writer.ungate(pod, null, 'CheckpointMissing: it was deleted')).toBe('done');
    expect(podOf(await get('web-1'))).toMatchObject({
      gates: ['other/gate'],
      restored: { succeeded: false, reason: 'TicketEnded', message: 'CheckpointMissing: it was deleted' },
    });
  });

  it('takes its ticket from a pod that named it from the start, and starts cold', async () => {
    const pod = await createPod('web-1', {
      metadata: { annotations: { 'reprieve.dev/ticket': 'web-0-ticket' } },
      spec: { nodeName: undefined, schedulingGates: gates },
    });
    expect(await writer.ungate(pod, null)).toBe('done');
    expect(podOf(await get('web-1'))).toMatchObject({ gates: ['other/gate'], ticket: null });
  });

  it('is moved when the pod is gone, another, or was let go for something else', async () => {
    const ticket = await createdTicket(await createPod('web-0'));
    const pod = await gatedPod('web-1');
    expect(await writer.ungate({ ...pod, uid: 'other' as PodUid }, null)).toBe('moved');
    await writer.ungate(pod, null);
    expect(await writer.ungate(pod, { ticket, placement })).toBe('moved');
    await client.delete(RESOURCES.pods, 'default', 'web-1', { gracePeriodSeconds: 0 });
    expect(await writer.ungate(pod, null)).toBe('moved');
  });

  it('does not carry a placement over into the next ticket', async () => {
    const first = await createdTicket(await createPod('web-0'));
    const pod = await gatedPod('web-1');
    await writer.ungate(pod, { ticket: first, placement });
    await writer.ungate(pod, null);
    expect(await writer.createTicket({ ...ticketOrder(pod), name: 'second' })).toBe('done');
    const raw = await client.get(RESOURCES.reprieves, 'default', 'second');
    expect(ticketOf(raw)).toMatchObject({ pod: { displacements: 1 } });
    expect(templateIn(raw)).toMatchObject({ spec: { affinity } });
  });
});

describe('setPolicyStatus', () => {
  const report: PolicyReport = {
    observedGeneration: 1,
    accepted: { holds: true, reason: 'Accepted', message: '' },
    conflicted: { holds: false, reason: 'NoConflict', message: 'nobody' },
    restorable: { holds: true, reason: 'WebhookCalled', message: 'it is called' },
    selectedPods: 3,
    rulingPods: 2,
    protectedPods: 1,
    unprotectedPods: new Map([['IoUringInUse', 1]]),
  };
  const policyNow = async () => policyOf(await client.get(RESOURCES.reprievePolicies, null, 'batch'));

  beforeEach(async () => {
    await client.create(RESOURCES.reprievePolicies, null, { metadata: { name: 'batch' }, spec: { precedence: 1 } });
  });

  it('writes what can be read back, and tells the index', async () => {
    expect((await policyNow()).status).toBeNull();
    expect(await writer.setPolicyStatus(await policyNow(), report)).toBe('done');
    const status = { report, acceptedSinceMs: NOW_MS, conflictedSinceMs: NOW_MS, restorableSinceMs: NOW_MS };
    expect(await policyNow()).toMatchObject({ status, generation: 1 });
    expect(applied.at(-1)).toMatchObject({ kind: 'policy', value: { name: 'batch', status } });
    const raw = await client.get(RESOURCES.reprievePolicies, null, 'batch');
    expect(raw['status']).toMatchObject({
      observedGeneration: 1,
      conditions: [
        { type: 'Accepted', status: 'True', reason: 'Accepted', observedGeneration: 1 },
        { type: 'Conflicted', status: 'False', reason: 'NoConflict', message: 'nobody' },
        { type: 'Restorable', status: 'True', reason: 'WebhookCalled' },
      ],
      unprotectedPods: [{ reason: 'IoUringInUse', pods: 1 }],
    });
  });

  it('keeps the time of a condition that stays as it was', async () => {
    await writer.setPolicyStatus(await policyNow(), report);
    await clock.advance(60_000);
    const conflicted = { holds: true, reason: 'Shadowed', message: 'by all' };
    const accepted = { ...report.accepted, message: 'still' };
    expect(await writer.setPolicyStatus(await policyNow(), { ...report, accepted, conflicted })).toBe('done');
    expect((await policyNow()).status).toMatchObject({
      report: { accepted, conflicted },
      acceptedSinceMs: NOW_MS,
      conflictedSinceMs: NOW_MS + 60_000,
    });
  });

  it('has moved when the policy changed, or is gone', async () => {
    const policy = await policyNow();
    await client.patch(RESOURCES.reprievePolicies, null, 'batch', { spec: { precedence: 2 } }, { type: 'merge' });
    expect(await writer.setPolicyStatus(policy, report)).toBe('moved');
    expect((await policyNow()).status).toBeNull();
    await client.delete(RESOURCES.reprievePolicies, null, 'batch');
    expect(await writer.setPolicyStatus(policy, report)).toBe('moved');
  });
});
