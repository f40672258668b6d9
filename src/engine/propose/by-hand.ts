/**
 * Displacements that nobody asks for by a request: a step looks at a node, and proposes what should leave it. Begin with this file;
 * `proposers.ts` lists these steps, `proposal.ts` makes the displacement, `rests.ts` says when what failed is proposed again.
 *
 *     annotation of a pod or node ──> index ──> stepByHand ──> Proposal ──> reconciler ──> DisplacementBook ──> (engine/displace)
 *                                                        └──> why a pod stays: an Event
 *
 * Invariants:
 * 1. Only a pod that would be saved is proposed, and it is never evicted unsaved.
 * 2. What a PodDisruptionBudget does not allow to go is not frozen.
 * 3. A pod whose eviction would fail its Job for good stays.
 * 4. A proposal takes nothing from another displacement: while a node is emptied for a pod, nothing is proposed there, and a pod that
 *    another displacement moves is proposed again when that is over.
 */
import { beneficiaryOf, type ManualCause } from '../../domain/displacement.ts';
import { JOB_READ_EVERY_MS } from '../../domain/owner-facts.ts';
import type { Pod } from '../../domain/pod.ts';
import type { Policy } from '../../domain/policy.ts';
import type { NodeName } from '../../domain/ids.ts';
import { PAUSED, type UnprotectedReason } from '../../domain/protection.ts';
import type { NodeSnapshot } from '../../index/types.ts';
import type { Steps, World } from '../core/steps.ts';
import { jobEndedBy } from '../policies/job-limit.ts';
import { protectionIn } from '../policies/protection-in.ts';
import { BudgetUse } from '../preemption/budget-use.ts';
import type { ProposerBudget } from './proposers.ts';

/** What people ask to leave this node: pods with `reprieve.dev/displace`, and all where the node has `reprieve.dev/evacuate`. */
export function stepByHand(world: World, name: string, steps: Steps, { podsOfNode }: ProposerBudget): void {
  const node = name as NodeName;
  const on = world.view.node(node);
  if (on === undefined) return;
  const open = [...world.book.on(node)];
  if (open.some((one) => beneficiaryOf(one) !== null)) return;
  const moving = new Set(open.flatMap(({ pods }) => pods.map(({ uid }) => uid)));
  // One that is going, perhaps for ever, is on the disk already.
  const budgets = new BudgetUse(world.view, world.book);
  let places = podsOfNode - on.pods.filter(({ uid, deletionMs }) => deletionMs === null && moving.has(uid)).length;
  for (const pod of on.node.evacuateFor === null ? world.view.podsToMove(node) : on.pods) {
    const cause = causeFor(on, pod);
    if (cause === null || moving.has(pod.uid)) continue;
    const verdict = judge(world, on, pod, cause, { budgets, steps });
    if (verdict === 'later') continue;
    if ('why' in verdict) steps.tellStays(pod, `${NOT_MOVED[cause.askedOn]}: ${verdict.why}`);
    // Nobody waits for the room: where saving fails the pod runs on.
    else if (places-- > 0) steps.propose({ cause, pod, node, policy: verdict.policy, onFailure: 'Refuse' });
  }
}

const NOT_MOVED = {
  Pod: 'not displaced, as reprieve.dev/displace asks',
  Node: 'stays on its node, which is to be evacuated',
} as const;

/** Why a pod is asked to leave its node; null: nobody asks for it. */
function causeFor({ node }: Pick<NodeSnapshot, 'node'>, pod: Pod): ManualCause | null {
  if (pod.displaceFor !== null) return { kind: 'Manual', askedOn: 'Pod', why: pod.displaceFor };
  return node.evacuateFor === null ? null : { kind: 'Manual', askedOn: 'Node', why: node.evacuateFor };
}

const NOBODYS: ReadonlySet<string> = new Set<UnprotectedReason>(['NoPolicy', 'SystemNamespace', 'UnsupportedOwner']);

type Verdict = { readonly policy: Policy } | { readonly why: string } | 'later';

function judge(
  { view, book, nowMs, steadyMs, rests }: World,
  { node }: NodeSnapshot,
  pod: Pod,
  { askedOn }: ManualCause,
  { budgets, steps }: { readonly budgets: BudgetUse; readonly steps: Steps },
): Verdict {
  if (pod.deletionMs !== null) return 'later';
  if (view.pausedFor() !== null) return { why: PAUSED };
  const protection = protectionIn(view, pod, node);
  if (!protection.protected) {
    if (protection.reason === 'NotRunning') return 'later';
    // Pods of the node itself, and those that no policy is about, are left to `kubectl drain`.
    const isTold = askedOn === 'Pod' || !NOBODYS.has(protection.reason);
    return isTold ? { why: protection.message } : 'later';
  }
  if (askedOn === 'Node' && !node.unschedulable)
    return { why: `it would come back at once; first: kubectl cordon ${node.name}` };
  if (view.ticketOfVictim(pod) !== undefined) return 'later'; // of a displacement that is being undone
  const restsUntilMs = rests.untilMs(pod.uid);
  if (restsUntilMs !== null && steadyMs < restsUntilMs) {
    steps.lookAgainAt(nowMs + Math.ceil(restsUntilMs - steadyMs));
    return 'later';
  }
  const budget = budgets.forbidding(pod);
  if (budget !== null) return { why: `PodDisruptionBudget ${budget.name} allows no disruption now` };
  const ended = jobEndedBy(view, book, pod, nowMs);
  if (ended !== null) {
    // Listeners do not hear of it when a Job was read again.
    steps.lookAgainAt(nowMs + JOB_READ_EVERY_MS);
    return { why: ended };
  }
  return { policy: protection.policy };
}
