import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab } from './story/lab.ts';
import type { Replica } from './story/replica.ts';
import { bound, eventsAbout, nodeOf, running, victimUidOf, workLost } from './story/seen.ts';
import { pod, policy } from './story/workloads.ts';

/**
 * The leader is killed when one of its writes has taken effect and it has not heard of it: each write of the story, from the
 * first ticket to the removal of the checkpoint. The story ends the same, whichever it was. A round takes seconds here, so the
 * two ways to recover share the writes; `test/story/crash.test.ts` plays every write in the embedded cluster.
 */
let lab: Lab;
let rounds = 0;
const POSITIONS_MS = 900_000;

/** Short, because each position waits for the lease of the dead to run out. */
const configuration = { leaderElection: { leaseDuration: '2s', renewDeadline: '1500ms', retryPeriod: '250ms' } };

afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

const isOfTheStory = (path: string): boolean => path.includes('/namespaces/default/');

interface Round {
  readonly victimUid: string;
  readonly node: string;
  readonly victim: string;
  readonly serving: string;
}

/** Plays the story with `deadly` as the last write of the leader; answers how many writes the leader it began with made. */
async function playedWithStrike(deadly: number, onStrike: (struck: Replica) => Promise<void>): Promise<number> {
  const round = ++rounds;
  const victim = `victim-${round}`;
  const serving = `serving-${round}`;
  await lab.cluster.applyObjects(pod(victim, { priorityClassName: 'batch', cpu: '3' }));
  const { uid, node } = await running(lab, victim);
  await sleep(1_100); // some work, so that there is something to lose
  const leader = await lab.leader();
  let writes = 0;
  let recovered = Promise.resolve();
  leader.proxy.onWrite = ({ path }) => {
    if (!isOfTheStory(path) || ++writes !== deadly) return;
    leader.strike();
    recovered = leader.ended().then(() => onStrike(leader));
  };
  await lab.cluster.applyObjects(pod(serving, { priorityClassName: 'serving', cpu: '3', node }));
  await expectGoodEnd({ victimUid: uid, node, victim, serving });
  leader.proxy.onWrite = null;
  await recovered;
  await lab.cluster.kubectl('delete', 'pod', victim, serving, '--wait=false');
  return writes;
}

async function expectGoodEnd({ victimUid, node, victim, serving }: Round): Promise<void> {
  const { history } = lab;
  expect(nodeOf((await bound(lab, serving)).object)).toBe(node);
  expect(await workLost(lab, victimUid)).toBe(0);
  await history.until(
    'PodCheckpoint',
    `removal of the state of ${victim}`,
    (object, { type }) => type === 'DELETED' && victimUidOf(object) === victimUid,
  );
  const tickets = history.of('Reprieve').filter(({ object }) => victimUidOf(object) === victimUid);
  expect(tickets.filter(({ type }) => type === 'ADDED')).toHaveLength(1);
  const checkpoints = history.of('PodCheckpoint').filter(({ object }) => victimUidOf(object) === victimUid);
  expect(checkpoints.filter(({ type }) => type === 'ADDED')).toHaveLength(1);
  const incarnations = new Set(history.of('Pod', victim).map(({ object }) => object.metadata.uid));
  expect(incarnations.size).toBe(2); // the victim, and the one that goes on with its work
  expect(lab.nodes.frozen()).toEqual([]);
  expect(lab.ledger.lost.discarded).toBe(0);
  expect(await eventsAbout(lab, victim)).not.toContain('EvictedUnsaved');
}

/** Kills at every second write, beginning with `first`; answers how many rounds were played. */
async function atEverySecondWrite(first: 1 | 2, onStrike: (struck: Replica) => Promise<void>): Promise<number> {
  for (let deadly: number = first; ; deadly += 2) {
    let writes: number;
    try {
      writes = await playedWithStrike(deadly, onStrike);
    } catch (error) {
      throw new Error(`killed at write ${deadly}: ${(error as Error).message}`, { cause: error });
    }
    if (writes < deadly) return (deadly - first) / 2;
  }
}

describe('SIGKILL after each write of the story', () => {
  beforeAll(async () => {
    lab = await Lab.start({ nodes: 4, replicas: 2, configuration });
    await lab.cluster.applyObjects(policy('batch', 'batch'));
  });

  it('with a follower that takes over: the same end, and nothing lost', { timeout: POSITIONS_MS }, async () => {
    expect(await atEverySecondWrite(1, (struck) => struck.start())).toBeGreaterThanOrEqual(7);
  });

  it('with nobody else, and a restart: the same end, and nothing lost', { timeout: POSITIONS_MS }, async () => {
    const leader = await lab.leader();
    for (const replica of lab.replicas) if (replica !== leader) await replica.stop();
    expect(await atEverySecondWrite(2, (struck) => struck.start())).toBeGreaterThanOrEqual(7);
  });
});
