import { describe, expect, it } from 'vitest';
import {
  makeCheckpoint,
  makeDisplacement,
  makeNode,
  makePod,
  makePolicy,
  makeResources,
  makeTicket,
} from '../../../test/support/builders.ts';
import { TestWorld, uidOf } from '../../../test/support/world.ts';
import type { NodeName } from '../../domain/ids.ts';
import type { Pod } from '../../domain/pod.ts';
import { filter, prioritize } from './placement.ts';

const nodeNames = ['n1', 'n2', 'n3'] as NodeName[];
const zone = (name: string) => ({ 'topology.kubernetes.io/zone': name });

function world(): TestWorld {
  return new TestWorld().put(
    'node',
    makeNode({ labels: zone('a'), compatibility: 'v3' }),
    makeNode({ name: 'n2', labels: zone('a'), compatibility: 'v3' }),
    makeNode({ name: 'n3', labels: zone('b'), compatibility: 'v2' }),
  );
}
const refusals = (w: TestWorld, pod: Pod) =>
  Object.fromEntries(filter(w.index, w.book, { maxRestores: 2, room: w.roomMemory }, { pod, nodeNames }).refused);

describe('filter', () => {
  const high = makePod({ name: 'high', priority: 1000, requests: makeResources({ cpuMilli: 3000 }) });
  const victim = makePod({ name: 'pod', nodeName: 'n1', requests: makeResources({ cpuMilli: 3000 }) });
  const reserved = (): TestWorld => {
    const w = world().put('pod', high, victim);
    w.book.open(makeDisplacement());
    return w;
  };

  it('passes everybody where nothing is decided', () => {
    expect(refusals(world(), makePod())).toEqual({});
  });

  it('keeps a pod off the room that is being made for another', () => {
    const taker = makePod({ name: 'taker', requests: makeResources({ cpuMilli: 1001 }) });
    expect(refusals(reserved(), taker)).toEqual({ n1: 'reserved for a pod whose victims are being saved' });
  });

  it('lets a pod take what the preemptor leaves', () => {
    expect(refusals(reserved(), makePod({ name: 'small', requests: makeResources({ cpuMilli: 1000 }) }))).toEqual({});
  });

  it('lets the preemptor itself and pods of higher priority pass', () => {
    expect(refusals(reserved(), high)).toEqual({});
    expect(
      refusals(reserved(), makePod({ name: 'higher', priority: 2000, requests: makeResources({ cpuMilli: 4000 }) })),
    ).toEqual({});
  });

  it('keeps a restored pod off nodes of another class', () => {
    const w = world()
      .put('ticket', makeTicket())
      .put('checkpoint', makeCheckpoint({ name: makeTicket().checkpoint, compatibility: 'v3' }));
    const pod = makePod({ name: 'back', ticket: makeTicket().name });
    expect(refusals(w, pod)).toEqual({ n3: 'cannot restore the checkpoint of this pod' });
    const busy = ['r1', 'r2'].map((name) => makePod({ name, nodeName: 'n2', ticket: name }));
    const tickets = busy.map(({ name }) => makeTicket({ name, phase: 'Restoring', phaseMs: 9_000 }));
    w.put('pod', ...busy).put('ticket', ...tickets);
    expect(Object.keys(refusals(w, pod))).toEqual(['n2', 'n3']);
    // One that runs and never reported is given up some time, and takes no place from then on.
    w.put('ticket', ...tickets.map((ticket) => ({ ...ticket, phase: 'ColdStarted' as const })));
    expect(Object.keys(refusals(w, pod))).toEqual(['n3']);
  });

  it('keeps a restored pod, and no other, off the node that is kept clear for a starving ticket before it', () => {
    const head = makeTicket({ name: 'head', creationMs: 1, checkpoint: 'head' });
    const w = world().put('ticket', head, makeTicket({ creationMs: 2 }));
    w.put('checkpoint', makeCheckpoint({ name: makeTicket().checkpoint }), makeCheckpoint({ name: 'head' }));
    w.roomMemory.reservation = { node: 'n2' as NodeName, head };
    const pod = makePod({ name: 'back', ticket: makeTicket().name });
    expect(refusals(w, pod)).toEqual({ n2: expect.stringContaining('is kept clear') });
    expect(refusals(w, makePod({ name: 'cold' }))).toEqual({});
    expect(refusals(w, makePod({ name: 'again', ticket: 'head' }))).toEqual({});
    w.put('ticket', makeTicket({ creationMs: 0 }));
    expect(refusals(w, pod)).toEqual({});
    w.put('ticket', makeTicket({ creationMs: 2 }), { ...head, phase: 'Admitted' });
    expect(refusals(w, pod)).toEqual({});
  });

  describe('while several restored pods have no node yet', () => {
    const names = ['a', 'b', 'c'];
    const [a, b, c] = names.map((name) => makePod({ name, ticket: name })) as [Pod, Pod, Pod];
    const promised = (...of: readonly (readonly [Pod, string])[]): TestWorld => {
      const w = world().put('pod', a, b, c);
      w.put(
        'ticket',
        ...names.map((name) => makeTicket({ name, checkpoint: name, claim: { name, uid: uidOf(name) } })),
      );
      w.put('checkpoint', ...names.map((name) => makeCheckpoint({ name, compatibility: null })));
      w.roomMemory.setPromises(new Map(of.map(([{ uid }, node]) => [uid, node as NodeName])), 0);
      return w;
    };
    const refused = (w: TestWorld, pod: Pod): readonly string[] => Object.keys(refusals(w, pod));

    it('keeps each off what was promised to another one', () => {
      const w = promised([a, 'n1'], [b, 'n2']);
      expect(refused(w, a)).toEqual(['n2']);
      expect(refused(w, b)).toEqual(['n1']);
      expect(refused(w, makePod({ name: 'other' }))).toEqual([]);
    });

    it('keeps each to its own node where the others could fill another one before the index sees it', () => {
      const w = promised([a, 'n1'], [b, 'n1'], [c, 'n2']);
      expect(refused(w, a)).toEqual(['n2', 'n3']);
      expect(refused(w, c)).toEqual(['n1', 'n3']);
    });

    it('lets one that was not placed take what was promised to none', () => {
      expect(refused(promised([b, 'n1'], [c, 'n1']), { ...a, unschedulable: true })).toEqual(['n1']);
    });

    it('forgets a promise that was kept', () => {
      const w = promised([a, 'n1'], [b, 'n2']).put('pod', makePod({ ...b, nodeName: 'n2' }));
      expect(refused(w, a)).toEqual([]);
    });
  });

  it('keeps it on the node that holds the state where the policy says so', () => {
    const restore = { ...makePolicy().restore, nodes: 'Same' as const };
    const location = { node: 'n2' as NodeName, reference: 'x' };
    const w = world()
      .put('ticket', makeTicket({ restore }))
      .put('checkpoint', makeCheckpoint({ name: makeTicket().checkpoint, location }));
    expect(Object.keys(refusals(w, makePod({ name: 'back', ticket: makeTicket().name })))).toEqual(['n1', 'n3']);
  });

  it('keeps a restored pod, and no other, off a node whose agent is silent', () => {
    const w = world()
      .put('ticket', makeTicket())
      .put('checkpoint', makeCheckpoint({ name: makeTicket().checkpoint, compatibility: 'v3' }));
    w.index.setAgentSilent('n2' as NodeName, true);
    const pod = makePod({ name: 'back', ticket: makeTicket().name });
    expect(refusals(w, pod)).toMatchObject({ n2: 'has an agent that does not answer' });
    expect(refusals(w, makePod({ name: 'cold' }))).toEqual({});
  });

  it('lets a pod go anywhere that waited maxGate, and still prefers the node that holds its state', () => {
    const location = { node: 'n1' as NodeName, reference: 'x' };
    const w = world()
      .put('ticket', makeTicket({ phase: 'Admitted' }))
      .put('checkpoint', makeCheckpoint({ name: makeTicket().checkpoint, compatibility: 'v3', location }));
    const pod = makePod({ name: 'back', ticket: makeTicket().name, displacements: 1, gateExpired: true });
    expect(refusals(w, pod)).toEqual({});
    expect(prioritize(w.index, { pod, nodeNames }).scores.get(location.node)).toBe(10);
  });

  it('lets a pod go anywhere whose ticket has ended, and prefers no node for it', () => {
    const location = { node: 'n1' as NodeName, reference: 'x' };
    const w = world()
      .put('ticket', makeTicket({ phase: 'ColdStarted' }))
      .put('checkpoint', makeCheckpoint({ name: makeTicket().checkpoint, compatibility: 'v3', location }));
    const pod = makePod({ name: 'back', ticket: makeTicket().name });
    expect(refusals(w, pod)).toEqual({});
    expect(prioritize(w.index, { pod, nodeNames }).scores.size).toBe(0);
  });

  it('lets a pod go anywhere when its state is gone', () => {
    expect(refusals(world(), makePod({ name: 'back', ticket: 'forgotten' }))).toEqual({});
  });
});

describe('prioritize', () => {
  it('prefers the node that holds the state, then its zone', () => {
    const location = { node: 'n1' as NodeName, reference: 'x' };
    const w = world()
      .put('ticket', makeTicket())
      .put('checkpoint', makeCheckpoint({ name: makeTicket().checkpoint, location }));
    const { scores } = prioritize(w.index, { pod: makePod({ ticket: makeTicket().name }), nodeNames });
    expect(Object.fromEntries(scores)).toEqual({ n1: 10, n2: 5 });
  });

  it('says nothing about pods that continue nothing', () => {
    expect(prioritize(world().index, { pod: makePod(), nodeNames }).scores.size).toBe(0);
  });
});
