import { describe, expect, it } from 'vitest';
import { makeCheckpoint, makeNode, makePod, makePolicy, makeTicket } from '../../../test/support/builders.ts';
import { TestWorld } from '../../../test/support/world.ts';
import type { Policy } from '../../domain/policy.ts';
import { selectorOf } from '../../domain/selector.ts';
import type { Displacement } from '../../domain/displacement.ts';
import { DEFAULT_COST_MODEL } from '../../domain/victim-cost.ts';

const high = makePod({ name: 'high', priority: 1000 });
const pod = makePod({ name: 'pod', nodeName: 'n1', priority: 10 });
const plain = makePod({ name: 'plain', nodeName: 'n1', labels: { app: 'plain' } });

const inProgress = makeCheckpoint({ name: 'pod-uid-pod-d1', podUid: pod.uid });

type Preemption = Policy['preemption'];
const saying = (preemption: Partial<Preemption> = {}, more: Partial<Policy> = {}): Policy =>
  makePolicy({ preemption: { ...makePolicy().preemption, ...preemption }, ...more });
/** The same for other pods: what a policy is for `pod` once its selector has changed. */
const elsewhere = saying(
  {},
  { match: { ...makePolicy().match, podSelector: selectorOf({ matchLabels: { app: 'x' } }) } },
);

/** `pod` is to be saved for `high`, by a policy that says this; the order to save it is given. */
function saving(policy: Policy): { readonly world: TestWorld; readonly displacement: Displacement } {
  const world = new TestWorld().put('node', makeNode()).put('policy', policy).put('pod', high, pod);
  const { opened: displacement } = world.preempt(high, { n1: [pod] });
  if (displacement === null) throw new Error('nothing was decided');
  world
    .put('pod', makePod({ ...high, nominatedNodeName: 'n1' }))
    .put('ticket', makeTicket({ phase: 'Saving', displacement, checkpoint: inProgress.name }))
    .put('checkpoint', inProgress);
  return { world, displacement };
}

const failed = { ...inProgress, failure: { atMs: 1, reason: 'DumpFailed', message: 'disk full' } };

/** What becomes of the victim when saving it fails after `change`. */
function afterFailure(policy: Policy, change: (world: TestWorld) => unknown): string {
  const { world } = saving(policy);
  change(world);
  const { commands, closed } = world.put('checkpoint', failed).steps();
  if (closed.length > 0) return `off: ${closed[0]?.because}`;
  return commands.some((command) => command.kind === 'Evict') ? 'evicted' : 'waits';
}

describe('a victim that cannot be saved, of a policy that changed meanwhile', () => {
  const evict = saying({ onFailure: 'Evict' });
  const refuse = saying({ onFailure: 'Refuse' });
  const off = 'off: CheckpointFailed';
  const table: Record<string, { planned: Policy; change: (world: TestWorld) => unknown; want: string }> = {
    'goes where nothing changed': { planned: evict, change: () => null, want: 'evicted' },
    'stays from the moment its policy says Refuse': {
      planned: evict,
      change: (world) => world.put('policy', refuse),
      want: off,
    },
    'stays where the plan said Refuse and its policy says Evict': {
      planned: refuse,
      change: (world) => world.put('policy', evict),
      want: off,
    },
    'goes as planned where its policy is deleted': {
      planned: evict,
      change: (world) => world.remove('policy', evict),
      want: 'evicted',
    },
    'stays as promised where its policy is deleted': {
      planned: refuse,
      change: (world) => world.remove('policy', refuse),
      want: off,
    },
    'goes as planned where its policy selects others now': {
      planned: evict,
      change: (world) => world.put('policy', elsewhere),
      want: 'evicted',
    },
    'stays where another policy came before its own and says Refuse': {
      planned: evict,
      change: (world) =>
        world.put('policy', saying({ onFailure: 'Refuse' }, { name: 'top', uid: 'top', precedence: 1 })),
      want: off,
    },
    'goes where another policy that does not rule it says Refuse': {
      planned: evict,
      change: (world) =>
        world.put('policy', saying({ onFailure: 'Refuse' }, { name: 'low', uid: 'low', precedence: -1 })),
      want: 'evicted',
    },
    'goes where its policy says Never': {
      planned: evict,
      change: (world) => world.put('policy', saying({ decision: 'Never' })),
      want: 'evicted',
    },
    'goes where its policy says Never, which has nothing to refuse': {
      planned: evict,
      change: (world) => world.put('policy', saying({ decision: 'Never', onFailure: 'Refuse' })),
      want: 'evicted',
    },
    'stays as promised where its policy says Never': {
      planned: refuse,
      change: (world) => world.put('policy', saying({ decision: 'Never' })),
      want: off,
    },
  };
  for (const [sentence, { planned, change, want }] of Object.entries(table)) {
    it(sentence, () => expect(afterFailure(planned, change)).toBe(want));
  }
});

describe('a victim that is being saved', () => {
  const changes: Record<string, (world: TestWorld) => unknown> = {
    deleted: (world) => world.remove('policy', makePolicy()),
    'about others': (world) => world.put('policy', elsewhere),
    'one that says Never': (world) => world.put('policy', saying({ decision: 'Never' })),
  };
  for (const [sentence, change] of Object.entries(changes)) {
    it(`is saved, then evicted, though its policy is ${sentence}`, () => {
      const { world } = saving(makePolicy());
      change(world);
      world.put('checkpoint', inProgress);
      expect(world.commands()).toEqual([]);
      world
        .put('checkpoint', { ...inProgress, ready: true, frozen: true, takenMs: 9_000, bytes: 1 })
        .put('pod', makePod({ ...pod, frozenBy: inProgress.name }));
      expect(world.commands()).toEqual(['Evict pod']);
      expect(world.steps().commands).toMatchObject([{ unsaved: null }]);
    });
  }

  it('has a ticket with the terms of its policy as they were, also when that is gone before it is written', () => {
    const restore = { nodes: 'Same', attempts: 7, onFailure: 'Hold', maxWaitMs: 1_000, identityLabels: [] } as const;
    const policy = makePolicy({ name: 'strict', restore });
    const world = new TestWorld().put('node', makeNode()).put('policy', policy).put('pod', high, pod);
    world.preempt(high, { n1: [pod] });
    world.remove('policy', policy);
    const created = world.steps().commands.find((command) => command.kind === 'CreateTicket');
    expect(created).toMatchObject({ order: { restore, policyName: 'strict' } });
  });

  it('is saved by the rules of its policy as they were', () => {
    const rules = { sockets: 'Refuse', volumes: 'None', maxBytes: 1024 } as const;
    const policy = makePolicy({ checkpoint: rules });
    const world = new TestWorld().put('node', makeNode()).put('policy', policy).put('pod', high, pod);
    const { opened } = world.preempt(high, { n1: [pod] });
    world.put('policy', makePolicy());
    world.put('ticket', makeTicket({ phase: 'Saving', displacement: opened as Displacement }));
    const order = world.steps().commands.find((command) => command.kind === 'CreateCheckpoint');
    expect(order).toMatchObject({ order: { rules } });
  });
});

describe('the deadline', () => {
  const minute = saying({ maxDelayMs: 60_000, onFailure: 'Evict' });
  const table: Record<string, { change: (world: TestWorld) => unknown; laterMs: number }> = {
    'is that of the plan': { change: () => null, laterMs: 60_000 },
    'comes nearer with a shorter maxDelay': {
      change: (world) => world.put('policy', saying({ maxDelayMs: 5_000 })),
      laterMs: 5_000,
    },
    'stays with a longer one': {
      change: (world) => world.put('policy', saying({ maxDelayMs: 600_000 })),
      laterMs: 60_000,
    },
    'stays when the policy is deleted': { change: (world) => world.remove('policy', minute), laterMs: 60_000 },
    'comes nearer with the shorter maxDelay of a policy that took over': {
      change: (world) => world.put('policy', saying({ maxDelayMs: 1_000 }, { name: 'top', uid: 'top', precedence: 1 })),
      laterMs: 1_000,
    },
  };
  for (const [sentence, { change, laterMs }] of Object.entries(table)) {
    it(sentence, () => {
      const { world, displacement } = saving(minute);
      const promisedMs = displacement.deadlineMs - 60_000;
      change(world);
      world.put('checkpoint', inProgress);
      world.nowMs = promisedMs + laterMs - 1;
      expect(world.steps()).toMatchObject({ commands: [], wakeAtMs: promisedMs + laterMs });
      world.nowMs++;
      expect(world.commands()).toEqual(['Evict pod unsaved']);
    });
  }

  it('is at once where it has already passed by what the policy says now', () => {
    const { world } = saving(minute);
    world.put('checkpoint', inProgress);
    world.nowMs += 30_000;
    expect(world.commands()).toEqual([]);
    world.put('policy', saying({ maxDelayMs: 1_000 }));
    expect(world.commands()).toEqual(['Evict pod unsaved']);
  });
});

describe('a victim that was to go unsaved, beside one that is saved', () => {
  const ofPod = saying({}, { match: { ...makePolicy().match, priorityClassNames: ['saved'] } });
  const saved = makePod({ ...pod, priorityClassName: 'saved' });

  function decided(policy = ofPod): { readonly world: TestWorld; readonly displacement: Displacement } {
    const world = new TestWorld().put('node', makeNode()).put('policy', policy).put('pod', high, saved, plain);
    const { opened: displacement } = world.preempt(high, { n1: [saved, plain] });
    if (displacement === null) throw new Error('nothing was decided');
    return { world, displacement };
  }
  const closedBy = (change: Policy): readonly string[] => {
    const { world } = decided();
    return world
      .put('policy', change)
      .steps()
      .closed.map(({ because, message }) => `${because}: ${message}`);
  };

  it('voids the displacement once a policy says Always about it, and is saved by the next', () => {
    const { world, displacement } = decided();
    expect(displacement.pods.map(({ name, plan }) => `${name} ${plan}`)).toEqual(['pod Save', 'plain Evict']);
    const all = makePolicy({ name: 'all', uid: 'all' });
    world.put('policy', all);
    const [closed] = world.steps().closed;
    expect(closed).toMatchObject({
      because: 'PolicyChanged',
      message: 'default/plain: policy all now wants it saved first',
    });
    world.book.close(displacement);
    const { opened } = world.preempt(high, { n1: [saved, plain] }, { costs: DEFAULT_COST_MODEL });
    expect(opened?.pods.map(({ plan }) => plan)).toEqual(['Save', 'Save']);
    expect(world.steps().closed).toEqual([]);
  });

  const harmless: Record<string, Policy> = {
    'one that leaves the choice': saying({ decision: 'Adaptive', onFailure: 'Refuse' }, { name: 'all', uid: 'all' }),
    'one that says Never': saying({ decision: 'Never' }, { name: 'all', uid: 'all' }),
  };
  for (const [sentence, policy] of Object.entries(harmless)) {
    it(`goes as planned under ${sentence}`, () => expect(closedBy(policy)).toEqual([]));
  }
});

it('a victim that may not go unsaved goes for a pod of the system, by its priority in the index', () => {
  for (const [priority, want] of [
    [1_000, []],
    [2_000_000_000, ['Evict pod unsaved']],
  ] as const) {
    const critical = makePod({ ...high, priority });
    const world = new TestWorld().put('node', makeNode()).put('policy', saying({ onFailure: 'Refuse' }));
    const { opened } = world.put('pod', critical, pod).preempt(critical, { n1: [pod] });
    const [victim] = opened?.pods ?? [];
    const failure = { reason: 'DumpFailed', message: 'it is traced', atMs: 9_000 };
    world.put('ticket', makeTicket({ phase: 'Saving', displacement: opened!, checkpoint: victim!.checkpoint! }));
    world.put('checkpoint', makeCheckpoint({ name: victim!.checkpoint!, failure }));
    expect(world.commands().filter((command) => command.startsWith('Evict'))).toEqual(want);
  }
});
