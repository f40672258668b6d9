import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  makeCheckpoint,
  makeNode,
  makePod,
  makePolicy,
  makeResources,
  makeTicket,
  makeDisplacement,
  makeVictim,
} from '../../../test/support/builders.ts';
import type { NodeName, PodUid } from '../../domain/ids.ts';
import { RESTORE_GATE } from '../../domain/labels.ts';
import type { Pod } from '../../domain/pod.ts';
import { beneficiaryOf, type Displacement } from '../../domain/displacement.ts';
import type { Ticket } from '../../domain/ticket.ts';
import { DEFAULT_COST_MODEL } from '../../domain/victim-cost.ts';
import { ClusterIndex } from '../../index/cluster-index.ts';
import type { IndexedKind, IndexedKinds, IndexEvent } from '../../index/types.ts';
import { Agenda } from './agenda.ts';
import { noFindings } from './findings.ts';
import { commandKey, commandSignature, type Command } from './commands.ts';
import { DisplacementBook } from '../displace/displacement-book.ts';
import { openProposals, type Proposal } from '../propose/proposal.ts';
import { systemClock } from '../../ports/clock.ts';
import { Asked } from '../guard/asked.ts';
import { Rests } from '../propose/rests.ts';
import { nextSteps } from './next-steps.ts';
import { RoomMemory } from '../return/room-memory.ts';
import { isFreed } from '../return/replaced.ts';
import { DEFAULT_ENGINE_SETTINGS, type World } from './steps.ts';

const VICTIMS = ['v1', 'v2', 'v3'] as const;
const CLAIMANTS = ['c1', 'c2', 'c3'] as const;
const PREEMPTORS = ['h1', 'h2'] as const;
const NODES = ['n1', 'n2'] as const;
const TICKETS = ['t1', 't2', 't3'] as const;
const IDS = ['d1', 'd2', 'd3'] as const;
const OWNERS = {
  none: null,
  job: { apiVersion: 'batch/v1', kind: 'Job', name: 'job', uid: 'uid-job' },
  set: { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'set', uid: 'uid-set' },
} as const;
const owner = fc.constantFrom(...Object.values(OWNERS));
/** Pods of one template share these. */
const REQUESTS = [1000, 3000, 6000].map((cpuMilli) => makeResources({ cpuMilli }));
const TOLERATIONS = makePod().tolerations;

const displacement = fc
  .record({
    id: fc.constantFrom(...IDS),
    preemptor: fc.constantFrom(...PREEMPTORS),
    node: fc.constantFrom(...NODES),
    pods: fc.uniqueArray(fc.constantFrom(...VICTIMS), { minLength: 1, maxLength: 2 }),
    onFailure: fc.constantFrom('Evict', 'Refuse'),
    decidedMs: fc.constantFrom(0, 5_000),
  })
  .map(({ id, preemptor, node, pods, onFailure, decidedMs }): Displacement => {
    return makeDisplacement({
      id,
      preemptor: { namespace: 'default', name: preemptor, uid: `uid-${preemptor}` as PodUid, priority: 1000 },
      node: node as NodeName,
      pods: pods.map((name) => ({
        ...makeVictim(),
        uid: `uid-${name}` as PodUid,
        name,
        checkpoint: `state-${name}`,
        onFailure,
      })),
      numPdbViolations: 0,
      decidedMs,
      deadlineMs: decidedMs + 60_000,
    });
  });

const pod = fc
  .record({
    name: fc.constantFrom(...VICTIMS, ...CLAIMANTS, ...PREEMPTORS),
    nodeName: fc.constantFrom(null, ...NODES),
    nominatedNodeName: fc.constantFrom(null, ...NODES),
    phase: fc.constantFrom('Running', 'Running', 'Pending', 'Failed', 'Succeeded'),
    deletionMs: fc.constantFrom(null, null, 1),
    evictedMs: fc.constantFrom(null, 1),
    gated: fc.boolean(),
    ticket: fc.constantFrom(null, ...TICKETS),
    owner,
    frozen: fc.boolean(),
    restored: fc.constantFrom(null, null, { succeeded: true, reason: 'Restored', message: '' } as const),
    disruptionTarget: fc.boolean(),
    requests: fc.constantFrom(...REQUESTS),
    creationMs: fc.constantFrom(0, 1_000),
    displaceFor: fc.constantFrom(null, null, null, 'a reason', 'another reason'),
  })
  .map(({ gated, frozen, nodeName, ...fields }): Pod => {
    const isGated = gated && nodeName === null;
    return makePod({
      ...fields,
      nodeName,
      phase: nodeName === null ? 'Pending' : fields.phase,
      tolerations: TOLERATIONS,
      gates: isGated ? [RESTORE_GATE] : [],
      restoreShape: isGated ? 'shape' : null,
      frozenBy: frozen ? `state-${fields.name}` : null,
    });
  });

const ticket = fc
  .record({
    name: fc.constantFrom(...TICKETS),
    victim: fc.constantFrom(...VICTIMS),
    phase: fc.constantFrom(
      'Saving',
      'Displacing',
      'Waiting',
      'Waiting',
      'Admitted',
      'Restoring',
      'Restored',
      'Abandoned',
      'Held',
    ),
    claim: fc.constantFrom(null, ...CLAIMANTS),
    displacement,
    owner,
    deleting: fc.constantFrom(false, false, true),
    attempts: fc.integer({ min: 0, max: 1 }),
    priority: fc.integer({ min: 0, max: 1 }),
    phaseMs: fc.constantFrom(0, 10_000),
    evictedMs: fc.constantFrom(null, 0, 12_000),
    nodes: fc.constantFrom('Any', 'Same'),
    failed: fc.subarray([...NODES]),
    onFailure: fc.constantFrom('Hold', 'ColdStart'),
    decide: fc.constantFrom(null, null, null, 'retry', 'cold', 'abandon', 'nonsense'),
  })
  .map(({ victim, claim, nodes, failed, onFailure, ...fields }): Ticket => {
    return makeTicket({
      ...fields,
      pod: {
        name: victim,
        uid: `uid-${victim}` as PodUid,
        completionIndex: null,
        identityLabels: null,
        displacements: 0,
      },
      checkpoint: `state-${victim}`,
      claim: claim === null ? null : { name: claim, uid: `uid-${claim}` as PodUid },
      restore: { ...makePolicy().restore, nodes, onFailure },
      failedNodes: failed.map((at) => ({ node: at as NodeName, pod: 'uid-c1' as PodUid, reason: 'DumpFailed' })),
    });
  });

const checkpoint = fc
  .record({
    victim: fc.constantFrom(...VICTIMS),
    nodeName: fc.constantFrom(...NODES),
    ready: fc.boolean(),
    frozen: fc.boolean(),
    thawed: fc.constantFrom(false, false, true),
    deleting: fc.constantFrom(false, false, true),
    release: fc.constantFrom(null, null, 'it is off'),
    released: fc.boolean(),
    deadlineMs: fc.constantFrom(null, 5_000, 30_000),
    keepFrozen: fc.constantFrom(true, true, false),
  })
  .map(({ victim, ...fields }) =>
    makeCheckpoint({
      ...fields,
      name: `state-${victim}`,
      podUid: `uid-${victim}`,
      location: { node: fields.nodeName as NodeName, reference: victim },
    }),
  );

const node = fc
  .record({
    name: fc.constantFrom(...NODES),
    ready: fc.constantFrom(true, true, false),
    unschedulable: fc.boolean(),
    canCheckpoint: fc.constantFrom(true, true, false),
    evacuateFor: fc.constantFrom(null, null, 'new kernel'),
  })
  .map((fields) => makeNode(fields));

const policy = fc
  .record({ onFailure: fc.constantFrom('Evict', 'Refuse'), maxDelayMs: fc.constantFrom(10_000, 60_000) })
  .map((preemption) => makePolicy({ preemption: { ...makePolicy().preemption, ...preemption } }));

const OBJECTS = { pod, ticket, checkpoint, node, policy } as const;

type Turn =
  | { readonly do: 'put'; readonly kind: IndexedKind; readonly value: IndexedKinds[IndexedKind] }
  | { readonly do: 'remove'; readonly kind: IndexedKind; readonly value: { readonly uid: string } }
  | { readonly do: 'open'; readonly displacement: Displacement }
  | { readonly do: 'close'; readonly displacement: Displacement }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'set clock'; readonly byMs: number }
  | { readonly do: 'look' };

const put = (kind: keyof typeof OBJECTS): fc.Arbitrary<Turn> =>
  OBJECTS[kind].map((value) => ({ do: 'put', kind, value: value }));
const removal = (kind: keyof typeof OBJECTS): fc.Arbitrary<Turn> =>
  OBJECTS[kind].map((value) => ({ do: 'remove', kind, value: value }));

const turn: fc.Arbitrary<Turn> = fc.oneof(
  { arbitrary: put('pod'), weight: 8 },
  { arbitrary: put('ticket'), weight: 6 },
  { arbitrary: put('checkpoint'), weight: 4 },
  { arbitrary: put('node'), weight: 2 },
  { arbitrary: put('policy'), weight: 1 },
  { arbitrary: removal('pod'), weight: 3 },
  { arbitrary: removal('ticket'), weight: 2 },
  { arbitrary: removal('checkpoint'), weight: 1 },
  { arbitrary: removal('node'), weight: 1 },
  { arbitrary: removal('policy'), weight: 1 },
  { arbitrary: displacement.map((value): Turn => ({ do: 'open', displacement: value })), weight: 3 },
  { arbitrary: displacement.map((value): Turn => ({ do: 'close', displacement: value })), weight: 1 },
  {
    arbitrary: fc.constantFrom(1, 999, 5_000, 60_000, 130_000, 3_600_000).map((ms): Turn => ({ do: 'wait', ms })),
    weight: 4,
  },
  { arbitrary: fc.constantFrom(-60_000, 60_000).map((byMs): Turn => ({ do: 'set clock', byMs })), weight: 1 },
  { arbitrary: fc.constant<Turn>({ do: 'look' }), weight: 8 },
);

/** Pods that wait for capacity, and what takes it from them and gives it back. */
const queueTurn: fc.Arbitrary<Turn | readonly Turn[]> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({
        at: fc.integer({ min: 0, max: 2 }),
        pod,
        ticket,
        checkpoint,
        isGated: fc.constantFrom(true, true, false),
      })
      .map(({ at, isGated, ...made }): readonly Turn[] => {
        const [name, claimant, victim] = [TICKETS[at] as string, CLAIMANTS[at] as string, VICTIMS[at] as string];
        const again = makePod({
          ...made.pod,
          name: claimant,
          uid: `uid-${claimant}`,
          nodeName: null,
          phase: 'Pending',
          deletionMs: null,
          gates: isGated ? [RESTORE_GATE] : [],
          ticket: isGated ? null : name,
          restored: null,
        });
        const state = {
          ...made.checkpoint,
          ready: true,
          deleting: false,
          name: `state-${victim}`,
          uid: `uid-state-${victim}`,
        };
        const waiting: Ticket = {
          ...made.ticket,
          name,
          uid: `uid-${name}`,
          phase: isGated ? 'Waiting' : 'Admitted',
          deleting: false,
          checkpoint: state.name,
          pod: { ...made.ticket.pod, name: victim, uid: `uid-${victim}` as PodUid },
          claim: { name: claimant, uid: again.uid },
        };
        return [
          { do: 'remove', kind: 'pod', value: { uid: `uid-${victim}` } },
          { do: 'put', kind: 'checkpoint', value: state },
          { do: 'put', kind: 'pod', value: again },
          { do: 'put', kind: 'ticket', value: waiting },
        ];
      }),
  },
  {
    weight: 6,
    arbitrary: pod.map((value): Turn => ({ do: 'put', kind: 'pod', value: { ...value, gates: [], owner: null } })),
  },
  { weight: 2, arbitrary: removal('pod') },
  { weight: 2, arbitrary: put('node') },
  { weight: 2, arbitrary: fc.constantFrom(1_000, 130_000).map((ms): Turn => ({ do: 'wait', ms })) },
  { weight: 8, arbitrary: fc.constant<Turn>({ do: 'look' }) },
);

/** Gated pods, and pods that kube-scheduler places: these come, are nominated, tried in vain, bound, and go. */
const newcomerTurn: fc.Arbitrary<readonly Turn[]> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .record({ at: fc.nat(2), requests: fc.constantFrom(...REQUESTS), priority: fc.nat(1), isGated: fc.boolean() })
      .map(({ at, requests, priority, isGated }): readonly Turn[] => {
        const [name, claimant, victim] = [TICKETS[at] as string, CLAIMANTS[at] as string, VICTIMS[at] as string];
        const gates = isGated ? [RESTORE_GATE] : [];
        const again = makePod({
          name: claimant,
          requests,
          tolerations: TOLERATIONS,
          gates,
          ticket: name,
          creationMs: 20_000,
        });
        const podUid = `uid-${victim}` as PodUid;
        const displaced = { ...makeTicket().pod, name: victim, uid: podUid };
        const claim = { name: claimant, uid: again.uid };
        const phase = isGated ? 'Waiting' : 'Admitted';
        const record = { name, phase, priority, claim, checkpoint: `state-${victim}`, phaseMs: 20_000 } as const;
        return [
          { do: 'put', kind: 'checkpoint', value: makeCheckpoint({ name: `state-${victim}`, podUid, ready: true }) },
          { do: 'put', kind: 'pod', value: again },
          { do: 'put', kind: 'ticket', value: makeTicket({ ...record, pod: displaced }) },
        ];
      }),
  },
  {
    weight: 6,
    arbitrary: fc
      .record({
        name: fc.constantFrom(...PREEMPTORS),
        requests: fc.constantFrom(...REQUESTS),
        priority: fc.nat(2),
        nodeName: fc.constantFrom(null, null, null, ...NODES),
        nominatedNodeName: fc.constantFrom(null, null, ...NODES),
        unschedulable: fc.boolean(),
      })
      .map((fields): readonly Turn[] => [
        { do: 'put', kind: 'pod', value: makePod({ ...fields, tolerations: TOLERATIONS }) },
      ]),
  },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(...PREEMPTORS)
      .map((name): readonly Turn[] => [{ do: 'remove', kind: 'pod', value: makePod({ name }) }]),
  },
  { weight: 3, arbitrary: fc.constantFrom(1_000, 19_000, 25_000).map((ms): readonly Turn[] => [{ do: 'wait', ms }]) },
  { weight: 8, arbitrary: fc.constant<readonly Turn[]>([{ do: 'look' }]) },
);

/** Tickets of one controller, and pods that it makes with and without a review of the webhook. */
const replacedTurn: fc.Arbitrary<Turn> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .record({
        at: fc.integer({ min: 0, max: 2 }),
        phase: fc.constantFrom('Waiting', 'Waiting', 'Displacing', 'ColdStarted'),
        claim: fc.constantFrom(null, null, ...CLAIMANTS),
        phaseMs: fc.constantFrom(0, 10_000),
        creationMs: fc.constantFrom(0, 500),
      })
      .map(({ at, claim, phase, ...fields }): Turn => {
        const name = TICKETS[at] as string;
        const said = { reason: phase === 'ColdStarted' ? 'NotGated' : 'Queued', message: '' };
        const value: Ticket = {
          ...makeTicket({ ...fields, name, phase, said, owner: OWNERS.job, checkpoint: 'state-v1' }),
          pod: {
            name: `gone-${at}`,
            uid: `uid-gone-${at}` as PodUid,
            completionIndex: null,
            identityLabels: null,
            displacements: 0,
            memoryLimitBytes: null,
          },
          claim: claim === null ? null : { name: claim, uid: `uid-${claim}` as PodUid },
        };
        return { do: 'put', kind: 'ticket', value };
      }),
  },
  {
    weight: 6,
    arbitrary: pod.map((value): Turn => {
      return { do: 'put', kind: 'pod', value: { ...value, owner: OWNERS.job, ticket: null, restored: null } };
    }),
  },
  { weight: 2, arbitrary: removal('pod') },
  { weight: 1, arbitrary: removal('ticket') },
  {
    weight: 2,
    arbitrary: fc.constant<Turn>({
      do: 'put',
      kind: 'checkpoint',
      value: makeCheckpoint({ name: 'state-v1', ready: true }),
    }),
  },
  { weight: 2, arbitrary: fc.constantFrom(1_000, 12_000).map((ms): Turn => ({ do: 'wait', ms })) },
  { weight: 8, arbitrary: fc.constant<Turn>({ do: 'look' }) },
);

/** What one pass remembers for the next, read and not written: of two passes over one world neither may see what the other promised. */
class UnchangedMemory extends RoomMemory {
  readonly #memory: RoomMemory;

  constructor(memory: RoomMemory) {
    super();
    this.#memory = memory;
  }

  override get promises(): RoomMemory['promises'] {
    return this.#memory.promises;
  }

  override justPromised(...of: Parameters<RoomMemory['justPromised']>): ReturnType<RoomMemory['justPromised']> {
    return this.#memory.justPromised(...of);
  }

  override openSinceMs(uid: PodUid): number | undefined {
    return this.#memory.openSinceMs(uid);
  }
}

/** The same world, looked at as a whole and by what changed. */
class Twins {
  readonly index = new ClusterIndex();
  readonly book = new DisplacementBook();
  /** What came of each look. */
  readonly looks: { readonly byChanges: object; readonly whole: object }[] = [];
  readonly #agenda = new Agenda(this.index, this.book);
  readonly #disrupted = new Set<PodUid>();
  readonly #evicted = new Map<PodUid, number>();
  readonly #freed = new Map<string, number>();
  readonly #roomMemory = new RoomMemory();
  readonly #rests = new Rests({ monotonic: () => this.#steadyMs });
  #steadyMs = 1_000_000;
  #wallMs = 20_000;
  #version = 0;

  constructor() {
    for (const name of NODES) this.put('node', makeNode({ name }));
    this.put('policy', makePolicy());
    this.index.onChange((event, before) => {
      const isTicketFreed =
        event.kind === 'ticket' && event.type === 'upsert' && isFreed(before as Ticket | undefined, event.value);
      if (isTicketFreed) this.#freed.set(event.value.uid, this.#wallMs);
      if (event.type === 'upsert' && event.kind === 'pod' && event.value.evictedMs !== null)
        this.#evicted.set(event.value.uid, event.value.evictedMs);
      this.#agenda.changed(event, before);
      if (event.kind !== 'ticket') return;
      this.book.follow(before as Ticket | undefined, event.type === 'upsert' ? event.value : undefined, false);
    });
    this.book.onChange((preemptor) => this.#agenda.displacementChanged(preemptor));
    this.book.refresh(this.index);
    this.#agenda.start(DEFAULT_ENGINE_SETTINGS.maxConcurrentRestoresPerNode);
  }

  put(kind: IndexedKind, value: IndexedKinds[IndexedKind]): void {
    const resourceVersion = String(++this.#version);
    this.index.apply({ type: 'upsert', kind, value: { ...value, resourceVersion } } as IndexEvent);
  }

  take(next: Turn): void {
    switch (next.do) {
      case 'put':
        return this.put(next.kind, next.value);
      case 'remove':
        this.index.apply({
          type: 'delete',
          kind: next.kind,
          uid: next.value.uid,
          resourceVersion: String(++this.#version),
        });
        return;
      // As the engine does it: in the place of a former one, under a name of its own.
      case 'open':
        this.#close(next.displacement);
        return this.book.open({ ...next.displacement, id: `new-${++this.#version}` });
      case 'close':
        return this.#close(next.displacement);
      case 'wait':
        this.#wallMs += next.ms;
        this.#steadyMs += next.ms;
        return;
      case 'set clock':
        this.#wallMs += next.byMs;
        return;
      case 'look':
        return this.look();
      default:
        return next satisfies never;
    }
  }

  look(): void {
    this.book.refresh(this.index);
    this.book.forgetSettled();

    const whole = nextSteps({ ...this.#world(), roomMemory: new UnchangedMemory(this.#roomMemory) });
    const findings = noFindings();
    do for (const _ of this.#agenda.pass(() => this.#world(), findings));
    while (this.#agenda.isDue);
    this.looks.push({
      byChanges: {
        commands: described(this.#agenda.commands()),
        closed: idsOf(findings.closed.map(({ displacement: over }) => over)),
        emptied: idsOf(findings.emptied),
        proposals: proposed(findings.proposals),
      },
      whole: {
        commands: described(whole.commands),
        closed: idsOf(whole.closed.map(({ displacement: over }) => over)),
        emptied: idsOf(whole.emptied),
        proposals: proposed(whole.proposals),
      },
    });
    for (const { displacement: over } of findings.closed) {
      this.book.close(over);
      for (const { uid } of over.pods) this.#rests.failed(uid, 'CheckpointFailed', 30_000);
    }
    openProposals(findings.proposals, {
      view: this.index,
      book: this.book,
      clock: { now: () => this.#wallMs },
      costs: DEFAULT_COST_MODEL,
      newDisplacementId: () => `new-${++this.#version}`,
      events: { emit: () => undefined },
    });
    for (const empty of findings.emptied) this.book.markEmptied(empty, this.#steadyMs);
  }

  #close(displacement: Displacement): void {
    const beneficiary = beneficiaryOf(displacement);
    const known = beneficiary === null ? this.book.get(displacement.id) : this.book.ofBeneficiary(beneficiary.uid);
    if (known !== undefined) this.book.close(known);
  }

  #world(): World {
    return {
      view: this.index,
      book: this.book,
      nowMs: this.#wallMs,
      steadyMs: this.#steadyMs,
      actingSinceMs: this.#wallMs - (this.#steadyMs - 1_000_000),
      podsSinceMs: this.#wallMs - (this.#steadyMs - 1_000_000),
      seen: new Set(),
      disrupted: this.#disrupted,
      evicted: this.#evicted,
      unwanted: new Set(),
      freed: this.#freed,
      roomMemory: this.#roomMemory,
      rests: this.#rests,
      asked: new Asked(systemClock),
      settings: DEFAULT_ENGINE_SETTINGS,
    };
  }
}

function idsOf(displacements: readonly Displacement[]): string[] {
  return displacements.map((one) => `${one.id} ${beneficiaryOf(one)?.name ?? one.cause.kind}`).sort();
}

function proposed(proposals: readonly Proposal[]): string[] {
  return proposals.map(({ pod: moved, node: from, cause }) => `${moved.uid} ${from} ${JSON.stringify(cause)}`).sort();
}

/** Without the order within a stage, which follows that of the changes. */
function described(commands: readonly Command[]): string[] {
  return commands
    .map((command) => {
      const about = 'because' in command ? command.because : 'reason' in command ? command.reason : '';
      return `${commandKey(command)}: ${commandSignature(command)} ${about}`;
    })
    .sort();
}

describe('Agenda', () => {
  it('comes by what changed to the same commands as a look at everything', () => {
    fc.assert(
      fc.property(fc.array(turn, { minLength: 20, maxLength: 80, size: 'max' }), (turns) => {
        const twins = new Twins();
        for (const next of turns) twins.take(next);
        twins.look();
        for (const { byChanges, whole } of twins.looks) expect(byChanges).toEqual(whole);
      }),
      { numRuns: 300 },
    );
  });

  it('gives capacity to the same pods, whatever comes, goes or waits', () => {
    fc.assert(
      fc.property(fc.array(queueTurn, { minLength: 10, maxLength: 40, size: 'max' }), (turns) => {
        const twins = new Twins();
        for (const next of turns.flat()) twins.take(next);
        twins.look();
        for (const { byChanges, whole } of twins.looks) expect(byChanges).toEqual(whole);
      }),
      { numRuns: 300 },
    );
  });

  it('leaves room to the same newcomers', () => {
    fc.assert(
      fc.property(fc.array(newcomerTurn, { minLength: 10, maxLength: 40, size: 'max' }), (turns) => {
        const twins = new Twins();
        for (const next of turns.flat()) twins.take(next);
        twins.look();
        for (const { byChanges, whole } of twins.looks) expect(byChanges).toEqual(whole);
      }),
      { numRuns: 300 },
    );
  });

  it('gives tickets to the same pods, whichever of them the webhook did not review', () => {
    fc.assert(
      fc.property(fc.array(replacedTurn, { minLength: 10, maxLength: 40, size: 'max' }), (turns) => {
        const twins = new Twins();
        for (const next of turns) twins.take(next);
        twins.look();
        for (const { byChanges, whole } of twins.looks) expect(byChanges).toEqual(whole);
      }),
      { numRuns: 300 },
    );
  });
});
