import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { compareVersions } from '../../src/index/object-table.ts';
import { condition } from './story/history.ts';
import { Lab } from './story/lab.ts';
import { bound, nodeOf, running, ticketIn, victimUidOf, wasEvicted, workLost, type RunningPod } from './story/seen.ts';
import { pod, policy } from './story/workloads.ts';

/** A kube-scheduler that knows of no extender deletes its victims by itself: the guard saves them in admission. */
let lab: Lab;

beforeAll(async () => {
  lab = await Lab.start({
    nodes: 4,
    guardOnly: true,
    faults: { dumpFails: ({ metadata }) => (metadata.name.startsWith('stubborn') ? 'the disk is full' : null) },
  });
});
afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

async function victims(...names: readonly string[]): Promise<readonly RunningPod[]> {
  const found: RunningPod[] = [];
  for (const name of names) {
    const more = found[0] === undefined ? {} : { node: found[0].node };
    await lab.cluster.applyObjects(pod(name, { priorityClassName: 'batch', cpu: '1500m', state: '250Mi', ...more }));
    found.push(await running(lab, name));
  }
  await sleep(1_200); // some work, so that there is something to lose
  return found;
}

const serve = (name: string, node: string): Promise<unknown> =>
  lab.cluster.applyObjects(pod(name, { priorityClassName: 'serving', cpu: '3500m', node }));

const answers = async (labels: string): Promise<number> =>
  (await (await lab.leader()).metric(`reprieve_guard_answers_total{${labels}}`)) ?? 0;

it('nobody is asked about deletions by users', async () => {
  await lab.cluster.applyObjects(policy('batch', 'batch', 'Evict'));
  await victims('mine');
  await lab.cluster.kubectl('delete', 'pod', 'mine', '--wait=true');
  expect(await answers('reason="NotSeenYet",allowed="false"')).toBe(0);
  expect(await answers('reason="Saving",allowed="false"')).toBe(0);
});

it('both victims of a preemption are saved before kube-scheduler deletes them, and come back', async () => {
  const both = await victims('first', 'second');
  const [{ node }] = both as [RunningPod];
  await serve('serving', node);
  expect(nodeOf((await bound(lab, 'serving')).object)).toBe(node);
  for (const { uid } of both) {
    const deleted = await lab.history.until(
      'Pod',
      'deletion',
      ({ metadata }) => metadata.uid === uid && metadata.deletionTimestamp !== undefined,
    );
    const ready = await lab.history.until(
      'PodCheckpoint',
      'Ready',
      (object) => victimUidOf(object) === uid && condition(object, 'Ready') === 'True',
    );
    expect(compareVersions(ready.at, deleted.at)).toBeLessThan(0);
  }
  expect(await answers('reason="Saved",allowed="true"')).toBeGreaterThanOrEqual(2);
  await lab.cluster.kubectl('delete', 'pod', 'serving'); // one of them may run on its node only
  for (const { uid } of both) {
    await ticketIn(lab, 'Restored', uid);
    expect(await workLost(lab, uid)).toBe(0);
  }
  await lab.cluster.kubectl('delete', 'pod', 'first', 'second');
});

it('a victim whose mark is taken back while it is being saved is still waited for', async () => {
  const state = '3Gi'; // six seconds of the disk
  await lab.cluster.applyObjects(pod('long', { priorityClassName: 'batch', cpu: '3', state }));
  const { uid, node } = await running(lab, 'long');
  await serve('urgent', node);
  await ticketIn(lab, 'Saving', uid);
  // As the disruption controller does after two minutes.
  const mark = { type: 'DisruptionTarget', status: 'False' };
  const patch = JSON.stringify({ status: { conditions: [mark] } });
  await lab.cluster.kubectl('patch', 'pod', 'long', '--subresource=status', '--type=strategic', '-p', patch);
  expect(nodeOf((await bound(lab, 'urgent')).object)).toBe(node);
  await lab.cluster.kubectl('delete', 'pod', 'urgent');
  await ticketIn(lab, 'Restored', uid);
  expect(await workLost(lab, uid)).toBe(0);
  await lab.cluster.kubectl('delete', 'pod', 'long');
});

it('where saving fails a victim goes unsaved, unless its policy refuses that', async () => {
  const [lenient] = (await victims('stubborn')) as [RunningPod];
  await serve('served', lenient.node);
  expect(nodeOf((await bound(lab, 'served')).object)).toBe(lenient.node);
  expect(await answers('reason="SavingFailed",allowed="true"')).toBeGreaterThanOrEqual(1);
  await lab.cluster.kubectl('delete', 'pod', 'served');

  await lab.cluster.applyObjects(policy('batch', 'batch', 'Refuse'));
  await sleep(1_000);
  const [strict] = (await victims('stubborn-too')) as [RunningPod];
  await serve('waiting', strict.node);
  await expect
    .poll(() => answers('reason="SavingFailed",allowed="false"'), { timeout: 30_000, interval: 500 })
    .toBeGreaterThanOrEqual(1);
  expect(wasEvicted(lab, strict.uid)).toBe(false);
  await lab.cluster.kubectl('delete', 'pod', 'waiting', 'stubborn-too', '--wait=false');
});
