import { describe, expect, it } from 'vitest';
import {
  GI,
  makeCheckpoint,
  makeDisplacement,
  makeNode,
  makePod,
  makePolicy,
  makeResources,
  makeTicket,
} from '../../../test/support/builders.ts';
import { TestWorld, uidOf } from '../../../test/support/world.ts';
import { RESTORE_GATE } from '../../domain/labels.ts';
import type { PodUid } from '../../domain/ids.ts';
import type { Pod } from '../../domain/pod.ts';
import type { Ticket } from '../../domain/ticket.ts';

type Waiting = Partial<Omit<Pod, 'uid' | 'nodeName' | 'nominatedNodeName'>> & { readonly name: string };

/** A pod behind our gate that has claimed a ticket. All nodes could restore it. */
function put(w: TestWorld, { name, ...more }: Waiting, ticket: Partial<Omit<Ticket, 'pod'>> = {}): Pod {
  const pod = makePod({ name, gates: [RESTORE_GATE], ticket: `t-${name}`, creationMs: 9_000, ...more });
  const victim = { name: `old-${name}`, uid: `old-${name}` as PodUid };
  const checkpoint = `c-${name}`;
  w.put('checkpoint', makeCheckpoint({ name: checkpoint, podUid: victim.uid, ready: true, frozen: false }));
  w.put('pod', pod);
  const claim = { name, uid: pod.uid };
  w.put('ticket', makeTicket({ name: `t-${name}`, pod: victim, checkpoint, claim, phaseMs: 9_000, ...ticket }));
  return pod;
}

const world = (...nodes: readonly string[]): TestWorld =>
  new TestWorld().put('node', ...nodes.map((name) => makeNode({ name })));
const ungated = (w: TestWorld): string[] => w.commands().filter((command) => command.startsWith('Ungate'));

const wide = makeResources({ cpuMilli: 3000 });

describe('a pod that other scheduling gates hold back', () => {
  const held = [RESTORE_GATE, 'example.com/quota'];

  it('leaves the room to those behind it, and keeps our gate', () => {
    const w = world('n1');
    put(w, { name: 'first', requests: wide, gates: held }, { creationMs: 1 });
    put(w, { name: 'second', requests: wide }, { creationMs: 2 });
    expect(ungated(w)).toEqual(['Ungate second Admitted']);
    w.nowMs += 1_000_000;
    expect(ungated(w)).not.toContain('Ungate first GateExpired');
  });

  it('is admitted when these are removed', () => {
    const w = world('n1');
    const first = put(w, { name: 'first', requests: wide, gates: held });
    w.put('pod', makePod({ ...first, gates: [RESTORE_GATE] }));
    expect(ungated(w)).toEqual(['Ungate first Admitted']);
  });
});

describe('a pod that was admitted', () => {
  const admitted = { phase: 'Admitted', phaseMs: 9_000 } as const;
  const promised = (w: TestWorld, more: Partial<Waiting> = {}): TestWorld => {
    put(w, { name: 'admitted', requests: wide, gates: [], ...more }, { ...admitted, creationMs: 1 });
    put(w, { name: 'next', requests: wide }, { creationMs: 2 });
    return w;
  };

  it('keeps its room from others while kube-scheduler has not looked at it', () => {
    const w = promised(world('n1'));
    w.nowMs += 60_000;
    expect(ungated(w)).toEqual([]);
  });

  it('keeps the node that it was promised, also before the index shows that it was admitted', () => {
    const w = world('n1');
    put(w, { name: 'a', requests: wide }, { creationMs: 2 });
    w.steps();
    expect([...w.roomMemory.promises.values()]).toEqual(['n1']);
    w.put('node', makeNode({ name: 'n0' }));
    put(w, { name: 'b', requests: wide }, { creationMs: 1 });
    expect(ungated(w)).toEqual(['Ungate b Admitted', 'Ungate a Admitted']);
    expect([...w.roomMemory.promises]).toEqual([
      [uidOf('a'), 'n1'],
      [uidOf('b'), 'n0'],
    ]);
    w.nowMs += 10_000;
    w.remove('node', makeNode({ name: 'n0' }));
    expect(ungated(w)).toEqual(['Ungate b Admitted']);
  });

  it('keeps no room once kube-scheduler has found no node for it for a moment', () => {
    const w = promised(world('n1'), { unschedulable: true });
    expect(ungated(w)).toEqual([]);
    expect(w.steps().wakeAtMs).toBeLessThanOrEqual(14_000);
    w.nowMs = 14_000;
    expect(ungated(w)).toEqual(['Ungate next Admitted']);
  });
});

describe('a pending pod of higher priority that no nomination speaks of', () => {
  const urgent = makePod({ name: 'urgent', priority: 1000, requests: wide, creationMs: 9_000 });
  const first = (w: TestWorld): TestWorld => {
    put(w, { name: 'first', requests: wide });
    return w;
  };

  it('has the room that it is about to take', () => {
    expect(ungated(first(world('n1')).put('pod', urgent))).toEqual([]);
    expect(ungated(first(world('n1', 'n2')).put('pod', urgent))).toEqual(['Ungate first Admitted']);
    expect(ungated(first(world('n1')).put('pod', urgent, makePod({ ...urgent, nodeName: 'n1' })))).toEqual([]);
  });

  it('has the node that is being emptied for it, of which only a part is free', () => {
    const small = makeResources({ cpuMilli: 1000 });
    const w = world('n1').put(
      'pod',
      makePod({ name: 'pod', nodeName: 'n1', requests: makeResources({ cpuMilli: 2000 }) }),
    );
    const high = makePod({ name: 'high', priority: 1000, requests: makeResources({ cpuMilli: 4000 }) });
    put(w.put('pod', high), { name: 'first', requests: small });
    expect(ungated(w)).toEqual(['Ungate first Admitted']);
    w.roomMemory.clear();
    w.book.open(makeDisplacement());
    expect(ungated(w)).toEqual([]);
    w.put('pod', makePod({ ...high, nodeName: 'n2' }));
    expect(ungated(w)).toEqual(['Ungate first Admitted']);
  });

  it('has it also where kube-scheduler has found no node before', () => {
    expect(ungated(first(world('n1')).put('pod', { ...urgent, unschedulable: true }))).toEqual([]);
  });

  const others: Record<string, Pod> = {
    'is of the same priority': { ...urgent, priority: 0 },
    'is held back by a scheduling gate': { ...urgent, gates: ['example.com/quota'] },
    'is being deleted': { ...urgent, deletionMs: 9_500 },
    'is too large for every node': { ...urgent, requests: makeResources({ cpuMilli: 9000 }) },
    'does not select the node': {
      ...urgent,
      nodeSelector: { requirements: [{ key: 'disk', operator: 'Exists', values: [] }], terms: null },
    },
    'asks for a volume that is not there': {
      ...urgent,
      constraints: {
        hostPorts: [],
        affinity: [],
        antiAffinity: [],
        spread: [],
        volumeClaims: ['data'],
        hasResourceClaims: false,
      },
    },
  };
  for (const [sentence, other] of Object.entries(others))
    it(`has none where it ${sentence}`, () => {
      expect(ungated(first(world('n1')).put('pod', other))).toEqual(['Ungate first Admitted']);
    });

  it('leaves it to others once kube-scheduler has not placed it for longer than it waits between two attempts', () => {
    const w = first(world('n1')).put('pod', urgent);
    expect(w.steps().wakeAtMs).toBe(30_000);
    w.nowMs = 29_999;
    expect(ungated(w)).toEqual([]);
    w.nowMs = 30_000;
    expect(ungated(w)).toEqual(['Ungate first Admitted']);
  });

  it('has it as long again when the room went meanwhile', () => {
    const w = first(world('n1')).put('pod', urgent);
    expect(ungated(w)).toEqual([]);
    const passing = makePod({ name: 'passing', nodeName: 'n1', requests: wide });
    w.nowMs = 25_000;
    expect(ungated(w.put('pod', passing))).toEqual([]);
    w.nowMs = 40_000;
    expect(ungated(w.remove('pod', passing))).toEqual([]);
    w.nowMs = 60_000;
    expect(ungated(w)).toEqual(['Ungate first Admitted']);
  });

  it('yields to a gated pod of its own priority or a higher one', () => {
    const w = world('n1').put('pod', urgent);
    put(w, { name: 'higher', requests: wide, priority: 2000 }, { priority: 2000 });
    expect(ungated(w)).toEqual(['Ungate higher Admitted']);
  });
});

describe('a pod that may use less memory than the one before it', () => {
  const put64 = (limit: number | null, before: number | null, more: Partial<Ticket> = {}): TestWorld => {
    const w = world('n1');
    const pod = { name: 'old-pod', uid: 'old-pod' as PodUid, completionIndex: null, identityLabels: null };
    put(w, { name: 'pod', memoryLimitBytes: limit });
    const ticket = { ...pod, displacements: 0, memoryLimitBytes: before };
    w.put(
      'checkpoint',
      makeCheckpoint({ name: 'c-pod', podUid: 'old-pod', ready: true, frozen: false, bytes: 4 * GI }),
    );
    const claim = { name: 'pod', uid: uidOf('pod') };
    return w.put(
      'ticket',
      makeTicket({ name: 't-pod', pod: ticket, checkpoint: 'c-pod', claim, phaseMs: 9_000, ...more }),
    );
  };

  it('starts cold at once where the state takes more', () => {
    const { commands } = put64(GI, 0).steps();
    expect(commands).toMatchObject([
      {
        phase: 'ColdStarted',
        reason: 'StateTooLarge',
        message: 'its state takes 4Gi, and pod pod may use 1Gi of memory',
      },
    ]);
    expect(put64(GI, 8 * GI).steps().commands).toMatchObject([{ reason: 'StateTooLarge' }]);
  });

  it('is held where its policy says so', () => {
    const restore = { ...makeTicket().restore, onFailure: 'Hold' } as const;
    expect(put64(GI, 0, { restore }).steps().commands).toMatchObject([{ phase: 'Held', reason: 'Held' }]);
  });

  it('is restored with the limit that it had, a higher one, or a state that fits', () => {
    for (const [limit, before] of [
      [GI, GI],
      [2 * GI, GI],
      [0, GI],
      [5 * GI, 8 * GI],
      [GI, null],
    ] as const)
      expect(ungated(put64(limit, before))).toEqual(['Ungate pod Admitted']);
  });
});

describe('pods of several namespaces', () => {
  /** Two nodes restore two pods each. */
  const admittedOf = (w: TestWorld): string[] => ungated(w).map((command) => command.split(' ')[1] ?? '');
  const inNamespace = (w: TestWorld, namespace: string, count: number, ticket: Partial<Ticket> = {}): void => {
    for (let at = 0; at < count; at++) {
      const name = `${namespace}${at}`;
      const creationMs = (namespace === 'a' ? 1 : 100) + at;
      const checkpoint = makeCheckpoint({ namespace, name: `c-${name}`, podUid: `old-${name}`, ready: true });
      w.put('checkpoint', checkpoint);
      put(w, { name, namespace }, { namespace, creationMs, ...ticket });
    }
  };

  it('have equal shares of the places for restores, the oldest first', () => {
    const w = world('n1', 'n2');
    inNamespace(w, 'a', 5);
    inNamespace(w, 'b', 5);
    expect(admittedOf(w).sort()).toEqual(['a0', 'a1', 'b0', 'b1']);
  });

  it('leave nothing unused', () => {
    const w = world('n1', 'n2');
    inNamespace(w, 'a', 5);
    inNamespace(w, 'b', 1);
    expect(admittedOf(w).sort()).toEqual(['a0', 'a1', 'a2', 'b0']);
  });

  it('count what is being restored, and yield to no lower priority', () => {
    const w = world('n1', 'n2');
    inNamespace(w, 'a', 5, { priority: 10 });
    inNamespace(w, 'b', 5);
    expect(admittedOf(w).sort()).toEqual(['a0', 'a1', 'a2', 'a3']);
    const busy = world('n1', 'n2');
    for (const name of ['x', 'y']) {
      busy.put(
        'ticket',
        makeTicket({ namespace: 'a', name: `t-${name}`, phase: 'Restoring', claim: { name, uid: uidOf(name) } }),
      );
      busy.put('pod', makePod({ namespace: 'a', name, ticket: `t-${name}`, nodeName: 'n1', phase: 'Pending' }));
    }
    inNamespace(busy, 'a', 5);
    inNamespace(busy, 'b', 5);
    expect(admittedOf(busy).sort()).toEqual(['b0', 'b1']);
  });
});

describe('work that is displaced over and over', () => {
  const HOUR = 3_600_000;
  /** Six displacements, ten minutes apart; `pod` is to continue the last one. */
  function worn(): TestWorld {
    const w = world('n1');
    w.nowMs = HOUR;
    for (let count = 0; count < 6; count++) {
      const isLast = count === 5;
      const [victim, next] = [`p${count}`, isLast ? 'pod' : `p${count + 1}`];
      const pod = { ...makeTicket().pod, name: victim, uid: uidOf(victim) };
      const claim = { name: next, uid: uidOf(next) };
      const given = { name: `t-${next}`, pod, claim, creationMs: count * 600_000, phaseMs: 3_000_000 } as const;
      if (!isLast) w.put('ticket', makeTicket({ ...given, phase: 'Restored' }));
      else put(w, { name: 'pod', creationMs: w.nowMs - 1_000 }, given);
    }
    return w;
  }

  it('rests until an hour after the first of so many displacements', () => {
    const w = worn();
    w.nowMs = HOUR - 1;
    expect(ungated(w)).toEqual([]);
    expect(w.steps().wakeAtMs).toBeLessThanOrEqual(HOUR);
    w.nowMs = HOUR;
    expect(ungated(w)).toEqual(['Ungate pod Admitted']);
  });

  it('counts a restore that a displacement interrupted', () => {
    const w = world('n1');
    put(w, { name: 'pod' }, { attempts: 5 });
    expect(ungated(w)).toEqual([]);
    put(w, { name: 'pod' }, { attempts: 4 });
    expect(ungated(w)).toEqual(['Ungate pod Admitted']);
  });

  it('rests no longer than maxGate', () => {
    const w = worn();
    const pod = makePod({ name: 'pod', gates: [RESTORE_GATE], ticket: 't-pod', creationMs: HOUR - 400_000 });
    w.nowMs = HOUR - 1;
    expect(ungated(w.put('pod', pod))).toEqual(['Ungate pod Admitted']);
  });

  it('is the last victim among those of its priority', () => {
    const small = makeResources({ cpuMilli: 500 });
    const running = makePod({ name: 'pod', nodeName: 'n1', displacements: 6, requests: small, startMs: HOUR - 1_000 });
    const other = makePod({ name: 'other', nodeName: 'n2', requests: makeResources({ cpuMilli: 3000 }), startMs: 0 });
    const chosen = (maxDisplacementsPerHour: number) => {
      const w = worn()
        .put('node', makeNode({ name: 'n2' }))
        .put('policy', makePolicy())
        .put('pod', running, other);
      const [ticket] = w.index.ticketsOfClaimant(running);
      w.put('ticket', { ...ticket!, phase: 'Restored' });
      w.nowMs = HOUR - 1;
      const high = makePod({ name: 'high', priority: 1000 });
      return w.preempt(high, { n1: [running], n2: [other] }, { maxDisplacementsPerHour }).verdict.node;
    };
    expect(chosen(6)).toBe('n2');
    expect(chosen(7)).toBe('n1');
  });
});

describe('a resource that kube-scheduler does not count', () => {
  const asking = makeResources({ extended: { 'example.com/disk': 1 } });
  const withDisks = (name: string, count: number) =>
    makeNode({ name, allocatable: { ...makeNode().allocatable, extended: { 'example.com/disk': count } } });

  it('is one that no node lists: only an extender knows how much there is', () => {
    const w = world('n1');
    put(w, { name: 'pod', requests: asking });
    expect(ungated(w)).toEqual(['Ungate pod Admitted']);
  });

  it('is one that the configuration names, or whose group it names', () => {
    for (const [pattern, want] of [
      ['example.com/disk', ['Ungate pod Admitted']],
      ['example.com/*', ['Ungate pod Admitted']],
      ['example.org/*', []],
      ['example.com/dis', []],
    ] as const) {
      const w = world().put('node', withDisks('n1', 0));
      w.index.ignoreResources([pattern]);
      put(w, { name: 'pod', requests: asking });
      expect(ungated(w)).toEqual(want);
    }
  });

  it('counts again as soon as some node lists it, if only as 0', () => {
    const w = world('n1').put('node', withDisks('n2', 0));
    put(w, { name: 'pod', requests: asking });
    expect(ungated(w)).toEqual([]);
    w.put('node', withDisks('n2', 1));
    expect(ungated(w)).toEqual(['Ungate pod Admitted']);
  });
});

describe('what a pod demands beside resources', () => {
  const constraints = {
    hostPorts: [{ protocol: 'TCP', ip: '0.0.0.0', port: 8080 }],
    affinity: [],
    antiAffinity: [],
    spread: [],
    volumeClaims: [],
    hasResourceClaims: false,
  };

  it('keeps it off the emptiest node, and not off another one', () => {
    const w = world('n1', 'n2').put(
      'pod',
      makePod({ name: 'holder', nodeName: 'n1', constraints, requests: makeResources({ cpuMilli: 1 }) }),
    );
    w.put('pod', makePod({ name: 'other', nodeName: 'n2' }));
    put(w, { name: 'pod', constraints });
    expect(ungated(w)).toEqual(['Ungate pod Admitted']);
    w.put('pod', makePod({ name: 'second', nodeName: 'n2', constraints }));
    expect(ungated(w)).toEqual([]);
  });

  it('lets one pod at a time take a port, and others pass it', () => {
    const w = world('n1');
    put(w, { name: 'a', constraints }, { creationMs: 1 });
    put(w, { name: 'b', constraints }, { creationMs: 2 });
    put(w, { name: 'c' }, { creationMs: 3 });
    expect(ungated(w)).toEqual(['Ungate a Admitted', 'Ungate c Admitted']);
  });

  describe('decides where another pod may go', () => {
    const labels = { app: 'db' };
    const selector = { requirements: [{ key: 'app', operator: 'In' as const, values: ['db'] }] };
    const terms = [{ selector, namespaces: ['default'], namespaceSelector: null, topologyKey: 'zone' }];
    const spread = [
      { maxSkew: 1, topologyKey: 'zone', selector, minDomains: 1, honorsAffinity: true, honorsTaints: false },
    ];
    const none = { ...constraints, hostPorts: [] };
    const zones = (): TestWorld => {
      const nodes = ['n1', 'n2'].map((name) => makeNode({ name, labels: { zone: name } }));
      return new TestWorld().put('node', ...nodes);
    };
    const related: Record<string, { readonly first: Partial<Waiting>; readonly second: Partial<Waiting> }> = {
      'by a host port': { first: { constraints }, second: { constraints } },
      'by topology spread': {
        first: { labels, constraints: { ...none, spread } },
        second: { labels, constraints: { ...none, spread } },
      },
      'by its affinity': { first: { labels }, second: { constraints: { ...none, affinity: terms } } },
      'by its anti-affinity': { first: { constraints: { ...none, antiAffinity: terms } }, second: { labels } },
    };
    for (const [how, { first, second }] of Object.entries(related)) {
      const two = (): { w: TestWorld; admitted: Pod } => {
        const w = zones();
        const admitted = put(w, { name: 'first', ...first }, { creationMs: 1 });
        put(w, { name: 'second', ...second }, { creationMs: 2 });
        put(w, { name: 'third' }, { creationMs: 3 });
        return { w, admitted };
      };

      it(`${how}: that one waits until it has its node, and no other pod waits`, () => {
        const { w, admitted } = two();
        expect(ungated(w)).toEqual(['Ungate first Admitted', 'Ungate third Admitted']);
        w.put('pod', makePod({ ...admitted, gates: [] }));
        expect(ungated(w)).toEqual(['Ungate third Admitted']);
        w.put('pod', makePod({ ...admitted, gates: [], nodeName: 'n1' }));
        expect(ungated(w)).toEqual(['Ungate second Admitted', 'Ungate third Admitted']);
      });

      it(`${how}: that one does not wait for a scheduler that places nothing`, () => {
        const { w, admitted } = two();
        w.put('pod', makePod({ ...admitted, gates: [] }));
        w.put('ticket', { ...(w.index.ticketsOfClaimant(admitted)[0] as Ticket), phase: 'Admitted', phaseMs: w.nowMs });
        expect(ungated(w)).toEqual(['Ungate third Admitted']);
        expect(w.steps().wakeAtMs).toBeLessThanOrEqual(w.nowMs + 20_000);
        w.nowMs += 20_000;
        expect(ungated(w)).toEqual(['Ungate second Admitted', 'Ungate third Admitted']);
      });
    }
  });

  it('counts for a pod that demands nothing, where a pod on the node repels it', () => {
    const selector = { requirements: [] };
    const term = { selector, namespaces: ['default'], namespaceSelector: null, topologyKey: 'kubernetes.io/hostname' };
    const hermit = { ...constraints, hostPorts: [], antiAffinity: [term] };
    const w = world('n1').put('pod', makePod({ name: 'hermit', nodeName: 'n1', constraints: hermit }));
    put(w, { name: 'pod' });
    expect(ungated(w)).toEqual([]);
    w.put('node', makeNode({ name: 'n2' }));
    expect(ungated(w)).toEqual(['Ungate pod Admitted']);
  });
});
