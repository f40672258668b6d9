import type { NodeName, PodUid } from '../domain/ids.ts';
import { standsOn } from '../domain/pod.ts';
import type { Decision } from '../domain/ticket.ts';
import type { CostModel } from '../domain/victim-cost.ts';
import type { ClusterView } from '../index/types.ts';
import { holdsOn } from './adoption.ts';
import type { PreemptCandidate, PreemptRequest, PreemptVerdict } from './callbacks.ts';
import type { CheaperEviction } from './cheaper-evictions.ts';
import { decide } from './decide.ts';
import type { DecisionBook } from './decision-book.ts';
import type { PreemptReason } from './preempt-reasons.ts';

/** kube-scheduler may ask with a snapshot that still holds a victim the index has seen go: such a question is not a new one. */
const EMPTIED_GRACE_MS = 2_000;

export interface PreemptContext {
  readonly view: ClusterView;
  readonly book: DecisionBook;
  readonly nowMs: number;
  /** Of a clock that nobody sets. */
  readonly steadyMs: number;
  readonly costs: CostModel;
  readonly defaultMaxDelayMs: number;
  /** A node whose attempt for this preemptor failed a moment ago. */
  isRefused(preemptor: PodUid, node: NodeName): boolean;
  newDecisionId(): string;
}

export interface PreemptOutcome {
  readonly verdict: PreemptVerdict;
  /** To be recorded before anything else happens. */
  readonly opened: Decision | null;
  /** Decisions that are over: void, or outranked on the node that was chosen. */
  readonly closed: readonly Decision[];
  /** Protected victims that go unsaved if this is carried out, because saving them would cost more. */
  readonly cheaper: readonly CheaperEviction[];
}

/**
 * Answers one `preempt` ("The life of one preempt call" in ARCHITECTURE.md). The same question gets the same answer for as
 * long as its decision lives: kube-scheduler asks again on every retry, possibly with other nodes.
 */
export function preempt(request: PreemptRequest, context: PreemptContext): PreemptOutcome {
  const { view, book } = context;
  const known = book.get(request.preemptor.uid);
  if (known !== undefined) {
    const verdict = followUp(known, context);
    if (verdict !== null) return { verdict, opened: null, closed: [], cheaper: [] };
  }
  const stale = known === undefined ? [] : [known];

  const choice = decide(view, request, {
    nowMs: context.nowMs,
    costs: context.costs,
    defaultMaxDelayMs: context.defaultMaxDelayMs,
    decisionId: context.newDecisionId(),
    holdsOn: (node) => holdsOn(view, book, node, request.preemptor),
    isExcluded: (node) => context.isRefused(request.preemptor.uid, node) || book.isTaken(node, request.preemptor),
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
      const { decision } = choice;
      const saving = decision.victims.filter((victim) => victim.action === 'checkpoint').length;
      return {
        verdict: { reason: 'Saving', candidates: [], node: decision.node, decisionId: decision.id, saving },
        opened: decision,
        closed: [...stale, ...outranked(book, decision)],
        cheaper: choice.cheaper,
      };
    }
    default:
      return choice satisfies never;
  }
}

/** The answer for a preemptor that has a decision; null when that decision is void. */
function followUp(decision: Decision, context: PreemptContext): PreemptVerdict | null {
  const { view, book, steadyMs } = context;
  const terminating: PodUid[] = [];
  let remaining = 0;
  for (const { uid } of decision.victims) {
    const pod = view.pod(uid);
    if (!standsOn(pod, decision.node)) continue;
    remaining++;
    if (pod.deletionMs !== null) terminating.push(uid);
  }
  const about = { node: decision.node, decisionId: decision.id, saving: 0 };
  if (remaining > terminating.length)
    return { ...about, reason: 'StillSaving', candidates: [], saving: remaining - terminating.length };
  if (terminating.length > 0) {
    const candidate = { node: decision.node, victims: terminating, numPdbViolations: decision.numPdbViolations };
    return { ...about, reason: 'Displacing', candidates: [candidate] };
  }
  const emptiedMs = book.emptiedAt(decision);
  const isFresh = emptiedMs === undefined || steadyMs - emptiedMs < EMPTIED_GRACE_MS;
  return isFresh ? { ...about, reason: 'StillSaving', candidates: [] } : null;
}

/** Decisions of lower priority on the chosen node: their preemptors will be asked about again, their victims are spared or ours. */
function outranked(book: DecisionBook, decision: Decision): readonly Decision[] {
  return [...book.on(decision.node, decision.preemptor.uid)].filter(
    (other) => other.preemptor.priority < decision.preemptor.priority,
  );
}

function verdictOf(
  reason: PreemptReason,
  candidates: readonly PreemptCandidate[],
  node: NodeName | null = null,
): PreemptVerdict {
  return { reason, candidates, node, decisionId: null, saving: 0 };
}
