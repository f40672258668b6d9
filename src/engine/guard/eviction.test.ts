import { describe, expect, it } from 'vitest';
import { makeBudget, makeNode, makePod, makePolicy } from '../../../test/support/builders.ts';
import { askGuard } from '../../../test/support/guard.ts';
import { TestWorld } from '../../../test/support/world.ts';
import type { Pod } from '../../domain/pod.ts';
import type { GuardRequest, GuardVerdict } from './guard-request.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e'] as const;
const podNamed = (name: string): Pod => makePod({ name, nodeName: 'n1', ready: true });
const pod = podNamed('a');
const saving = { allowed: false, reason: 'Saving' };

const drained = (node: Parameters<typeof makeNode>[0] = { unschedulable: true }): TestWorld =>
  new TestWorld()
    .put('node', makeNode(node))
    .put('policy', makePolicy())
    .put('pod', ...NAMES.map(podNamed));

function evict(world: TestWorld, name = 'a', more: Partial<GuardRequest> = {}): GuardVerdict {
  const who = { requester: 'admin', why: 'EvictionByEvictionAPI', isEnding: false, dryRun: false } as const;
  return askGuard(world, { by: 'Eviction', namespace: 'default', name, uid: null, ...who, ...more });
}

describe('an eviction', () => {
  it('waits for the save of its pod', () => {
    const world = drained();
    expect(evict(world)).toMatchObject(saving);
    expect([...world.book.all()]).toMatchObject([
      { cause: { kind: 'Eviction', by: 'Eviction', requester: 'admin' }, pods: [{ uid: pod.uid, plan: 'Save' }] },
    ]);
  });

  it('has no effect as a dry run', () => {
    const world = drained();
    expect(evict(world, 'a', { dryRun: true })).toEqual({ allowed: true, reason: 'DryRun' });
    expect(world.book.size).toBe(0);
  });

  it('saves four pods of a node at a time', () => {
    const world = drained();
    expect(NAMES.map((name) => evict(world, name).reason)).toEqual(['Saving', 'Saving', 'Saving', 'Saving', 'Queued']);
    world.put('pod', { ...pod, deletionMs: world.nowMs });
    expect(evict(world, 'e')).toMatchObject(saving);
  });

  it('is given up by clients of Kubernetes that do not ask again for 30 s', () => {
    const world = drained();
    evict(world);
    world.nowMs += 29_999;
    expect(world.steps().closed).toEqual([]);
    world.nowMs += 1;
    expect(world.steps().closed).toMatchObject([{ because: 'NotRepeated' }]);
  });

  it.each(['karpenter.sh/disrupted', 'ToBeDeletedByClusterAutoscaler'])(
    'is believed on a node with the taint %s',
    (key) => expect(evict(drained({ taints: [{ key, value: '', effect: 'NoSchedule' }] }))).toMatchObject(saving),
  );

  it('from a node that is not being drained is put off once, and then let go', () => {
    const world = drained({});
    expect(evict(world)).toMatchObject({ allowed: false, reason: 'NotSeenYet' });
    world.nowMs += 1_000;
    expect(evict(world)).toMatchObject({ allowed: true, reason: 'NotDrained' });
    expect(world.book.size).toBe(0);
  });

  it('of a pod that no agent saves is let go, and told', () => {
    const verdict = evict(drained({ unschedulable: true, canCheckpoint: false }));
    expect(verdict).toMatchObject({
      allowed: true,
      reason: 'NotProtected',
      unsaved: 'no agent saves pods on its node',
    });
  });

  it('of a pod that no policy selects is let go, and not told', () => {
    const world = drained().remove('policy', makePolicy());
    expect(evict(world)).toEqual({ allowed: true, reason: 'NotProtected' });
  });

  it('of a record is believed while the node is being drained, by a leader that was not asked yet', () => {
    const world = drained();
    evict(world);
    const [displacement] = world.book.all();
    const later = drained();
    later.book.open(displacement!);
    later.actingSinceMs = later.nowMs;
    expect(later.steps().closed).toEqual([]);
    later.put('node', makeNode());
    expect(later.steps().closed).toMatchObject([{ because: 'RecordsConflict' }]);
  });
});

describe('a ready pod behind a Service', () => {
  const labels = { app: 'web' };
  const serving = { ...pod, labels: { ...labels, version: '2' } };
  const service = { namespace: 'default', name: 'web', uid: 'uid-web', resourceVersion: '1', selector: labels };
  const behind = (overrides: Partial<typeof service | { selector: null }> = {}): TestWorld =>
    drained()
      .put('pod', serving)
      .put('service', { ...service, ...overrides });

  it('is not frozen by a drain', () => {
    expect(evict(behind())).toMatchObject({
      allowed: true,
      reason: 'Serving',
      unsaved: expect.stringContaining('web'),
    });
  });

  it('is saved where its policy says so', () => {
    const world = behind().put('policy', { ...makePolicy(), displacement: { servingPods: 'Save' } });
    expect(evict(world)).toMatchObject(saving);
  });

  it.each([
    ['its Service has no address or no selector', behind({ selector: null })],
    ['its Service selects others', behind({ selector: { ...labels, tier: 'front' } } as Partial<typeof service>)],
    ['its Service is of another namespace', behind({ namespace: 'other' })],
    ['it is not ready', behind().put('pod', { ...serving, ready: false })],
  ])('counts as any other where %s', (_what, world) => expect(evict(world)).toMatchObject(saving));
});

describe('PodDisruptionBudgets', () => {
  it('no pod is frozen whose budget allows no disruption, and its client comes again as after an answer of kube-apiserver', () => {
    const world = drained().put('budget', makeBudget());
    expect(evict(world)).toMatchObject({ allowed: false, reason: 'BudgetForbids', retryAfterSeconds: 0 });
    expect(world.book.size).toBe(0);
  });

  it.each([
    ['a pod that has two of them', drained().put('budget', makeBudget({ name: 'other', disruptionsAllowed: 9 }))],
    ['a pod that is not to be saved', drained().remove('policy', makePolicy())],
  ])('%s is left to kube-apiserver, which refuses its eviction', (_what, world) => {
    expect(evict(world.put('budget', makeBudget()))).toEqual({ allowed: true, reason: 'BudgetForbids' });
    expect(world.book.size).toBe(0);
  });

  it('each pod that is being saved counts, once: the others wait', () => {
    const world = drained().put('budget', makeBudget({ disruptionsAllowed: 2 }));
    expect(['a', 'a', 'b', 'c', 'a'].map((name) => evict(world, name).reason)).toEqual([
      'Saving',
      'Saving',
      'Saving',
      'Queued',
      'Saving',
    ]);
  });

  it('one that others used up meanwhile has the pod thawed', () => {
    const budget = makeBudget({ disruptionsAllowed: 1 });
    const world = drained().put('budget', budget);
    evict(world);
    expect(world.steps().closed).toEqual([]);
    world.put('budget', { ...budget, disruptionsAllowed: 0 });
    expect(world.steps().closed).toMatchObject([{ because: 'BudgetForbids' }]);
  });

  it('what kube-apiserver has let go counts no more', () => {
    const budget = makeBudget({ disruptionsAllowed: 1 });
    const world = drained().put('budget', budget);
    evict(world);
    world.put('budget', { ...budget, disruptionsAllowed: 0, disruptedPods: ['a'] });
    expect(world.steps().closed).toEqual([]);
  });

  it.each([
    ['is met', { isMet: true }, 'Saving'],
    ['ignores pods that are not ready', { ignoresUnhealthy: true }, 'Saving'],
    ['is not met', {}, 'BudgetForbids'],
  ] as const)('a pod that is not ready goes where its budget %s', (_what, more, reason) => {
    const world = drained()
      .put('pod', { ...pod, ready: false })
      .put('budget', makeBudget(more));
    expect(evict(world)).toMatchObject({ reason });
  });
});

describe('a pod that was replaced under its name', () => {
  const next = makePod({ ...pod, uid: 'uid-next' });

  it('is not evicted for the one that was asked for', () => {
    const world = drained();
    expect(evict(world)).toMatchObject(saving);
    world.remove('pod', pod).put('pod', next);
    expect(evict(world)).toMatchObject({ allowed: false, reason: 'Replaced' });
    expect(evict(world)).toMatchObject(saving);
  });

  it('nor is one that is not in the index yet', () => {
    const world = drained();
    evict(world);
    expect(evict(world.remove('pod', pod))).toMatchObject({ reason: 'Replaced' });
  });

  it('is a pod like any other for somebody else, and long after', () => {
    const world = drained();
    evict(world);
    world.remove('pod', pod).put('pod', next);
    expect(evict(world, 'a', { requester: 'somebody else' })).toMatchObject(saving);
    world.nowMs += 15_000;
    expect(evict(world)).toMatchObject(saving);
  });
});
