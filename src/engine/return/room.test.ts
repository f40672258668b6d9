import { describe, expect, it } from 'vitest';
import { GI, makeNode, makePod, makeResources, makeTicket } from '../../../test/support/builders.ts';
import type { NodeName } from '../../domain/ids.ts';
import type { Resources } from '../../domain/resources.ts';
import { ClusterIndex } from '../../index/cluster-index.ts';
import type { Place } from './place.ts';
import { Room } from './room.ts';
import { sortOf } from './sorts.ts';
import type { Queued } from './queue.ts';

const n1 = 'n1' as NodeName;
const n2 = 'n2' as NodeName;

function placeWith(name: NodeName, cpuMilli: number): Place {
  return {
    node: makeNode({ name }),
    free: makeResources({ cpuMilli, memoryBytes: 8 * GI, pods: 100 }),
    restores: 0,
    restoring: [],
  };
}

function entryOf(requests: Resources, tolerations = makePod().tolerations): Queued {
  const candidate = { ticket: makeTicket(), pod: makePod({ requests, tolerations }), checkpoint: undefined, requests };
  return { ...candidate, holder: null, sort: sortOf(candidate) };
}

/** Requests that count how often they are compared with what is free. */
function counted(cpuMilli: number) {
  let looks = 0;
  const requests: Resources = {
    ...makeResources(),
    get cpuMilli() {
      looks++;
      return cpuMilli;
    },
  };
  return { requests, looks: () => looks };
}

describe('Room', () => {
  it('searches once for pods that need the same, while there is none', () => {
    const room = new Room(2, new ClusterIndex());
    room.set(n1, placeWith(n1, 1000));
    const { requests, looks } = counted(2000);
    const { tolerations } = makePod();
    expect(room.find(entryOf(requests, tolerations))).toBeNull();
    const once = looks();
    for (let pass = 0; pass < 20; pass++) {
      expect(room.find(entryOf(requests, tolerations))).toBeNull();
      room.giveBack();
    }
    expect(looks()).toBe(once);
  });

  it('finds what a change of one node made free', () => {
    const room = new Room(2, new ClusterIndex());
    room.set(n1, placeWith(n1, 1000));
    room.set(n2, placeWith(n2, 1000));
    const entry = entryOf(makeResources({ cpuMilli: 2000 }));
    expect(room.find(entry)).toBeNull();
    room.set(n2, placeWith(n2, 3000));
    expect(room.find(entry)).toBe(n2);
  });

  it('takes the emptiest node first, and counts what it promised until the end of the pass', () => {
    const room = new Room(2, new ClusterIndex());
    room.set(n1, placeWith(n1, 2000));
    room.set(n2, placeWith(n2, 3000));
    const entry = entryOf(makeResources({ cpuMilli: 2000 }));
    const found = [1, 2, 3].map(() => {
      const node = room.find(entry);
      if (node !== null) room.take(entry, node);
      return node;
    });
    expect(found).toEqual([n2, n1, null]);
    room.giveBack();
    expect(room.find(entry)).toBe(n2);
  });

  it('prefers by what is left after its promises', () => {
    const room = new Room(9, new ClusterIndex());
    const frees = { n1: 3900, n2: 3700, n3: 3000 };
    for (const [name, cpuMilli] of Object.entries(frees))
      room.set(name as NodeName, placeWith(name as NodeName, cpuMilli));
    const entry = entryOf(makeResources({ cpuMilli: 300, memoryBytes: 0 }));
    const found = Array.from({ length: 8 }, () => {
      const node = room.find(entry);
      if (node !== null) room.take(entry, node);
      return node;
    });
    expect(found).toEqual(['n1', 'n2', 'n1', 'n2', 'n1', 'n2', 'n1', 'n3']);
  });

  it('says of a heartbeat that it makes no difference', () => {
    const room = new Room(2, new ClusterIndex());
    room.set(n1, placeWith(n1, 1000));
    const later = placeWith(n1, 1000);
    expect(room.set(n1, { ...later, node: { ...later.node, resourceVersion: '2' } })).toBe(false);
    expect(room.set(n1, { ...later, node: { ...later.node, unschedulable: true } })).toBe(true);
  });
});
