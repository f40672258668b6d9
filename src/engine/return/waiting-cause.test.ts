import { describe, expect, it } from 'vitest';
import { GI, makeCheckpoint, makeNode, makePod, makeResources, makeTicket } from '../../../test/support/builders.ts';
import { TestWorld, uidOf } from '../../../test/support/world.ts';
import { RESTORE_GATE } from '../../domain/labels.ts';
import type { NodeName } from '../../domain/ids.ts';
import type { Ticket } from '../../domain/ticket.ts';
import { obstaclesInQueue, waitsFor } from './waiting-cause.ts';

const claim = { name: 'new', uid: uidOf('new') };
const gated = makePod({ name: 'new', gates: [RESTORE_GATE] });
const state = makeCheckpoint({
  name: makeTicket().checkpoint,
  ready: true,
  compatibility: 'a',
  location: { node: 'holder' as NodeName, reference: 'r' },
});

describe('waitsFor', () => {
  const cases: Readonly<Record<string, readonly [Partial<Ticket>, string, ReturnType<typeof makePod>?]>> = {
    'a victim that is being saved': [{ phase: 'Saving' }, 'its pod to be saved'],
    'a victim that is going': [{ phase: 'Displacing' }, 'its pod to be gone'],
    'nobody has come': [{}, 'a pod that continues it'],
    'behind the gate': [{ claim }, 'room', gated],
    'let go without room': [{ claim }, 'kube-scheduler to find room', makePod({ name: 'new' })],
    admitted: [{ phase: 'Admitted', claim }, 'kube-scheduler to place its pod'],
    'on a node': [{ phase: 'Restoring', claim }, 'the node to restore its pod'],
    over: [{ phase: 'Restored', claim }, 'nothing'],
  };
  it.each(Object.entries(cases))('%s', (_, [ticket, want, pod]) => {
    const world = new TestWorld();
    if (pod !== undefined) world.put('pod', pod);
    expect(waitsFor(world.index, makeTicket(ticket))).toBe(want);
  });
});

describe('obstaclesInQueue', () => {
  function world(ticket: Partial<Ticket> = {}): TestWorld {
    return new TestWorld()
      .put('ticket', makeTicket({ claim, ...ticket }))
      .put('pod', gated)
      .put('checkpoint', state);
  }
  const obstacles = (w: TestWorld) => obstaclesInQueue(w.index, 1, 10).get(makeTicket().uid);
  const none = { incompatible: 0, unsuitable: 0, saturated: 0, full: 0, conflicting: 0, promised: 0 };

  it('counts each node by what stands in the way there', () => {
    const large = makeResources({ memoryBytes: 8 * GI });
    const w = world().put(
      'node',
      makeNode({ name: 'other-class', compatibility: 'b' }),
      makeNode({ name: 'cordoned', compatibility: 'a', unschedulable: true }),
      makeNode({ name: 'busy', compatibility: 'a' }),
      makeNode({ name: 'full', compatibility: 'a' }),
      makeNode({ name: 'nominated', compatibility: 'a' }),
      makeNode({ name: 'free', compatibility: 'a' }),
    );
    w.put('ticket', makeTicket({ name: 'another', uid: 'another', phase: 'Restoring' }));
    w.put('pod', makePod({ name: 'coming', nodeName: 'busy', ticket: 'another' }));
    w.put('pod', makePod({ name: 'large', nodeName: 'full', requests: large }));
    w.put('pod', makePod({ name: 'next', nominatedNodeName: 'nominated', requests: large }));
    expect(obstacles(w)).toEqual({
      incompatible: 1,
      unsuitable: 1,
      saturated: 1,
      full: 2,
      conflicting: 0,
      promised: 1,
    });
  });

  it('counts all but the holder as incompatible where only that one may', () => {
    const w = world({ restore: { ...makeTicket().restore, nodes: 'Same' } });
    w.put('node', makeNode({ name: 'holder', compatibility: 'a' }), makeNode({ name: 'n2', compatibility: 'a' }));
    expect(obstacles(w)).toEqual({ ...none, incompatible: 1, promised: 1 });
  });

  it('looks at the first of the queue only', () => {
    const later = { name: 'later', uid: uidOf('later') };
    const w = world()
      .put('pod', makePod({ name: 'later', gates: [RESTORE_GATE] }))
      .put('ticket', makeTicket({ name: 'later', claim: later, priority: -1 }));
    expect([...obstaclesInQueue(w.index, 1, 1).keys()]).toEqual([makeTicket().uid]);
  });
});
