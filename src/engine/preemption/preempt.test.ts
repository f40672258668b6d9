import { preemptionIn } from '../../../test/support/preemption.ts';
import { describe, expect, it } from 'vitest';
import { makeBudget, makeNode, makePod, makePolicy, makeResources } from '../../../test/support/builders.ts';
import { TestWorld } from '../../../test/support/world.ts';
import { DEFAULT_COST_MODEL } from '../../domain/victim-cost.ts';
import type { NodeName } from '../../domain/ids.ts';

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
      cause: { kind: 'Preemption', preemptor: { uid: high.uid, priority: 1000 }, node: 'n1' },
      pods: [{ uid: low.uid, node: 'n1', plan: 'Save', checkpoint: 'low-uid-low-d1' }],
      commit: 'AllSaved',
    });
  });

  it('goes by the priority of the preemptor in the index, whatever the caller says of it', () => {
    const modest = makePod({ ...high, priority: 10 });
    const w = world().put('policy', makePolicy()).put('pod', modest);
    const { verdict, opened } = w.preempt({ ...modest, priority: 2_000_000_000 }, { n1: [low], n2: [other] });
    expect([verdict.candidates, opened]).toEqual([[], null]);
  });

  it('adds no cost beyond a bound for what a pod says of its earlier displacements', () => {
    const boasting = makePod({ ...low, displacements: 1_000_000, startMs: 9_000 });
    const large = makePod({ ...other, requests: makeResources({ cpuMilli: 4_000 }) });
    const { opened } = world()
      .put('policy', makePolicy())
      .put('pod', boasting, large)
      .preempt(high, { n1: [boasting], n2: [large] }, { costs: { ...DEFAULT_COST_MODEL, displacementFactor: 0.02 } });
    expect(opened?.pods.map(({ node }) => node)).toEqual(['n1']);
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

  it('gives the same preemptor the same displacement, whatever it is offered later', () => {
    const w = world().put('policy', makePolicy());
    const first = w.preempt(high, { n1: [low] });
    const again = w.preempt(high, { n2: [other] });
    expect(again.verdict).toMatchObject({
      reason: 'StillSaving',
      candidates: [],
      displacementId: first.verdict.displacementId,
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
    expect(anew.closed).toMatchObject([{ displacement: opened, because: 'NotBound' }]);
  });

  it('chooses a node whose room was of no use to the preemptor once more, and no second time', () => {
    const w = world().put('policy', makePolicy());
    const { opened } = w.preempt(high, { n1: [low] });
    w.put('pod', makePod({ ...low, name: 'again', uid: 'again' })).remove('pod', low);
    w.book.markEmptied(opened!, w.nowMs);
    w.nowMs += 60_000;
    const again = { n1: [makePod({ ...low, name: 'again', uid: 'again' })] };
    const hasFailed = (_: unknown, node: NodeName): boolean => node === 'n1';
    expect(w.preempt(high, again, { hasFailed }).verdict).toMatchObject({ reason: 'AllReserved', candidates: [] });
    w.book.open(opened!);
    w.book.markEmptied(opened!, w.nowMs - 60_000);
    expect(w.preempt(high, again).verdict).toMatchObject({ reason: 'Saving', node: 'n1' });
  });

  describe('a PodDisruptionBudget whose pods an open displacement moves', () => {
    const covered = { labels: { app: 'q' }, priority: 10 };
    const q1 = makePod({ name: 'q1', nodeName: 'n1', ...covered });
    const q2 = makePod({ name: 'q2', nodeName: 'n2', ...covered, startMs: 5_000 });
    const free = makePod({ name: 'free', nodeName: 'n3', priority: 10, startMs: 1_000 });
    const budget = makeBudget({
      selector: { requirements: [{ key: 'app', operator: 'In', values: ['q'] }] },
      disruptionsAllowed: 1,
    });
    const next = makePod({ name: 'next', priority: 1000 });
    /** q1 is being saved for `high`. Of n2 and n3 the younger pod on n2 is the better victim. */
    const saving = (overrides: Partial<typeof budget> = {}): TestWorld => {
      const w = world()
        .put('policy', makePolicy())
        .put('pod', q1, q2, free)
        .put('budget', { ...budget, ...overrides });
      w.put('node', makeNode({ name: 'n3' }));
      w.preempt(high, { n1: [q1] });
      return w;
    };
    const chosen = (w: TestWorld) => w.preempt(next, { n2: [q2], n3: [free] }).verdict.node;

    it('allows no further pod of it where another node will do', () => {
      expect(chosen(saving())).toBe('n3');
    });

    it('is violated where the other node has just failed for this preemptor', () => {
      const isRefused = (_: unknown, node: NodeName): boolean => node === 'n3';
      expect(saving().preempt(next, { n2: [q2], n3: [free] }, { isRefused }).verdict.node).toBe('n2');
    });

    it('allows as many as its status says beside that', () => {
      expect(chosen(saving({ disruptionsAllowed: 2 }))).toBe('n2');
      expect(chosen(saving({ selector: { requirements: [{ key: 'app', operator: 'In', values: ['other'] }] } }))).toBe(
        'n2',
      );
    });

    const counted: Readonly<Record<string, (w: TestWorld) => unknown>> = {
      'that is terminating': (w) => w.put('pod', makePod({ ...q1, deletionMs: 10_500 })),
      'that is not ready any more': (w) => w.put('pod', makePod({ ...q1, ready: false })),
      'whose eviction the API server has allowed': (w) => w.put('budget', { ...budget, disruptedPods: ['q1'] }),
    };
    for (const [sentence, change] of Object.entries(counted)) {
      it(`counts a pod once: one ${sentence} is counted in its status`, () => {
        const w = saving();
        change(w);
        expect(chosen(w)).toBe('n2');
      });
    }
  });

  it('does not offer a node that another preemptor of equal priority uses', () => {
    const w = world().put('policy', makePolicy());
    w.preempt(high, { n1: [low] });
    const rival = makePod({ name: 'rival', priority: 1000 });
    expect(w.preempt(rival, { n1: [low] }).verdict).toMatchObject({ reason: 'AllReserved', candidates: [] });
    expect(w.preempt(rival, { n1: [low], n2: [other] }).verdict.node).toBe('n2');
  });

  it('lets a higher preemptor take the node of a lower displacement, which is then over', () => {
    const w = world().put('policy', makePolicy());
    const { opened } = w.preempt(high, { n1: [low] });
    const higher = makePod({ name: 'higher', priority: 2000 });
    const outcome = w.preempt(higher, { n1: [low] });
    expect(outcome.verdict.node).toBe('n1');
    expect(outcome.closed).toMatchObject([{ displacement: opened, because: 'Superseded' }]);
    expect([...w.book.all()].map((displacement) => preemptionIn(displacement).preemptor.name)).toEqual(['higher']);
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
