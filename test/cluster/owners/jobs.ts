import { expect } from 'vitest';
import { RESOURCES } from '../../../src/kube/resources.ts';
import type { KubeObject } from '../../../src/kube/transport.ts';
import { field } from '../story/history.ts';
import { isGated, nameOf, phaseOf, type RunningPod } from '../story/seen.ts';
import { job } from '../story/workloads.ts';
import { indexOf, isOther, played, ticketNameOf, withSpec, type Rows } from './objects.ts';
import { continued, ends, completes, told, settles } from './judge.ts';
import type { OwnerRow } from './row.ts';

const { jobs } = RESOURCES;
const cronJobs = { group: 'batch', version: 'v1', plural: 'cronjobs', kind: 'CronJob', namespaced: true };

export const JOBS: Rows = {
  'parallel, whose next completion starts while one of its pods waits': async (row) => {
    await row.create(withSpec(job(row.name, row.shape({ workSeconds: 12 })), { parallelism: 2, completions: 4 }));
    const pods = await row.started(2);
    const victims = await row.displaced(pods, 3);
    expect(victims).toHaveLength(1);
    const claimant = await row.waitsFor(victims[0] as RunningPod);
    const before = [...pods.map(({ uid }) => uid), claimant.metadata.uid];
    const next = await row.seen(
      'the next completion',
      (object) => isOther(before)(object) && phaseOf(object) === 'Running',
    );
    expect(ticketNameOf(next)).toBeUndefined();
    await row.leaves();
    expect((await continued(row, victims)).map(({ metadata }) => metadata.uid)).toEqual([claimant.metadata.uid]);
    expect(field(await completes(row), 'status', 'succeeded')).toBe(4);
    await settles(row, 0);
  },
  'Indexed: each index continues its own state': (row) => indexed(row, {}),
  'Indexed, with no retry of an index': (row) => indexed(row, { backoffLimit: null, backoffLimitPerIndex: 0 }),
  'Indexed, whose success does not need the pod that waits': async (row) => {
    const successPolicy = { rules: [{ succeededCount: 1 }] };
    const more = { parallelism: 2, completions: 2, completionMode: 'Indexed', successPolicy };
    // It succeeds before the Job controller makes the next pod, which it does ten seconds after the end of one.
    await row.create(withSpec(job(row.name, row.shape({ workSeconds: 8 })), more));
    const victims = await row.displaced(await row.started(2), 3);
    expect(victims).toHaveLength(1);
    await completes(row);
    await ends(row, victims, 'Abandoned', 'OwnerComplete');
    await settles(row, 0);
  },
  'suspended and resumed while its pod waits': async (row) => {
    await row.create(job(row.name, row.shape({ workSeconds: 12 })));
    const victims = await row.displaced(await row.started(1));
    const gated = await row.waitsFor(victims[0] as RunningPod);
    await row.patch(jobs, { spec: { suspend: true } });
    await row.goes(gated.metadata.uid);
    await row.patch(jobs, { spec: { suspend: false } });
    await row.seen('the next', isOther([victims[0]?.uid, gated.metadata.uid]));
    await row.leaves();
    await continued(row, victims);
    await completes(row);
    await settles(row, 0);
  },
  'whose eviction fails it': async (row) => {
    await row.create(withSpec(job(row.name, row.shape()), { podFailurePolicy: null }));
    const victims = await row.displaced(await row.started(1));
    await ends(row, victims, 'Abandoned', 'OwnerFailed');
    await settles(row, 0);
  },
  'managed by another controller': async (row) => {
    const owner = await row.create(withSpec(job(row.name, row.shape()), { managedBy: 'example.com/jobs' }));
    const next = (): Promise<KubeObject> => row.create(played(row, owner, { generateName: `${row.name}-` }));
    await next();
    const victims = await row.displaced(await row.started(1));
    const replacement = await next();
    await row.leaves();
    expect((await continued(row, victims)).map(nameOf)).toEqual([nameOf(replacement)]);
    await settles(row, 1);
    expect((await row.client.get(jobs, 'default', row.name))['status']).toEqual({});
  },
  'of a CronJob that forbids two at once': async (row) => {
    const { name } = await cronJob(row, 'Forbid');
    const victims = await row.displaced(await row.started(1));
    await nextRunIsDue(row);
    await told(row, 'JobAlreadyActive');
    await row.leaves();
    await continued(row, victims);
    await completes(row, name);
    const second = await row.seen('the second run', (object) => !nameOf(object).startsWith(`${name}-`));
    expect(isGated(second)).toBe(false);
    await settles(row, 1);
  },
  'of a CronJob that replaces the one before': async (row) => {
    const { name } = await cronJob(row, 'Replace');
    const victims = await row.displaced(await row.started(1));
    await nextRunIsDue(row);
    const second = await row.seen('the second run', (object) => !nameOf(object).startsWith(`${name}-`));
    expect(isGated(second)).toBe(false);
    await ends(row, victims, 'Abandoned', 'OwnerGone');
    await row.leaves();
    expect((await settles(row, 1)).map(nameOf)).toEqual([nameOf(second)]);
  },
};

// Two pods: kube-controller-manager makes the next one 10 s after one of a Job has failed, and each further failure doubles that.
async function indexed(row: OwnerRow, more: object): Promise<void> {
  const shared = { parallelism: 2, completions: 2, completionMode: 'Indexed', ...more };
  await row.create(withSpec(job(row.name, row.shape({ workSeconds: 12 })), shared));
  const pods = await row.started(2);
  const victims = await row.displaced(pods);
  expect(victims).toHaveLength(2);
  const before = await Promise.all(
    victims.map(({ uid }) => row.seen('a victim', ({ metadata }) => metadata.uid === uid)),
  );
  await row.leaves();
  expect((await continued(row, victims)).map(indexOf)).toEqual(before.map(indexOf));
  const done = await completes(row);
  expect(done['status']).toMatchObject({ succeeded: 2, completedIndexes: '0,1' });
  expect(field(done, 'status', 'failedIndexes') ?? '').toBe('');
  await settles(row, 0);
}

/** Due once a year; its first run is due now, for the one before was long ago. Answers the Job of that run. */
async function cronJob(row: OwnerRow, concurrencyPolicy: string): Promise<{ readonly name: string }> {
  const { spec: ofJob } = job('', row.shape({ workSeconds: 12 })) as { readonly spec: object };
  const spec = { schedule: '0 0 1 1 *', concurrencyPolicy, jobTemplate: { spec: ofJob } };
  await row.create({ apiVersion: 'batch/v1', kind: 'CronJob', metadata: { name: row.name }, spec });
  await row.patch(cronJobs, { status: { lastScheduleTime: '2020-06-01T00:00:00Z' } }, 'status');
  const { metadata } = await row.seen('the first run', () => true);
  return { name: metadata.ownerReferences?.[0]?.name ?? '' };
}

async function nextRunIsDue(row: OwnerRow): Promise<void> {
  await row.patch(cronJobs, { spec: { schedule: '0 0 2 1 *' } });
  // The controller looks at any other change at once.
  await row.patch(cronJobs, { metadata: { annotations: { 'example.com/look': 'now' } } });
}
