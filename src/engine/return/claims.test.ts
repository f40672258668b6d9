import { describe, expect, it } from 'vitest';
import { makeCheckpoint, makeNode, makePod, makeTicket } from '../../../test/support/builders.ts';
import { TestWorld } from '../../../test/support/world.ts';
import { RESTORE_GATE } from '../../domain/labels.ts';
import type { NodeName } from '../../domain/ids.ts';
import type { PodOwner } from '../../domain/pod.ts';
import type { Ticket } from '../../domain/ticket.ts';

/** All times are whole seconds of the API server: the victim was evicted at second 100. */
const SECOND = 1_000;
const EVICTED = 100 * SECOND;
const replicaSet: PodOwner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'uid-web' };
const victim = makePod({ name: 'pod', owner: replicaSet, nodeName: 'n1' });
const gated = (name: string, second: number, overrides: Parameters<typeof makePod>[0] = {}) =>
  makePod({
    name,
    owner: replicaSet,
    gates: [RESTORE_GATE],
    restoreShape: 'shape',
    creationMs: second * SECOND,
    ...overrides,
  });
const ticket = (overrides: Parameters<typeof makeTicket>[0] = {}): Ticket =>
  makeTicket({ owner: replicaSet, creationMs: 90 * SECOND, phaseMs: EVICTED, evictedMs: EVICTED, ...overrides });
const checkpoint = makeCheckpoint({
  name: ticket().checkpoint,
  ready: true,
  location: { node: 'n1' as NodeName, reference: 'x' },
});

function world(record: Ticket, ...pods: readonly ReturnType<typeof makePod>[]): TestWorld {
  const w = new TestWorld().put('node', makeNode()).put('checkpoint', checkpoint).put('ticket', record);
  w.nowMs = EVICTED + 300;
  return w.put('pod', ...pods);
}

describe('a ticket is claimed by the replacement of its pod', () => {
  it('and not by a pod that its controller created before the eviction, to scale up', () => {
    const w = world(ticket(), gated('scaled-up', 96), gated('replacement', 100));
    expect(w.commands()).toEqual(['Ungate scaled-up NoMatchingTicket', 'Claim pod-uid-pod replacement']);
  });

  it('and not by an older pod while the victim is still going', () => {
    const going = { ...victim, deletionMs: EVICTED + 30 * SECOND, evictedMs: EVICTED };
    const w = world(ticket({ phase: 'Displacing' }), going, gated('scaled-up', 96));
    expect(w.commands()).toEqual(['Ungate scaled-up NoMatchingTicket']);
  });

  it('nor by a pod that a parallel Job created for its next completion, long after that pod was gated', () => {
    const job: PodOwner = { apiVersion: 'batch/v1', kind: 'Job', name: 'train', uid: 'uid-train' };
    const w = world(ticket({ owner: job, phase: 'Waiting' }), gated('next', 97, { owner: job }));
    w.nowMs = EVICTED + 60 * SECOND;
    expect(w.commands()).toEqual(['Ungate next NoMatchingTicket']);
  });

  it('who is older by less than API servers may differ waits for a later one, and takes it if none comes', () => {
    const early = gated('early', 99);
    const w = world(ticket(), early);
    expect(w.commands()).toEqual([]);
    expect(w.steps().wakeAtMs).toBe(99 * SECOND + 5_000);
    w.nowMs = 99 * SECOND + 5_000;
    expect(w.commands()).toEqual(['Claim pod-uid-pod early']);
    w.nowMs = EVICTED + 300;
    w.put('pod', gated('late', 100));
    expect(w.commands()).toEqual(['Claim pod-uid-pod late']);
  });

  it('whose eviction nobody saw: by one that is younger than the ticket', () => {
    const unseen = ticket({ evictedMs: null });
    const w = world(unseen, gated('old', 87), gated('new', 91));
    expect(w.commands()).toEqual(['Ungate old NoMatchingTicket', 'Claim pod-uid-pod new']);
  });

  it('of a StatefulSet by the pod of its name, whatever the clocks say', () => {
    const set = { ...replicaSet, kind: 'StatefulSet' };
    const w = world(ticket({ owner: set }), gated('pod', 90, { owner: set, uid: 'uid-again' }));
    expect(w.commands()).toEqual(['Claim pod-uid-pod pod']);
  });

  const ranked: PodOwner = { apiVersion: 'example.com/v1', kind: 'RankedJob', name: 'train', uid: 'uid-train' };

  it('of a controller that Reprieve does not know is the pod of the same name, and not its sibling', () => {
    const w = world(ticket({ owner: ranked }), gated('sibling', 101, { owner: ranked }));
    w.put('pod', gated('pod', 102, { owner: ranked, uid: 'uid-again' }));
    expect(w.commands()).toEqual(['Ungate sibling NoMatchingTicket', 'Claim pod-uid-pod pod']);
  });

  it('of a controller that generates names is the pod with the same values of the labels that the policy names', () => {
    const record = ticket({ owner: ranked, pod: { identityLabels: { rank: '1' } } });
    const rank = (name: string, value: string) => gated(name, 101, { owner: ranked, labels: { rank: value } });
    const w = world(
      record,
      rank('train-a', '0'),
      rank('train-b', '1'),
      gated('pod', 102, { owner: ranked, uid: 'uid-again' }),
    );
    expect(w.commands()).toEqual([
      'Ungate train-a NoMatchingTicket',
      'Claim pod-uid-pod train-b',
      'Ungate pod NoMatchingTicket',
    ]);
  });

  const bare = ticket({ owner: null });
  const comer = (overrides: Parameters<typeof makePod>[0] = {}) =>
    gated('pod', 101, { owner: null, uid: 'uid-again', ...overrides });

  it('of a bare pod by a pod that a person or an operator creates under its name', () => {
    expect(world(bare, comer()).commands()).toEqual(['Claim pod-uid-pod pod']);
  });

  it('of a bare pod also where the manifest names a ticket of long ago', () => {
    expect(world(bare, comer({ ticket: 'gone' })).commands()).toEqual(['Claim pod-uid-pod pod']);
  });

  it('and not by a pod of that name under a controller', () => {
    expect(world(bare, comer({ owner: replicaSet })).commands()).toEqual(['Ungate pod NoMatchingTicket']);
  });

  it('and ends where that pod has another template, which is said', () => {
    const w = world(bare, comer({ restoreShape: 'other' }));
    w.nowMs = 101 * SECOND + 5_000;
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod ColdStarted TemplateDiffers']);
  });

  it('which continues the newest of several states', () => {
    const set = { ...replicaSet, kind: 'StatefulSet' };
    const newest = ticket({ name: 'newest', owner: set, creationMs: 95 * SECOND });
    const w = world(ticket({ owner: set }), gated('pod', 101, { owner: set, uid: 'uid-again' })).put('ticket', newest);
    expect(w.commands()[0]).toBe('Claim newest pod');
  });
});

describe('a replacement of another template', () => {
  const other = (second: number) => gated('replacement', second, { restoreShape: 'other' });

  it('ends the ticket after its grace, and then starts cold for it', () => {
    const w = world(ticket(), other(100));
    expect(w.commands()).toEqual([]);
    w.nowMs = 105 * SECOND;
    expect(w.steps().commands).toMatchObject([
      { kind: 'SetTicketPhase', phase: 'ColdStarted', reason: 'TemplateDiffers', claim: { name: 'replacement' } },
    ]);
    const said = { reason: 'TemplateDiffers', message: 'differs in: image' };
    const claim = { name: 'replacement', uid: other(100).uid };
    w.put('ticket', ticket({ phase: 'ColdStarted', claim, said }));
    expect(w.steps().commands).toMatchObject([
      { kind: 'Ungate', because: 'TicketEnded', ended: 'TemplateDiffers: differs in: image' },
    ]);
  });

  it('leaves the ticket to a later pod of the same template', () => {
    const w = world(ticket(), other(100), gated('second', 101));
    expect(w.commands()).toEqual(['Claim pod-uid-pod second']);
  });

  it('is not one that was created before the eviction', () => {
    expect(world(ticket(), other(96)).commands()).toEqual(['Ungate replacement NoMatchingTicket']);
  });
});

it('the time of the eviction is recorded with the ticket, also when the pod is gone before the next look', () => {
  const saving = ticket({ phase: 'Saving', phaseMs: 90 * SECOND, evictedMs: null });
  const w = world(saving, { ...victim, deletionMs: EVICTED + 30 * SECOND, evictedMs: EVICTED });
  w.evicted.set(victim.uid, EVICTED);
  expect(w.steps().commands).toMatchObject([{ phase: 'Displacing', evictedMs: EVICTED }]);
  w.remove('pod', victim);
  expect(w.steps().commands).toMatchObject([{ phase: 'Waiting', evictedMs: EVICTED }]);
});

describe('the place of a displaced pod', () => {
  const unreviewed = (name: string, second: number) =>
    makePod({ name, owner: replicaSet, nodeName: 'n1', creationMs: second * SECOND });
  const ends = (w: TestWorld) => {
    w.nowMs = EVICTED + 20 * SECOND;
    return w.commands();
  };

  it('is not taken by a pod that came without a review before the eviction', () => {
    expect(ends(world(ticket(), unreviewed('scaled-up', 99)))).toEqual([]);
    expect(ends(world(ticket(), unreviewed('replacement', 100)))).toEqual([
      'SetTicketPhase pod-uid-pod ColdStarted NotGated',
    ]);
  });
});
