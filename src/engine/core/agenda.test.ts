import { describe, expect, it } from 'vitest';
import { makeCheckpoint, makeNode, makePod, makeResources, makeTicket } from '../../../test/support/builders.ts';
import type { NodeName, PodUid } from '../../domain/ids.ts';
import { RESTORE_GATE } from '../../domain/labels.ts';
import { ClusterIndex } from '../../index/cluster-index.ts';
import type { IndexedKind, IndexedKinds, IndexEvent } from '../../index/types.ts';
import { Agenda } from './agenda.ts';
import { noFindings } from './findings.ts';
import { DisplacementBook } from '../displace/displacement-book.ts';
import { systemClock } from '../../ports/clock.ts';
import { Asked } from '../guard/asked.ts';
import { RoomMemory } from '../return/room-memory.ts';
import { Rests } from '../propose/rests.ts';
import { DEFAULT_ENGINE_SETTINGS, type World } from './steps.ts';

/** A pod waits for capacity on one of three nodes; its restore failed on the first. */
class Waiting {
  readonly index = new ClusterIndex();
  readonly #book = new DisplacementBook();
  readonly #agenda = new Agenda(this.index, this.#book);
  #version = 0;

  constructor() {
    this.index.onChange((event, before) => this.#agenda.changed(event, before));
    const requests = makeResources({ cpuMilli: 3000 });
    for (const name of ['n1', 'n2', 'n3']) {
      this.put('node', makeNode({ name }));
      this.put('pod', makePod({ name: `on-${name}`, nodeName: name, requests }));
    }
    this.put('checkpoint', makeCheckpoint({ name: 'state', podUid: 'gone', ready: true }));
    this.put('pod', makePod({ name: 'again', gates: [RESTORE_GATE], requests }));
    this.put(
      'ticket',
      makeTicket({
        phase: 'Waiting',
        checkpoint: 'state',
        pod: { name: 'gone', uid: 'gone' as PodUid, completionIndex: null, identityLabels: null, displacements: 0 },
        claim: { name: 'again', uid: 'uid-again' as PodUid },
        failedNodes: [{ node: 'n1' as NodeName, pod: 'former' as PodUid, reason: 'RestoreFailed' }],
        restore: { ...makeTicket().restore, attempts: 3 },
      }),
    );
    this.#agenda.start(DEFAULT_ENGINE_SETTINGS.maxConcurrentRestoresPerNode);
  }

  put(kind: IndexedKind, value: IndexedKinds[IndexedKind]): void {
    const resourceVersion = String(++this.#version);
    this.index.apply({ type: 'upsert', kind, value: { ...value, resourceVersion } } as IndexEvent);
  }

  /** How many looks the next pass takes. */
  looks(): number {
    const world: World = {
      view: this.index,
      book: this.#book,
      nowMs: 1_000_000,
      steadyMs: 1_000_000,
      actingSinceMs: 0,
      podsSinceMs: 0,
      seen: new Set(),
      disrupted: new Set(),
      unwanted: new Set(),
      freed: new Map(),
      rests: new Rests({ monotonic: () => 0 }),
      asked: new Asked(systemClock),
      evicted: new Map(),
      roomMemory: new RoomMemory(),
      settings: { ...DEFAULT_ENGINE_SETTINGS, maxGateMs: 10_000_000 },
    };
    return [...this.#agenda.pass(() => world, noFindings())].length;
  }
}

describe('Agenda', () => {
  it('looks at nothing after the heartbeat of a node', () => {
    const waiting = new Waiting();
    expect(waiting.looks()).toBeGreaterThan(0);
    waiting.put('node', makeNode({ name: 'n2' }));
    expect(waiting.looks()).toBe(0);
  });

  it('looks at one node, and at no ticket, when a node changes on which no step depends', () => {
    const waiting = new Waiting();
    waiting.looks();
    waiting.put('node', makeNode({ name: 'n3', unschedulable: true }));
    expect(waiting.looks()).toBe(1);
  });

  it('looks at a ticket again when the node changes that made another attempt possible', () => {
    const waiting = new Waiting();
    waiting.looks();
    waiting.put('node', makeNode({ name: 'n2', unschedulable: true }));
    expect(waiting.looks()).toBe(2);
  });
});
