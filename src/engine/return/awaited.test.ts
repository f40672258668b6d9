import { ownerKey } from '../../domain/ids.ts';
import { describe, expect, it } from 'vitest';
import { makePod, makeTicket } from '../../../test/support/builders.ts';
import { TestWorld } from '../../../test/support/world.ts';
import { RESTORE_GATE } from '../../domain/labels.ts';
import type { OwnerFacts } from '../../domain/owner-facts.ts';
import type { Ticket } from '../../domain/ticket.ts';
import { whyNotAwaited } from './awaited.ts';

const replicaSet = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'uid-web' };
const statefulSet = { ...replicaSet, kind: 'StatefulSet' };
const ticket = (name: string, creationMs: number, overrides: Partial<Ticket> = {}): Ticket =>
  makeTicket({ name, uid: name, owner: replicaSet, creationMs, ...overrides });
const running = (name: string) => makePod({ name, owner: replicaSet, nodeName: 'n1' });
const gated = (name: string) => makePod({ name, owner: replicaSet, gates: [RESTORE_GATE] });
const facts = (count: Partial<OwnerFacts['count'] & object>): OwnerFacts => ({
  what: 'ReplicaSet web',
  end: null,
  failsByEviction: null,
  count: { wants: 1, lacks: 0, isSettled: true, ...count },
  numbers: null,
});

/** Of each ticket: why no pod comes to continue it. */
function ends(world: TestWorld, said: OwnerFacts | null): Record<string, string | null> {
  if (said !== null) world.index.setOwner(ownerKey('default', { uid: 'uid-web' }), said);
  return Object.fromEntries(
    [...world.index.tickets()].map((one) => [one.name, whyNotAwaited(world.index, one, null)?.reason ?? null]),
  );
}

describe('a pod for a waiting ticket', () => {
  const two = () => new TestWorld().put('ticket', ticket('old', 1), ticket('new', 2));

  it('is expected while nothing is known of its controller', () => {
    expect(ends(two(), null)).toEqual({ old: null, new: null });
  });

  it('does not come where the controller is gone', () => {
    const gone = { ...facts({}), end: { reason: 'OwnerGone', message: 'm' } } as const;
    expect(ends(two(), gone)).toEqual({ old: 'OwnerGone', new: 'OwnerGone' });
  });

  it('comes for the newest of the states, as many as the controller lacks', () => {
    expect(ends(two(), facts({ lacks: 1 }))).toEqual({ old: 'OwnerWantsFewer', new: null });
    expect(ends(two(), facts({ lacks: 1, isSettled: false }))).toEqual({ old: null, new: null });
    expect(ends(two(), facts({ wants: 0 }))).toEqual({ old: 'OwnerWantsFewer', new: 'OwnerWantsFewer' });
  });

  it('comes where the index knows of fewer pods than the controller counts', () => {
    expect(ends(two(), facts({ wants: 2 }))).toEqual({ old: null, new: null });
    expect(ends(two().put('pod', running('a')), facts({ wants: 2 }))).toEqual({ old: 'OwnerWantsFewer', new: null });
  });

  it('is there already, behind its gate', () => {
    expect(ends(two().put('pod', gated('a')), facts({}))).toEqual({ old: 'OwnerWantsFewer', new: null });
  });

  it('is there already behind its gate, whose own ticket has ended', () => {
    const claim = { name: 'a', uid: gated('a').uid };
    const world = (phase: 'ColdStarted' | 'Waiting', deleting = false) =>
      two()
        .put('pod', gated('a'))
        .put('ticket', ticket('own', 3, { claim, phase, deleting }));
    expect(ends(world('ColdStarted'), facts({}))).toMatchObject({ old: 'OwnerWantsFewer', new: null });
    expect(ends(world('Waiting', true), facts({}))).toMatchObject({ old: 'OwnerWantsFewer', new: null });
    expect(ends(world('Waiting'), facts({}))).toMatchObject({ old: 'OwnerWantsFewer', new: 'OwnerWantsFewer' });
  });

  it('continues the newer state of a pod that was saved twice', () => {
    const set = { owner: statefulSet };
    const other = { pod: { ...makeTicket().pod, name: 'other' } };
    const world = new TestWorld().put('ticket', ticket('old', 1, set), ticket('new', 2, set));
    world.put('ticket', ticket('sibling', 1, { ...set, ...other }));
    expect(ends(world, null)).toEqual({ old: 'Superseded', new: null, sibling: null });
    world.put('ticket', ticket('new', 2, { ...set, phase: 'Saving' }));
    expect(ends(world, null)).toEqual({ old: null, new: null, sibling: null });
  });
});
