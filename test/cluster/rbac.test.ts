import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PeerIdentity } from '../../src/agent/transfer/peer-identity.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { createLog } from '../../src/observe/log.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { accessRights, DEPLOYED_NAMES, type AccessRight } from '../../src/kube/access.ts';
import { Clients } from './story/clients.ts';
import { Lab, QUICK_LEASE } from './story/lab.ts';
import { Replica, REPRIEVE_NAMESPACE, REPRIEVE_USER } from './story/replica.ts';
import { guardConfiguration } from './story/served-cluster.ts';
import { bound, ordered, resumed, running, ticketIn, victimUidOf } from './story/seen.ts';
import { deployment, job, pod, policy, priorityClass, statefulSet } from './story/workloads.ts';

/**
 * `reprieve serve` with exactly the rights of deploy/rbac.yaml, while kube-apiserver writes down each of its requests: none is
 * refused, and none of the rights is there in vain.
 */
let lab: Lab;
let auditLog: string;
let flags: readonly string[];

beforeAll(async () => {
  const folder = await mkdtemp(join(process.env['REPRIEVE_CLUSTER_DIR'] ?? tmpdir(), 'audit-'));
  auditLog = join(folder, 'audit.log');
  const auditPolicy = join(folder, 'policy.json');
  await writeFile(
    auditPolicy,
    JSON.stringify({
      apiVersion: 'audit.k8s.io/v1',
      kind: 'Policy',
      omitStages: ['RequestReceived'],
      rules: [{ level: 'Metadata', users: [REPRIEVE_USER] }, { level: 'None' }],
    }),
  );
  flags = [`--audit-policy-file=${auditPolicy}`, `--audit-log-path=${auditLog}`];
  lab = await Lab.start({
    nodes: 4,
    apiServerFlags: flags,
    configuration: { ...QUICK_LEASE, restore: { ticketRetention: '1s' }, saving: { retryNodeAfter: '1s' } },
    faults: { dumpFails: ({ metadata }) => (metadata.name === 'stubborn' ? 'the disk is full' : null) },
  });
  await lab.cluster.applyObjects(policy('batch', 'batch'));
});
afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

/** One request of Reprieve, as the API server saw it. */
interface AuditedRequest {
  readonly verb: string;
  readonly requestURI: string;
  readonly objectRef?: {
    readonly apiGroup?: string;
    readonly resource?: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code?: number };
}

async function requests(): Promise<readonly AuditedRequest[]> {
  const lines = (await readFile(auditLog, 'utf8')).split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as AuditedRequest);
}

/** How often Reprieve has asked for that. */
async function count(verb: string, resource: string): Promise<number> {
  return (await requests()).filter((request) => request.verb === verb && request.objectRef?.resource === resource)
    .length;
}

function isUseOf({ group, resource, scope, resourceNames }: AccessRight, verb: string) {
  return (request: AuditedRequest): boolean => {
    const { apiGroup = '', resource: plural, subresource, namespace, name } = request.objectRef ?? {};
    return (
      request.verb === verb &&
      apiGroup === group &&
      resource === (subresource === undefined ? plural : `${plural}/${subresource}`) &&
      (scope === 'cluster' || namespace === REPRIEVE_NAMESPACE) &&
      (resourceNames === undefined || resourceNames.includes(name ?? ''))
    );
  };
}

/** A running victim with work behind it, and a preemptor that needs its place. */
async function displace(name: string, state = '100Mi'): Promise<{ readonly uid: string; readonly node: string }> {
  await lab.cluster.applyObjects(pod(name, { priorityClassName: 'batch', cpu: '3', state }));
  const victim = await running(lab, name);
  await sleep(1_200);
  await lab.cluster.applyObjects(pod(`${name}-for`, { priorityClassName: 'serving', cpu: '3', node: victim.node }));
  return victim;
}

it('a bare pod and one of a controller are displaced, come back, and their records go', async () => {
  const bare = await displace('bare');
  await bound(lab, 'bare-for');
  await resumed(lab, bare.uid);
  await lab.cluster.applyObjects(statefulSet('notebook', { priorityClassName: 'batch', cpu: '3' }));
  const owned = await running(lab, 'notebook-0');
  await lab.cluster.applyObjects(pod('notebook-for', { priorityClassName: 'serving', cpu: '3', node: owned.node }));
  await resumed(lab, owned.uid);
  for (const { uid } of [bare, owned]) {
    await lab.history.until(
      'Reprieve',
      'its end',
      (ticket, { type }) => type === 'DELETED' && victimUidOf(ticket) === uid,
    );
  }
  expect(await count('delete', 'reprieves')).toBeGreaterThanOrEqual(2);
  await lab.cluster.kubectl('delete', 'statefulset/notebook', 'pod/notebook-for', 'pod/bare', 'pod/bare-for');
});

it('a higher preemptor takes over what a lower one has saved', async () => {
  await lab.cluster.applyObjects(priorityClass('urgent', 2000));
  const victim = await displace('wanted', '2Gi');
  await ordered(lab, victim.uid);
  await lab.cluster.applyObjects(pod('wanted-first', { priorityClassName: 'urgent', cpu: '3', node: victim.node }));
  await bound(lab, 'wanted-first');
  expect(await count('patch', 'reprieves')).toBeGreaterThanOrEqual(1);
  await lab.cluster.kubectl('delete', 'pod', 'wanted-first', 'wanted-for');
  await resumed(lab, victim.uid); // until it is created again there is nothing to delete
  await lab.cluster.kubectl('delete', 'pod', 'wanted');
});

it('a node is gone before it undid a checkpoint', async () => {
  const victim = await displace('lost', '5Gi');
  await ordered(lab, victim.uid);
  lab.nodes.removeNode(victim.node);
  await lab.cluster.kubectl('delete', 'pod', 'lost-for', '--wait=false');
  const isIts = (checkpoint: Parameters<typeof victimUidOf>[0]): boolean => victimUidOf(checkpoint) === victim.uid;
  await lab.history.until(
    'PodCheckpoint',
    'its undoing',
    (checkpoint) => isIts(checkpoint) && checkpoint.metadata.deletionTimestamp !== undefined,
  );
  await lab.cluster.kubectl('delete', 'node', victim.node);
  await lab.history.until(
    'PodCheckpoint',
    'its end',
    (checkpoint, { type }) => isIts(checkpoint) && type === 'DELETED',
  );
  expect(await count('patch', 'podcheckpoints')).toBeGreaterThanOrEqual(1);
});

it('saving the same pod fails again and again, and its Events are counted', async () => {
  await displace('stubborn');
  const counts = async (): Promise<string> =>
    lab.cluster.kubectl('get', 'events', '-o', 'jsonpath={.items[?(@.involvedObject.name=="stubborn")].count}');
  await expect.poll(counts, { timeout: 60_000, interval: 500 }).toMatch(/[2-9]/);
  await lab.cluster.kubectl('delete', 'pod', 'stubborn', 'stubborn-for');
});

it('controllers that can make no pod in the place of displaced ones are read, and their tickets end with them', async () => {
  const [node = ''] = (await lab.cluster.kubectl('get', 'nodes', '-o', 'jsonpath={.items[*].metadata.name}')).split(
    ' ',
  );
  const shape = { priorityClassName: 'batch', cpu: '800m', state: '1Gi', node };
  const { spec } = deployment('rc', shape) as { readonly spec: { readonly template: object } };
  const controller = { apiVersion: 'v1', kind: 'ReplicationController', metadata: { name: 'rc' } };
  const replicated = { replicas: 1, selector: { app: 'rc' }, template: spec.template };
  await lab.cluster.applyObjects(deployment('rs', shape), statefulSet('set', shape), job('job', shape));
  await lab.cluster.applyObjects({ ...controller, spec: replicated });
  const isOf = (name: string) => (object: KubeObject) =>
    (object.metadata.ownerReferences ?? []).some((owner) => owner.name.split('-')[0] === name);
  const names = ['rs', 'set', 'job', 'rc'];
  const victims = await Promise.all(names.map((name) => running(lab, name, isOf(name))));
  await sleep(1_200);
  await lab.cluster.applyObjects(pod('full-for', { priorityClassName: 'serving', cpu: '3900m', node }));
  const quota = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'full' }, spec: { hard: { pods: '0' } } };
  await lab.cluster.applyObjects(quota);
  await Promise.all(victims.map(({ uid }) => ticketIn(lab, 'Waiting', uid)));
  for (const kind of ['replicasets', 'replicationcontrollers', 'statefulsets', 'jobs'])
    await expect.poll(() => count('get', kind), { timeout: 30_000, interval: 500 }).toBeGreaterThan(0);
  await lab.cluster.kubectl('delete', 'deployment/rs', 'statefulset/set', 'job/job', 'rc/rc');
  await Promise.all(victims.map(({ uid }) => ticketIn(lab, 'Abandoned', uid)));
  await lab.cluster.kubectl('delete', 'resourcequota/full', 'pod/full-for');
});

it('a server without watch-lists is listed page by page', async () => {
  const before = await count('list', 'nodes');
  const [replica] = lab.replicas;
  await replica?.stop();
  await lab.cluster.stopApiServer();
  await lab.cluster.startApiServer([...flags, '--feature-gates=WatchList=false']);
  await replica?.start();
  const victim = await displace('listed');
  await ticketIn(lab, 'Restored', victim.uid);
  expect(before).toBe(0);
  expect(await count('list', 'nodes')).toBeGreaterThanOrEqual(1);
});

it('a replica issues its own certificate, and another one where that cannot be used', async () => {
  const tls = { issue: { names: ['127.0.0.1'] }, clientCaFile: lab.cluster.caPath };
  await lab.cluster.applyObjects(await guardConfiguration(lab.cluster, 20509));
  const issuing = await Replica.create(lab.cluster, 9, { server: { port: 20509, tls } });
  try {
    await issuing.start();
    expect(await count('create', 'secrets')).toBe(1);
    await issuing.stop();
    const patch = JSON.stringify({ data: { 'tls.crt': Buffer.from('unreadable').toString('base64') } });
    await lab.cluster.kubectl('patch', 'secret', 'reprieve-serving', '-n', REPRIEVE_NAMESPACE, '-p', patch);
    await issuing.start();
    expect(await count('patch', 'secrets')).toBe(1);
  } finally {
    await issuing.close();
  }
});

it('an agent is given a certificate', async () => {
  const { cluster } = lab;
  await cluster.applyFiles('deploy/rbac-agent.yaml');
  const clients = new Clients(cluster);
  const over = new AbortController();
  try {
    const [node = ''] = (await cluster.kubectl('get', 'nodes', '-o', 'jsonpath={.items[*].metadata.name}')).split(' ');
    const folder = await mkdtemp(join(cluster.dir, 'identity-'));
    const client = await clients.agent(node);
    const identity = new PeerIdentity({ nodeName: node, folder, client, clock: systemClock, log: createLog('silent') });
    void identity.run(over.signal);
    await expect.poll(() => identity.current, { timeout: 30_000 }).not.toBeNull();
  } finally {
    over.abort(new Error('over'));
    await clients.close();
  }
});

it('no request was refused', async () => {
  const seen = await requests();
  expect(seen.length).toBeGreaterThan(100);
  expect(
    seen
      // A dry run asks what the API server refuses: here a quota does.
      .filter(({ responseStatus, requestURI }) => responseStatus?.code === 403 && !requestURI.includes('dryRun=All'))
      .map(({ verb, requestURI }) => `${verb} ${requestURI}`),
  ).toEqual([]);
});

it('every right was used', async () => {
  const seen = await requests();
  // Whether it may approve and sign is asked about the requests to /approval and /status; no request is one for that.
  const asked = accessRights(DEPLOYED_NAMES).filter(({ resource }) => resource !== 'signers');
  const unused = asked.flatMap((right) =>
    right.verbs
      .filter((verb) => !seen.some(isUseOf(right, verb)))
      .map((verb) => `${verb} ${right.resource}: ${right.why}`),
  );
  expect(unused).toEqual([]);
});
