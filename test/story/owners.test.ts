import { afterEach, describe, expect, it } from 'vitest';
import type { Pod } from '../../src/domain/pod.ts';
import type { Ticket } from '../../src/domain/ticket.ts';
import { podOf } from '../../src/kube/project/pod.ts';
import { ticketOf } from '../../src/kube/project/ticket.ts';
import { RESOURCES, type ResourceType } from '../../src/kube/resources.ts';
import { nodeSpec } from '../../src/sim/nodes/node-spec.ts';
import { Story } from '../../src/sim/story.ts';
import { create, PRIORITY_CLASSES, savesBatch } from '../support/scenario-actions.ts';

const { deployments, events, jobs, pods, replicaSets, reprieves, statefulSets } = RESOURCES;
const SECOND = 1000;
const labels = { app: 'work' };

type OwnerName =
  | 'Deployment'
  | 'Deployment that recreates'
  | 'StatefulSet'
  | 'parallel StatefulSet'
  | 'Job'
  | 'indexed Job'
  | 'Job with retries per index'
  | 'Job with a success policy'
  | 'bare pod'
  | 'RankedJob';

const podSpec = (priorityClassName: string, restartPolicy = 'Always', env: readonly object[] = []): object => ({
  priorityClassName,
  restartPolicy,
  containers: [{ name: 'main', image: 'app:1', env, resources: { requests: { cpu: '5', memory: '1Gi' } } }],
});
const template = (restartPolicy?: string, env: readonly object[] = []): object => ({
  metadata: { labels, annotations: { 'sim.reprieve.dev/memory': '500Mi' } },
  spec: podSpec('batch', restartPolicy, env),
});
const ignoresDisruption = {
  rules: [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] }],
};
const job = (spec: object): object => ({ backoffLimit: 0, template: template('Never'), ...spec });
const indexed = { completionMode: 'Indexed', completions: 1 };
const replicated = { replicas: 1, selector: { matchLabels: labels }, template: template() };
const ranked = { apiVersion: 'example.com/v1', kind: 'RankedJob', name: 'work', uid: 'uid-ranked', controller: true };

const small = [{ name: 'main', image: 'app:1', resources: { requests: { cpu: '2' } } }];

/** What makes the pod, and its spec. */
const OWNERS: Readonly<Record<OwnerName, { readonly type: ResourceType; readonly object: object }>> = {
  Deployment: { type: deployments, object: { spec: replicated } },
  'Deployment that recreates': {
    type: deployments,
    object: { spec: { ...replicated, strategy: { type: 'Recreate' } } },
  },
  StatefulSet: { type: statefulSets, object: { spec: { ...replicated, serviceName: 'work' } } },
  'parallel StatefulSet': {
    type: statefulSets,
    object: { spec: { ...replicated, serviceName: 'work', podManagementPolicy: 'Parallel' } },
  },
  Job: { type: jobs, object: { spec: job({ podFailurePolicy: ignoresDisruption }) } },
  'indexed Job': {
    type: jobs,
    object: { spec: job({ podFailurePolicy: ignoresDisruption, completionMode: 'Indexed', completions: 1 }) },
  },
  'Job with retries per index': {
    type: jobs,
    object: {
      spec: {
        ...job({ podFailurePolicy: ignoresDisruption, ...indexed }),
        backoffLimit: null,
        backoffLimitPerIndex: 0,
      },
    },
  },
  'Job with a success policy': {
    type: jobs,
    object: {
      spec: job({
        podFailurePolicy: ignoresDisruption,
        ...indexed,
        successPolicy: { rules: [{ succeededIndexes: '0' }] },
      }),
    },
  },
  'bare pod': { type: pods, object: template() },
  RankedJob: { type: pods, object: { ...template(), metadata: { labels, ownerReferences: [ranked] } } },
};

let story: Story | undefined;
afterEach(() => story?.cluster.stop());

/** One node, which the work fills until `high` takes it; the work was displaced and waits. */
async function displaced(
  owner: OwnerName,
  change: (object: object) => object = (object) => object,
  untilSeconds = 95,
): Promise<Story> {
  const { type, object } = OWNERS[owner];
  const { metadata } = object as { readonly metadata?: object };
  story = new Story({
    seed: 1,
    withReprieve: true,
    scenario: {
      nodes: [nodeSpec('node-1')],
      endMs: 3_600 * SECOND,
      actions: [
        ...PRIORITY_CLASSES,
        savesBatch(),
        create(0, type, change({ ...object, metadata: { ...metadata, name: 'work' } })),
        create(60 * SECOND, pods, { metadata: { name: 'high' }, spec: podSpec('serving') }),
      ],
    },
  });
  await story.start();
  await story.play(untilSeconds * SECOND);
  return story;
}

const work = ({ cluster }: Story): readonly Pod[] =>
  cluster.api
    .list(pods)
    .map(podOf)
    .filter((pod) => pod.labels['app'] === 'work');
const ticketsOf = ({ cluster }: Story): readonly Ticket[] => cluster.api.list(reprieves).map(ticketOf);
const outcome = (played: Story): readonly string[] =>
  ticketsOf(played).map(({ phase, said }) => (phase === said.reason ? phase : `${phase} ${said.reason}`));
async function leaves(played: Story, untilSeconds: number): Promise<readonly string[]> {
  await played.cluster.client.delete(pods, 'default', 'high');
  await played.play(untilSeconds * SECOND);
  return outcome(played);
}

/** What happens to the work while it waits, and what its ticket says half a minute later. */
const EVENTS: Readonly<
  Record<
    string,
    {
      readonly do: (played: Story) => Promise<unknown>;
      readonly change?: (object: object) => object;
      /** What lets the work go on, where it was stopped. */
      readonly undo?: (played: Story) => Promise<unknown>;
      /** What its ticket says when there is room for it, where that is not what follows from what it said before. */
      readonly ends?: Partial<Record<OwnerName, string>>;
      readonly want: Partial<Record<OwnerName, string>>;
    }
  >
> = {
  'is deleted': {
    do: ({ cluster, scenario }) => {
      const { type } = scenario.actions.find(({ type: one }) => one !== pods && isOwnerType(one)) ?? { type: pods };
      return cluster.client.delete(type, 'default', 'work');
    },
    want: {
      Deployment: 'Abandoned OwnerGone',
      StatefulSet: 'Abandoned OwnerGone',
      Job: 'Abandoned OwnerGone',
      'indexed Job': 'Abandoned OwnerGone',
      'bare pod': 'Abandoned PodDeleted',
    },
  },
  'is scaled to nothing': {
    do: (played) => patchOwner(played, { spec: { replicas: 0 } }),
    want: {
      Deployment: 'Abandoned OwnerWantsFewer',
      'Deployment that recreates': 'Abandoned OwnerWantsFewer',
      StatefulSet: 'Abandoned OwnerWantsFewer',
      'parallel StatefulSet': 'Abandoned OwnerWantsFewer',
    },
  },
  'has failed by the eviction itself': {
    do: async () => undefined,
    change: withSpec({ podFailurePolicy: null }),
    want: { Job: 'Abandoned OwnerFailed', 'indexed Job': 'Abandoned OwnerFailed' },
  },
  'is suspended': {
    // Kubernetes counts the pod that it deletes for the suspension as a failed one.
    change: withOneRetry,
    do: (played) => patchOwner(played, { spec: { suspend: true } }),
    undo: (played) => patchOwner(played, { spec: { suspend: false } }),
    want: {
      Job: 'Waiting Queued',
      'indexed Job': 'Waiting Queued',
      'Job with retries per index': 'Waiting Queued',
      'Job with a success policy': 'Waiting Queued',
    },
  },
  'is scaled up': {
    do: (played) => patchOwner(played, { spec: { replicas: 3 } }),
    undo: (played) => patchOwner(played, { spec: { replicas: 1 } }),
    want: { StatefulSet: 'Waiting Queued', 'parallel StatefulSet': 'Waiting Queued' },
  },
  'is rolled out with another template': {
    do: (played) => patchOwner(played, { spec: { template: template('Always', [{ name: 'MODE', value: 'other' }]) } }),
    // One that rolls keeps its old pod until the new one is available.
    want: { Deployment: 'Waiting Queued', 'Deployment that recreates': 'Abandoned OwnerWantsFewer' },
    ends: { Deployment: 'Abandoned OwnerWantsFewer' },
  },
  'has its waiting pod deleted': {
    do: (played) => played.cluster.client.delete(pods, 'default', work(played)[0]?.name ?? ''),
    want: {
      Deployment: 'Waiting Queued',
      'Deployment that recreates': 'Waiting Queued',
      StatefulSet: 'Waiting Queued',
      'parallel StatefulSet': 'Waiting Queued',
    },
  },
};

function withSpec(more: object): (object: object) => object {
  return (object) => ({ ...object, spec: { ...(object as { readonly spec: object }).spec, ...more } });
}

function withOneRetry(object: object): object {
  const { spec } = object as { readonly spec: object };
  return withSpec('backoffLimitPerIndex' in spec ? { backoffLimitPerIndex: 1 } : { backoffLimit: 1 })(object);
}

function patchOwner({ cluster, scenario }: Story, patch: object): Promise<unknown> {
  const { type } = scenario.actions.find(({ type: one }) => isOwnerType(one)) ?? { type: deployments };
  return cluster.client.patch(type, 'default', 'work', patch, { type: 'merge' });
}

function isOwnerType(type: ResourceType): boolean {
  return type === deployments || type === statefulSets || type === jobs;
}

for (const [event, { do: act, change, undo, want, ends }] of Object.entries(EVENTS)) {
  describe(`a displaced pod whose owner ${event}`, () => {
    for (const [owner, said] of Object.entries(want) as [OwnerName, string][]) {
      it(`${owner}: ${said}`, async () => {
        const played = await displaced(owner, change);
        await act(played);
        await played.play(130 * SECOND);
        expect(outcome(played)).toEqual([said]);
        const isOver = said.startsWith('Abandoned');
        await undo?.(played);
        const end = ends?.[owner] ?? (isOver ? said : 'Restored');
        expect(await leaves(played, 200)).toEqual([end]);
        if (end !== 'Restored') expect(played.cluster.ledger.count('restored')).toBe(0);
      });
    }
  });
}

describe('the pod that comes back', () => {
  for (const owner of Object.keys(OWNERS).filter((name) => name !== 'RankedJob') as OwnerName[]) {
    it(`of a ${owner} continues`, async () => {
      const played = await displaced(owner);
      expect(outcome(played)).toEqual(['Waiting Queued']);
      expect(await leaves(played, 200)).toEqual(['Restored']);
    });
  }

  it('of a StatefulSet with another template starts cold, and pod and ticket say in what it differs', async () => {
    const played = await displaced('StatefulSet');
    const { client, api } = played.cluster;
    const env = [{ name: 'MODE', value: 'other' }];
    await client.patch(
      statefulSets,
      'default',
      'work',
      { spec: { template: template('Always', env) } },
      { type: 'merge' },
    );
    await client.delete(pods, 'default', 'work-0');
    expect(await leaves(played, 200)).toEqual(['ColdStarted TemplateDiffers']);
    expect(ticketsOf(played)[0]?.said.message).toContain('differs from the saved pod in: env');
    expect(work(played)[0]).toMatchObject({ phase: 'Running', restored: { succeeded: false, reason: 'TicketEnded' } });
    expect(work(played)[0]?.restored?.message).toContain('env');
    const told = api.list(events).filter(({ reason }) => reason === 'ColdStarted');
    expect(told.map(({ involvedObject }) => (involvedObject as { kind: string }).kind).sort()).toEqual([
      'Pod',
      'Reprieve',
    ]);
  });

  it('of a controller that Reprieve does not know is the one of the same name', async () => {
    const played = await displaced('RankedJob');
    const { client } = played.cluster;
    expect(outcome(played)).toEqual(['Waiting Queued']);
    for (const name of ['sibling', 'work'])
      await client.create(pods, 'default', { ...template(), metadata: { name, labels, ownerReferences: [ranked] } });
    await played.play(100 * SECOND);
    expect(work(played).map(({ name, ticket, gates }) => [name, ticket !== null, gates.length])).toEqual([
      ['sibling', false, 0],
      ['work', true, 1],
    ]);
  });
});

it('a Job that an eviction would fail says so beforehand, on the policy and on the pod', async () => {
  const played = await displaced('Job', EVENTS['has failed by the eviction itself']?.change, 59);
  const { api } = played.cluster;
  const [policy] = api.list(RESOURCES.reprievePolicies);
  const status = policy?.['status'] as { readonly conditions: readonly { readonly type: string }[] } | undefined;
  expect(status?.conditions.find(({ type }) => type === 'Restorable')).toMatchObject({
    status: 'False',
    reason: 'JobWouldFail',
  });
  await played.play(95 * SECOND);
  const told = api.list(events).filter(({ reason }) => reason === 'JobWouldFail');
  expect(told).toMatchObject([{ involvedObject: { kind: 'Pod' }, message: /backoffLimit 0/ }]);
});

describe('a Job whose index an eviction would fail', () => {
  const told = ({ cluster }: Story, reason: string): readonly string[] =>
    cluster.api
      .list(events)
      .filter((event) => event['reason'] === reason)
      .map(({ message }) => String(message));
  const killed = { action: 'FailIndex', onExitCodes: { operator: 'In', values: [137] } };
  const failsFirst = withSpec({
    backoffLimitPerIndex: 3,
    podFailurePolicy: { rules: [killed, ...ignoresDisruption.rules] },
  });

  it('by a rule before the one that ignores disruptions says so beforehand', async () => {
    const played = await displaced('Job with retries per index', failsFirst);
    expect(told(played, 'JobWouldFail')).toMatchObject([/podFailurePolicy rule 1: FailIndex/]);
    await played.play(130 * SECOND);
    expect(outcome(played)).toEqual(['Abandoned OwnerFailed']);
  });

  it('keeps its pod where a person asks to move it', async () => {
    const played = await displaced('Job with retries per index', failsFirst, 50);
    const annotations = { 'reprieve.dev/displace': 'new kernel' };
    const [pod] = work(played);
    await played.cluster.client.patch(
      pods,
      'default',
      pod?.name ?? '',
      { metadata: { annotations } },
      { type: 'merge' },
    );
    await played.play(59 * SECOND);
    expect(told(played, 'NotMoved')).toMatchObject([/reprieve.dev\/displace asks: Job work fails the index/]);
    expect(work(played)).toMatchObject([{ uid: pod?.uid, frozenBy: null }]);
  });

  it('because its retry was used up says so beforehand, and not before', async () => {
    const played = await displaced(
      'Job with retries per index',
      withSpec({ backoffLimitPerIndex: 1, podFailurePolicy: null }),
    );
    expect(told(played, 'JobWouldFail')).toEqual([]);
    expect(await leaves(played, 200)).toEqual(['Restored']);
    const high = { metadata: { name: 'high' }, spec: podSpec('serving') };
    await played.cluster.client.create(pods, 'default', high);
    await played.play(300 * SECOND);
    expect(told(played, 'JobWouldFail')).toMatchObject([/backoffLimitPerIndex 1/]);
    expect(outcome(played).toSorted()).toEqual(['Abandoned OwnerFailed', 'Restored']);
  });
});

it('the newest state is continued, and the one before it is not, when a pod came past the webhook between them', async () => {
  const played = await displaced('StatefulSet');
  const { client, api } = played.cluster;
  const { admitPod } = api.hooks;
  delete api.hooks.admitPod;
  await client.delete(pods, 'default', 'work-0');
  await client.delete(pods, 'default', 'high');
  await played.play(140 * SECOND);
  expect(outcome(played)).toEqual(['ColdStarted NotGated']);
  if (admitPod) api.hooks.admitPod = admitPod;
  await played.play(200 * SECOND);
  await client.create(pods, 'default', { metadata: { name: 'high' }, spec: podSpec('serving') });
  await played.play(240 * SECOND);
  expect((await leaves(played, 300)).toSorted()).toEqual(['ColdStarted NotGated', 'Restored']);
  expect(work(played)[0]?.ticket).toBe(ticketsOf(played).find(({ phase }) => phase === 'Restored')?.name);
  expect(api.list(replicaSets)).toEqual([]);
});

it('a bare pod that its user deletes while it is held does not come back, and its state is kept', async () => {
  const played = await displaced('bare pod');
  const { client, api } = played.cluster;
  await leaves(played, 130);
  // Two victims, saved one after the other: the first is held until the second is saved.
  const other = { ...template(), metadata: { name: 'other', annotations: { 'sim.reprieve.dev/memory': '5000Mi' } } };
  await client.create(pods, 'default', { ...other, spec: { ...podSpec('batch'), containers: small } });
  await played.play(150 * SECOND);
  const large = { ...podSpec('serving'), containers: [{ ...small[0], resources: { requests: { cpu: '7' } } }] };
  await client.create(pods, 'default', { metadata: { name: 'high' }, spec: large });
  const held = (): Pod | undefined =>
    api
      .list(pods)
      .map(podOf)
      .find(({ frozenBy }) => frozenBy !== null);
  for (let ms = 150_000; held() === undefined && ms < 170_000; ms += 100) await played.play(ms);
  const victim = held() as Pod;
  await client.delete(pods, 'default', victim.name);
  await played.play(200 * SECOND);
  const ticket = ticketsOf(played).find(({ pod }) => pod.uid === victim.uid);
  expect(ticket).toMatchObject({ phase: 'Abandoned', said: { reason: 'PodDeleted' } });
  expect(api.list(pods).some(({ metadata }) => metadata.name === victim.name)).toBe(false);
  expect(api.list(RESOURCES.podCheckpoints).some(({ metadata }) => metadata.name === ticket?.checkpoint)).toBe(true);
  const told = api
    .list(events)
    .filter(({ reason, message }) => reason === 'Abandoned' && /user deleted/.test(String(message)));
  expect(told).toHaveLength(1);
});
