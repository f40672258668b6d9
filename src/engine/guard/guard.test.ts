import { describe, expect, it } from 'vitest';
import {
  makeCheckpoint,
  makeDisplacement,
  makeNode,
  makePod,
  makePolicy,
  makeTicket,
  makeUnsavedVictim,
} from '../../../test/support/builders.ts';
import { askGuard } from '../../../test/support/guard.ts';
import { TestWorld, uidOf } from '../../../test/support/world.ts';
import type { Displacement } from '../../domain/displacement.ts';
import { rulesOf } from '../causes/causes.ts';
import type { CloseReason } from '../displace/close-reasons.ts';
import type { GuardVerdict } from './guard-request.ts';

const pod = makePod({ name: 'pod', nodeName: 'n1', priority: 10, disrupted: true });
const beside = makePod({ name: 'beside', nodeName: 'n1', priority: 10 });
const high = makePod({ name: 'high', priority: 1000 });

const cluster = (): TestWorld =>
  new TestWorld().put('node', makeNode()).put('policy', makePolicy()).put('pod', high, pod, beside);

function ask(world: TestWorld, asking?: Parameters<typeof askGuard>[2]): GuardVerdict {
  const { namespace, name, uid } = pod;
  const who = {
    by: 'Deletion',
    requester: 'system:kube-scheduler',
    why: 'PreemptionByScheduler',
    isEnding: false,
    dryRun: false,
  } as const;
  return askGuard(world, { namespace, name, uid, ...who }, asking);
}

const opened = (world: TestWorld): Displacement => world.book.get('d1') as Displacement;

function close(world: TestWorld, displacement: Displacement, because: CloseReason): void {
  world.book.close(displacement);
  const { index: view, rests } = world;
  const { settings } = world.world();
  const wakes = { refuse: () => {}, hold: () => {} };
  rulesOf(displacement).onEnding({ view, rests, wakes, settings }, displacement, because);
}

/** As the agent and the API server would, up to the moment at which the pod is frozen and may go. */
function save(world: TestWorld): void {
  const displacement = opened(world);
  const name = displacement.pods[0]?.checkpoint ?? '';
  world
    .put('ticket', makeTicket({ phase: 'Saving', displacement, checkpoint: name }))
    .put('checkpoint', {
      ...makeCheckpoint({ name, podUid: pod.uid }),
      ready: true,
      frozen: true,
      takenMs: world.nowMs,
      bytes: 1,
    })
    .put('pod', makePod({ ...pod, frozenBy: name }));
}

/** Asks every second, as a client of Kubernetes does, and has the steps run. */
function askedUntil(world: TestWorld, untilMs: number): GuardVerdict {
  let verdict = ask(world);
  while (!verdict.allowed && world.nowMs < untilMs) {
    world.nowMs += 1_000;
    expect(world.steps().closed).toEqual([]);
    verdict = ask(world);
  }
  return verdict;
}

describe('maxDelay', () => {
  it('ends the wait for a save that never begins', () => {
    const world = cluster();
    ask(world);
    const { deadlineMs } = opened(world);
    expect(askedUntil(world, 10 * deadlineMs)).toMatchObject({ allowed: true, reason: 'SavingFailed' });
    expect(world.nowMs - deadlineMs).toBeLessThan(1_000);
  });

  it('ends the wait for a replica that never sees the ticket', () => {
    const world = cluster();
    ask(world);
    const { deadlineMs } = opened(world);
    save(world);
    world.index.setWebhookReplicas([{ name: 'reprieve-0', seen: '1' }]);
    expect(ask(world)).toMatchObject({ allowed: false, reason: 'Saving' });
    expect(askedUntil(world, 10 * deadlineMs)).toEqual({ allowed: true, reason: 'Saved' });
    expect(world.nowMs - deadlineMs).toBeLessThan(1_000);
  });
});

it('a leader that is new every few seconds keeps to the deadline of the first one', () => {
  const world = cluster();
  ask(world);
  const displacement = opened(world);
  const { deadlineMs } = displacement;
  world.put(
    'ticket',
    makeTicket({ phase: 'Saving', displacement, checkpoint: displacement.pods[0]?.checkpoint ?? '' }),
  );
  let verdict = ask(world);
  while (!verdict.allowed && world.nowMs < 10 * deadlineMs) {
    world.nowMs += 3_000;
    world.actingSinceMs = world.nowMs;
    world.book.clear();
    expect(world.steps().closed).toEqual([]);
    verdict = ask(world);
  }
  expect(verdict).toMatchObject({ allowed: true, reason: 'SavingFailed' });
  expect(world.nowMs - deadlineMs).toBeLessThan(3_000);
});

describe('beside other displacements', () => {
  it('a preemption for other pods of the node does not end the saving', () => {
    const world = cluster();
    ask(world);
    expect(world.preempt(high, { n1: [beside] }).opened).not.toBeNull();
    expect(world.steps().closed).toEqual([]);
    expect(ask(world)).toMatchObject({ reason: 'Saving' });
  });

  it('a preemption that takes the pod over goes on where it began', () => {
    const world = cluster();
    ask(world);
    const before = opened(world);
    expect(world.preempt(high, { n1: [pod] }).closed).toMatchObject([{ displacement: before, because: 'Superseded' }]);
  });
});

describe('a question that is not repeated', () => {
  it('is over after 15 s', () => {
    const world = cluster();
    ask(world);
    world.nowMs += 14_999;
    expect(world.steps().closed).toEqual([]);
    world.nowMs += 1;
    expect(world.steps().closed).toMatchObject([{ because: 'NotRepeated' }]);
  });

  it('may have been repeated to another replica that led meanwhile', () => {
    const world = cluster();
    ask(world);
    world.nowMs += 60_000;
    world.actingSinceMs = world.nowMs - 14_999;
    expect(world.steps().closed).toEqual([]);
    world.nowMs += 1;
    expect(world.steps().closed).toMatchObject([{ because: 'NotRepeated' }]);
  });
});

describe('a displacement that ended', () => {
  it.each(['CheckpointFailed', 'DeadlineExceeded'] as const)('by %s lets the pod go unsaved', (because) => {
    const world = cluster();
    ask(world);
    close(world, opened(world), because);
    expect(ask(world)).toMatchObject({ allowed: true, reason: 'SavingFailed' });
  });

  it.each(['Superseded', 'RecordsConflict'] as const)(
    'by %s says nothing of whether the pod can be saved',
    (because) => {
      const world = cluster();
      ask(world);
      close(world, opened(world), because);
      expect(ask(world)).toMatchObject({ allowed: false, reason: 'Saving' });
    },
  );

  it('by hand because its eviction was refused says nothing of it either', () => {
    const world = cluster();
    ask(world);
    const cause = { kind: 'Manual', askedOn: 'Pod', why: 'maintenance' } as const;
    close(world, { ...opened(world), cause }, 'EvictionRefused');
    expect(ask(world)).toMatchObject({ allowed: false, reason: 'Saving' });
  });
});

it('a pod that we were refused to evict is saved for whoever may delete it', () => {
  const world = cluster();
  ask(world);
  save(world);
  const refusal = { act: 'evict', namespace: 'default', untilMs: 100_000 } as const;
  world.book.setRefusal(uidOf('pod'), { ...refusal, reason: 'Forbidden', message: 'by a webhook' });
  expect(world.steps().closed).toEqual([]);
  expect(ask(world)).toEqual({ allowed: true, reason: 'Saved' });
});

it('an answer to kube-scheduler that a pod goes unsaved is void where its policy saves it always by now', () => {
  const always = makePolicy();
  const world = cluster().put('policy', { ...always, preemption: { ...always.preemption, decision: 'Adaptive' } });
  expect(ask(world, { isCheaper: true })).toEqual({ allowed: true, reason: 'SavingCostsMore' });
  world.put('policy', always);
  expect(ask(world, { isCheaper: true })).toMatchObject({ allowed: false, reason: 'Saving' });
});

it('a victim that its displacement evicts as it is goes, unless its policy saves it always by now', () => {
  const always = makePolicy();
  const world = cluster().put('policy', { ...always, preemption: { ...always.preemption, decision: 'Adaptive' } });
  world.book.open(makeDisplacement({ pods: [makeUnsavedVictim('pod')] }));
  expect(ask(world)).toEqual({ allowed: true, reason: 'SavingCostsMore' });
  world.put('policy', always);
  expect(ask(world)).toMatchObject({ allowed: false, reason: 'Saving' });
});

it('what is being saved is answered for also where the mark was taken back meanwhile', () => {
  const world = cluster();
  ask(world);
  world.put('pod', { ...pod, disrupted: false });
  expect(ask(world)).toMatchObject({ allowed: false, reason: 'Saving' });
  expect(world.steps().closed).toEqual([]);
});

describe('a policy that is deleted', () => {
  const refuses = makePolicy();
  /** It says Refuse, and its pod is being saved. */
  const begun = (): TestWorld => {
    const world = cluster().put('policy', { ...refuses, preemption: { ...refuses.preemption, onFailure: 'Refuse' } });
    ask(world);
    return world;
  };

  it('takes nothing back from a pod that is being saved', () => {
    const world = begun().remove('policy', refuses);
    expect(ask(world)).toMatchObject({ allowed: false, reason: 'Saving' });
    save(world);
    expect(ask(world)).toEqual({ allowed: true, reason: 'Saved' });
  });

  it('has a replica that does not lead let go of no pod with a ticket', () => {
    const world = begun();
    save(world);
    world.remove('policy', refuses);
    expect(ask(world, { leads: false })).toMatchObject({ allowed: false, reason: 'NoLeader' });
  });

  it('protects nobody else', () => {
    const world = cluster().remove('policy', refuses);
    expect(ask(world)).toEqual({ allowed: true, reason: 'NotProtected' });
    expect(ask(world, { leads: false })).toEqual({ allowed: true, reason: 'NotProtected' });
  });
});

describe('a pod that must not go unsaved, and cannot be saved', () => {
  const always = makePolicy();
  const failed = (): TestWorld => {
    const world = cluster().put('policy', { ...always, preemption: { ...always.preemption, onFailure: 'Refuse' } });
    ask(world);
    return world;
  };
  const nominated = (priority: number) => makePod({ ...high, priority, nominatedNodeName: 'n1' });

  it('stays', () => {
    const world = failed().put('pod', nominated(1_000_000_000));
    const displacement = opened(world);
    world.nowMs = displacement.deadlineMs;
    expect(ask(world)).toMatchObject({ allowed: false, reason: 'SavingFailed' });
    close(world, displacement, 'DeadlineExceeded');
    expect(ask(world)).toMatchObject({ allowed: false, reason: 'SavingFailed' });
  });

  it('keeps no system pod off its node', () => {
    const world = failed().put('pod', nominated(2_000_000_000));
    const displacement = opened(world);
    expect(ask(world)).toMatchObject({ allowed: false, reason: 'Saving' });
    world.nowMs = displacement.deadlineMs;
    expect(ask(world)).toMatchObject({ allowed: true, reason: 'SavingFailed' });
    close(world, displacement, 'DeadlineExceeded');
    expect(ask(world)).toMatchObject({ allowed: true, reason: 'SavingFailed' });
  });
});
