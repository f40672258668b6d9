import { describe, expect, it } from 'vitest';
import { makeNode, makePod, makePolicy } from '../../test/support/builders.ts';
import { TestWorld } from '../../test/support/world.ts';
import { DEFAULT_COST_MODEL } from '../domain/victim-cost.ts';
import type { NodeName } from '../domain/ids.ts';

const high = makePod({ name: 'high', priority: 1000 });
const low = makePod({ name: 'low', nodeName: 'n1', priority: 10, startMs: -3_600_000 });
const other = makePod({ name: 'other', nodeName: 'n2', priority: 10, startMs: -3_600_000 });
const onlyLow = makePolicy({
  match: { ...makePolicy().match, podSelector: { requirements: [{ key: 'save', operator: 'Exists', values: [] }] } },
});

function world(): TestWorld {
  return new TestWorld().put('node', makeNode(), makeNode({ name: 'n2' })).put('pod', high, low, other);
}

describe('preempt', () => {
  it('leaves the choice to kube-scheduler where nothing is protected', () => {
    const { verdict, opened } = world().preempt(high, { n1: [low], n2: [other] });
    expect(verdict.reason).toBe('NothingProtected');
    expect(verdict.candidates.map(({ node, victims }) => [node, victims])).toEqual([
      ['n1', [low.uid]],
      ['n2', [other.uid]],
    ]);
    expect(opened).toBeNull();
  });

  it('answers {} and decides where the victim has to be saved', () => {
    const { verdict, opened } = world()
      .put('policy', makePolicy())
      .preempt(high, { n1: [low] });
    expect(verdict).toMatchObject({ reason: 'Saving', candidates: [], node: 'n1', saving: 1 });
    expect(opened).toMatchObject({
      preemptor: { uid: high.uid, priority: 1000 },
      node: 'n1',
      victims: [{ uid: low.uid, action: 'checkpoint', checkpoint: 'low-uid-low-d1' }],
    });
  });

  it('promises the time of the dump and maxDelay, and no more', () => {
    const { opened } = world()
      .put('policy', makePolicy())
      .preempt(high, { n1: [low] });
    const promisedMs = 100 + (1024 / 500) * 1000;
    expect(opened?.deadlineMs).toBe(10_000 + Math.ceil(promisedMs) + 60_000);
  });

  it('takes a node whose victims need no saving when that is cheaper, at once', () => {
    const saved = makePod({ ...low, labels: { save: '' } });
    const young = makePod({ ...other, startMs: 9_000 });
    const { verdict, opened } = world()
      .put('policy', onlyLow)
      .put('pod', saved, young)
      .preempt(high, { n1: [saved], n2: [young] }, { costs: { ...DEFAULT_COST_MODEL, coldStartMs: 0 } });
    expect(verdict).toMatchObject({ reason: 'NoneToSave', candidates: [{ node: 'n2', victims: [young.uid] }] });
    expect(opened).toBeNull();
  });

  it('gives the same preemptor the same decision, whatever it is offered later', () => {
    const w = world().put('policy', makePolicy());
    const first = w.preempt(high, { n1: [low] });
    const again = w.preempt(high, { n2: [other] });
    expect(again.verdict).toMatchObject({
      reason: 'StillSaving',
      candidates: [],
      decisionId: first.verdict.decisionId,
    });
    expect(again.opened).toBeNull();
  });

  it('names the terminating victims once the eviction has begun', () => {
    const w = world().put('policy', makePolicy());
    w.preempt(high, { n1: [low] });
    w.put('pod', makePod({ ...low, deletionMs: 10_500 }));
    const { verdict } = w.preempt(high, { n2: [other] });
    expect(verdict).toMatchObject({ reason: 'Displacing', candidates: [{ node: 'n1', victims: [low.uid] }] });
  });

  it('takes a question from before the victims went for the old one, and a later one for a new one', () => {
    const w = world().put('policy', makePolicy());
    const { opened } = w.preempt(high, { n1: [low] });
    w.remove('pod', low);
    w.book.markEmptied(opened!, w.nowMs);
    expect(w.preempt(high, { n2: [other] }).verdict.reason).toBe('StillSaving');
    w.nowMs += 60_000;
    const anew = w.preempt(high, { n2: [other] });
    expect(anew.verdict).toMatchObject({ reason: 'Saving', node: 'n2' });
    expect(anew.closed).toEqual([opened]);
  });

  it('does not offer a node that another preemptor of equal priority uses', () => {
    const w = world().put('policy', makePolicy());
    w.preempt(high, { n1: [low] });
    const rival = makePod({ name: 'rival', priority: 1000 });
    expect(w.preempt(rival, { n1: [low] }).verdict).toMatchObject({ reason: 'AllReserved', candidates: [] });
    expect(w.preempt(rival, { n1: [low], n2: [other] }).verdict.node).toBe('n2');
  });

  it('lets a higher preemptor take the node of a lower decision, which is then over', () => {
    const w = world().put('policy', makePolicy());
    const { opened } = w.preempt(high, { n1: [low] });
    const higher = makePod({ name: 'higher', priority: 2000 });
    const outcome = w.preempt(higher, { n1: [low] });
    expect(outcome.verdict.node).toBe('n1');
    expect(outcome.closed).toEqual([opened]);
    expect([...w.book.all()].map((decision) => decision.preemptor.name)).toEqual(['higher']);
  });

  it('does not choose a node that was refused to this preemptor', () => {
    const w = world().put('policy', makePolicy());
    const isRefused = (_: unknown, node: NodeName): boolean => node === 'n1';
    expect(w.preempt(high, { n1: [low], n2: [other] }, { isRefused }).verdict.node).toBe('n2');
  });

  it('answers only with pods that stand on that node now', () => {
    const gone = makePod({ name: 'gone', nodeName: 'n1' });
    const moved = makePod({ ...other, nodeName: 'n2' });
    const done = makePod({ name: 'done', nodeName: 'n1', phase: 'Succeeded' });
    const w = world().put('pod', done);
    expect(w.preempt(high, { n1: [gone, low, moved, done, low] }).verdict.candidates).toEqual([
      { node: 'n1', victims: [low.uid], numPdbViolations: 0 },
    ]);
    expect(w.preempt(high, { n1: [gone], n9: [low] }).verdict).toMatchObject({
      reason: 'NoKnownVictims',
      candidates: [],
    });
    expect(w.preempt(high, { n1: [] }).verdict.candidates).toEqual([]);
  });

  it('does not offer a node with a victim that is not less important', () => {
    const equal = makePod({ name: 'equal', nodeName: 'n1', priority: 1000 });
    const w = world().put('pod', equal);
    expect(w.preempt(high, { n1: [low, equal], n2: [other] }).verdict.candidates.map(({ node }) => node)).toEqual([
      'n2',
    ]);
    expect(w.preempt(high, { n1: [equal] }).verdict).toMatchObject({ reason: 'NoKnownVictims', candidates: [] });
  });

  it('answers victims by descending priority', () => {
    const mid = makePod({ name: 'mid', nodeName: 'n1', priority: 50 });
    const w = world().put('pod', mid);
    expect(w.preempt(high, { n1: [low, mid] }).verdict.candidates[0]?.victims).toEqual([mid.uid, low.uid]);
  });

  it('gives back as they came, each once, those of one priority that started in the same second', () => {
    const twin = makePod({ ...low, name: 'twin', uid: 'uid-0-twin' });
    const w = world().put('pod', twin);
    for (const [sent, answered] of [
      [
        [low, twin],
        [low, twin],
      ],
      [
        [twin, low],
        [twin, low],
      ],
      [
        [low, twin, low],
        [twin, low],
      ],
    ] as const) {
      const [candidate] = w.preempt(high, { n1: sent }).verdict.candidates;
      expect(candidate?.victims).toEqual(answered.map(({ uid }) => uid));
    }
  });
});
