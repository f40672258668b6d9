import { describe, expect, it } from 'vitest';
import {
  DEFAULT_RULES,
  makeCheckpoint,
  makeDisplacement,
  makeNode,
  makePod,
  makeTicket,
  makeUnsavedVictim,
  makeVictim,
} from '../../test/support/builders.ts';
import { ownerKey, type NodeName, type PodUid } from '../domain/ids.ts';
import type { Displacement, SavedPod } from '../domain/displacement.ts';
import type { Ticket } from '../domain/ticket.ts';
import type { Command, CommandOf } from '../engine/core/commands.ts';
import { EngineEvents, type EngineEventMap } from '../engine/engine-events.ts';
import { ClusterIndex } from '../index/cluster-index.ts';
import type { IndexedKind, IndexedKinds, IndexEvent } from '../index/types.ts';
import type { ClusterEventRecord } from '../ports/cluster-writer.ts';
import { narrate } from './narrator.ts';

const displacement = makeDisplacement();
const planned = makeVictim();
const pod = makePod({ nodeName: 'n1' });
const ticket = makeTicket({ phase: 'Saving', displacement });

function planFor(name: string): SavedPod {
  return makeVictim({ name, uid: `uid-${name}` as PodUid, checkpoint: `c-${name}` });
}

class Told {
  readonly index = new ClusterIndex();
  readonly records: ClusterEventRecord[] = [];
  readonly #events = new EngineEvents((error) => {
    throw error;
  });
  #version = 0;

  constructor() {
    narrate(this.#events, this.index, { emit: (record) => this.records.push(record) });
  }

  put<K extends IndexedKind>(kind: K, ...values: readonly IndexedKinds[K][]): this {
    for (const value of values) {
      const resourceVersion = String(++this.#version);
      this.index.apply({ type: 'upsert', kind, value: { ...value, resourceVersion } } as IndexEvent);
    }
    return this;
  }

  done(command: Command, outcome: EngineEventMap['command:done']['outcome'] = 'done'): this {
    this.#events.emit('command:done', { command, outcome, error: null, refusal: null, tookMs: 0, restMs: 0 });
    return this;
  }

  opened(opened: Displacement): this {
    this.#events.emit('displacement:opened', { displacement: opened });
    return this;
  }

  cheaper(eviction: EngineEventMap['victim:cheaper']): this {
    this.#events.emit('victim:cheaper', eviction);
    return this;
  }

  unprotected(eviction: EngineEventMap['victim:unprotected']): this {
    this.#events.emit('victim:unprotected', eviction);
    return this;
  }

  closed(closed: Displacement, because: EngineEventMap['displacement:closed']['because'], message = ''): this {
    this.#events.emit('displacement:closed', { displacement: closed, because, message });
    return this;
  }

  /** `on reason (related): message` of each. */
  lines(): string[] {
    return this.records.map(({ regarding, related, reason, message }) => {
      return `${regarding.name} ${reason} (${related?.name ?? '-'}): ${message}`;
    });
  }
}

function evict(unsaved: string | null): Command {
  const order = {
    victim: pod,
    frozenBy: null,
    thawAtMs: null,
    disruption: { reason: 'PreemptionByScheduler', message: 'preempted' } as const,
  };
  return { kind: 'Evict', order, victim: planned, displacement, unsaved };
}

function phased(phase: Ticket['phase'], reason: CommandOf<'SetTicketPhase'>['reason']): Command {
  const claimed = { ...ticket, claim: { name: 'new', uid: 'uid-new' as PodUid } };
  return { kind: 'SetTicketPhase', ticket: claimed, phase, reason, message: 'because' };
}

const order = {
  namespace: 'default',
  name: 'c',
  pod,
  node: 'n1' as NodeName,
  reason: 'Preemption',
  ticket: 'pod-uid-pod',
  keepFrozen: true,
  deadlineMs: 0,
  rules: DEFAULT_RULES,
} as const;

const placement = { preferredNode: null, requiredNode: null, compatibility: null, excludedNodes: [], anywhere: false };
const several = makeDisplacement({ pods: [planFor('a'), planFor('b'), makeUnsavedVictim('c')] });

const STORIES: Readonly<Record<string, { readonly tell: (told: Told) => unknown; readonly want: readonly string[] }>> =
  {
    'a preemptor that waits for one victim names it and relates to it': {
      tell: (told) => told.opened(displacement),
      want: ['high PreemptionHeld (pod): waits on n1 until saved: default/pod'],
    },
    'one that waits for several names them all, and those who go unsaved': {
      tell: (told) => told.opened(several),
      want: ['high PreemptionHeld (-): waits on n1 until saved: default/a, default/b; then evicted unsaved: default/c'],
    },
    'a victim that is saved names its preemptor': {
      tell: (told) => told.done({ kind: 'CreateCheckpoint', order, displacement }),
      want: ['pod Checkpointing (high): is being saved for default/high'],
    },
    'an eviction names the preemptor and the checkpoint': {
      tell: (told) =>
        told
          .put('checkpoint', makeCheckpoint({ name: planned.checkpoint, ready: true, bytes: 2 ** 20 }))
          .done(evict(null)),
      want: ['pod Displaced (high): evicted from n1 for default/high, saved as pod-uid-pod-d1 (1Mi)'],
    },
    'an unsaved eviction is told on both pods, each naming the other': {
      tell: (told) => told.done(evict('DumpFailed: disk full')),
      want: [
        'pod EvictedUnsaved (high): evicted for default/high without its state: DumpFailed: disk full',
        'high EvictedUnsaved (pod): default/pod was evicted without its state: DumpFailed: disk full',
      ],
    },
    'a victim that is not worth saving names both costs': {
      tell: (told) =>
        told.cheaper({
          victim: pod,
          preemptor: displacement.cause.preemptor,
          policy: 'batch',
          evictCost: 0.123,
          savingCost: 45.6,
        }),
      want: [
        'pod SavingCostsMore (high): evicted for default/high without its state: eviction costs 0.12 node-seconds, saving 46 node-seconds (policy batch: Adaptive)',
      ],
    },
    'a victim that was not protected names the reason and its policy': {
      tell: (told) =>
        told.unprotected({ victim: pod, policy: 'batch', reason: 'AgentSilent', message: 'its agent does not answer' }),
      want: ['pod EvictedUnsaved (-): evicted without its state: its agent does not answer (policy batch selects it)'],
    },
    'a victim that goes on names the preemptor it was frozen for': {
      tell: (told) =>
        told.put('ticket', ticket).done({
          kind: 'ReleaseCheckpoint',
          checkpoint: makeCheckpoint(),
          victim: pod,
          because: 'the preemption by default/high is off',
        }),
      want: ['pod Thawed (high): thawed, and not evicted: the preemption by default/high is off'],
    },
    'a checkpoint that nobody needs any more is not news': {
      tell: (told) => told.done({ kind: 'DeleteCheckpoint', checkpoint: makeCheckpoint() }),
      want: [],
    },
    'an attempt that is off names its victims': {
      tell: (told) => told.closed(displacement, 'NodeGone', 'node n1 no longer exists'),
      want: ['high PreemptionCancelled (pod): preemption of default/pod on n1 is off: node n1 no longer exists'],
    },
    'a preemptor that is gone is told nothing': {
      tell: (told) => told.closed(displacement, 'PreemptorGone', 'the preemptor is gone'),
      want: [],
    },
    'a preemptor that got its room hears how many were saved': {
      tell: (told) =>
        told
          .put('pod', makePod({ name: 'b', nodeName: 'n1' }))
          .put('ticket', makeTicket({ phase: 'Waiting', checkpoint: 'c-a', displacement: several, pod: podOf('a') }))
          .put('checkpoint', makeCheckpoint({ name: 'c-a', ready: true }))
          .closed(several, 'Bound'),
      want: [
        'high PreemptionDone (-): bound to n1; saved 1 of 3: default/a; evicted unsaved: default/c; not evicted: default/b',
      ],
    },
    'one whose only victim came back already counts it as saved': {
      tell: (told) => told.put('ticket', { ...ticket, phase: 'Restored' }).closed(displacement, 'Bound'),
      want: ['high PreemptionDone (pod): bound to n1; saved 1 of 1: default/pod'],
    },
    'an abandoned ticket saved nobody, and one of another displacement does not count': {
      tell: (told) =>
        told
          .put('ticket', { ...ticket, phase: 'Abandoned' })
          .closed(displacement, 'Bound')
          .put('ticket', { ...ticket, phase: 'Restored' })
          .closed({ ...displacement, id: 'd2' }, 'Bound'),
      want: [
        'high PreemptionDone (pod): bound to n1; saved 0 of 1; evicted unsaved: default/pod',
        'high PreemptionDone (pod): bound to n1; saved 0 of 1; evicted unsaved: default/pod',
      ],
    },
    'the end of a ticket is told on it and on the pod that continues it': {
      tell: (told) => told.put('pod', makePod({ name: 'new' })).done(phased('Restored', 'Restored')),
      want: ['pod-uid-pod Restored (-): because', 'new Restored (pod-uid-pod): because'],
    },
    'steps between are not': {
      tell: (told) => told.done(phased('Admitted', 'Admitted')).done(phased('Restoring', 'Placed')),
      want: [],
    },
    'a gate that is lifted is told with its ticket': {
      tell: (told) =>
        told
          .done({ kind: 'Ungate', pod, as: { ticket, placement }, because: 'Admitted' })
          .done({ kind: 'Ungate', pod, as: { ticket, placement }, because: 'GateExpired' })
          .done({
            kind: 'Ungate',
            pod,
            as: { ticket, placement: { ...placement, anywhere: true } },
            because: 'GateExpired',
          })
          .done({ kind: 'Ungate', pod, as: null, because: 'NoMatchingTicket' }),
      want: [
        'pod RestoreAdmitted (pod-uid-pod): there is room: it continues where it stopped',
        'pod GateExpired (pod-uid-pod): no capacity within restore.maxGate: kube-scheduler places the pod; only a node that can restore it may run it',
        'pod GateExpired (pod-uid-pod): no capacity within restore.maxGate: kube-scheduler places the pod; any node may run it, and it starts cold where its state does not fit',
        'pod ColdStarted (-): nothing was saved that it could continue: starts from the beginning',
      ],
    },
    'what did not happen is not told': {
      tell: (told) => told.done(evict('x'), 'failed').done(evict('x'), 'moved'),
      want: [],
    },
    'a nomination is kube-scheduler’s to tell': {
      tell: (told) => told.done({ kind: 'Wake', pod, node: makeNode().name }),
      want: [],
    },
  };

function podOf(name: string): Ticket['pod'] {
  return { ...ticket.pod, name, uid: `uid-${name}` as PodUid };
}

describe('narrate', () => {
  it.each(Object.entries(STORIES))('%s', (_, { tell, want }) => {
    const told = new Told();
    tell(told);
    expect(told.lines()).toEqual(want);
  });

  it('tells a pod once that it stands in the queue, and for what', () => {
    const gated = makePod({ name: 'web-1' });
    const command = { kind: 'TellQueued', ticket, pod: gated, reason: 'Queued', message: 'position 2 of 3' } as const;
    const told = new Told().done(command).done({ ...command, pod: { ...gated, queuedAs: 'position 2 of 3' } });
    expect(told.records).toMatchObject([
      {
        regarding: { kind: 'Pod', name: 'web-1' },
        related: { kind: 'Reprieve', name: ticket.name },
        reason: 'RestoreQueued',
        message: 'position 2 of 3',
      },
    ]);
  });

  it('keeps an Event about a hundred victims within the limit of a note, and counts the rest', () => {
    const pods = Array.from({ length: 100 }, (_, position) => planFor(`${'x'.repeat(60)}-${position}`));
    const told = new Told().opened(makeDisplacement({ pods }));
    const [message = ''] = told.records.map((record) => record.message);
    expect(Buffer.byteLength(message)).toBeLessThan(1024);
    expect(message).toMatch(/default\/x+-0, default\/x+-1,.* and 9\d more$/);
  });
});

describe('a Job of which several pods are displaced together', () => {
  const owner = { apiVersion: 'batch/v1', kind: 'Job', name: 'train', uid: 'uid-train' };
  const pods = ['a', 'b'].map((name) => makePod({ name, uid: `uid-${name}` as PodUid, owner }));
  const warned = (bears: number): number => {
    const told = new Told().put('pod', ...pods);
    const failsByEviction = { bears, bearsOfIndex: null, message: 'Job train fails' };
    const facts = { what: 'Job train', end: null, count: null, numbers: null, failsByEviction };
    told.index.setOwner(ownerKey('default', owner), facts);
    told.opened(makeDisplacement({ pods: pods.map(({ name }) => planFor(name)) }));
    return told.records.filter(({ reason }) => reason === 'JobWouldFail').length;
  };

  it('and another one just before is warned of, where they are more than it bears', () => {
    const told = new Told().put('pod', ...pods);
    const failsByEviction = { bears: 1, bearsOfIndex: null, message: 'Job train fails' };
    told.index.setOwner(ownerKey('default', owner), {
      what: '',
      end: null,
      count: null,
      numbers: null,
      failsByEviction,
    });
    told.put('ticket', makeTicket({ owner, displacement: makeDisplacement({ id: 'other' }) }));
    told.opened(makeDisplacement({ pods: [planFor('a')] }));
    expect(told.records.filter(({ reason }) => reason === 'JobWouldFail')).toHaveLength(1);
  });

  it.each([
    [0, 2],
    [1, 2],
    [2, 0],
  ])('that bears %i evictions is warned of on %i pods', (bears, count) => expect(warned(bears)).toBe(count));

  it.each<[string, Displacement['cause']]>([
    ['an eviction', { kind: 'Eviction', by: 'Eviction', requester: 'admin', why: 'EvictionByEvictionAPI' }],
    ['a request by hand', { kind: 'Manual', askedOn: 'Pod', why: 'new kernel' }],
  ])('for %s is warned of on the pod whose index has no retry left', (_, cause) => {
    const told = new Told().put('pod', ...pods.map((pod, at) => ({ ...pod, indexFailures: at })));
    const failsByEviction = { bears: 9, bearsOfIndex: 1, message: 'Job train fails' };
    const facts = { what: 'Job train', end: null, count: null, numbers: null, failsByEviction };
    told.index.setOwner(ownerKey('default', owner), facts);
    told.opened({ ...makeDisplacement({ pods: pods.map(({ name }) => planFor(name)) }), cause });
    expect(told.lines()).toEqual(['b JobWouldFail (-): Job train fails']);
  });
});
