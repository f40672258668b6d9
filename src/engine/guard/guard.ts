/**
 * The guard: kube-apiserver asks before it deletes a pod for somebody else than its user, or evicts it, and the pod is saved first. Begin
 * with this file.
 *
 *     DELETE, eviction ──> kube-apiserver ──> Guard.ask ─┬─ nothing to save, or saved: allowed
 *                               ^                        ├─ first question: a displacement is opened (cause `Eviction`)
 *                               │                        └─ not saved yet: 429 with retryAfterSeconds
 *                               └──── asked again ───────────┘
 *
 * - `guard-request.ts`: the question and the answer; `ways.ts`: what differs between deletions and evictions.
 * - `asked.ts`: when it was asked last for each pod; a displacement whose question is not repeated is over (`causes/eviction.ts`).
 * - `eviction.ts`: which pods a drain leaves to Kubernetes, and how many of a node are saved at a time.
 *
 * Invariants:
 * 1. A question alone proves nothing, since anybody may send one: a pod is frozen only where the index bears the question out
 *    (`ways.ts`).
 * 2. A pod is let go with its state only in time for the delete to reach its node before the thaw (`thaw-rule.ts`).
 * 3. What was allowed has not happened yet: the displacement ends when the pod is gone, or when the question is not repeated.
 * 4. Requests go by name: after a wait only the pod that was asked for is let go.
 * 5. A pod is frozen for an eviction only while the eviction API would let it go.
 */
import { movingIn, type DisplacedPod, type Displacement } from '../../domain/displacement.ts';
import type { PodUid } from '../../domain/ids.ts';
import type { Node } from '../../domain/node.ts';
import { isTerminal, type Pod } from '../../domain/pod.ts';
import type { Policy } from '../../domain/policy.ts';
import { PAUSED, type Protection } from '../../domain/protection.ts';
import { Steps, type World } from '../core/steps.ts';
import { stepBarrier } from '../displace/barrier.ts';
import { deadlineOf, isInWayOfSystem, mayGoUnsaved } from '../displace/displacement-terms.ts';
import { shortcomingOf } from '../displace/unprotected-eviction.ts';
import { victimState } from '../displace/victim-state.ts';
import { protectionIn } from '../policies/protection-in.ts';
import { BudgetUse } from '../preemption/budget-use.ts';
import type { Proposal } from '../propose/proposal.ts';
import type { Asked } from './asked.ts';
import { budgetRefusal, isNodeBusy, whyServing } from './eviction.ts';
import type { GuardRequest, GuardVerdict } from './guard-request.ts';
import { WAYS } from './ways.ts';

interface GuardContext {
  /** Null: this process may not decide. */
  readonly world: World | null;
  /** The index of this process, complete or not. */
  readonly view: World['view'];
  readonly isSynced: boolean;
  readonly asked: Asked;
  /** It is being evicted without its state, because saving it would cost more. */
  readonly isCheaper: (pod: Pod) => boolean;
  readonly open: (proposal: Proposal) => void;
}

/** Before a client asks again; clients of Kubernetes ask ten times, and then begin anew. */
const SHORT_S = 1;
/** The client begins anew when it sees fit, as after a refusal of kube-apiserver itself: `kubectl drain` after 5 s. */
const NO_RETRY = 0;

export function guard(request: GuardRequest, context: GuardContext): GuardVerdict {
  if (request.dryRun) return allowed('DryRun');
  if (request.isEnding) return allowed('Ending');
  const { view, asked } = context;
  const uid = request.uid ?? view.podNamed(request.namespace, request.name)?.uid ?? null;
  if (asked.isReplaced(request, uid))
    return {
      allowed: false,
      reason: 'Replaced',
      message: 'the pod that was asked for is gone',
      retryAfterSeconds: null,
    };
  const verdict = answer(request, uid, context);
  asked.noteWaiting(request, verdict.allowed ? null : uid);
  return verdict;
}

function answer(request: GuardRequest, uid: PodUid | null, context: GuardContext): GuardVerdict {
  const { view, world, asked } = context;
  // Who has no complete index knows of no policy: kube-apiserver may ask another replica.
  if (!context.isSynced) return denied('Unsynced', 'Reprieve has not read the cluster yet', SHORT_S);
  const pod = uid === null ? undefined : view.podOf({ namespace: request.namespace, uid });
  const node = pod?.nodeName == null ? undefined : view.node(pod.nodeName)?.node;
  if (pod === undefined || node === undefined || isTerminal(pod) || pod.deletionMs !== null)
    return allowed('NotRunning');
  const protection = protectionIn(view, pod, node);
  const policy = protection.protected ? protection.policy : null;
  if (world === null) {
    const isOurs = policy !== null || view.ticketOfVictim(pod) !== undefined;
    return isOurs ? denied('NoLeader', 'another replica of Reprieve decides', SHORT_S) : allowed('NotProtected');
  }
  // What is being saved stays protected, whatever becomes of its policy (`displacement-terms.ts`).
  const moving = movingIn(world.book.on(node.name), pod.uid);
  if (moving === null) return firstAnswer(request, { pod, node, protection }, { ...context, world });
  const verdict = verdictOn(request, { world, ...moving, policy });
  asked.note(pod.uid, verdict.allowed);
  return verdict;
}

interface AskedFor {
  readonly pod: Pod;
  readonly node: Node;
  readonly protection: Protection;
}

/** Of a pod that is not being saved. */
function firstAnswer(
  { by, requester, why }: GuardRequest,
  { pod, node, protection }: AskedFor,
  { world, asked, isCheaper, open }: GuardContext & { readonly world: World },
): GuardVerdict {
  const { view, book, rests } = world;
  const { isBorneOut, longRetryS } = WAYS[by];
  const refusal = by === 'Eviction' ? budgetRefusal(view, pod) : null;
  // kube-apiserver answers itself; of a pod that is to be saved not, since its budget may have recovered without our knowing it.
  if (refusal?.isFinal === true || (refusal !== null && !protection.protected)) return allowed('BudgetForbids');
  if (refusal !== null) return denied('BudgetForbids', refusal.message, NO_RETRY);
  if (!protection.protected) return allowed('NotProtected', by === 'Eviction' ? shortcomingOf(protection) : null);
  const { policy } = protection;
  const { decision, onFailure } = policy.preemption;
  if (by === 'Deletion' && decision === 'Adaptive' && isCheaper(pod)) return allowed('SavingCostsMore');
  if (view.pausedFor() !== null) return denied('Paused', `it must not go unsaved, and ${PAUSED}`, longRetryS);
  if (!isBorneOut(pod, node)) {
    // Whoever deletes a pod has marked it; an eviction has many origins.
    if (by === 'Deletion' || asked.isFirstDoubt(pod.uid))
      return denied('NotSeenYet', 'that the pod is about to go is not seen yet', SHORT_S);
    return allowed('NotDrained', `node ${node.name} is neither cordoned nor marked by an autoscaler`);
  }
  const service = by === 'Eviction' ? whyServing(view, pod, policy) : null;
  if (service !== null) return allowed('Serving', service);
  const restsUntilMs = rests.notSavedUntilMs(pod.uid);
  if (restsUntilMs !== null && world.steadyMs < restsUntilMs) {
    if (onFailure === 'Evict' || isInWayOfSystem(view, pod)) return allowed('SavingFailed', NOT_IN_TIME);
    return denied('SavingFailed', 'it could not be saved, and its policy refuses that it goes unsaved', longRetryS);
  }
  if (by === 'Eviction') {
    if (isNodeBusy(view, book.on(node.name)))
      return denied('Queued', 'other pods of its node are being saved first', SHORT_S);
    const budget = new BudgetUse(view, book).forbidding(pod);
    if (budget !== null)
      return denied('Queued', `other pods of PodDisruptionBudget ${budget.name} are being saved first`, SHORT_S);
  }
  asked.note(pod.uid, false);
  open({ cause: { kind: 'Eviction', by, requester, why }, pod, node: node.name, policy, onFailure });
  return denied('Saving', 'it is being saved first', SHORT_S);
}

const NOT_IN_TIME = 'it could not be saved in time';

/** Of a pod that is being saved, whatever for. */
function verdictOn(
  { by }: GuardRequest,
  {
    world,
    displacement,
    victim,
    policy,
  }: {
    readonly world: World;
    readonly displacement: Displacement;
    readonly victim: DisplacedPod;
    readonly policy: Policy | null;
  },
): GuardVerdict {
  const { longRetryS } = WAYS[by];
  if (victim.plan === 'Evict') {
    if (policy === null) return allowed('NotProtected');
    if (policy.preemption.decision !== 'Always') return allowed('SavingCostsMore');
    return denied('Saving', 'its policy saves it by now', SHORT_S); // its displacement is about to end
  }
  const steps = new Steps();
  const deadlineMs = deadlineOf(world.view, displacement);
  const state = victimState(world, displacement, victim, { deadlineMs, steps });
  switch (state.kind) {
    case 'gone':
    case 'terminating':
      return allowed('NotRunning');
    case 'failed':
      return mayGoUnsaved(world.view, state.pod, victim, displacement) || isInWayOfSystem(world.view, state.pod)
        ? allowed('SavingFailed', NOT_IN_TIME)
        : denied('SavingFailed', `${state.reason}: ${state.message}`, longRetryS);
    case 'unfinished': {
      const leftMs = displacement.deadlineMs - world.nowMs;
      return denied('Saving', 'it is being saved first', leftMs > 60_000 ? longRetryS : SHORT_S);
    }
    case 'ready': {
      if (state.frozenBy === null) return allowed('Saved');
      const barrier = stepBarrier(world, displacement, [{ victim, state }], { deadlineMs, steps });
      return barrier === 'passed'
        ? allowed('Saved')
        : denied('Saving', 'replicas of Reprieve have not seen its ticket yet', SHORT_S);
    }
    default:
      return state satisfies never;
  }
}

type Allowed = Extract<GuardVerdict, { readonly allowed: true }>;
type Denied = Extract<GuardVerdict, { readonly retryAfterSeconds: number }>;

function allowed(reason: Allowed['reason'], unsaved: string | null = null): GuardVerdict {
  return { allowed: true, reason, ...(unsaved !== null && { unsaved }) };
}

function denied(reason: Denied['reason'], message: string, retryAfterSeconds: number): GuardVerdict {
  return { allowed: false, reason, message, retryAfterSeconds };
}
