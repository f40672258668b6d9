import type { Checkpoint } from '../domain/checkpoint.ts';
import type { NodeName, PodUid } from '../domain/ids.ts';
import { compareNodeOptions, type NodeOption } from '../domain/node-choice.ts';
import { byDescendingPriority } from '../domain/eviction-order.ts';
import { standsOn, type Pod } from '../domain/pod.ts';
import type { Policy } from '../domain/policy.ts';
import { protectionOf } from '../domain/protection.ts';
import { dominantShare } from '../domain/resources.ts';
import { whyUnfit } from '../domain/toleration.ts';
import type { Decision, PlannedVictim } from '../domain/ticket.ts';
import { planVictim, type CostModel, type VictimPlan } from '../domain/victim-cost.ts';
import type { ClusterView, NodeSnapshot } from '../index/types.ts';
import type { PreemptCandidate, PreemptRequest } from './callbacks.ts';
import { checkpointNameOf, ticketNameOf } from './names.ts';

export interface DecideContext {
  readonly nowMs: number;
  readonly costs: CostModel;
  /** Nodes that must not be chosen for this preemptor: used by decisions of equal or higher priority, or tried and failed. */
  isExcluded(node: NodeName): boolean;
  /** Unique for each decision, at most 12 characters fit for object names. */
  readonly decisionId: string;
  /** Where no victim's policy says otherwise. */
  readonly defaultMaxDelayMs: number;
}

/** What to answer, before anything is recorded. */
export type Choice =
  /** Nobody offered is protected: kube-scheduler's own choice stands. */
  | { readonly kind: 'passThrough'; readonly candidates: readonly PreemptCandidate[] }
  /** The best node's victims can go at once. */
  | { readonly kind: 'evictNow'; readonly candidate: PreemptCandidate }
  /** The best node's victims have to be saved first. */
  | { readonly kind: 'save'; readonly decision: Decision }
  /** Offers are left out because they are excluded or unfit, or because the index sees none of their victims. */
  | { readonly kind: 'none'; readonly because: 'AllReserved' | 'NoKnownVictims' };

interface Offer {
  readonly on: NodeSnapshot;
  readonly victims: readonly OfferedVictim[];
  readonly numPdbViolations: number;
}

interface OfferedVictim {
  readonly pod: Pod;
  readonly policy: Policy | null;
}

interface PlannedOffer extends NodeOption {
  readonly offer: Offer;
  readonly plans: readonly VictimPlan[];
}

/**
 * The preempt decision (design 3). Pure: the same view and request give the same choice.
 *
 * Candidates are taken as kube-scheduler's dry run made them; nobody is added to the victims. Left out are victims the
 * index no longer sees on that node (they are gone, their room is free) and candidates of whom nobody is left.
 */
export function decide(view: ClusterView, request: PreemptRequest, context: DecideContext): Choice {
  const offers: Offer[] = [];
  let excluded = 0;
  for (const candidate of request.candidates) {
    const on = view.node(candidate.node);
    if (on === undefined) continue;
    if (context.isExcluded(candidate.node)) {
      excluded++;
      continue;
    }
    const victims = knownVictims(view, on, candidate.victims);
    if (victims.length > 0) offers.push({ on, victims, numPdbViolations: candidate.numPdbViolations });
  }
  if (offers.length === 0) return { kind: 'none', because: excluded > 0 ? 'AllReserved' : 'NoKnownVictims' };
  if (!offers.some((offer) => offer.victims.some((victim) => victim.policy !== null))) {
    return { kind: 'passThrough', candidates: offers.map(toCandidate) };
  }

  // kube-scheduler's picture may be a moment older than ours: nobody is saved for a node that takes no pod any more.
  const fit = offers.filter(({ on }) => whyUnfit(on.node, request.preemptor.tolerations) === null);
  if (fit.length === 0) return { kind: 'none', because: 'AllReserved' };
  let best: PlannedOffer | null = null;
  for (const offer of fit) {
    const planned = planOffer(view, request.preemptor, offer, context);
    if (best === null || compareNodeOptions(planned, best) < 0) best = planned;
  }
  const chosen = best as PlannedOffer;
  if (chosen.plans.every((plan) => plan.action === 'evict')) {
    return { kind: 'evictNow', candidate: toCandidate(chosen.offer) };
  }
  return { kind: 'save', decision: toDecision(view, request.preemptor, chosen, context) };
}

function knownVictims(view: ClusterView, on: NodeSnapshot, uids: readonly PodUid[]): readonly OfferedVictim[] {
  const victims: OfferedVictim[] = [];
  const seen = new Set<PodUid>();
  for (const uid of uids) {
    const pod = view.pod(uid);
    if (!standsOn(pod, on.node.name) || seen.has(uid)) continue;
    seen.add(uid);
    const protection = protectionOf(pod, on.node, view.policies(), view.namespaceLabels(pod.namespace));
    victims.push({ pod, policy: protection.protected ? protection.policy : null });
  }
  return victims.sort((a, b) => byDescendingPriority(a.pod, b.pod));
}

function planOffer(view: ClusterView, preemptor: Pod, offer: Offer, context: DecideContext): PlannedOffer {
  const { node } = offer.on;
  const preemptorShare = dominantShare(preemptor.requests, node.allocatable);
  let queuedBytes = bytesBeingWritten(view, offer, context.costs);
  let cost = 0;
  const plans: VictimPlan[] = [];
  for (const { pod, policy } of offer.victims) {
    const plan = planVictim(
      { pod, node, policy, latest: latestCheckpoint(view, pod), preemptorShare, queuedBytes, nowMs: context.nowMs },
      context.costs,
    );
    if (plan.action === 'checkpoint') queuedBytes += plan.bytes;
    cost += plan.cost;
    plans.push(plan);
  }
  const highest = (offer.victims[0] as OfferedVictim).pod.priority;
  let startOfHighestMs = Number.POSITIVE_INFINITY;
  for (const { pod } of offer.victims) {
    if (pod.priority === highest) startOfHighestMs = Math.min(startOfHighestMs, pod.startMs ?? context.nowMs);
  }
  return {
    node: node.name,
    numPdbViolations: offer.numPdbViolations,
    highestVictimPriority: highest,
    cost,
    victimCount: offer.victims.length,
    startOfHighestMs,
    offer,
    plans,
  };
}

/** What this node's disk still has to write for checkpoints that are under way. */
function bytesBeingWritten(view: ClusterView, offer: Offer, costs: CostModel): number {
  let bytes = 0;
  for (const pod of offer.on.pods) {
    for (const checkpoint of view.checkpointsOfPod(pod.uid)) {
      if (!checkpoint.ready && checkpoint.failure === null && !checkpoint.deleting) {
        bytes += pod.requests.memoryBytes || costs.defaultStateBytes;
      }
    }
  }
  return bytes;
}

/** The newest checkpoint of a pod that could be restored. */
function latestCheckpoint(view: ClusterView, pod: Pod): Checkpoint | null {
  let latest: Checkpoint | null = null;
  for (const checkpoint of view.checkpointsOfPod(pod.uid)) {
    // One that was made to hold the pod frozen belongs to its preemption, and goes when that is off.
    if (!checkpoint.ready || checkpoint.deleting || checkpoint.keepFrozen || checkpoint.takenMs === null) continue;
    if (latest === null || checkpoint.takenMs > (latest.takenMs ?? 0)) latest = checkpoint;
  }
  return latest;
}

function toDecision(view: ClusterView, preemptor: Pod, chosen: PlannedOffer, context: DecideContext): Decision {
  let promisedMs = 0;
  let maxDelayMs = Number.POSITIVE_INFINITY;
  const victims = chosen.offer.victims.map(({ pod, policy }, position): PlannedVictim => {
    const plan = chosen.plans[position] as VictimPlan;
    promisedMs = Math.max(promisedMs, plan.saveMs);
    if (policy !== null && plan.action === 'checkpoint')
      maxDelayMs = Math.min(maxDelayMs, policy.preemption.maxDelayMs);
    return {
      uid: pod.uid,
      namespace: pod.namespace,
      name: pod.name,
      action: plan.action,
      checkpoint:
        plan.action === 'checkpoint'
          ? checkpointNameOf(ticketNameOf(pod), context.decisionId)
          : plan.action === 'reuse'
            ? (latestCheckpoint(view, pod)?.name ?? null)
            : null,
      onFailure: policy?.preemption.onFailure ?? 'Evict',
      terms:
        policy === null || plan.action === 'evict'
          ? null
          : { policy: policy.name, maxDelayMs: policy.preemption.maxDelayMs, restore: policy.restore },
    };
  });
  if (maxDelayMs === Number.POSITIVE_INFINITY) maxDelayMs = context.defaultMaxDelayMs;
  return {
    id: context.decisionId,
    preemptor: {
      namespace: preemptor.namespace,
      name: preemptor.name,
      uid: preemptor.uid,
      priority: preemptor.priority,
    },
    node: chosen.node,
    victims,
    numPdbViolations: chosen.numPdbViolations,
    decidedMs: context.nowMs,
    deadlineMs: context.nowMs + Math.ceil(promisedMs) + maxDelayMs,
  };
}

function toCandidate(offer: Offer): PreemptCandidate {
  return {
    node: offer.on.node.name,
    victims: offer.victims.map((victim) => victim.pod.uid),
    numPdbViolations: offer.numPdbViolations,
  };
}
