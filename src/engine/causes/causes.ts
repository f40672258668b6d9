/**
 * What follows from the kind of a cause, in one table. Saving, evicting and coming back are the same for every displacement; where
 * two kinds differ, the engine asks `rulesOf`. Begin with `cause-rules.ts`, which draws when each rule is asked.
 *
 * A new kind of cause is a member of `Cause` (`src/domain/displacement.ts`), a file of rules in this folder with a row in `CAUSES`, and
 * its record in `src/kube/cause-records.ts`.
 *
 * Invariants:
 * 1. No step compares `cause.kind` to decide what happens. `preemption` and `guard` look for displacements of their own kind only, and
 *    the Events `Preemption...` and the demo tell of preemptions only.
 * 2. A rule that a step asks is as pure as the step (`core/next-steps.ts`). Only `onEnding` acts, on the wake list.
 * 3. Of two displacements that want one node or one pod, one outranks the other: by rank, then by the priority of the beneficiary.
 *    Equal ones leave it to the one that has it.
 */
import { beneficiaryOf, type Cause, type CauseKind, type Displacement } from '../../domain/displacement.ts';
import type { NodeName, PodUid } from '../../domain/ids.ts';
import type { Displacements } from '../core/steps.ts';
import type { ClusterView } from '../../index/types.ts';
import type { CauseRules } from './cause-rules.ts';
import { EVICTION } from './eviction.ts';
import { MANUAL } from './manual.ts';
import { PREEMPTION } from './preemption.ts';

type Pods = Pick<ClusterView, 'pod'>;
type CauseOf<Kind extends CauseKind> = Extract<Cause, { readonly kind: Kind }>;

const CAUSES: { readonly [Kind in CauseKind]: CauseRules<CauseOf<Kind>> } = {
  Preemption: PREEMPTION,
  Manual: MANUAL,
  Eviction: EVICTION,
};

/** The rules for a displacement of whatever cause: they take that cause, which the compiler cannot follow through the table. */
export function rulesOf({ cause }: Pick<Displacement, 'cause'>): CauseRules<Cause> {
  return CAUSES[cause.kind] as CauseRules<Cause>;
}

/** The client that asked for the displacement deletes the pods, and kube-apiserver holds it to their PodDisruptionBudgets. */
export function isEvictedByOthers(displacement: Pick<Displacement, 'cause'>): boolean {
  return rulesOf(displacement).disruption === null;
}

/** For what its pods are saved and evicted: `for default/serving`. */
export function purposeOf(displacement: Displacement): string {
  return rulesOf(displacement).say.purpose(displacement.cause);
}

/** The displacement as the subject of a sentence: `the preemption by default/serving`. */
export function subjectOf(displacement: Displacement): string {
  return rulesOf(displacement).say.subject(displacement.cause);
}

/**
 * Where a displacement stands among those that want one node: by rank, then by the priority of its beneficiary. The priority is that of
 * the pod in the index; what a record says counts only until the pod is seen.
 */
interface Standing {
  readonly rank: number;
  readonly priority: number;
}

/** `a` takes what `b` uses: the node that both want, or a pod. */
export function outranks(view: Pods, a: Displacement, b: Displacement): boolean {
  return isAbove(standingOf(view, a), standingOf(view, b)) && areRivals(a, b);
}

/** Two displacements that use one node cannot both be carried out. */
export function areRivals(a: Displacement, b: Displacement): boolean {
  if (rulesOf(a).wantsNode && rulesOf(b).wantsNode) return true;
  return a.pods.some(({ uid }) => b.pods.some((other) => other.uid === uid));
}

/** A preemption by this pod takes a node that the displacement uses. */
export function yieldsTo(view: Pods, displacement: Displacement, { priority }: { readonly priority: number }): boolean {
  return isAbove({ rank: PREEMPTION.rank, priority }, standingOf(view, displacement));
}

/** Another displacement uses `node` and does not yield to this pod: the node cannot be chosen for the pod. */
export function isTaken(
  view: Pods,
  book: Pick<Displacements, 'on'>,
  node: NodeName,
  preemptor: { readonly uid: PodUid; readonly priority: number },
): boolean {
  for (const displacement of book.on(node, preemptor.uid)) if (!yieldsTo(view, displacement, preemptor)) return true;
  return false;
}

function standingOf(view: Pods, displacement: Displacement): Standing {
  const beneficiary = beneficiaryOf(displacement);
  const pod = beneficiary === null ? undefined : view.pod(beneficiary.uid);
  return { rank: rulesOf(displacement).rank, priority: (pod ?? beneficiary)?.priority ?? 0 };
}

function isAbove(a: Standing, b: Standing): boolean {
  return a.rank > b.rank || (a.rank === b.rank && a.priority > b.priority);
}
