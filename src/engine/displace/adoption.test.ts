import { describe, expect, it } from 'vitest';
import { makeCheckpoint, makeNode, makePod, makePolicy, makeTicket } from '../../../test/support/builders.ts';
import { TestWorld } from '../../../test/support/world.ts';
import type { Checkpoint } from '../../domain/checkpoint.ts';
import type { Pod } from '../../domain/pod.ts';
import type { Displacement } from '../../domain/displacement.ts';
import { THAW_AFTER_DEADLINE_MS } from '../../domain/thaw-rule.ts';

const high = makePod({ name: 'high', priority: 1000, nominatedNodeName: 'n1' });
const higher = makePod({ name: 'higher', priority: 2000, nominatedNodeName: 'n1' });
const a = makePod({ name: 'a', nodeName: 'n1', priority: 10 });
const b = makePod({ name: 'b', nodeName: 'n1', priority: 10 });
const c = makePod({ name: 'c', nodeName: 'n1', priority: 10 });

const nameOf = (pod: Pod): string => `${pod.name}-uid-${pod.name}-d1`;
const frozen = (pod: Pod): Pod => ({ ...pod, frozenBy: nameOf(pod) });

function checkpointFor(pod: Pod, displacement: Displacement, overrides: Partial<Checkpoint> = {}): Checkpoint {
  const deadlineMs = displacement.deadlineMs + THAW_AFTER_DEADLINE_MS;
  const { nodeName: _node, podUid: _uid, ...rest } = makeCheckpoint({ name: nameOf(pod), deadlineMs });
  return { ...makeCheckpoint({ ...rest, podUid: pod.uid }), ...overrides };
}

const ticketFor = (pod: Pod, displacement: Displacement) =>
  makeTicket({
    name: `${pod.name}-uid-${pod.name}`,
    phase: 'Saving',
    displacement,
    checkpoint: nameOf(pod),
    pod: { ...makeTicket().pod, name: pod.name, uid: pod.uid },
  });

/** `high` has decided about `pods`: each has its ticket, and is being saved. */
function saving(...pods: readonly Pod[]): { readonly w: TestWorld; readonly lower: Displacement } {
  const w = new TestWorld().put('node', makeNode()).put('policy', makePolicy()).put('pod', high, higher, a, b, c);
  const lower = w.preempt(high, { n1: pods }).opened as Displacement;
  for (const pod of pods) w.put('ticket', ticketFor(pod, lower)).put('checkpoint', checkpointFor(pod, lower));
  return { w, lower };
}

/** The same, and all are saved. */
function saved(...pods: readonly Pod[]): { readonly w: TestWorld; readonly lower: Displacement } {
  const { w, lower } = saving(...pods);
  for (const pod of pods) {
    w.put('checkpoint', checkpointFor(pod, lower, { ready: true, frozen: true, takenMs: 9_000, bytes: 1 }));
    w.put('pod', frozen(pod));
  }
  return { w, lower };
}

const namesIn = (displacement: Displacement | null) => displacement?.pods.map(({ checkpoint }) => checkpoint);

describe('a higher preemptor on the node of a lower displacement', () => {
  for (const [sentence, begun] of Object.entries({ 'has saved': saved, 'is saving': saving })) {
    it(`takes over what that ${sentence}`, () => {
      const { w } = begun(a);
      const { opened } = w.preempt(higher, { n1: [a] });
      expect(namesIn(opened)).toEqual([nameOf(a)]);
      expect(w.commands()).toEqual(['AdoptTicket a-uid-a']);
    });
  }

  it('evicts at once what is saved already, by the ticket that was there', () => {
    const { w } = saved(a);
    const { opened } = w.preempt(higher, { n1: [a] });
    w.put('ticket', ticketFor(a, opened as Displacement));
    expect(w.steps().commands).toMatchObject([{ kind: 'Evict', unsaved: null, order: { frozenBy: nameOf(a) } }]);
  });

  it('takes over a ticket whose node was not told yet, and tells it', () => {
    const { w, lower } = saving(a);
    w.remove('checkpoint', checkpointFor(a, lower));
    const { opened } = w.preempt(higher, { n1: [a] });
    w.put('ticket', ticketFor(a, opened as Displacement));
    expect(w.commands()).toEqual([`CreateCheckpoint ${nameOf(a)}`]);
  });

  it('thaws whom it does not need, and saves whom the lower one did not', () => {
    const { w } = saved(a, b);
    const { opened } = w.preempt(higher, { n1: [b, c] });
    expect(namesIn(opened)).toEqual([nameOf(b), 'c-uid-c-d2']);
    expect(w.commands().toSorted()).toEqual([
      'AdoptTicket b-uid-b',
      'CreateTicket c-uid-c',
      `ReleaseCheckpoint ${nameOf(a)}`,
    ]);
  });

  it('ends before the first hold that it took over', () => {
    const { w, lower } = saved(a);
    w.nowMs += 30_000;
    expect(w.preempt(higher, { n1: [a, c] }).opened?.deadlineMs).toBe(lower.deadlineMs);
  });

  it('keeps what was promised to a victim, whatever its policy says by now', () => {
    const { w, lower } = saved(a);
    const policy = makePolicy();
    w.put('policy', { ...policy, restore: { ...policy.restore, attempts: 9 } });
    const terms = (displacement: Displacement | null) => displacement?.pods[0]?.terms;
    expect(terms(w.preempt(higher, { n1: [a] }).opened)).toEqual(terms(lower));
  });

  const lost: Record<string, (w: TestWorld, lower: Displacement) => unknown> = {
    failed: (w, lower) =>
      w.put('checkpoint', checkpointFor(a, lower, { failure: { reason: 'X', message: '', atMs: 0 } })),
    'was thawed': (w, lower) => w.put('checkpoint', checkpointFor(a, lower, { ready: true, thawed: true })),
    'is being deleted': (w, lower) => w.put('checkpoint', checkpointFor(a, lower, { ready: true, deleting: true })),
    'ends before the rest can be saved': (w, lower) => (w.nowMs = lower.deadlineMs - 1_000),
  };
  for (const [sentence, lose] of Object.entries(lost)) {
    it(`does not take over what ${sentence}`, () => {
      const { w, lower } = saved(a);
      lose(w, lower);
      expect(namesIn(w.preempt(higher, { n1: [a, c] }).opened)).toEqual(['a-uid-a-d2', 'c-uid-c-d2']);
    });
  }
});

describe('the next leader, after a crash between two tickets', () => {
  it('goes on taking over, and closes the lower displacement', () => {
    const { w, lower } = saved(a, b);
    const upper = w.preempt(higher, { n1: [a, b] }).opened as Displacement;
    w.book.clear();
    w.put('ticket', ticketFor(a, upper), ticketFor(b, lower));
    expect(w.steps().closed).toMatchObject([{ displacement: { id: lower.id }, because: 'Superseded' }]);
    expect(w.commands()).toEqual(['AdoptTicket b-uid-b']);
    w.book.close(lower);
    expect(w.commands()).toEqual(['AdoptTicket b-uid-b']);
  });

  it('goes on with the lower displacement where nothing was written of the higher one', () => {
    const { w, lower } = saved(a);
    w.preempt(higher, { n1: [a] });
    w.book.clear();
    expect(w.commands()).toEqual(['Evict a']);
    expect(w.book.ofBeneficiary(high.uid)?.id).toBe(lower.id);
  });
});

it('evicts nobody whose ticket somebody removed meanwhile: its state has no way back', () => {
  const { w, lower } = saved(a);
  w.preempt(higher, { n1: [a] });
  w.remove('ticket', ticketFor(a, lower));
  const { closed, commands } = w.steps();
  expect(closed.map(({ because }) => because)).toEqual(['HoldLost']);
  expect(commands.filter(({ kind }) => kind === 'Evict')).toEqual([]);
});
