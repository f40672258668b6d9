import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FROZEN_CONDITION } from '../../src/domain/labels.ts';
import { compareVersions } from '../../src/index/object-table.ts';
import { KubeClient } from '../../src/kube/client.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { condition, field, type Version } from './story/history.ts';
import { Lab } from './story/lab.ts';
import { conditionIn, ticketIn } from './story/seen.ts';
import { Watching } from './story/watching.ts';
import { pod } from './story/workloads.ts';

/** What policies say, under the real kube-scheduler. Each test has nodes, pods and policies of its own. */
let lab: Lab;
/** Policies, Events and disruption budgets. */
let watching: Watching;

const faultOf = (object: KubeObject): string | undefined => object.metadata.labels?.['fault'];

beforeAll(async () => {
  lab = await Lab.start({
    nodes: 18,
    faults: {
      dumpFails: (object) => (faultOf(object) === 'fails' ? 'disk full' : null),
      dumpHangs: (object) => faultOf(object) === 'hangs',
    },
  });
  const { reprievePolicies, events, podDisruptionBudgets } = RESOURCES;
  watching = await Watching.of(lab.cluster, [reprievePolicies, events, podDisruptionBudgets]);
});
afterAll(async () => {
  await watching?.[Symbol.asyncDispose]();
  await lab?.[Symbol.asyncDispose]();
});

let nodesTaken = 0;
const freshNode = (): string => `node-${++nodesTaken}`;

interface PolicyShape {
  readonly precedence?: number;
  readonly preemption?: object;
  readonly match?: object;
}

/** For pods with the label `case`, saving them always. */
const policyFor = (name: string, label: string, { precedence = 0, preemption, match }: PolicyShape = {}): object => ({
  apiVersion: 'reprieve.dev/v1alpha1',
  kind: 'ReprievePolicy',
  metadata: { name },
  spec: {
    precedence,
    match: { podSelector: { matchLabels: { case: label } }, ...match },
    preemption: { decision: 'Always', maxDelay: '60s', ...preemption },
  },
});

interface Victim {
  readonly name: string;
  readonly uid: string;
  readonly node: string;
}

interface VictimShape {
  readonly node?: string;
  readonly fault?: 'fails' | 'hangs';
  readonly state?: string;
  readonly cpu?: string;
  readonly priorityClassName?: string;
  /** Of its request, which is what a plan reckons with before there is a checkpoint. */
  readonly memory?: string;
  readonly namespace?: string;
}

/** A pod that runs on a node of its own, with the label `case`. */
async function running(name: string, label: string, shape: VictimShape = {}): Promise<Victim> {
  const { node = freshNode(), fault, memory, namespace = 'default', cpu = '3', priorityClassName = 'batch' } = shape;
  const object = pod(name, {
    priorityClassName,
    cpu,
    node,
    labels: { case: label, ...(fault && { fault }) },
    ...(shape.state && { state: shape.state }),
  }) as {
    metadata: Record<string, unknown>;
    spec: { containers: { resources: { requests: Record<string, string> } }[] };
  };
  object.metadata['namespace'] = namespace;
  if (memory !== undefined) for (const { resources } of object.spec.containers) resources.requests['memory'] = memory;
  await lab.cluster.applyObjects(object);
  const seen = await lab.history.until(
    'Pod',
    `${name} running`,
    (candidate) => candidate.metadata.name === name && field(candidate, 'status', 'phase') === 'Running',
  );
  return { name, uid: seen.object.metadata.uid as string, node };
}

const preempt = (name: string, node: string, cpu = '3'): Promise<void> =>
  lab.cluster.applyObjects(pod(name, { priorityClassName: 'serving', cpu, node }));

const isAbout = (uid: string) => (object: KubeObject) => field(object, 'spec', 'pod', 'uid') === uid;
const ofPod = (uid: string): readonly Version[] =>
  lab.history.of('Pod').filter(({ object }) => object.metadata.uid === uid);
const wasDeleted = ({ object }: Version): boolean => object.metadata.deletionTimestamp !== undefined;

const bound = (name: string): Promise<Version> =>
  lab.history.until(
    'Pod',
    `${name} bound`,
    (object) => object.metadata.name === name && field(object, 'spec', 'nodeName') !== undefined,
  );
const evicted = ({ name, uid }: Victim): Promise<Version> =>
  lab.history.until(
    'Pod',
    `${name} evicted`,
    (object) => object.metadata.uid === uid && object.metadata.deletionTimestamp !== undefined,
  );
const ticketOf = ({ name, uid }: Victim): Promise<Version> =>
  lab.history.until('Reprieve', `a ticket of ${name}`, isAbout(uid));
const told = (name: string, reason: string): Promise<Version> =>
  watching.history.until(
    'Event',
    `${reason} on ${name}`,
    (object) => object['reason'] === reason && field(object, 'involvedObject', 'name') === name,
  );
const policyStatus = (name: string, what: string, passes: (object: KubeObject) => boolean): Promise<Version> =>
  watching.history.until(
    'ReprievePolicy',
    `${name} ${what}`,
    (object) => object.metadata.name === name && passes(object),
  );

/** It was frozen and saved when it was deleted. */
async function expectSaved(victim: Victim): Promise<Version> {
  const { object } = await evicted(victim);
  expect(condition(object, FROZEN_CONDITION)).toBe('True');
  return ticketOf(victim);
}

/** What Reprieve wrote about a victim that `preemptor` had evicted; none where it went as in Kubernetes. */
async function writtenAbout(victim: Victim, preemptor: string): Promise<readonly string[]> {
  await bound(preemptor);
  expect(condition((await evicted(victim)).object, 'DisruptionTarget')).toBe('True');
  expect(ofPod(victim.uid).map(({ object }) => condition(object, FROZEN_CONDITION))).not.toContain('True');
  const ours = lab.history.versions.filter(
    ({ kind, object }) => (kind === 'Reprieve' || kind === 'PodCheckpoint') && isAbout(victim.uid)(object),
  );
  return ours.map(({ kind, object }) => `${kind} ${object.metadata.name}`);
}

/** Evicted without its state, and both pods say so. What the victim was told. */
async function expectEvictedUnsaved(victim: Victim, preemptor: string): Promise<string> {
  await bound(preemptor);
  const [onVictim, onPreemptor] = [await told(victim.name, 'EvictedUnsaved'), await told(preemptor, 'EvictedUnsaved')];
  expect(field(onVictim.object, 'related', 'name')).toBe(preemptor);
  expect(field(onPreemptor.object, 'related', 'name')).toBe(victim.name);
  expect(condition((await evicted(victim)).object, 'DisruptionTarget')).toBe('True');
  return String(onVictim.object['message']);
}

/** The attempt is off, its ticket is gone, and the victim works on as if nothing had been. What the preemptor was told. */
async function expectSpared(victim: Victim, preemptor: string): Promise<string> {
  const cancelled = await told(preemptor, 'PreemptionCancelled');
  await lab.history.until(
    'Reprieve',
    `the ticket of ${victim.name} removed`,
    (object, { type }) => type === 'DELETED' && isAbout(victim.uid)(object),
  );
  const versions = ofPod(victim.uid);
  expect(versions.some(wasDeleted)).toBe(false);
  expect(versions.map(({ object }) => condition(object, 'DisruptionTarget'))).not.toContain('True');
  const last = (versions.at(-1) as Version).object;
  expect(condition(last, FROZEN_CONDITION)).not.toBe('True');
  const before = lab.nodes.progressOf(victim.uid);
  await expect.poll(() => lab.nodes.progressOf(victim.uid), { timeout: 10_000 }).toBeGreaterThan(before);
  expect(lab.nodes.frozen().filter((frozen) => frozen.pod === victim.name)).toEqual([]);
  return String(cancelled.object['message']);
}

const rise = (...versions: readonly Version[]): void => {
  const places = versions.map(({ at }) => at);
  expect(places).toEqual([...places].sort(compareVersions));
};

describe('precedence', () => {
  it('the higher wins, also where it says Never', async () => {
    await lab.cluster.applyObjects(
      policyFor('a-low', 'rank'),
      policyFor('b-high', 'rank', { precedence: 10, preemption: { decision: 'Never' } }),
    );
    const victim = await running('rank', 'rank');
    const low = await policyStatus('a-low', 'shadowed', (object) => condition(object, 'Conflicted') === 'True');
    expect(field(low.object, 'status')).toMatchObject({ selectedPods: 1, rulingPods: 0, protectedPods: 0 });
    await preempt('rank-serving', victim.node);
    expect(await writtenAbout(victim, 'rank-serving')).toEqual([]);
  });

  it('of two that are equal the older wins; both say that they are in conflict', async () => {
    await lab.cluster.applyObjects(policyFor('z-older', 'age'));
    // Creation is told in whole seconds; created in the same one, the name would decide.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await lab.cluster.applyObjects(policyFor('a-younger', 'age', { preemption: { decision: 'Never' } }));
    const victim = await running('age', 'age');

    const conflicted = (object: KubeObject): boolean => condition(object, 'Conflicted') === 'True';
    const older = await policyStatus('z-older', 'conflicted', conflicted);
    const younger = await policyStatus('a-younger', 'conflicted', conflicted);
    const said = ({ object }: Version): unknown => (field(object, 'status', 'conditions') as unknown[]).slice(0, 2);
    expect(said(older)).toMatchObject([
      { type: 'Accepted', status: 'True' },
      { reason: 'SamePrecedence', message: expect.stringMatching(/it before a-younger$/) as string },
    ]);
    expect(said(younger)).toMatchObject([
      {},
      { reason: 'Shadowed', message: 'every pod that it selects is ruled by z-older' },
    ]);
    expect(field(older.object, 'status')).toMatchObject({ observedGeneration: 1, selectedPods: 1, rulingPods: 1 });
    await policyStatus('z-older', 'protects one', (object) => field(object, 'status', 'protectedPods') === 1);

    const printed = await lab.cluster.kubectl('get', 'rpol');
    const [header = '', ...rows] = printed.trimEnd().split('\n');
    expect(header).toMatch(/^NAME +DECISION +PRECEDENCE +PROTECTED +CONFLICTED +AGE$/);
    expect(rows.find((row) => row.startsWith('z-older'))).toMatch(/^z-older +Always +0 +1 +True +\S+$/);
    expect(rows.find((row) => row.startsWith('a-younger'))).toMatch(/^a-younger +Never +0 +0 +True +\S+$/);
    expect(Math.max(...[header, ...rows].map(({ length }) => length))).toBeLessThanOrEqual(80);

    await preempt('age-serving', victim.node);
    const ticket = await expectSaved(victim);
    expect(field(ticket.object, 'spec', 'policy')).toBe('z-older');
  });
});

describe('Accepted', () => {
  it('is False for what cannot work, with the cause', async () => {
    const impossible = {
      podSelector: { matchLabels: { app: 'a' }, matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['a'] }] },
    };
    await lab.cluster.applyObjects(policyFor('impossible', '-', { match: impossible }));
    const { object } = await policyStatus('impossible', 'refused', (seen) => condition(seen, 'Accepted') === 'False');
    expect(conditionIn(object, 'Accepted')).toMatchObject({ reason: 'SelectorNeverMatches' });
  });

  it('is True for an object of an earlier schema, of which the server drops what nothing acts on', async () => {
    const earlier = { schedule: { every: '1h' }, store: { durability: 'Node', maxBytes: '2Gi' } };
    const { spec } = policyFor('earlier', 'earlier') as { readonly spec: object };
    const body = { metadata: { name: 'earlier' }, spec: { ...spec, ...earlier } };
    await new KubeClient(lab.transport).create(RESOURCES.reprievePolicies, null, body);
    const { object } = await policyStatus('earlier', 'accepted', (seen) => condition(seen, 'Accepted') === 'True');
    expect(field(object, 'spec', 'store')).toEqual({ ttl: '24h', maxBytes: '2Gi' });
    expect(field(object, 'spec', 'schedule')).toBeUndefined();
  });

  it('follows the spec, and keeps the time of what did not change', async () => {
    const said = (decision: string): object =>
      policyFor('contradictory', 'none', { preemption: { decision, onFailure: 'Refuse' } });
    await lab.cluster.applyObjects(said('Never'));
    const first = await policyStatus('contradictory', 'refused', (seen) => condition(seen, 'Accepted') === 'False');
    await lab.cluster.applyObjects(said('Always'));
    const second = await policyStatus('contradictory', 'accepted', (seen) => condition(seen, 'Accepted') === 'True');
    expect(field(second.object, 'status', 'observedGeneration')).toBe(2);
    const since = ({ object }: Version, type: string): string | undefined =>
      (field(object, 'status', 'conditions') as { type: string; lastTransitionTime: string }[]).find(
        (candidate) => candidate.type === type,
      )?.lastTransitionTime;
    expect(since(second, 'Conflicted')).toBe(since(first, 'Conflicted'));
    expect(since(second, 'Accepted')).not.toBe(since(first, 'Accepted'));
  });
});

describe('decision', () => {
  /** By its request a plan expects 20 s of writing for it: more than a pod of a few seconds has to lose. */
  const memory = '10Gi';

  it('Always: saves a pod that has just started', async () => {
    await lab.cluster.applyObjects(policyFor('always', 'always'));
    const victim = await running('always', 'always', { memory });
    await preempt('always-serving', victim.node);
    const ticket = await expectSaved(victim);
    expect(field(ticket.object, 'spec', 'policy')).toBe('always');
    await bound('always-serving');
  });

  it('Never: evicts as Kubernetes does', async () => {
    await lab.cluster.applyObjects(policyFor('never', 'never', { preemption: { decision: 'Never' } }));
    const victim = await running('never', 'never', { memory });
    await preempt('never-serving', victim.node);
    expect(await writtenAbout(victim, 'never-serving')).toEqual([]);
  });

  it('Adaptive: evicts a pod that has just started, and saves an old one of the same size', async () => {
    await lab.cluster.applyObjects(policyFor('adaptive', 'adaptive', { preemption: { decision: 'Adaptive' } }));
    const young = await running('young', 'adaptive', { memory });
    await preempt('young-serving', young.node);
    expect(await writtenAbout(young, 'young-serving')).toEqual([]);

    const old = await running('old', 'adaptive', { memory });
    const startTime = `${new Date(Date.now() - 3_600_000).toISOString().slice(0, 19)}Z`;
    await lab.cluster.kubectl(
      'patch',
      'pod',
      'old',
      '--subresource=status',
      '--type=merge',
      `--patch=${JSON.stringify({ status: { startTime } })}`,
    );
    await preempt('old-serving', old.node);
    expect(field((await expectSaved(old)).object, 'spec', 'policy')).toBe('adaptive');
  });
});

describe('a checkpoint that fails', () => {
  it('Evict: the pod goes without its state, and both pods say so', async () => {
    await lab.cluster.applyObjects(policyFor('fails-evict', 'fails-evict', { preemption: { onFailure: 'Evict' } }));
    const victim = await running('fails-evict', 'fails-evict', { fault: 'fails' });
    await preempt('fails-evict-serving', victim.node);
    expect(await expectEvictedUnsaved(victim, 'fails-evict-serving')).toMatch(/DumpFailed: disk full/);
  });

  it('Refuse: the pod goes on, and the preemptor is told why', async () => {
    await lab.cluster.applyObjects(policyFor('fails-refuse', 'fails-refuse', { preemption: { onFailure: 'Refuse' } }));
    const victim = await running('fails-refuse', 'fails-refuse', { fault: 'fails' });
    await preempt('fails-refuse-serving', victim.node);
    expect(await expectSpared(victim, 'fails-refuse-serving')).toMatch(/disk full/);
  });

  it('turned to Refuse in the middle: nobody is evicted unsaved from then on', async () => {
    await lab.cluster.applyObjects(policyFor('turned', 'turned', { preemption: { onFailure: 'Evict' } }));
    const victim = await running('turned', 'turned', { fault: 'fails', state: '5Gi' });
    await preempt('turned-serving', victim.node);
    const ordered = await lab.history.until('PodCheckpoint', 'an order', isAbout(victim.uid));
    await lab.cluster.applyObjects(policyFor('turned', 'turned', { preemption: { onFailure: 'Refuse' } }));
    const turned = await policyStatus('turned', 'turned', ({ metadata }) => metadata.generation === 2);
    const failed = await lab.history.until(
      'PodCheckpoint',
      'failed',
      (object) => isAbout(victim.uid)(object) && condition(object, 'Failed') === 'True',
    );
    rise(ordered, turned, failed);
    expect(await expectSpared(victim, 'turned-serving')).toMatch(/disk full/);
  });
});

describe('a checkpoint that hangs past maxDelay', () => {
  it('Evict: the pod goes without its state, and both pods say so', async () => {
    const preemption = { onFailure: 'Evict', maxDelay: '1s' };
    await lab.cluster.applyObjects(policyFor('hangs-evict', 'hangs-evict', { preemption }));
    const victim = await running('hangs-evict', 'hangs-evict', { fault: 'hangs' });
    await preempt('hangs-evict-serving', victim.node);
    expect(await expectEvictedUnsaved(victim, 'hangs-evict-serving')).toMatch(/DeadlineExceeded/);
  });

  it('Refuse: the pod is thawed, and not evicted', async () => {
    const preemption = { onFailure: 'Refuse', maxDelay: '1s' };
    await lab.cluster.applyObjects(policyFor('hangs-refuse', 'hangs-refuse', { preemption }));
    const victim = await running('hangs-refuse', 'hangs-refuse', { fault: 'hangs' });
    await preempt('hangs-refuse-serving', victim.node);
    expect(await expectSpared(victim, 'hangs-refuse-serving')).toMatch(/not ready in time/);
    await told(victim.name, 'Thawed');
  });
});

describe('several victims on one node', () => {
  it('those without a policy go only when those with one are saved', async () => {
    await lab.cluster.applyObjects(policyFor('mixed', 'mixed'));
    const node = freshNode();
    const saved = await running('mixed-saved', 'mixed', { node, cpu: '1500m' });
    const plain = await running('mixed-plain', 'plain', { node, cpu: '1500m' });
    await preempt('mixed-serving', node, '4');
    const ticket = await expectSaved(saved);
    const pods = field(ticket.object, 'spec', 'displacement', 'pods') as { name: string; plan: string }[];
    expect(pods.map(({ name, plan }) => `${name} ${plan}`).sort()).toEqual(['mixed-plain Evict', 'mixed-saved Save']);
    const ready = await lab.history.until(
      'PodCheckpoint',
      'Ready',
      (object) => isAbout(saved.uid)(object) && condition(object, 'Ready') === 'True',
    );
    rise(ready, await evicted(plain), await bound('mixed-serving'));
  });
});

describe('kube-system', () => {
  it('its pods are not touched, unless a policy names the namespace', async () => {
    await lab.cluster.waitForDefaultServiceAccount('kube-system');
    const first = await running('system-1', 'system', { namespace: 'kube-system' });
    await lab.cluster.applyObjects(policyFor('system', 'system'));
    const unnamed = await policyStatus('system', 'reported', (object) => field(object, 'status') !== undefined);
    expect(field(unnamed.object, 'status')).toMatchObject({ selectedPods: 0 });
    await preempt('system-1-serving', first.node);
    expect(await writtenAbout(first, 'system-1-serving')).toEqual([]);

    const namespaceSelector = { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } };
    await lab.cluster.applyObjects(policyFor('system', 'system', { match: { namespaceSelector } }));
    const second = await running('system-2', 'system', { namespace: 'kube-system' });
    await policyStatus('system', 'protects', (object) => field(object, 'status', 'protectedPods') === 1);
    await preempt('system-2-serving', second.node);
    const ticket = await expectSaved(second);
    expect(ticket.object.metadata.namespace).toBe('kube-system');
  });
});

describe('a policy that is deleted in the middle of a dump', () => {
  it('the victim is saved as it was promised', async () => {
    await lab.cluster.applyObjects(policyFor('deleted', 'deleted', { preemption: { onFailure: 'Refuse' } }));
    const victim = await running('deleted', 'deleted', { state: '5Gi' });
    await preempt('deleted-serving', victim.node);
    await lab.history.until('PodCheckpoint', 'an order', isAbout(victim.uid));
    await lab.cluster.kubectl('delete', 'rpol', 'deleted');
    const gone = await watching.history.until(
      'ReprievePolicy',
      'deleted',
      ({ metadata }, { type }) => metadata.name === 'deleted' && type === 'DELETED',
    );
    const ready = await lab.history.until(
      'PodCheckpoint',
      'Ready',
      (object) => isAbout(victim.uid)(object) && condition(object, 'Ready') === 'True',
    );
    rise(gone, ready, await evicted(victim), await bound('deleted-serving'));
    const ticket = await expectSaved(victim);
    expect(field(ticket.object, 'spec')).toMatchObject({ policy: 'deleted', restore: { nodes: 'Any', attempts: 2 } });
  });
});

describe('a checkpoint that a user made', () => {
  const isMine = (object: KubeObject): boolean => object.metadata.name === 'mine';

  it('serves a preemption while it is fresh: the pod is not dumped again, comes back from it, and it stays', async () => {
    await lab.cluster.applyObjects(policyFor('reuse', 'reuse', { preemption: { freshFor: '5m' } }));
    // A plan reckons with the bytes that were saved: to save them again costs more than the work since.
    const victim = await running('reuse', 'reuse', { state: '2Gi' });
    const spec = { pod: { name: victim.name, uid: victim.uid }, node: victim.node, reason: 'Manual' };
    const metadata = { name: 'mine', namespace: 'default' };
    await lab.cluster.applyObjects({ apiVersion: 'reprieve.dev/v1alpha1', kind: 'PodCheckpoint', metadata, spec });
    await lab.history.until('PodCheckpoint', 'saved', (o) => isMine(o) && condition(o, 'Ready') === 'True');
    await preempt('reuse-serving', victim.node);
    const { object: ticket } = await ticketOf(victim);
    expect(field(ticket, 'spec')).toMatchObject({
      checkpoint: 'mine',
      displacement: { pods: [{ plan: 'Reuse', checkpoint: 'mine' }] },
    });
    await bound('reuse-serving');
    await lab.cluster.kubectl('delete', 'pod', 'reuse-serving', '--wait=false');
    await ticketIn(lab, 'Restored', victim.uid);
    const orders = lab.history.of('PodCheckpoint').filter(({ object }) => isAbout(victim.uid)(object));
    expect(new Set(orders.map(({ object }) => object.metadata.name))).toEqual(new Set(['mine']));
    expect(orders.some(({ type }) => type === 'DELETED')).toBe(false);
  });
});

describe('victims with a PodDisruptionBudget', () => {
  const budget = {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name: 'covered' },
    spec: { minAvailable: 1, selector: { matchLabels: { case: 'covered' } } },
  };

  it('are passed over where another node serves, and counted where none does', async () => {
    await lab.cluster.applyObjects(policyFor('covered', 'covered'), policyFor('open', 'open'), budget);
    // By priority alone kube-scheduler, and Reprieve, would take the covered one.
    const covered = await running('covered', 'covered', { priorityClassName: 'scratch' });
    const open = await running('open', 'open');
    await watching.history.until(
      'PodDisruptionBudget',
      'counted',
      (object) => field(object, 'status', 'expectedPods') === 1 && field(object, 'status', 'disruptionsAllowed') === 0,
    );
    await lab.cluster.applyObjects(either('either-serving', [covered.node, open.node]));
    const first = await expectSaved(open);
    expect(field(first.object, 'spec', 'displacement', 'cause', 'preemption')).toMatchObject({
      node: open.node,
      numPDBViolations: 0,
    });
    await bound('either-serving');
    expect(ofPod(covered.uid).some(wasDeleted)).toBe(false);

    await preempt('covered-serving', covered.node);
    const second = await expectSaved(covered);
    expect(field(second.object, 'spec', 'displacement', 'cause', 'preemption')).toMatchObject({
      node: covered.node,
      numPDBViolations: 1,
    });
  });

  /** A serving pod that may go to any of these nodes. */
  function either(name: string, values: readonly string[]): object {
    const { spec, ...rest } = pod(name, { priorityClassName: 'serving', cpu: '3' }) as { spec: object };
    const nodeSelectorTerms = [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values }] }];
    const nodeAffinity = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } };
    return { ...rest, spec: { ...spec, affinity: { nodeAffinity } } };
  }
});

it('needs no right that deploy/rbac.yaml does not give', async () => {
  expect(await lab.reprieveLog()).toMatch(/"command":"SetPolicyStatus","about":"z-older","outcome":"done"/);
  expect(await lab.reprieveLog()).not.toMatch(/forbidden|"status":403/i);
});
