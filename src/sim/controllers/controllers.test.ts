import { describe, expect, it } from 'vitest';
import { RESOURCES, type ResourceType } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { TestCluster } from '../scheduler/test-cluster.ts';
import { formatIndexes, parseIndexes } from './completion-index.ts';

const POD_SPEC = {
  containers: [{ name: 'main', image: 'main:1', resources: { requests: { cpu: '1' } } }],
  restartPolicy: 'Never',
};
const DISRUPTED = { type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler' };
const IGNORE_DISRUPTIONS = {
  podFailurePolicy: { rules: [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget' }] }] },
};

async function make(type: ResourceType, name: string, spec: object): Promise<TestCluster> {
  const cluster = new TestCluster();
  await cluster.node('n1', 32);
  await cluster.client.create(type, 'default', { metadata: { name }, spec });
  await cluster.clock.advance(1000);
  return cluster;
}

const jobCluster = (spec: object): Promise<TestCluster> =>
  make(RESOURCES.jobs, 'j', { template: { spec: POD_SPEC }, ...spec });
const names = (cluster: TestCluster): string[] => cluster.pods().map(({ metadata }) => metadata.name);
const only = (cluster: TestCluster): string => names(cluster)[0] as string;
const stored = (cluster: TestCluster, type: ResourceType, name: string): KubeObject =>
  cluster.server.list(type).find(({ metadata }) => metadata.name === name) as KubeObject;
const jobStatus = (cluster: TestCluster): Record<string, unknown> =>
  stored(cluster, RESOURCES.jobs, 'j')['status'] as Record<string, unknown>;
const isTrue = (cluster: TestCluster, type: string): boolean =>
  ((jobStatus(cluster)['conditions'] ?? []) as { type: string; status: string }[]).some(
    (condition) => condition.type === type && condition.status === 'True',
  );

/** A preemption as scheduler and kubelet carry it out: condition, deletion, terminal phase, removal. */
async function preempt(cluster: TestCluster, name: string): Promise<void> {
  await cluster.setStatus(name, { phase: 'Running', conditions: [DISRUPTED] });
  await cluster.client.delete(RESOURCES.pods, 'default', name);
  await cluster.clock.advance(1000);
  await cluster.setStatus(name, { phase: 'Failed' });
  await cluster.gone(name).catch(() => undefined);
  await cluster.clock.advance(1000);
}

describe('Job', () => {
  it('runs to its completions, a few at a time, and counts each pod once', async () => {
    const cluster = await jobCluster({ parallelism: 2, completions: 3 });
    expect(names(cluster)).toHaveLength(2);
    expect(cluster.pods().every(({ metadata }) => /^j-[a-z0-9]{5}$/.test(metadata.name))).toBe(true);
    expect(cluster.pods()[0]?.metadata.finalizers).toEqual(['batch.kubernetes.io/job-tracking']);
    for (let round = 0; round < 3; round++) {
      const running = cluster.pods().find(({ status }) => status?.phase === 'Pending');
      await cluster.setStatus(running?.metadata.name ?? '', { phase: 'Succeeded' });
      await cluster.clock.advance(1000);
    }
    expect(names(cluster)).toHaveLength(3);
    expect(cluster.pods().flatMap(({ metadata }) => metadata.finalizers ?? [])).toEqual([]);
    expect(jobStatus(cluster)).toMatchObject({ succeeded: 3, completionTime: expect.any(String) as string });
    expect([isTrue(cluster, 'Complete'), isTrue(cluster, 'Failed')]).toEqual([true, false]);
  });

  it('with backoffLimit 0 fails when its pod is preempted', async () => {
    const cluster = await jobCluster({ backoffLimit: 0 });
    await preempt(cluster, only(cluster));
    await cluster.clock.advance(30_000);
    expect(names(cluster)).toEqual([]);
    expect(jobStatus(cluster)).toMatchObject({ failed: 1 });
    expect(isTrue(cluster, 'Failed')).toBe(true);
  });

  it('with backoffLimit 0 and a policy survives the preemption', async () => {
    const cluster = await jobCluster({ backoffLimit: 0, ...IGNORE_DISRUPTIONS });
    const name = only(cluster);
    await preempt(cluster, name);
    await cluster.clock.advance(30_000);
    expect(names(cluster)).toEqual([expect.not.stringMatching(name)]);
    expect(jobStatus(cluster)['failed'] ?? 0).toBe(0);
    expect([isTrue(cluster, 'Failed'), isTrue(cluster, 'FailureTarget')]).toEqual([false, false]);
  });

  it('with a policy replaces a pod only when it has ended, and not before the backoff', async () => {
    const cluster = await jobCluster(IGNORE_DISRUPTIONS);
    const name = only(cluster);
    await cluster.setStatus(name, { phase: 'Running', conditions: [DISRUPTED] });
    await cluster.client.delete(RESOURCES.pods, 'default', name);
    await cluster.clock.advance(20_000);
    expect(names(cluster)).toEqual([name]);
    expect(jobStatus(cluster)).toMatchObject({ terminating: 1 });
    const finishedAt = new Date(cluster.clock.now()).toISOString();
    const containerStatuses = [{ name: 'main', state: { terminated: { exitCode: 143, finishedAt } } }];
    await cluster.setStatus(name, { phase: 'Failed', containerStatuses });
    await cluster.clock.advance(9000);
    expect(names(cluster).filter((other) => other !== name)).toEqual([]);
    await cluster.clock.advance(2000);
    expect(names(cluster).filter((other) => other !== name)).toHaveLength(1);
  });

  it('without a policy replaces it at its deletionTimestamp', async () => {
    const cluster = await jobCluster({});
    await cluster.setStatus(only(cluster), { phase: 'Running' });
    await cluster.client.delete(RESOURCES.pods, 'default', only(cluster));
    await cluster.clock.advance(11_000);
    expect(names(cluster)).toHaveLength(2);
    expect(jobStatus(cluster)).toMatchObject({ failed: 1, terminating: 1, active: 1 });
  });

  it('fails at once on a rule FailJob', async () => {
    const rules = [{ action: 'FailJob', onExitCodes: { operator: 'In', values: [42] } }];
    const cluster = await jobCluster({ podFailurePolicy: { rules } });
    const containerStatuses = [{ name: 'main', state: { terminated: { exitCode: 42 } } }];
    await cluster.setStatus(only(cluster), { phase: 'Failed', containerStatuses });
    await cluster.clock.advance(1000);
    expect(jobStatus(cluster)).toMatchObject({ failed: 1 });
    expect(isTrue(cluster, 'Failed')).toBe(true);
  });

  it('gives each index a pod, and a lost one again', async () => {
    const spec = { completionMode: 'Indexed', completions: 3, parallelism: 3, ...IGNORE_DISRUPTIONS };
    const cluster = await jobCluster(spec);
    const indexOf = (pod: KubeObject): string =>
      pod.metadata.annotations?.['batch.kubernetes.io/job-completion-index'] ?? '';
    expect(cluster.pods().map(indexOf).sort()).toEqual(['0', '1', '2']);
    const second = cluster.pods().find((pod) => indexOf(pod) === '1');
    expect(second).toMatchObject({
      metadata: {
        name: expect.stringMatching(/^j-1-[a-z0-9]{5}$/) as string,
        labels: { 'batch.kubernetes.io/job-completion-index': '1' },
      },
      spec: { hostname: 'j-1', containers: [{ env: [{ name: 'JOB_COMPLETION_INDEX', value: '1' }] }] },
    });
    for (const pod of cluster.pods()) {
      if (pod !== second) await cluster.setStatus(pod.metadata.name, { phase: 'Succeeded' });
    }
    await cluster.clock.advance(1000);
    expect(jobStatus(cluster)).toMatchObject({ completedIndexes: '0,2', succeeded: 2 });
    await preempt(cluster, second?.metadata.name ?? '');
    await cluster.clock.advance(30_000);
    const again = cluster.pods().filter((pod) => indexOf(pod) === '1');
    expect(again).toHaveLength(1);
    await cluster.setStatus(again[0]?.metadata.name ?? '', { phase: 'Succeeded' });
    await cluster.clock.advance(1000);
    expect(jobStatus(cluster)).toMatchObject({ completedIndexes: '0-2', succeeded: 3 });
    expect(isTrue(cluster, 'Complete')).toBe(true);
  });

  it.each<[string, string, readonly (string | undefined)[]]>([
    ['after its retry', 'Count', ['0', '1', undefined]],
    ['at once on a rule FailIndex', 'FailIndex', ['0', undefined]],
    ['never on a rule Ignore', 'Ignore', ['0', '0', '0']],
  ])('fails an index %s, and itself when the others are done', async (_, action, failures) => {
    const rules = [{ action, onExitCodes: { operator: 'In', values: [42] } }];
    const spec = { completionMode: 'Indexed', completions: 2, parallelism: 2, backoffLimitPerIndex: 1 };
    const cluster = await jobCluster({ ...spec, backoffLimit: null, podFailurePolicy: { rules } });
    const podOf = (index: string): KubeObject | undefined =>
      cluster
        .pods()
        .find(
          ({ metadata, status }) =>
            metadata.annotations?.['batch.kubernetes.io/job-completion-index'] === index &&
            (status as { readonly phase?: string } | undefined)?.phase !== 'Failed',
        );
    const containerStatuses = [{ name: 'main', state: { terminated: { exitCode: 42 } } }];
    for (const want of failures) {
      const pod = podOf('0');
      expect(pod?.metadata.annotations?.['batch.kubernetes.io/job-index-failure-count']).toBe(want);
      if (pod !== undefined) await cluster.setStatus(pod.metadata.name, { phase: 'Failed', containerStatuses });
      await cluster.clock.advance(60_000);
    }
    const isFailed = failures.includes(undefined);
    expect(jobStatus(cluster)).toMatchObject({ failedIndexes: isFailed ? '0' : '' });
    expect(isTrue(cluster, 'Failed')).toBe(false);
    await cluster.setStatus(podOf('1')?.metadata.name ?? '', { phase: 'Succeeded' });
    await cluster.clock.advance(1000);
    expect([isTrue(cluster, 'Failed'), isTrue(cluster, 'Complete')]).toEqual([isFailed, false]);
  });

  it('deletes its pods while it is suspended', async () => {
    const cluster = await jobCluster({});
    const before = names(cluster);
    await cluster.client.patch(RESOURCES.jobs, 'default', 'j', { spec: { suspend: true } }, { type: 'merge' });
    await cluster.clock.advance(1000);
    expect(cluster.find(before[0] ?? '')?.metadata.deletionTimestamp).toBeDefined();
    expect(isTrue(cluster, 'Suspended')).toBe(true);
  });

  it('creates nothing twice where the watch lags behind or answers are lost', async () => {
    const cluster = new TestCluster();
    let requests = 0;
    cluster.server.hooks.intercept = async ({ method, path }) => {
      const isCreation = method === 'POST' && path.endsWith('/pods');
      return Promise.resolve(isCreation && requests++ === 1 ? 'reset-after' : null);
    };
    await cluster.client.create(RESOURCES.jobs, 'default', {
      metadata: { name: 'j' },
      spec: { parallelism: 5, completions: 5, template: { spec: POD_SPEC } },
    });
    await cluster.clock.advance(10_000);
    expect(names(cluster)).toHaveLength(5);
    cluster.server.closeWatches();
    await cluster.clock.advance(10_000);
    expect(names(cluster)).toHaveLength(5);
  });
});

describe('ReplicaSet and Deployment', () => {
  const selector = { matchLabels: { app: 'web' } };
  const template = { metadata: { labels: { app: 'web' } }, spec: { ...POD_SPEC, restartPolicy: 'Always' } };

  it('replaces a pod at its deletionTimestamp', async () => {
    const cluster = await make(RESOURCES.replicaSets, 'web', { replicas: 1, selector, template });
    const name = only(cluster);
    await cluster.setStatus(name, { phase: 'Running' });
    await cluster.client.delete(RESOURCES.pods, 'default', name);
    await cluster.clock.advance(0);
    expect(names(cluster)).toHaveLength(2);
    expect(cluster.find(name)?.metadata.deletionTimestamp).toBeDefined();
  });

  it('owns one ReplicaSet, scales it and gives up pending pods first', async () => {
    const cluster = await make(RESOURCES.deployments, 'web', { replicas: 2, selector, template });
    const [replicaSet] = cluster.server.list(RESOURCES.replicaSets);
    const hash = replicaSet?.metadata.labels?.['pod-template-hash'];
    expect(replicaSet?.metadata.name).toBe(`web-${hash}`);
    expect(cluster.pods().map(({ metadata }) => metadata.labels?.['pod-template-hash'])).toEqual([hash, hash]);
    const kept = names(cluster)[1] as string;
    await cluster.setStatus(kept, { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] });
    await cluster.clock.advance(1000);
    expect(stored(cluster, RESOURCES.deployments, 'web')['status']).toMatchObject({ replicas: 2, readyReplicas: 1 });
    await cluster.client.patch(RESOURCES.deployments, 'default', 'web', { spec: { replicas: 1 } }, { type: 'merge' });
    await cluster.clock.advance(1000);
    expect(cluster.pods().filter(({ metadata }) => !metadata.deletionTimestamp)).toMatchObject([
      { metadata: { name: kept } },
    ]);
  });

  it('starts over with a new ReplicaSet for a new template', async () => {
    const cluster = await make(RESOURCES.deployments, 'web', { replicas: 1, selector, template });
    const containers = [{ name: 'main', image: 'main:2' }];
    const patch = { spec: { template: { spec: { containers } } } };
    await cluster.client.patch(RESOURCES.deployments, 'default', 'web', patch, { type: 'merge' });
    await cluster.clock.advance(1000);
    const replicas = (): readonly number[] =>
      cluster.server
        .list(RESOURCES.replicaSets)
        .map((replicaSet) => (replicaSet['spec'] as { replicas: number }).replicas)
        .sort((a, b) => a - b);
    expect(replicas()).toEqual([1, 1]);
    const fresh = cluster.pods().find(({ spec }) => spec?.containers?.[0]?.image === 'main:2');
    const ready = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };
    await cluster.setStatus(fresh?.metadata.name ?? '', ready);
    await cluster.clock.advance(1000);
    expect(replicas()).toEqual([0, 1]);
  });

  it('is a ReplicationController as well', async () => {
    const cluster = await make(RESOURCES.replicationControllers, 'rc', {
      replicas: 2,
      selector: { app: 'web' },
      template,
    });
    expect(names(cluster)).toHaveLength(2);
    await cluster.client.patch(
      RESOURCES.replicationControllers,
      'default',
      'rc',
      { spec: { replicas: 0 } },
      { type: 'merge' },
    );
    await cluster.clock.advance(1000);
    expect(cluster.pods().filter(({ metadata }) => !metadata.deletionTimestamp)).toEqual([]);
    await cluster.client.delete(RESOURCES.replicationControllers, 'default', 'rc');
    await cluster.clock.advance(1000);
    expect(stored(cluster, RESOURCES.replicationControllers, 'rc')).toBeUndefined();
  });

  it('takes its pods with it', async () => {
    const cluster = await make(RESOURCES.deployments, 'web', { replicas: 2, selector, template });
    await cluster.client.delete(RESOURCES.deployments, 'default', 'web');
    await cluster.clock.advance(1000);
    expect(cluster.server.list(RESOURCES.replicaSets)).toEqual([]);
    expect(cluster.pods().filter(({ metadata }) => !metadata.deletionTimestamp)).toEqual([]);
  });
});

describe('StatefulSet', () => {
  const spec = {
    replicas: 2,
    serviceName: 'db',
    selector: { matchLabels: { app: 'db' } },
    template: { metadata: { labels: { app: 'db' } }, spec: { ...POD_SPEC, restartPolicy: 'Always' } },
  };
  const ready = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };

  it('starts one after the other, and replaces a pod only when the old object is gone', async () => {
    const cluster = await make(RESOURCES.statefulSets, 'db', spec);
    expect(names(cluster)).toEqual(['db-0']);
    await cluster.setStatus('db-0', ready);
    await cluster.clock.advance(1000);
    expect(names(cluster)).toEqual(['db-0', 'db-1']);
    await cluster.setStatus('db-1', ready);
    const uid = cluster.find('db-0')?.metadata.uid;
    await cluster.client.delete(RESOURCES.pods, 'default', 'db-0');
    await cluster.clock.advance(20_000);
    expect(cluster.find('db-0')?.metadata.uid).toBe(uid);
    await cluster.gone('db-0');
    await cluster.clock.advance(1000);
    expect(cluster.find('db-0')?.metadata.uid).not.toBe(uid);
    expect(cluster.find('db-0')).toMatchObject({ spec: { hostname: 'db-0' }, status: { phase: 'Pending' } });
  });

  it('updates the highest ordinal first, and the next one once that is ready', async () => {
    const cluster = await make(RESOURCES.statefulSets, 'db', { ...spec, podManagementPolicy: 'Parallel' });
    for (const name of ['db-0', 'db-1']) await cluster.setStatus(name, ready);
    const containers = [{ name: 'main', image: 'main:2' }];
    const patch = { spec: { template: { spec: { containers } } } };
    await cluster.client.patch(RESOURCES.statefulSets, 'default', 'db', patch, { type: 'merge' });
    await cluster.clock.advance(1000);
    const going = (): readonly string[] =>
      cluster.pods().flatMap(({ metadata }) => (metadata.deletionTimestamp ? [metadata.name] : []));
    expect(going()).toEqual(['db-1']);
    await cluster.gone('db-1');
    await cluster.clock.advance(1000);
    expect(cluster.find('db-1')?.spec?.containers?.[0]?.image).toBe('main:2');
    expect(going()).toEqual([]);
    await cluster.setStatus('db-1', ready);
    await cluster.clock.advance(1000);
    expect(going()).toEqual(['db-0']);
  });

  it('gives up the highest ordinal first', async () => {
    const cluster = await make(RESOURCES.statefulSets, 'db', { ...spec, podManagementPolicy: 'Parallel' });
    expect(names(cluster)).toEqual(['db-0', 'db-1']);
    await cluster.client.patch(RESOURCES.statefulSets, 'default', 'db', { spec: { replicas: 1 } }, { type: 'merge' });
    await cluster.clock.advance(1000);
    expect(cluster.find('db-0')?.metadata.deletionTimestamp).toBeUndefined();
    expect(cluster.find('db-1')?.metadata.deletionTimestamp).toBeDefined();
  });
});

describe('garbage collector', () => {
  it('deletes the pods of a deleted Job, finalizers and pending ones included', async () => {
    const cluster = await jobCluster({ parallelism: 2, completions: 2, ...IGNORE_DISRUPTIONS });
    await cluster.client.create(RESOURCES.jobs, 'default', {
      metadata: { name: 'big' },
      spec: { template: { spec: { ...POD_SPEC, nodeSelector: { no: 'where' } } } },
    });
    await cluster.clock.advance(1000);
    expect(names(cluster)).toHaveLength(3);
    for (const name of ['j', 'big']) await cluster.client.delete(RESOURCES.jobs, 'default', name);
    await cluster.clock.advance(1000);
    expect(names(cluster)).toHaveLength(2); // bound: the kubelet has the last word
    for (const name of names(cluster)) await cluster.gone(name);
    await cluster.clock.advance(1000);
    expect(names(cluster)).toEqual([]);
  });

  it('leaves bare pods alone', async () => {
    const cluster = new TestCluster();
    await cluster.pod({ name: 'bare' });
    await cluster.clock.advance(60_000);
    expect(names(cluster)).toEqual(['bare']);
  });
});

describe('PodDisruptionBudget', () => {
  const limits: Record<string, { spec: object; allowed: number }> = {
    'minAvailable 2 of 3': { spec: { minAvailable: 2 }, allowed: 1 },
    'maxUnavailable 1': { spec: { maxUnavailable: 1 }, allowed: 1 },
    'minAvailable 50%': { spec: { minAvailable: '50%' }, allowed: 1 },
    'maxUnavailable 0': { spec: { maxUnavailable: 0 }, allowed: 0 },
  };
  for (const [what, { spec, allowed }] of Object.entries(limits)) {
    it(`allows ${allowed} with ${what}`, async () => {
      const cluster = new TestCluster();
      const selector = { matchLabels: { app: 'web' } };
      const budget = { metadata: { name: 'b' }, spec: { selector, ...spec } };
      await cluster.client.create(RESOURCES.podDisruptionBudgets, 'default', budget);
      for (const name of ['a', 'b', 'c']) {
        await cluster.pod({ name, labels: { app: 'web' } });
        await cluster.setStatus(name, { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] });
      }
      await cluster.clock.advance(1000);
      const { status } = stored(cluster, RESOURCES.podDisruptionBudgets, 'b') as KubeObject & { status: object };
      expect(status).toMatchObject({ disruptionsAllowed: allowed, currentHealthy: 3, expectedPods: 3 });
    });
  }
});

describe('completion indexes', () => {
  it('are written as ranges and read back', () => {
    for (const text of ['', '0', '0,1', '0-2', '0,2-4,7,8']) expect(formatIndexes(parseIndexes(text))).toBe(text);
  });
});
