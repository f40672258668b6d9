/**
 * The guard: kube-apiserver asks before it deletes a pod for somebody else than its user, and the pod is saved first. Begin with this file.
 *
 *     DELETE ──> kube-apiserver ──> Guard.ask ─┬─ nothing to save, or saved: allowed
 *                     ^                        ├─ first question: a displacement is opened (cause `Eviction`)
 *                     │                        └─ not saved yet: 429 with retryAfterSeconds
 *                     └──── asked again ───────────┘
 *
 * - `guard-request.ts`: the question and the answer.
 * - `asked.ts`: when it was asked last for each pod; a displacement whose question is not repeated is over (`causes/eviction.ts`).
 *
 * Invariants:
 * 1. A question alone proves nothing, since anybody may send one: a pod is frozen only where the index shows that it is disrupted, which
 *    whoever deletes it has written into its status before.
 * 2. A pod is let go with its state only in time for the delete to reach its node before the thaw (`thaw-rule.ts`).
 * 3. What was allowed has not happened yet: the displacement ends when the pod is gone, or when the question is not repeated.
 */
import type { DisplacedPod, Displacement } from '../../domain/displacement.ts';
import type { Node } from '../../domain/node.ts';
import { isTerminal, type Pod } from '../../domain/pod.ts';
import type { Policy } from '../../domain/policy.ts';
import { Steps, type World } from '../core/steps.ts';
import { stepBarrier } from '../displace/barrier.ts';
import { deadlineOf, isInWayOfSystem, mayGoUnsaved } from '../displace/displacement-terms.ts';
import { victimState } from '../displace/victim-state.ts';
import { protectionIn } from '../policies/protection-in.ts';
import type { Proposal } from '../propose/proposal.ts';
import type { Asked } from './asked.ts';
import type { GuardRequest, GuardVerdict } from './guard-request.ts';

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

/** Before kube-scheduler or another client asks again; clients of Kubernetes ask ten times, and then begin anew. */
const SHORT_S = 1;
const LONG_S = 5;

export function guard(request: GuardRequest, context: GuardContext): GuardVerdict {
  const { view, world, asked } = context;
  if (request.dryRun) return allowed('DryRun');
  if (request.isEnding) return allowed('Ending');
  // Who has no complete index knows of no policy: kube-apiserver may ask another replica.
  if (!context.isSynced) return denied('Unsynced', 'Reprieve has not read the cluster yet', SHORT_S);
  const pod = view.podOf(request);
  const node = pod?.nodeName == null ? undefined : view.node(pod.nodeName)?.node;
  if (pod === undefined || node === undefined || isTerminal(pod) || pod.deletionMs !== null)
    return allowed('NotRunning');
  const policy = policyFor(view, pod, node);
  if (world === null) {
    const isOurs = policy !== null || view.ticketOfVictim(pod) !== undefined;
    return isOurs ? denied('NoLeader', 'another replica of Reprieve decides', SHORT_S) : allowed('NotProtected');
  }
  // What is being saved stays protected, whatever becomes of its policy (`displacement-terms.ts`).
  const open = [...world.book.on(node.name)].find(({ pods }) => pods.some(({ uid }) => uid === pod.uid));
  if (open === undefined) {
    if (policy === null) return allowed('NotProtected');
    if (policy.preemption.decision === 'Adaptive' && context.isCheaper(pod)) return allowed('SavingCostsMore');
    if (!pod.disrupted)
      return denied('NotDisrupted', 'the condition DisruptionTarget of the pod is not seen yet', SHORT_S);
    const restsUntilMs = world.rests.notSavedUntilMs(pod.uid);
    const mayGo = policy.preemption.onFailure === 'Evict' || isInWayOfSystem(view, pod);
    if (restsUntilMs !== null && world.steadyMs < restsUntilMs)
      return mayGo
        ? allowed('SavingFailed')
        : denied('SavingFailed', 'it could not be saved, and its policy refuses that it goes unsaved', LONG_S);
    asked.note(pod.uid, false);
    const cause = { kind: 'Eviction', requester: request.requester, why: request.why } as const;
    context.open({ cause, pod, node: node.name, policy, onFailure: policy.preemption.onFailure });
    return denied('Saving', 'it is being saved first', SHORT_S);
  }
  const victim = open.pods.find(({ uid }) => uid === pod.uid) as DisplacedPod;
  const verdict = verdictOn(world, open, victim, policy);
  asked.note(pod.uid, verdict.allowed);
  return verdict;
}

function policyFor(view: World['view'], pod: Pod, node: Node): Policy | null {
  const protection = protectionIn(view, pod, node);
  return protection.protected ? protection.policy : null;
}

/** Of a pod that is being saved, whatever for. */
function verdictOn(
  world: World,
  displacement: Displacement,
  victim: DisplacedPod,
  policy: Policy | null,
): GuardVerdict {
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
        ? allowed('SavingFailed')
        : denied('SavingFailed', `${state.reason}: ${state.message}`, LONG_S);
    case 'unfinished': {
      const leftMs = displacement.deadlineMs - world.nowMs;
      return denied('Saving', 'it is being saved first', leftMs > 60_000 ? LONG_S : SHORT_S);
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

function allowed(reason: Extract<GuardVerdict, { readonly allowed: true }>['reason']): GuardVerdict {
  return { allowed: true, reason };
}

function denied(
  reason: Extract<GuardVerdict, { readonly allowed: false }>['reason'],
  message: string,
  retryAfterSeconds: number,
): GuardVerdict {
  return { allowed: false, reason, message, retryAfterSeconds };
}
