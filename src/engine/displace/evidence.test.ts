import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  makeCheckpoint,
  makeDisplacement,
  makeNode,
  makePod,
  makePolicy,
  makeTicket,
  makeUnsavedVictim,
  makeVictim,
} from '../../../test/support/builders.ts';
import { TestWorld, uidOf } from '../../../test/support/world.ts';
import type { DisplacedPod, Preemption } from '../../domain/displacement.ts';
import type { NodeName } from '../../domain/ids.ts';
import type { Pod } from '../../domain/pod.ts';
import type { TicketPhase } from '../../domain/ticket.ts';
import type { PodRef } from '../../ports/cluster-writer.ts';
import { isTaken } from '../causes/causes.ts';
import type { Command } from '../core/commands.ts';

/** What a ticket would have done, in a cluster whose pods are seen. */
const own = makePod({ namespace: 'tenant', name: 'own', nodeName: 'n1' });
const db = makePod({ namespace: 'payments', name: 'db', nodeName: 'n1', priority: 10 });
const pending = makePod({ namespace: 'tenant', name: 'pending', unschedulable: true });
const beneficiary = ({ namespace, name, uid, priority }: Pod) => ({ namespace, name, uid, priority });
const victimOf = ({ namespace, name, uid }: Pod): DisplacedPod => ({ ...makeUnsavedVictim(name), namespace, uid });
const saved = makeVictim({ namespace: 'tenant', name: 'own', uid: own.uid, checkpoint: 'own-c' });

function recorded(displacement: Preemption, phase: TicketPhase = 'Saving') {
  const pod = { ...makeTicket().pod, name: 'own', uid: own.uid };
  return makeTicket({ namespace: 'tenant', name: 'own-t', pod, checkpoint: 'own-c', phase, displacement });
}

function world(...pods: readonly Pod[]): TestWorld {
  return new TestWorld()
    .put('node', makeNode())
    .put('policy', makePolicy())
    .put('pod', own, db, ...pods);
}

function closedBy(w: TestWorld): string[] {
  return w.steps().closed.map(({ because, message }) => `${because}: ${message}`);
}

describe('a displacement that stands in a ticket only', () => {
  const forged = (overrides: Parameters<typeof makeDisplacement>[0] = {}) =>
    makeDisplacement({ preemptor: beneficiary(pending), pods: [saved, victimOf(db)], ...overrides });

  it('evicts nobody for a pod that is not more important by the index, whatever priority is recorded', () => {
    const preemptor = { ...beneficiary(pending), priority: 2_000_000_000 };
    const w = world(pending).put('ticket', recorded(forged({ preemptor })));
    expect(w.commands()).toEqual([]);
    expect(closedBy(w)).toEqual(['RecordsConflict: own is not less important than pending']);
  });

  it('takes no node by a priority that the pod does not have', () => {
    const preemptor = { ...beneficiary(pending), priority: 2_000_000_000 };
    const w = world(pending).put('ticket', recorded(forged({ preemptor })));
    w.book.refresh(w.index);
    const node = 'n1' as NodeName;
    expect(isTaken(w.index, w.book, node, { uid: uidOf('other'), priority: 100 })).toBe(false);
  });

  for (const [sentence, overrides] of Object.entries({
    'has a gate of others': { gates: ['example.com/quota'] },
    'preempts no pod': { preemptionPolicy: 'Never' },
  } as const)) {
    it(`does nothing for a pod that ${sentence}: kube-scheduler would not ask for it`, () => {
      const important = makePod({ ...pending, priority: 1_000, ...overrides });
      const w = world(important).put('ticket', recorded(forged({ preemptor: beneficiary(important) })));
      expect(w.commands()).toEqual([]);
      expect(closedBy(w)).toMatchObject([expect.stringContaining('RecordsConflict')]);
    });
  }

  it('does nothing to a pod under another name than its own', () => {
    const important = makePod({ ...pending, priority: 1_000 });
    const pods = [saved, { ...victimOf(db), namespace: 'tenant' }];
    const w = world(important).put('ticket', recorded(forged({ preemptor: beneficiary(important), pods })));
    expect(w.commands()).toEqual([]);
    expect(closedBy(w)).toEqual(['RecordsConflict: the pod uid-db is not tenant/db']);
  });

  it('orders nothing, and nominates no pod, before the preemptor is seen', () => {
    const absent = makePod({ ...pending, priority: 1_000 });
    const w = world().put('ticket', recorded(forged({ preemptor: beneficiary(absent), deadlineMs: 50_000 })));
    w.actingSinceMs = 9_000;
    expect(w.commands()).toEqual([]);
    w.nowMs = 60_000;
    expect(closedBy(w)).toEqual(['PreemptorGone: the preemptor is gone']);
  });

  it('holds no pod back for longer than its victims take to be saved', () => {
    const important = makePod({ ...pending, priority: 1_000 });
    const w = world(important).put(
      'ticket',
      recorded(forged({ preemptor: beneficiary(important), decidedMs: 9_000, deadlineMs: 40_000_000 })),
    );
    expect(closedBy(w)).toEqual(['RecordsConflict: its deadline is out of bounds']);
  });

  it('is not carried out where it was written while this process led, and takes the place of none that it decided', () => {
    const important = makePod({ namespace: 'payments', name: 'high', priority: 1_000 });
    const w = world(important);
    const real = makeDisplacement({ id: 'real', preemptor: beneficiary(important), pods: [victimOf(db)] });
    w.book.refresh(w.index);
    w.book.open(real);
    w.index.onChange((event, before) => {
      if (event.kind === 'ticket')
        w.book.follow(before as never, event.type === 'upsert' ? event.value : undefined, false);
    });
    w.put('ticket', recorded(forged({ id: 'forged', preemptor: beneficiary(important), decidedMs: 9_999 })));
    w.book.forgetSettled();
    expect([...w.book.all()]).toEqual([real]);
  });
});

/** Anything that the schema of a ticket lets pass, about the pods that there are and some that are not. */
const anyPod = fc.constantFrom(
  own,
  db,
  pending,
  makePod({ namespace: 'kube-system', name: 'dns', nodeName: 'n1', priority: 2_000_000_000 }),
);
const anyRef = fc
  .record({
    pod: anyPod,
    namespace: fc.constantFrom('tenant', 'payments', 'kube-system'),
    isTrue: fc.boolean(),
    priority: fc.constantFrom(0, 10, 2_000_000_000),
  })
  .map(({ pod, namespace, isTrue, priority }) => ({ ...beneficiary(pod), ...(isTrue ? {} : { namespace }), priority }));
const anyVictim = fc
  .record({
    ref: anyRef,
    plan: fc.constantFrom('Evict', 'Save', 'Reuse'),
    onFailure: fc.constantFrom('Evict', 'Refuse'),
  })
  .map(({ ref: { namespace, name, uid }, plan, onFailure }): DisplacedPod => {
    if (plan === 'Evict') return { ...makeUnsavedVictim(name), namespace, uid, onFailure: onFailure as 'Evict' };
    return makeVictim({
      namespace,
      name,
      uid,
      plan: plan as 'Save',
      onFailure: onFailure as 'Evict',
      checkpoint: `${name}-c`,
    });
  });
const anyDisplacement = fc
  .record({
    preemptor: anyRef,
    pods: fc.array(anyVictim, { minLength: 1, maxLength: 4 }),
    decidedMs: fc.constantFrom(0, 9_000, 20_000),
    lasts: fc.constantFrom(1_000, 60_000, 90_000_000),
  })
  .map(({ lasts, ...parts }) => makeDisplacement({ ...parts, deadlineMs: parts.decidedMs + lasts }));
const anyTicket = fc.record({
  displacement: anyDisplacement,
  phase: fc.constantFrom<TicketPhase[]>('Saving', 'Displacing', 'Waiting', 'Admitted', 'Restoring', 'Held'),
  priority: fc.constantFrom(0, 2_000_000_000),
  claim: fc.option(anyPod.map(({ name, uid }) => ({ name, uid }))),
  pod: anyPod.map(({ name, uid }) => ({ ...makeTicket().pod, name, uid })),
  failedNodes: fc.array(
    anyPod.map(({ uid }) => ({ node: 'n1' as NodeName, pod: uid, reason: 'RestoreFailed' })),
    { maxLength: 2 },
  ),
});
const anyCheckpoint = fc.record({
  name: fc.constantFrom('own-c', 'db-c', 'dns-c'),
  podUid: anyPod.map(({ uid }) => uid),
  ready: fc.boolean(),
  frozen: fc.boolean(),
  keepFrozen: fc.boolean(),
});

/** The pod that is written about; null: none. */
function podOfCommand(command: Command): PodRef | null {
  if (command.kind === 'CreateCheckpoint') return command.order.pod;
  if (command.kind === 'CreateTicket' || command.kind === 'Evict') return command.order.victim;
  return 'pod' in command ? command.pod : null;
}

it('whatever a tenant writes into its namespace, no pod elsewhere is evicted, frozen, nominated, ended or made', () => {
  fc.assert(
    fc.property(
      fc.array(anyTicket, { minLength: 1, maxLength: 3 }),
      fc.array(anyCheckpoint, { maxLength: 3 }),
      fc.nat(100_000),
      (tickets, checkpoints, afterMs) => {
        const dns = makePod({ namespace: 'kube-system', name: 'dns', nodeName: 'n1', priority: 2_000_000_000 });
        const w = world(pending, dns);
        for (const [at, one] of checkpoints.entries())
          w.put('checkpoint', makeCheckpoint({ ...one, namespace: 'tenant', uid: `c${at}` }));
        for (const [at, one] of tickets.entries())
          w.put(
            'ticket',
            makeTicket({ ...one, namespace: 'tenant', name: `t${at}`, uid: `t${at}`, checkpoint: 'own-c' }),
          );
        for (const nowMs of [10_000, 10_000 + afterMs]) {
          w.nowMs = nowMs;
          const { commands, closed } = w.steps();
          for (const { displacement } of closed) w.book.close(displacement);
          const foreign = commands.filter((command) => (podOfCommand(command)?.namespace ?? 'tenant') !== 'tenant');
          expect(foreign.map(({ kind }) => kind)).toEqual([]);
        }
      },
    ),
    { numRuns: 2_000 },
  );
});

it('creates no bare pod from a ticket alone: the node of the displaced pod must have saved it', () => {
  const waiting = makeTicket({ namespace: 'tenant', phase: 'Waiting' });
  const saved = makeCheckpoint({ namespace: 'tenant', name: waiting.checkpoint, ready: true });
  const w = new TestWorld().put('node', makeNode()).put('ticket', waiting);
  expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Abandoned CheckpointMissing']);
  w.put('checkpoint', { ...saved, podUid: uidOf('another') });
  expect(w.commands()).toEqual([
    'DeleteCheckpoint pod-uid-pod-d1',
    'SetTicketPhase pod-uid-pod Abandoned CheckpointMissing',
  ]);
  w.put('checkpoint', saved);
  expect(w.commands()).toEqual(['RecreatePod pod-uid-pod']);
});
