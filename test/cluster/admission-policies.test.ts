import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeDisplacement, makeUnsavedVictim, makeVictim } from '../support/builders.ts';
import type { NodeName, PodUid } from '../../src/domain/ids.ts';
import { ADMISSION_POLICIES } from '../../src/kube/admission-policies.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { displacementIn } from '../../src/kube/ticket-object.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { Clients } from './story/clients.ts';
import { Lab, QUICK_LEASE } from './story/lab.ts';
import { REPRIEVE_NAMESPACE, REPRIEVE_USER } from './story/replica.ts';
import { isRunning, nodeOf } from './story/seen.ts';
import { pod, policy } from './story/workloads.ts';

/**
 * deploy/admission-policies.yaml on a real API server: what a tenant who administers a namespace, an agent and `reprieve serve` itself
 * may not write. Then the policies are removed: the engine and the agents alone keep forged records from harming other pods.
 */
let lab: Lab;
let tenant: KubeClient;
let server: KubeClient;
let agent: KubeClient;
let db: KubeObject;
let own: KubeObject;
let pending: KubeObject;
let clients: Clients;

const MERGE = { type: 'merge' } as const;
const STATUS = { type: 'merge', subresource: 'status' } as const;
const { pods, nodes, leases, reprieves, podCheckpoints } = RESOURCES;

async function runs(namespace: string, name: string): Promise<KubeObject> {
  const { object } = await lab.history.until(
    'Pod',
    `${namespace}/${name} runs`,
    (one) => one.metadata.namespace === namespace && one.metadata.name === name && isRunning(one),
  );
  return object;
}

function inNamespace(namespace: string, object: object): object {
  const { metadata, ...rest } = object as { readonly metadata: object };
  return { ...rest, metadata: { ...metadata, namespace } };
}

const refOf = ({ metadata }: KubeObject) => ({
  namespace: metadata.namespace ?? '',
  name: metadata.name,
  uid: metadata.uid as PodUid,
});

/** The ticket of the tenant's own pod, whose displacement evicts `payments/db` for the tenant's pending pod. */
function forgedTicket(name: string, template: object = {}): object {
  const node = nodeOf(own) as NodeName;
  const now = Date.now();
  const displacement = makeDisplacement({
    id: 'forged',
    node,
    preemptor: { ...refOf(pending), priority: 2_000_000_000 },
    pods: [
      makeVictim({ ...refOf(own), node, checkpoint: 'forged' }),
      { ...makeUnsavedVictim('db'), ...refOf(db), node },
    ],
    decidedMs: now,
    deadlineMs: now + 60_000,
  });
  return {
    metadata: { name },
    spec: {
      pod: { name: 'own', uid: own.metadata.uid, displacements: 0, ...template },
      priority: 2_000_000_000,
      requests: {},
      restoreShape: 'shape',
      displacement: displacementIn(displacement),
      checkpoint: 'forged',
      restore: { nodes: 'Any', attempts: 1, onFailure: 'ColdStart', maxWait: '1h' },
      policy: 'batch',
    },
  };
}

/** A request to freeze `payments/db`, from another namespace. */
function forgedCheckpoint(reason: string, spec: object = {}): object {
  const { name, uid } = refOf(db);
  const thawAt = new Date(Date.now() + 3_000_000).toISOString();
  return {
    metadata: { name: `forged-${reason.toLowerCase()}` },
    spec: {
      pod: { name, uid },
      node: nodeOf(db),
      reason,
      hold: 'UntilDeleted',
      thawAt,
      sockets: 'Close',
      volumes: 'EmptyDir',
      maxBytes: '0',
      ...spec,
    },
  };
}

beforeAll(async () => {
  lab = await Lab.start({ nodes: 2, configuration: QUICK_LEASE });
  const { cluster } = lab;
  await cluster.applyFiles('deploy/rbac-agent.yaml');
  await cluster.applyObjects(policy('batch', 'batch'));
  for (const namespace of ['payments', 'tenant']) {
    await cluster.kubectl('create', 'namespace', namespace);
    await cluster.waitForDefaultServiceAccount(namespace);
  }
  await cluster.kubectl('create', 'rolebinding', 'all', '-n', 'tenant', '--clusterrole=cluster-admin', '--user=tenant');
  const shape = { cpu: '1', node: 'node-1' };
  await cluster.applyObjects(
    inNamespace('payments', pod('db', { ...shape, priorityClassName: 'batch' })),
    inNamespace('tenant', pod('own', { ...shape, priorityClassName: 'scratch' })),
    inNamespace('tenant', pod('pending', { ...shape, cpu: '100', priorityClassName: 'scratch' })),
  );
  [db, own] = [await runs('payments', 'db'), await runs('tenant', 'own')];
  clients = new Clients(cluster);
  tenant = await clients.user('tenant');
  server = await clients.user(REPRIEVE_USER);
  agent = await clients.agent('node-1');
  pending = await tenant.get(pods, 'tenant', 'pending');
});
afterAll(async () => {
  await clients?.close();
  await lab?.[Symbol.asyncDispose]();
});

describe('a tenant who administers a namespace', () => {
  it('makes no ticket and no PodCheckpoint but one of its own, by hand', async () => {
    await expect(tenant.create(reprieves, 'tenant', forgedTicket('forged'))).rejects.toThrow(
      'only reprieve serve makes',
    );
    await expect(tenant.create(podCheckpoints, 'tenant', forgedCheckpoint('Preemption'))).rejects.toThrow(
      'reason Manual',
    );
    const owned = forgedCheckpoint('Manual', { owner: { ticket: 'own' } });
    await expect(tenant.create(podCheckpoints, 'tenant', owned)).rejects.toThrow('without an owner');
  });

  it('may ask for a checkpoint, and delete it, and says nothing of what came of it', async () => {
    const { name, uid } = refOf(own);
    const asked = forgedCheckpoint('Manual', { pod: { name, uid }, hold: 'None', thawAt: undefined });
    const { metadata } = await tenant.create(podCheckpoints, 'tenant', asked);
    const ready = { status: { manifestDigest: `sha256:${'0'.repeat(64)}` } };
    await expect(tenant.patch(podCheckpoints, 'tenant', metadata.name, ready, STATUS)).rejects.toThrow(
      'only the agent',
    );
    await tenant.delete(podCheckpoints, 'tenant', metadata.name);
  });

  it('annotates a ticket, and changes neither what it says nor where it stands', async () => {
    await lab.cluster.applyObjects({
      ...inNamespace('tenant', forgedTicket('made')),
      apiVersion: 'reprieve.dev/v1alpha1',
      kind: 'Reprieve',
    });
    const decide = { metadata: { annotations: { 'reprieve.dev/decide': 'abandon' } } };
    const outcome = await tenant.patch(reprieves, 'tenant', 'made', decide, MERGE).catch((error: unknown) => error);
    // The leader undoes such a ticket at once.
    expect(outcome instanceof Error ? outcome.message : 'annotated').toMatch(/annotated|not found/);
    const waiting = { status: { phase: 'Waiting' } };
    const moved = await tenant.patch(reprieves, 'tenant', 'made', waiting, STATUS).catch((error: unknown) => error);
    expect(String(moved)).toMatch(/only reprieve serve says|not found/);
  });
});

describe('an agent', () => {
  it('changes keys of reprieve.dev of its own Node, and nothing of another', async () => {
    const ours = { metadata: { annotations: { 'reprieve.dev/dump-bytes-per-second': '1' } } };
    await agent.patch(nodes, null, 'node-1', ours, MERGE);
    await expect(agent.patch(nodes, null, 'node-2', ours, MERGE)).rejects.toThrow('its own node only');
    const others = { metadata: { labels: { 'node-role.kubernetes.io/control-plane': '' } } };
    await expect(agent.patch(nodes, null, 'node-1', others, MERGE)).rejects.toThrow('of reprieve.dev may be changed');
    await expect(agent.patch(nodes, null, 'node-1', { spec: { unschedulable: true } }, MERGE)).rejects.toThrow(
      'may be changed',
    );
  });

  it('writes conditions of reprieve.dev on pods of its own node only', async () => {
    const condition = (type: string, status = 'False', reason = 'Test'): object => ({
      status: { conditions: [{ type, status, reason, message: '', lastTransitionTime: null }] },
    });
    const strategic = { type: 'strategic', subresource: 'status' } as const;
    await agent.patch(pods, 'payments', 'db', condition('reprieve.dev/Checkpointable'), strategic);
    await expect(agent.patch(pods, 'payments', 'db', condition('Ready'), strategic)).rejects.toThrow(
      'conditions of reprieve.dev',
    );
    const disrupted = (reason: string): Promise<unknown> =>
      agent.patch(pods, 'payments', 'db', condition('DisruptionTarget', 'True', reason), strategic);
    await expect(disrupted('PreemptionByScheduler')).rejects.toThrow('conditions of reprieve.dev');
    await disrupted('RestoreFailed');
    const other = await clients.agent('node-2');
    await expect(
      other.patch(pods, 'payments', 'db', condition('reprieve.dev/Checkpointable'), strategic),
    ).rejects.toThrow('its own node only');
    const unbound = await clients.agent(null);
    await expect(
      unbound.patch(pods, 'payments', 'db', condition('reprieve.dev/Checkpointable'), strategic),
    ).rejects.toThrow('its own node only');
  });

  it('writes nothing of what a kubelet says of a pod, and no finalizer of its node', async () => {
    const status = { type: 'merge', subresource: 'status' } as const;
    for (const patch of [
      { status: { podIP: '10.0.0.66', podIPs: [{ ip: '10.0.0.66' }] } },
      { status: { hostIP: '10.0.0.66', hostIPs: [{ ip: '10.0.0.66' }] } },
      { status: { phase: 'Failed' } },
    ])
      await expect(agent.patch(pods, 'payments', 'db', patch, status)).rejects.toThrow('conditions of reprieve.dev');
    const held = { metadata: { finalizers: ['example.com/held'] } };
    await expect(agent.patch(nodes, null, 'node-1', held, MERGE)).rejects.toThrow('may be changed');
  });

  it('writes Events about pods in the name of its own node', async () => {
    const event = (name: string, from: object): object => ({
      metadata: { name, namespace: 'payments' },
      involvedObject: { kind: 'Pod', namespace: 'payments', name: 'db', uid: db.metadata.uid },
      type: 'Warning',
      reason: 'NotCheckpointable',
      action: 'Checkpointing',
      message: 'no',
      reportingComponent: 'reprieve',
      reportingInstance: 'agent-node-1',
      source: { component: 'reprieve' },
      ...from,
    });
    await agent.create(RESOURCES.events, 'payments', event('own', {}));
    await agent.patch(RESOURCES.events, 'payments', 'own', { count: 2 }, MERGE);
    const create = (from: object) => agent.create(RESOURCES.events, 'payments', event('other', from));
    await expect(create({ reportingInstance: 'agent-node-2' })).rejects.toThrow('its own node only');
    await expect(create({ reportingInstance: 'reprieve-0' })).rejects.toThrow('its own node only');
    await expect(create({ source: { component: 'kubelet' } })).rejects.toThrow('as Reprieve');
    await expect(create({ involvedObject: { kind: 'Service', namespace: 'payments', name: 'db' } })).rejects.toThrow(
      'about pods',
    );
    const other = await clients.agent('node-2');
    await expect(other.patch(RESOURCES.events, 'payments', 'own', { message: 'x' }, MERGE)).rejects.toThrow('own node');
  });

  it('says what came of the PodCheckpoints of its own node, and says it once', async () => {
    const { name, uid } = refOf(own);
    // Of a pod that the simulated agent does not have: nobody else writes about it.
    const asked = forgedCheckpoint('Manual', {
      pod: { name, uid: `${uid}x` },
      node: 'node-x',
      hold: 'None',
      thawAt: undefined,
    });
    const { metadata } = await tenant.create(podCheckpoints, 'tenant', asked);
    const write = (client: KubeClient, status: object) =>
      client.patch(podCheckpoints, 'tenant', metadata.name, { status }, STATUS);
    await lab.cluster.applyObjects({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-x' } });
    const holder = await clients.agent('node-x');
    const location = { node: 'node-x', reference: 'a' };
    const lastTransitionTime = new Date().toISOString();
    const conditions = [{ type: 'Ready', status: 'True', reason: 'Verified', message: '', lastTransitionTime }];
    await expect(write(agent, { location, conditions })).rejects.toThrow('only the agent of its node');
    await write(holder, { location, conditions, manifestDigest: `sha256:${'0'.repeat(64)}` });
    await expect(write(holder, { location: { ...location, reference: 'b' } })).rejects.toThrow('are final');
    await write(holder, { conditions: [{ ...conditions[0], status: 'False' }] });
    await expect(write(holder, { manifestDigest: `sha256:${'1'.repeat(64)}` })).rejects.toThrow('are final');
    await expect(
      agent.patch(podCheckpoints, 'tenant', metadata.name, { metadata: { finalizers: null } }, MERGE),
    ).rejects.toThrow('of its own node');
  });

  it('renews its own Lease, and no other', async () => {
    const lease = (name: string) => ({ metadata: { name }, spec: { holderIdentity: 'test' } });
    const own = agent.create(leases, REPRIEVE_NAMESPACE, lease('reprieve-agent-node-1'));
    expect(await own.then(() => 'made', String)).toMatch(/made|already exists/);
    await expect(agent.create(leases, REPRIEVE_NAMESPACE, lease('reprieve-agent-node-2'))).rejects.toThrow(
      'each Lease',
    );
    await expect(
      agent.patch(leases, REPRIEVE_NAMESPACE, 'reprieve', { spec: { holderIdentity: 'me' } }, MERGE),
    ).rejects.toThrow('each Lease');
  });
});

describe('reprieve serve', () => {
  it('creates pods for tickets only', async () => {
    const { metadata: _old, ...bare } = inNamespace(
      'payments',
      pod('made', { cpu: '1', priorityClassName: 'batch' }),
    ) as {
      readonly metadata: object;
      readonly spec: object;
    };
    const made = { ...bare, metadata: { name: 'made' } };
    await expect(server.create(pods, 'payments', made)).rejects.toThrow('behind its gate');
    const gated = { ...made, spec: { ...bare.spec, schedulingGates: [{ name: 'reprieve.dev/restore' }] } };
    await server.create(pods, 'payments', gated);
    await lab.cluster.kubectl('delete', 'pod', 'made', '-n', 'payments', '--wait=false', '--ignore-not-found');
  });

  it('changes neither the image nor a foreign label of a pod', async () => {
    const image = [{ op: 'replace', path: '/spec/containers/0/image', value: 'evil:1' }];
    await expect(server.patch(pods, 'payments', 'db', image, { type: 'json' })).rejects.toThrow('no other field');
    await expect(server.patch(pods, 'payments', 'db', { metadata: { labels: { app: 'x' } } }, MERGE)).rejects.toThrow(
      'may be changed',
    );
  });
});

async function untilAllowed(write: () => Promise<unknown>): Promise<void> {
  const outcome = (): Promise<string> => write().then(() => 'done', String);
  await expect.poll(outcome, { timeout: 30_000, interval: 200 }).toBe('done');
}

it('with the policies removed, forged records harm no pod of another namespace', async () => {
  await lab.cluster.kubectl(
    'delete',
    'validatingadmissionpolicybindings',
    ...ADMISSION_POLICIES.map(({ name }) => name),
  );
  const spec = { containers: [{ name: 'main', image: 'evil:1' }] };
  const foreign = { ...forgedCheckpoint('Manual'), metadata: { name: 'foreign' } };
  const evil = { name: 'evil', uid: '00000000-0000-0000-0000-00000000e711', template: { spec } };
  // kube-apiserver learns of each binding that is gone by its own watch.
  await untilAllowed(() => tenant.create(reprieves, 'tenant', forgedTicket('forged')));
  await untilAllowed(() => tenant.create(podCheckpoints, 'tenant', foreign));
  await untilAllowed(() => tenant.create(reprieves, 'tenant', forgedTicket('made-pod', evil)));
  await untilAllowed(() => tenant.patch(reprieves, 'tenant', 'made-pod', { status: { phase: 'Waiting' } }, STATUS));
  await lab.history.until(
    'Reprieve',
    'the end of the forged ticket',
    ({ metadata }, { type }) => type === 'DELETED' && metadata.name === 'forged',
  );
  await lab.history.until('PodCheckpoint', 'its refusal', ({ metadata, status }) => {
    const { conditions = [] } = (status ?? {}) as { readonly conditions?: readonly { readonly reason?: string }[] };
    return metadata.name === 'foreign' && conditions.some(({ reason }) => reason === 'PodGone');
  });
  await lab.history.until('Reprieve', 'the end of the ticket without a state', ({ metadata, status }) => {
    return metadata.name === 'made-pod' && (status as { readonly phase?: string } | undefined)?.phase === 'Abandoned';
  });
  const now = await tenant.get(pods, 'tenant', 'own');
  const stands = await lab.cluster.kubectl(
    'get',
    'pod',
    'db',
    '-n',
    'payments',
    '-o',
    'jsonpath={.metadata.uid} {.metadata.deletionTimestamp}',
  );
  expect(stands.trim()).toBe(db.metadata.uid);
  expect(now.metadata.uid).toBe(own.metadata.uid);
  expect(lab.nodes.frozen()).toEqual([]);
  await expect(tenant.get(pods, 'tenant', 'evil')).rejects.toThrow('not found');
});
