import { describe, expect, it } from 'vitest';
import {
  makeCheckpoint,
  makeDisplacement,
  makeNode,
  makePod,
  makePolicy,
  makeTicket,
  makeVictim,
} from '../../test/support/builders.ts';
import { TestWorld, uidOf } from '../../test/support/world.ts';
import { RESTORE_GATE } from '../domain/labels.ts';
import type { Ticket } from '../domain/ticket.ts';
import { frozenPods } from './displace/frozen-pods.ts';

/** A tenant's record may name a pod or a controller of another namespace: it says nothing about them. */
const high = makePod({ name: 'high', priority: 1000, nominatedNodeName: 'n1' });
const db = makePod({ name: 'pod', nodeName: 'n1', priority: 10 });
const foreign = (overrides: Partial<Ticket>): Ticket =>
  makeTicket({ namespace: 'tenant', creationMs: 9_000, ...overrides });
const replicaSet = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'uid-web' };

function world(): TestWorld {
  return new TestWorld().put('node', makeNode()).put('policy', makePolicy());
}

describe('a ticket in the namespace of a tenant', () => {
  it('does not have a pod of another namespace deleted as one whose restore failed', () => {
    const restored = makePod({ name: 'web', nodeName: 'n1', ticket: 'web-ticket' });
    const failed = { node: restored.nodeName!, pod: restored.uid, reason: 'RestoreFailed' };
    const forged = foreign({ name: 'web-ticket', phase: 'Waiting', owner: replicaSet, failedNodes: [failed] });
    expect(world().put('pod', restored).put('ticket', forged).commands()).not.toContain('EndPod web');
  });

  it('does not stand for the ticket of a pod of another namespace', () => {
    const w = world().put('pod', high, db);
    w.book.open(makeDisplacement());
    w.put('ticket', foreign({ name: 'forged', phase: 'Saving', flaw: 'of another namespace' }));
    expect(w.commands()).toContain('CreateTicket pod-uid-pod');
  });

  it('claims no pod of another namespace', () => {
    const gated = makePod({ name: 'web', owner: replicaSet, gates: [RESTORE_GATE], restoreShape: 'shape' });
    const claim = { name: 'web', uid: gated.uid };
    const forged = foreign({ name: 'forged', phase: 'Waiting', owner: replicaSet, claim });
    expect(world().put('pod', gated).put('ticket', forged).commands()).toContain('Ungate web NoMatchingTicket');
  });

  it('does not supersede the older ticket of the same work in another namespace', () => {
    const owner = { ...replicaSet, kind: 'StatefulSet' };
    const real = makeTicket({ name: 'real', phase: 'Waiting', owner });
    const forged = foreign({ name: 'forged', phase: 'Waiting', owner });
    const commands = world()
      .put('checkpoint', makeCheckpoint({ name: real.checkpoint, ready: true }))
      .put('ticket', real, forged)
      .commands();
    expect(commands.filter((command) => command.includes('real'))).toEqual([]);
  });
});

describe('a pod in the namespace of a tenant', () => {
  it('takes no ticket away from the controller that its owner reference names', () => {
    const ticket = makeTicket({
      name: 'real',
      phase: 'Waiting',
      owner: replicaSet,
      creationMs: 1_000,
      evictedMs: 1_000,
    });
    const posing = makePod({ namespace: 'tenant', name: 'web', nodeName: 'n1', owner: replicaSet, creationMs: 2_000 });
    const w = world()
      .put('checkpoint', makeCheckpoint({ name: ticket.checkpoint, ready: true }))
      .put('ticket', ticket)
      .put('pod', posing);
    w.nowMs = 60_000;
    expect(w.commands()).not.toContain('SetTicketPhase real ColdStarted NotGated');
  });
});

describe('a PodCheckpoint in the namespace of a tenant', () => {
  it('does not say of a pod of another namespace that it is frozen', () => {
    const forged = makeCheckpoint({ namespace: 'tenant', name: 'forged', frozen: true });
    expect([...frozenPods(world().put('pod', db).put('checkpoint', forged).index)]).toEqual([]);
  });

  it('is no state to come back to for a pod of another namespace', () => {
    const forged = makeCheckpoint({
      namespace: 'tenant',
      name: 'forged',
      owner: null,
      keepFrozen: false,
      ready: true,
      takenMs: 9_999,
    });
    const fresh = { ...makePolicy().preemption, freshForMs: 60_000 };
    const w = world()
      .put('policy', makePolicy({ preemption: fresh }))
      .put('pod', makePod({ ...high, nominatedNodeName: null }), db)
      .put('checkpoint', forged);
    const { opened } = w.preempt(high, { n1: [db] });
    expect(opened?.pods).toMatchObject([{ uid: uidOf('pod'), plan: makeVictim().plan }]);
  });
});
