import { beneficiaryOf, LONGEST_SAVE_MS, type Cause, type Displacement } from '../../domain/displacement.ts';
import type { NodeName } from '../../domain/ids.ts';
import type { Pod } from '../../domain/pod.ts';
import type { Policy } from '../../domain/policy.ts';
import type { CostModel } from '../../domain/victim-cost.ts';
import type { ClusterView } from '../../index/types.ts';
import type { Clock } from '../../ports/clock.ts';
import { isEvictedByOthers } from '../causes/causes.ts';
import type { DisplacementBook } from '../displace/displacement-book.ts';
import { checkpointNameOf, ticketNameOf } from '../displace/names.ts';
import type { EngineEvents } from '../engine-events.ts';
import { jobEndedBy } from '../policies/job-limit.ts';
import { BudgetUse } from '../preemption/budget-use.ts';
import { bytesBeingWritten, stateBytesOf } from '../preemption/plan.ts';

/** A pod that a step would have displaced. The reconciler makes a displacement of it, if nothing came in between. */
export interface Proposal {
  readonly cause: Cause;
  readonly pod: Pod;
  readonly node: NodeName;
  /** The one that protects the pod. */
  readonly policy: Policy;
  /** Whether the pod may go unsaved. */
  readonly onFailure: 'Evict' | 'Refuse';
}

export interface Opening {
  readonly view: ClusterView;
  readonly book: DisplacementBook;
  readonly clock: Pick<Clock, 'now'>;
  readonly costs: CostModel;
  /** Unique for each displacement, at most 12 characters fit for object names. */
  readonly newDisplacementId: () => string;
  readonly events: Pick<EngineEvents, 'emit'>;
}

/** Other work may have run since a step proposed them. What does not hold any more is left, and proposed again where it should be. */
export function openProposals(proposals: readonly Proposal[], opening: Opening): void {
  const { view, book, events } = opening;
  if (view.pausedFor() !== null) return;
  for (const proposal of proposals) {
    const { pod, node } = proposal;
    const isAsItWas = view.pod(pod.uid) === pod && [...book.on(node)].every((open) => isBeside(open, proposal));
    if (!isAsItWas || !mayBeDisrupted(proposal, opening)) continue;
    const displacement = displacementOf(proposal, opening);
    book.open(displacement);
    events.emit('displacement:opened', { displacement });
  }
}

/** A displacement that was decided meanwhile is about other pods, and does not empty the node for a pod. */
function isBeside(open: Displacement, proposal: Proposal): boolean {
  const mayShare = isEvictedByOthers(proposal) || beneficiaryOf(open) === null;
  return mayShare && open.pods.every(({ uid }) => uid !== proposal.pod.uid);
}

/** Two pods of one PodDisruptionBudget or Job may have been proposed beside each other: the first one takes what is left. */
function mayBeDisrupted(proposal: Proposal, { view, book, clock }: Opening): boolean {
  if (isEvictedByOthers(proposal)) return true;
  const { pod } = proposal;
  return new BudgetUse(view, book).forbidding(pod) === null && jobEndedBy(view, book, pod, clock.now()) === null;
}

function displacementOf(
  { cause, pod, node, policy, onFailure }: Proposal,
  { view, clock, costs, newDisplacementId }: Opening,
): Displacement {
  const [id, nowMs] = [newDisplacementId(), clock.now()];
  const { checkpoint, restore, preemption } = policy;
  const on = view.node(node);
  const queuedBytes = on === undefined ? 0 : bytesBeingWritten(view, on, costs);
  const bytesPerSecond = on?.node.dumpBytesPerSecond ?? costs.dumpBytesPerSecond;
  const savedInMs = costs.freezeMs + ((queuedBytes + stateBytesOf(pod, costs)) / bytesPerSecond) * 1000;
  return {
    id,
    cause,
    pods: [
      {
        uid: pod.uid,
        namespace: pod.namespace,
        name: pod.name,
        node,
        onFailure,
        plan: 'Save',
        checkpoint: checkpointNameOf(ticketNameOf(pod), id),
        terms: { policy: policy.name, maxDelayMs: preemption.maxDelayMs, checkpoint, restore },
      },
    ],
    commit: 'AllSaved',
    decidedMs: nowMs,
    deadlineMs: nowMs + Math.min(Math.ceil(savedInMs), LONGEST_SAVE_MS) + preemption.maxDelayMs,
  };
}
