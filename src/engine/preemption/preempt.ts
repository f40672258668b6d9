/**
 * kube-scheduler's questions, answered from memory. Begin with this file, then `decide.ts`.
 *
 *     preempt ──> preempt.ts ─┬─ a displacement exists for this preemptor ──> the same answer as before
 *                             └─ decide.ts ─> offer.ts, plan.ts ─> candidates | one node | {} and a new displacement
 *     filter, prioritize ──> placement.ts
 *
 * - `callbacks.ts`: what comes in and goes out, free of wire formats.
 * - `decide.ts`: which node, by the comparators of `src/domain/node-choice.ts`; `plan.ts`: Save, Reuse or Evict for each victim.
 * - `still-fits.ts`: the last look at the node before the first eviction.
 * - `wake-list.ts`: preemptors that were told `{}` and that kube-scheduler would not try again by itself, and nodes that are not
 *   tried again for a while.
 * - `cheaper-evictions.ts`, `unsaved-evictions.ts`, `preempt-reasons.ts`: what is told about an answer.
 *
 * Invariants:
 * 1. Nothing here awaits or writes: kube-scheduler waits for the answer inside its serial scheduling cycle.
 * 2. The same preemptor gets the same answer for as long as its displacement lives.
 * 3. An answer names only pods that kube-scheduler offered, that the index sees on that node, and that have a lower priority than the
 *    preemptor by the index. No victim is added, no list of victims is empty.
 * 4. Where nothing is protected, the candidates go back as they came and nothing is recorded.
 * 5. A displacement is in the `DisplacementBook` before the answer leaves.
 */
import type { NodeName, PodUid } from '../../domain/ids.ts';
import { standsOn, type Pod } from '../../domain/pod.ts';
import { isPreemption, type Displacement, type Preemption } from '../../domain/displacement.ts';
import type { CostModel } from '../../domain/victim-cost.ts';
import type { ClusterView } from '../../index/types.ts';
import { holdsOn } from '../displace/adoption.ts';
import type { PreemptCandidate, PreemptRequest, PreemptVerdict } from './callbacks.ts';
import type { CheaperEviction } from './cheaper-evictions.ts';
import { decide } from './decide.ts';
import type { DisplacementBook } from '../displace/displacement-book.ts';
import type { CloseReason } from '../displace/close-reasons.ts';
import { areRivals, isTaken, yieldsTo } from '../causes/causes.ts';
import { protectionIn } from '../policies/protection-in.ts';
import type { PreemptReason } from './preempt-reasons.ts';

/** kube-scheduler may ask with a snapshot that still holds a victim the index has seen go: such a question is not a new one. */
const EMPTIED_GRACE_MS = 2_000;

export interface PreemptContext {
  readonly view: ClusterView;
  readonly book: DisplacementBook;
  readonly nowMs: number;
  /** Of a clock that nobody sets. */
  readonly steadyMs: number;
  readonly costs: CostModel;
  readonly defaultMaxDelayMs: number;
  readonly maxDisplacementsPerHour: number;
  /** A node whose attempt for this preemptor failed a moment ago. */
  isRefused(preemptor: PodUid, node: NodeName): boolean;
  /** An attempt on the node failed for this preemptor before, however long ago. */
  hasFailed(preemptor: PodUid, node: NodeName): boolean;
  newDisplacementId(): string;
}

interface ClosedDisplacement {
  readonly displacement: Displacement;
  readonly because: CloseReason;
  readonly message: string;
}

export interface PreemptOutcome {
  readonly verdict: PreemptVerdict;
  /** To be recorded before anything else happens. */
  readonly opened: Displacement | null;
  /** Displacements that are over: void (`NotBound`), or outranked on the node that was chosen (`Superseded`). */
  readonly closed: readonly ClosedDisplacement[];
  /** Protected victims that go unsaved if this is carried out, because saving them would cost more. */
  readonly cheaper: readonly CheaperEviction[];
}

/**
 * Answers one `preempt` ("The life of one preempt call" in ARCHITECTURE.md). The same question gets the same answer for as
 * long as its displacement lives: kube-scheduler asks again on every retry, possibly with other nodes.
 */
export function preempt(asked: PreemptRequest, context: PreemptContext): PreemptOutcome {
  const { view, book } = context;
  const preemptor = asIndexed(view, asked.preemptor);
  const request = { preemptor, candidates: asked.candidates.filter((candidate) => !isPaused(view, candidate)) };
  const known = book.ofBeneficiary(request.preemptor.uid);
  if (known !== undefined && isPreemption(known)) {
    const verdict = followUp(known, context);
    if (verdict !== null) return { verdict, opened: null, closed: [], cheaper: [] };
  }
  const stale: readonly ClosedDisplacement[] =
    known === undefined ? [] : [{ displacement: known, because: 'NotBound', message: 'kube-scheduler asked anew' }];

  // Its room was of no use to the preemptor: once that may be bad luck, such as a more important pod that came first.
  const vain = known !== undefined && isPreemption(known) && stale.length > 0 ? known.cause.node : undefined;
  const { uid } = request.preemptor;
  if (request.candidates.length === 0 && asked.candidates.length > 0)
    return { verdict: verdictOf('Paused', []), opened: null, closed: stale, cheaper: [] };
  const choice = decide(view, request, {
    nowMs: context.nowMs,
    costs: context.costs,
    defaultMaxDelayMs: context.defaultMaxDelayMs,
    displacementId: context.newDisplacementId(),
    displacements: book,
    maxDisplacementsPerHour: context.maxDisplacementsPerHour,
    holdsOn: (node) => holdsOn(view, book, node, request.preemptor),
    isExcluded: (node) =>
      context.isRefused(uid, node) ||
      isTaken(view, book, node, request.preemptor) ||
      (node === vain && context.hasFailed(uid, node)),
  });
  switch (choice.kind) {
    case 'passThrough':
      return { verdict: verdictOf('NothingProtected', choice.candidates), opened: null, closed: stale, cheaper: [] };
    case 'evictNow':
      return {
        verdict: verdictOf('NoneToSave', [choice.candidate], choice.candidate.node),
        opened: null,
        closed: stale,
        cheaper: choice.cheaper,
      };
    case 'none':
      return { verdict: verdictOf(choice.because, []), opened: null, closed: stale, cheaper: [] };
    case 'save': {
      const { displacement } = choice;
      const saving = displacement.pods.filter((victim) => victim.plan === 'Save').length;
      return {
        verdict: {
          reason: 'Saving',
          candidates: [],
          node: displacement.cause.node,
          displacementId: displacement.id,
          saving,
        },
        opened: displacement,
        closed: [...stale, ...outrankedBy(view, book, displacement)],
        cheaper: choice.cheaper,
      };
    }
    default:
      return choice satisfies never;
  }
}

/** Operators have paused Reprieve, and a victim there must not go unsaved. */
function isPaused(view: ClusterView, { node, victims }: PreemptCandidate): boolean {
  if (view.pausedFor() === null) return false;
  return victims.some((uid) => {
    const pod = view.pod(uid);
    return pod !== undefined && protectionIn(view, pod, view.bareNode(node)).protected;
  });
}

/** Whoever asks does not say how important a pod is: its priority is that of the index, if the index has the pod. */
function asIndexed(view: ClusterView, preemptor: Pod): Pod {
  const known = view.pod(preemptor.uid);
  if (known === undefined) return preemptor;
  const { namespace, name, priority } = known;
  return { ...preemptor, namespace, name, priority };
}

/** The answer for a preemptor that has a displacement; null when that displacement is void. */
function followUp(displacement: Preemption, context: PreemptContext): PreemptVerdict | null {
  const { view, book, steadyMs } = context;
  const { node, numPdbViolations } = displacement.cause;
  const terminating: PodUid[] = [];
  let remaining = 0;
  for (const { uid } of displacement.pods) {
    const pod = view.pod(uid);
    if (!standsOn(pod, node)) continue;
    remaining++;
    if (pod.deletionMs !== null) terminating.push(uid);
  }
  const about = { node, displacementId: displacement.id, saving: 0 };
  if (remaining > terminating.length)
    return { ...about, reason: 'StillSaving', candidates: [], saving: remaining - terminating.length };
  if (terminating.length > 0) {
    const candidate = { node, victims: terminating, numPdbViolations };
    return { ...about, reason: 'Displacing', candidates: [candidate] };
  }
  const emptiedMs = book.emptiedAt(displacement);
  const isFresh = emptiedMs === undefined || steadyMs - emptiedMs < EMPTIED_GRACE_MS;
  return isFresh ? { ...about, reason: 'StillSaving', candidates: [] } : null;
}

/** Displacements of lower rank or priority on the chosen node: their preemptors will be asked about again, their victims are spared or ours. */
function outrankedBy(view: ClusterView, book: DisplacementBook, opened: Preemption): readonly ClosedDisplacement[] {
  const { node, preemptor } = opened.cause;
  const message = `${preemptor.name} of higher priority takes the node`;
  return [...book.on(node, preemptor.uid)]
    .filter((other) => yieldsTo(view, other, preemptor) && areRivals(opened, other))
    .map((other) => ({ displacement: other, because: 'Superseded', message }));
}

function verdictOf(
  reason: PreemptReason,
  candidates: readonly PreemptCandidate[],
  node: NodeName | null = null,
): PreemptVerdict {
  return { reason, candidates, node, displacementId: null, saving: 0 };
}
