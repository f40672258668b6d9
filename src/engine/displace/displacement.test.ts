import { describe, expect, it } from 'vitest';
import {
  makeCheckpoint,
  makeDisplacement,
  makeNode,
  makePod,
  makePolicy,
  makeResources,
  makeTicket,
  makeUnsavedVictim,
  makeVictim,
} from '../../../test/support/builders.ts';
import { TestWorld, uidOf } from '../../../test/support/world.ts';
import { lastEvictionMs } from '../../domain/thaw-rule.ts';
import { REMOVED_AGENT_MS, SILENT_AGENT_MS } from './displacement.ts';

const high = makePod({ name: 'high', priority: 1000 });
const pod = makePod({ name: 'pod', nodeName: 'n1', priority: 10 });
const ticket = makeTicket({ phase: 'Saving' });
const planned = makeVictim();
const checkpoint = makeCheckpoint({ name: planned.checkpoint, podUid: pod.uid });
const saved = { ...checkpoint, ready: true, frozen: true, takenMs: 9_000, bytes: 1 };
const frozenPod = makePod({ ...pod, frozenBy: checkpoint.name });
const nominated = makePod({ ...high, nominatedNodeName: 'n1' });

/** A displacement about `pod` for `high` has been made; nothing is written yet. */
function decided(displacement = makeDisplacement()): TestWorld {
  const world = new TestWorld().put('node', makeNode()).put('policy', makePolicy()).put('pod', high, pod);
  world.book.open(displacement);
  return world;
}

/** The same with ticket, nomination and checkpoint in place. */
function saving(displacement = makeDisplacement()): TestWorld {
  return decided(displacement)
    .put('pod', nominated)
    .put('ticket', { ...ticket, displacement, checkpoint: displacement.pods[0]?.checkpoint ?? '' })
    .put('checkpoint', checkpoint);
}

describe('prepare', () => {
  it('writes the ticket before the order to save, and nominates meanwhile', () => {
    const world = decided();
    expect(world.commands()).toEqual(['Nominate high n1', 'CreateTicket pod-uid-pod']);
    world.put('ticket', ticket).put('pod', nominated);
    expect(world.commands()).toEqual(['CreateCheckpoint pod-uid-pod-d1']);
    world.put('checkpoint', checkpoint);
    expect(world.commands()).toEqual([]);
  });

  it('nominates again when kube-scheduler cleared it', () => {
    expect(saving().put('pod', high).commands()).toEqual(['Nominate high n1']);
  });

  it('waits for a preemptor that our watch has not brought yet, but not for ever', () => {
    const world = saving(makeDisplacement({ decidedMs: 8_000 })).remove('pod', high);
    expect(world.steps().closed).toEqual([]);
    world.nowMs = 13_000;
    expect(world.steps().closed).toMatchObject([{ because: 'PreemptorGone' }]);
  });
});

describe('the commit barrier', () => {
  const replicas = (...seen: readonly string[]) =>
    seen.map((version, index) => ({ name: `replica-${index}`, seen: version }));
  /** Saved, frozen, and not evicted yet. */
  function allSaved(terms: Partial<Parameters<typeof makeVictim>[0]> = {}): TestWorld {
    const displacement = makeDisplacement({ pods: [makeVictim(terms)] });
    const world = saving(displacement).put('checkpoint', saved).put('pod', frozenPod);
    return world.put('ticket', { ...ticket, displacement, checkpoint: planned.checkpoint });
  }
  const versionOf = (world: TestWorld): string => world.index.ticketOfVictim(pod)?.resourceVersion ?? '';

  it('holds the first eviction until every replica has seen the ticket', () => {
    const world = allSaved();
    const version = versionOf(world);
    world.index.setWebhookReplicas(replicas(version, '99'));
    expect(world.commands()).toEqual([]);
    expect(world.steps().waiting).toMatchObject([{ behind: ['replica-1'] }]);
    world.index.setWebhookReplicas(replicas(version, String(Number(version) - 1)));
    expect(world.commands()).toEqual([]);
    world.index.setWebhookReplicas(replicas(version, `${version}0`));
    expect(world.commands()).toEqual(['Evict pod']);
  });

  it('asks nothing of replicas where there are none, or where no victim was saved', () => {
    expect(allSaved().commands()).toEqual(['Evict pod']);
    const failedOne = allSaved().put('checkpoint', {
      ...checkpoint,
      failure: { reason: 'DumpFailed', message: 'criu said no', atMs: 9_000 },
    });
    failedOne.index.setWebhookReplicas(replicas('1'));
    expect(failedOne.commands()).toEqual(['Evict pod unsaved']);
  });

  it('was passed where a ticket says that the eviction has begun', () => {
    const world = allSaved();
    const { displacement } = world.index.ticketOfVictim(pod) ?? ticket;
    world.put('ticket', { ...ticket, phase: 'Displacing', displacement, checkpoint: planned.checkpoint });
    world.index.setWebhookReplicas(replicas('1'));
    expect(world.commands()).toContain('Evict pod');
  });

  it('ends with the time for saving: the victim goes with its state, or stays where it must lose nothing', () => {
    for (const [onFailure, want] of [
      ['Evict', ['Evict pod']],
      ['Refuse', []],
    ] as const) {
      const world = allSaved({ onFailure });
      world.index.setWebhookReplicas(replicas('1'));
      expect(world.steps().wakeAtMs).toBe(makeDisplacement().deadlineMs);
      world.nowMs = makeDisplacement().deadlineMs;
      expect(world.commands()).toEqual(want);
      const closed = onFailure === 'Refuse' ? [{ because: 'DeadlineExceeded' }] : [];
      expect(world.steps().closed).toMatchObject(closed);
    }
  });

  it('ends before the node thaws the pod', () => {
    const thawAtMs = 60_000;
    const world = allSaved().put('checkpoint', { ...saved, thawAtMs });
    world.index.setWebhookReplicas(replicas('1'));
    expect(world.commands()).toEqual([]);
    const { wakeAtMs } = world.steps();
    expect(wakeAtMs).toBeLessThan(lastEvictionMs(thawAtMs));
    world.nowMs = wakeAtMs;
    expect(world.commands()).toEqual(['Evict pod']);
  });
});

describe('commit', () => {
  it('evicts when the checkpoint is ready, frozen, and the pod says so itself', () => {
    expect(
      saving()
        .put('checkpoint', { ...saved, frozen: false })
        .put('pod', frozenPod)
        .commands(),
    ).toEqual([]);
    expect(
      saving()
        .put('checkpoint', { ...saved, ready: false })
        .put('pod', frozenPod)
        .commands(),
    ).toEqual([]);
    expect(saving().put('checkpoint', saved).commands()).toEqual([]);
    const world = saving().put('checkpoint', saved).put('pod', frozenPod);
    expect(world.commands()).toEqual(['Evict pod']);
    expect(world.steps().commands[0]).toMatchObject({ order: { frozenBy: checkpoint.name }, unsaved: null });
  });

  it('evicts each pod as soon as it is saved itself, where the displacement says so', () => {
    const other = makePod({ name: 'other', nodeName: 'n1', priority: 10 });
    const second = makeVictim({ uid: other.uid, name: other.name, checkpoint: 'other-d1' });
    for (const [commit, want] of [
      ['AllSaved', []],
      ['EachSaved', ['Evict pod']],
    ] as const) {
      const displacement = makeDisplacement({ pods: [planned, second], commit });
      const world = saving(displacement).put('pod', frozenPod, other).put('checkpoint', saved);
      const own = { name: 'o', uid: 'o', checkpoint: 'other-d1', pod: { ...ticket.pod, uid: other.uid } };
      world.put('ticket', { ...ticket, ...own, displacement });
      world.put('checkpoint', { ...checkpoint, name: 'other-d1', uid: 'o', podUid: other.uid });
      expect(world.commands()).toEqual(want);
    }
  });

  it('evicts nobody before everybody is saved', () => {
    const second = {
      ...planned,
      uid: uidOf('second'),
      name: 'second',
      checkpoint: 'second-uid-second-d1',
    };
    const plain = makeUnsavedVictim('plain');
    const displacement = makeDisplacement({ pods: [planned, second, plain] });
    const world = saving(displacement)
      .put(
        'pod',
        frozenPod,
        makePod({ name: 'second', nodeName: 'n1' }),
        makePod({
          name: 'plain',
          nodeName: 'n1',
          notCheckpointable: { reason: 'SpecUnsupported', message: 'hostPID' },
        }),
      )
      .put('checkpoint', saved);
    expect(world.commands()).toEqual(['CreateTicket second-uid-second']);
    world
      .put(
        'ticket',
        makeTicket({
          ...ticket,
          name: 'second-uid-second',
          uid: 't2',
          displacement,
          checkpoint: 'second-uid-second-d1',
          pod: { ...ticket.pod, name: 'second', uid: uidOf('second') },
        }),
      )
      .put('checkpoint', { ...saved, name: 'second-uid-second-d1', uid: 'c2', podUid: uidOf('second') })
      .put('pod', makePod({ name: 'second', nodeName: 'n1', frozenBy: 'second-uid-second-d1' }));
    expect(world.commands()).toEqual(['Evict pod', 'Evict second', 'Evict plain']);
  });

  it('goes on with those who still stand after a crash in the middle', () => {
    const plain = makeUnsavedVictim('plain');
    const world = saving(makeDisplacement({ pods: [planned, plain] }))
      .put('checkpoint', saved)
      .put(
        'pod',
        makePod({ ...frozenPod, deletionMs: 9_500 }),
        makePod({
          name: 'plain',
          nodeName: 'n1',
          notCheckpointable: { reason: 'SpecUnsupported', message: 'hostPID' },
        }),
      );
    expect(world.commands()).toContain('Evict plain');
    expect(world.commands()).not.toContain('Evict pod');
  });

  it('wakes a preemptor that is not bound though the room is free', () => {
    const world = saving().remove('pod', pod).remove('ticket', ticket);
    const { emptied } = world.steps();
    expect(emptied).toHaveLength(1);
    world.book.markEmptied(emptied[0]!, world.nowMs);
    expect(world.commands()).not.toContain('Wake high');
    world.nowMs += 5_000;
    expect(world.commands()).toContain('Wake high');
    world.nowMs += 60_000;
    expect(world.steps().closed).toMatchObject([{ because: 'NotBound' }]);
  });
});

describe('a node that takes the preemptor no more', () => {
  const taint = { key: 'gpu', value: 'a100', effect: 'NoExecute' } as const;
  const cordon = {
    key: 'node.kubernetes.io/unschedulable',
    operator: 'Exists',
    value: '',
    effect: 'NoSchedule',
  } as const;
  const ready = (node: ReturnType<typeof makeNode>) =>
    saving().put('checkpoint', saved).put('pod', frozenPod).put('node', node);
  const unfit: Record<string, ReturnType<typeof makeNode>> = {
    'node n1 is not ready': makeNode({ ready: false }),
    'node n1 is cordoned': makeNode({ unschedulable: true }),
    'node n1 has the taint gpu=a100:NoExecute, which is not tolerated': makeNode({ taints: [taint] }),
  };
  for (const [message, node] of Object.entries(unfit)) {
    it(`evicts nobody more, and lets who is frozen go on: ${message}`, () => {
      const w = ready(node);
      expect(w.steps()).toMatchObject({ commands: [], closed: [{ because: 'NodeUnfit', message }] });
      w.book.close(makeDisplacement());
      expect(w.commands()).toEqual(['ReleaseCheckpoint pod-uid-pod-d1']);
    });
  }

  it('goes on where the preemptor tolerates it', () => {
    const w = ready(makeNode({ unschedulable: true, taints: [taint] }));
    const tolerations = [cordon, { ...cordon, key: 'gpu', effect: null }];
    expect(w.put('pod', makePod({ ...nominated, tolerations })).commands()).toEqual(['Evict pod']);
  });

  it('leaves those alone whose deletion has begun: they come back by their tickets', () => {
    const w = ready(makeNode({ ready: false })).put('pod', makePod({ ...frozenPod, deletionMs: 9_000 }));
    expect(w.steps().closed).toMatchObject([{ because: 'NodeUnfit' }]);
    w.book.close(makeDisplacement());
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Displacing Evicted']);
  });
});

describe('a preemptor that no longer fits its node', () => {
  const ssd = { requirements: [{ key: 'disk', operator: 'In', values: ['ssd'] } as const], terms: null };
  const node = makeNode({ labels: { disk: 'ssd' } });
  const picky = makePod({ ...nominated, nodeSelector: ssd });
  /** Everything is saved: the next write is the eviction. */
  const ready = () => saving().put('checkpoint', saved).put('pod', frozenPod, picky).put('node', node);
  const large = makePod({ name: 'large', nodeName: 'n1', priority: 2000, requests: makeResources({ cpuMilli: 3500 }) });

  it('has its victims evicted while it fits', () => {
    expect(ready().commands()).toEqual(['Evict pod']);
  });

  const changes: Readonly<Record<string, { readonly change: (world: TestWorld) => unknown; readonly want: object }>> = {
    'a label that it selects is gone': {
      change: (world) => world.put('node', makeNode()),
      want: {
        because: 'NodeUnfit',
        message: 'node n1 does not match the node selector or the node affinity of the pod',
      },
    },
    'another pod has taken the room': {
      change: (world) => world.put('pod', large),
      want: { because: 'NoLongerFits', message: 'node n1 has not enough cpu for it, even without its victims' },
    },
    'a more important pod is nominated for the room': {
      change: (world) =>
        world.put('pod', makePod({ ...large, priority: 2001, nodeName: null, nominatedNodeName: 'n1' })),
      want: { because: 'NoLongerFits' },
    },
    'the node has less to give': {
      change: (world) => world.put('node', makeNode({ ...node, allocatable: makeResources({ cpuMilli: 500 }) })),
      want: { because: 'NoLongerFits' },
    },
  };
  for (const [sentence, { change, want }] of Object.entries(changes)) {
    it(`has no pod evicted for it, and its victims are thawed: ${sentence}`, () => {
      const world = ready();
      change(world);
      expect(world.steps()).toMatchObject({ commands: [], closed: [want] });
      world.book.close(makeDisplacement());
      expect(world.commands()).toEqual(['ReleaseCheckpoint pod-uid-pod-d1']);
    });
  }

  it('is not refused for a pod that is being deleted', () => {
    const world = ready().put('pod', makePod({ ...large, deletionMs: 1 }));
    expect(world.commands()).toEqual(['Evict pod']);
  });

  it('is not refused for a nominated pod that is not more important, or a resource that the node does not list', () => {
    const extended = { 'example.com/licence': 1 };
    const world = ready()
      .put('pod', makePod({ ...large, priority: high.priority, nodeName: null, nominatedNodeName: 'n1' }))
      .put('pod', makePod({ ...picky, requests: makeResources({ extended }) }));
    expect(world.commands()).toEqual(['Evict pod']);
  });

  it('is refused for no port, volume or anti-affinity of a pod that is being deleted, or is nominated and not more important', () => {
    const hostPorts = [{ protocol: 'TCP', ip: '0.0.0.0', port: 8080 }];
    const selector = { requirements: [] };
    const term = { selector, namespaces: ['default'], namespaceSelector: null, topologyKey: 'kubernetes.io/hostname' };
    const needs = { affinity: [], antiAffinity: [term], spread: [], volumeClaims: [], hasResourceClaims: false };
    const demanding = makePod({ ...nominated, constraints: { ...needs, hostPorts } });
    const small = makePod({
      name: 'small',
      requests: makeResources({ cpuMilli: 1 }),
      constraints: demanding.constraints,
    });
    const world = ready().put('pod', demanding);
    const going = makePod({ ...small, nodeName: 'n1', deletionMs: 1 });
    expect(world.put('pod', going).commands()).toEqual(['Evict pod']);
    const equal = makePod({
      ...small,
      name: 'equal',
      uid: 'uid-equal',
      priority: high.priority,
      nominatedNodeName: 'n1',
    });
    expect(world.put('pod', equal).commands()).toEqual(['Evict pod']);
    world.put('pod', { ...equal, priority: high.priority + 1 });
    expect(world.steps().closed).toMatchObject([
      { because: 'NoLongerFits', message: expect.stringMatching(/a host port is taken$/) },
    ]);
  });
});

describe('a preemptor that is bound and wants to grow', () => {
  const bound = { ...high, nodeName: 'n1', startMs: 0, requests: makeResources({ cpuMilli: 3000 }) };
  const growing = makePod({ ...bound, resizeDeferred: true });

  it('has its victims saved and evicted, and is not nominated', () => {
    const world = decided().put('pod', growing);
    expect(world.commands()).toEqual(['CreateTicket pod-uid-pod']);
    world.put('ticket', ticket).put('checkpoint', saved).put('pod', frozenPod);
    expect(world.commands()).toEqual(['Evict pod']);
  });

  it('is waited for until the watch has brought what it asks for', () => {
    const world = saving().put('checkpoint', saved).put('pod', frozenPod, makePod(bound));
    world.book.open(makeDisplacement({ decidedMs: 9_000 }));
    expect(world.steps()).toMatchObject({ closed: [], commands: [] });
    world.nowMs = 14_000;
    expect(world.steps().closed).toMatchObject([{ because: 'Bound' }]);
  });

  it('has got its room when its resize is deferred no longer', () => {
    expect(saving().put('pod', makePod(bound)).steps().closed).toMatchObject([{ because: 'Bound' }]);
  });

  it('is given up where the room was of no use, and never woken', () => {
    const world = saving().put('pod', growing).remove('pod', pod).remove('ticket', ticket);
    world.book.markEmptied(makeDisplacement(), world.nowMs);
    world.nowMs += 5_000;
    expect(world.commands()).not.toContain('Wake high');
    world.nowMs += 60_000;
    expect(world.steps().closed).toMatchObject([{ because: 'NotBound' }]);
  });
});

describe('what is not in view', () => {
  const second = { ...planned, uid: uidOf('second'), name: 'second' };

  it('evicts nobody for a preemptor that was not seen yet', () => {
    const w = saving(makeDisplacement({ decidedMs: 9_000 }))
      .put('checkpoint', saved)
      .put('pod', frozenPod);
    expect(w.remove('pod', high).commands()).toEqual([]);
  });

  it('is not taken for gone while another process may have written it a moment ago', () => {
    const w = saving(makeDisplacement({ pods: [planned, second] }))
      .put('checkpoint', saved)
      .put('pod', frozenPod);
    w.actingSinceMs = 9_000;
    expect(w.commands()).toEqual([]);
    expect(w.steps().wakeAtMs).toBe(14_000);
    w.nowMs = 14_000;
    expect(w.commands()).toEqual(['Evict pod']);
  });

  it('gives the preemptor time to appear after a takeover', () => {
    const w = saving().remove('pod', high);
    w.actingSinceMs = 9_000;
    expect(w.steps()).toMatchObject({ closed: [], wakeAtMs: 14_000 });
    w.nowMs = 14_000;
    expect(w.steps().closed).toMatchObject([{ because: 'PreemptorGone' }]);
  });

  it('does not take the preemptor for gone before the watch of pods could bring it', () => {
    const w = saving().remove('pod', high);
    w.podsSinceMs = w.nowMs = 50_000; // it is broken
    expect(w.steps()).toMatchObject({ closed: [], wakeAtMs: 55_000 });
    w.nowMs = 54_999;
    expect(w.steps().closed).toEqual([]);
    w.nowMs = 55_000;
    expect(w.steps().closed).toMatchObject([{ because: 'PreemptorGone' }]);
  });

  it('waits no longer for the preemptor because the clock of the leader before was ahead', () => {
    const w = saving(makeDisplacement({ decidedMs: 310_000, deadlineMs: 370_000 })).remove('pod', high);
    w.actingSinceMs = 9_000;
    expect(w.steps()).toMatchObject({ closed: [], wakeAtMs: 14_000 });
    w.nowMs = 14_000;
    expect(w.steps().closed).toMatchObject([{ because: 'PreemptorGone' }]);
    expect(w.put('pod', makePod({ ...high, nodeName: 'n1', startMs: 12_000 })).steps().closed).toMatchObject([
      { because: 'Bound' },
    ]);
  });

  it('does not evict unsaved because a checkpoint to be reused has not come yet', () => {
    const reused = makeVictim({ plan: 'Reuse', checkpoint: 'older' });
    const w = saving(makeDisplacement({ pods: [reused] })).remove('checkpoint', checkpoint);
    w.actingSinceMs = 9_000;
    expect(w.commands()).toEqual([]);
    w.nowMs = 14_000;
    expect(w.commands()).toEqual(['Evict pod unsaved']);
  });

  it('does not remove a checkpoint whose ticket may be on its way', () => {
    const w = new TestWorld().put('node', makeNode()).put('pod', frozenPod).put('checkpoint', saved);
    w.actingSinceMs = 9_000;
    expect(w.commands()).toEqual([]);
    w.nowMs = 14_000;
    expect(w.commands()).toEqual(['ReleaseCheckpoint pod-uid-pod-d1']);
  });
});

describe('failure', () => {
  const failed = { ...checkpoint, failure: { reason: 'DumpFailed', message: 'criu said no', atMs: 9_000 } };
  const refusing = makeDisplacement({ pods: [{ ...planned, onFailure: 'Refuse' }] });

  it('evicts unsaved where the policy allows it', () => {
    const world = saving().put('checkpoint', failed);
    expect(world.commands()).toEqual(['Evict pod unsaved']);
    expect(world.steps().commands[0]).toMatchObject({ order: { frozenBy: null }, unsaved: 'DumpFailed: criu said no' });
  });

  it('gives up where the policy refuses', () => {
    const { closed, commands } = saving(refusing).put('checkpoint', failed).steps();
    expect(closed).toMatchObject([{ because: 'CheckpointFailed' }]);
    expect(commands).toEqual([]);
  });

  it('treats the deadline like a failure', () => {
    const world = saving(refusing);
    world.nowMs = 60_000;
    expect(world.steps().closed).toMatchObject([{ because: 'DeadlineExceeded' }]);
    const evicting = saving();
    evicting.nowMs = 60_000;
    expect(evicting.commands()).toEqual(['Evict pod unsaved']);
  });

  it('does not wait for an agent that is silent', () => {
    const world = saving();
    world.index.setAgentSilent(makeNode().name, true);
    expect(world.commands()).toEqual(['Evict pod unsaved']);
    expect(
      decided()
        .put('node', { ...makeNode(), agentSilent: true })
        .commands(),
    ).not.toContain('CreateCheckpoint pod-uid-pod-d1');
  });

  it('gives up on a silent agent where the policy refuses', () => {
    const refusing = { ...planned, onFailure: 'Refuse' as const };
    const world = saving(makeDisplacement({ pods: [refusing] }));
    world.index.setAgentSilent(makeNode().name, true);
    expect(world.steps().closed).toMatchObject([{ because: 'CheckpointFailed' }]);
  });

  it('evicts who was saved before the agent fell silent', () => {
    const world = saving().put('checkpoint', saved).put('pod', frozenPod);
    world.index.setAgentSilent(makeNode().name, true);
    expect(world.commands()).toEqual(['Evict pod']);
  });

  it('does not trust a checkpoint after which the pod went on', () => {
    const thawed = { ...saved, frozen: false, thawed: true };
    expect(saving(refusing).put('checkpoint', thawed).steps().closed).toHaveLength(1);
  });

  it('evicts nobody whose state is being deleted, frozen or not', () => {
    const going = { ...saved, deleting: true };
    const w = saving().put('pod', frozenPod).put('checkpoint', going);
    expect(w.commands()).toEqual([]);
    w.nowMs = 60_000;
    expect(w.commands()).toEqual(['Evict pod unsaved']);
    const reused = makeDisplacement({ pods: [makeVictim({ plan: 'Reuse' })] });
    const kept = { ...saved, keepFrozen: false };
    expect(saving(reused).put('checkpoint', kept).commands()).toEqual(['Evict pod']);
    expect(
      saving(reused)
        .put('checkpoint', { ...kept, deleting: true })
        .commands(),
    ).toEqual(['Evict pod unsaved']);
  });

  it('saves again whose checkpoint somebody deleted, once its node has undone it', () => {
    const w = saving()
      .put('pod', frozenPod)
      .put('checkpoint', { ...saved, frozen: false, thawed: true, deleting: true });
    expect(w.put('pod', pod).commands()).toEqual([]);
    w.remove('checkpoint', checkpoint);
    expect(w.commands()).toEqual(['CreateCheckpoint pod-uid-pod-d1']);
  });

  it('looks again at the deadline though nothing happens', () => {
    expect(saving().steps().wakeAtMs).toBe(60_000);
  });
});

describe('undo', () => {
  const ends: Record<string, (world: TestWorld) => TestWorld> = {
    'the preemptor is deleted': (world) => world.put('pod', makePod({ ...nominated, deletionMs: 9_000 })),
    'the preemptor is bound elsewhere': (world) => world.put('pod', makePod({ ...nominated, nodeName: 'n2' })),
    'the preemptor is bound here, because others made room': (world) =>
      world.put('pod', makePod({ ...nominated, nodeName: 'n1' })),
    'the node is gone': (world) => world.remove('node', makeNode()),
  };
  for (const [sentence, end] of Object.entries(ends)) {
    it(`lets the victim go on when ${sentence}`, () => {
      const world = end(saving().put('checkpoint', saved).put('pod', frozenPod));
      const { closed, commands } = world.steps();
      expect(closed).toHaveLength(1);
      expect(commands).toEqual([]);
      world.book.close(closed[0]!.displacement);
      // First the node lets it go on, then the ticket goes.
      expect(world.commands()).toEqual(['ReleaseCheckpoint pod-uid-pod-d1']);
      world.put('checkpoint', { ...saved, deleting: true });
      expect(world.commands().filter((command) => command.startsWith('DeleteTicket'))).toEqual([]);
      world.remove('checkpoint', checkpoint);
      expect(world.commands()).toEqual(['DeleteTicket pod-uid-pod']);
    });
  }

  it('keeps the ticket of a victim whose deletion had begun', () => {
    const world = saving()
      .put('checkpoint', saved)
      .put('pod', makePod({ ...frozenPod, deletionMs: 9_000 }), makePod({ ...nominated, deletionMs: 9_000 }));
    world.book.close(makeDisplacement());
    expect(world.commands()).toEqual(['SetTicketPhase pod-uid-pod Displacing Evicted']);
  });

  it('does not adopt a displacement again that was closed', () => {
    const world = saving();
    world.book.close(makeDisplacement());
    world.steps();
    expect(world.book.size).toBe(0);
  });

  it('adopts the displacement of a ticket after a restart, and goes on', () => {
    const world = new TestWorld()
      .put('node', makeNode())
      .put('pod', nominated, frozenPod)
      .put('ticket', ticket)
      .put('checkpoint', saved);
    expect(world.commands()).toEqual(['Evict pod']);
    expect(world.book.ofBeneficiary(high.uid)?.id).toBe('d1');
  });

  it('removes a checkpoint that holds a pod frozen for nobody', () => {
    const world = new TestWorld().put('node', makeNode()).put('pod', frozenPod).put('checkpoint', saved);
    expect(world.commands()).toEqual(['ReleaseCheckpoint pod-uid-pod-d1']);
  });

  it('removes a checkpoint that the ticket of its pod does not name', () => {
    const other = makeCheckpoint({ name: 'pod-uid-pod-d0', podUid: pod.uid });
    expect(saving().put('checkpoint', other).commands()).toEqual(['ReleaseCheckpoint pod-uid-pod-d0']);
  });

  it('keeps the ticket until the agent says that the pod was thawed; then the ticket goes, and the checkpoint', () => {
    const released = { ...saved, release: 'the preemption is off' };
    const w = saving().put('pod', frozenPod).put('checkpoint', released);
    w.book.close(makeDisplacement());
    expect(w.commands()).toEqual([]);
    w.put('checkpoint', { ...released, frozen: false, thawed: true, released: true });
    expect(w.commands()).toEqual(['DeleteTicket pod-uid-pod', 'DeleteCheckpoint pod-uid-pod-d1']);
  });

  it('saves a pod anew for a displacement that is open again, when its released checkpoint is gone', () => {
    const released = { ...saved, release: 'the leader before has ended it' };
    const w = saving().put('pod', frozenPod).put('checkpoint', released);
    expect(w.commands()).toEqual([]);
    w.put('checkpoint', { ...released, frozen: false, thawed: true, released: true }).put('pod', pod);
    expect(w.commands()).toEqual(['DeleteCheckpoint pod-uid-pod-d1']);
    expect(w.remove('checkpoint', released).commands()).toEqual(['CreateCheckpoint pod-uid-pod-d1']);
  });

  it('deletes the ticket only while its victim stands', () => {
    const w = saving().remove('checkpoint', checkpoint);
    w.book.close(makeDisplacement());
    expect(w.steps().commands).toMatchObject([{ kind: 'DeleteTicket', whileStands: { uid: pod.uid } }]);
  });

  it('keeps the ticket of a victim that others ended while it was held', () => {
    const w = saving()
      .put('checkpoint', saved)
      .put('pod', makePod({ ...frozenPod, phase: 'Failed' }));
    w.book.close(makeDisplacement());
    expect(w.commands()).toEqual(['SetTicketPhase pod-uid-pod Displacing Evicted']);
  });

  it('removes the finalizer of an agent that has been silent for ten minutes, and waits for one that is heard', () => {
    const deleted = { ...checkpoint, deleting: true, deletionMs: 10_000 };
    const world = new TestWorld().put('checkpoint', deleted).put('node', { ...makeNode(), agentSilent: true });
    expect(world.steps()).toMatchObject({ commands: [], wakeAtMs: 10_000 + SILENT_AGENT_MS });
    world.nowMs = 10_000 + SILENT_AGENT_MS;
    expect(world.commands()).toEqual(['RemoveFinalizer pod-uid-pod-d1']);
    expect(world.put('node', makeNode()).commands()).toEqual([]);
  });

  it('removes the finalizer of an agent that was removed from its node sooner, once it is silent', () => {
    const deleted = { ...checkpoint, deleting: true, deletionMs: 10_000 };
    const removed = makeNode({ canCheckpoint: false });
    const world = new TestWorld().put('checkpoint', deleted).put('node', { ...removed, agentSilent: true });
    expect(world.steps()).toMatchObject({ commands: [], wakeAtMs: 10_000 + REMOVED_AGENT_MS });
    world.nowMs = 10_000 + REMOVED_AGENT_MS;
    expect(world.commands()).toEqual(['RemoveFinalizer pod-uid-pod-d1']);
    expect(world.put('node', removed).commands()).toEqual([]);
  });

  it('removes the finalizer of an agent that is gone with its node', () => {
    const world = new TestWorld().put('checkpoint', { ...checkpoint, deleting: true });
    expect(world.commands()).toEqual(['RemoveFinalizer pod-uid-pod-d1']);
  });
});

describe('what is recorded and cannot be', () => {
  const ready = (displacement = makeDisplacement()): TestWorld =>
    saving(displacement).put('pod', frozenPod).put('checkpoint', saved);

  it('evicts nobody who is not less important than the preemptor', () => {
    const equal = makePod({ ...frozenPod, priority: 1000 });
    expect(ready().put('pod', equal).steps()).toMatchObject({
      closed: [{ because: 'RecordsConflict', message: 'pod is not less important than high' }],
      commands: [],
    });
  });

  it('evicts nobody for a displacement of the future', () => {
    const decidedMs = 5_000_000;
    const { closed, commands } = ready(makeDisplacement({ decidedMs, deadlineMs: decidedMs + 1 })).steps();
    expect([closed.map(({ because }) => because), commands]).toEqual([['RecordsConflict'], []]);
  });

  it('evicts nobody whose ticket names another state', () => {
    const other = { ...ticket, checkpoint: 'other' };
    const { closed, commands } = ready().put('ticket', other).steps();
    expect(closed.map(({ because }) => because)).toEqual(['RecordsConflict']);
    expect(commands.filter(({ kind }) => kind === 'Evict')).toEqual([]);
  });
});
