import type { Checkpoint } from '../domain/checkpoint.ts';
import type { NodeName } from '../domain/ids.ts';
import { compareNodeOptions, type NodeOption } from '../domain/node-choice.ts';
import { standsOn, type Pod } from '../domain/pod.ts';
import { dominantShare } from '../domain/resources.ts';
import { whyUnfit } from '../domain/toleration.ts';
import { LONGEST_SAVE_MS, type Decision, type PlannedVictim } from '../domain/ticket.ts';
import { planVictim, type CostModel, type VictimPlan } from '../domain/victim-cost.ts';
import type { ClusterView, NodeSnapshot } from '../index/types.ts';
import { NO_HOLDS, type Holds } from './adoption.ts';
import type { PodRef } from '../ports/cluster-writer.ts';
import type { PreemptCandidate, PreemptRequest } from './callbacks.ts';
import type { CheaperEviction } from './cheaper-evictions.ts';
import { checkpointNameOf, ticketNameOf } from './names.ts';

export interface DecideContext {
  readonly nowMs: number;
  readonly costs: CostModel;
  /** Nodes that must not be chosen for this preemptor: used by decisions of equal or higher priority, or tried and failed. */
  isExcluded(node: NodeName): boolean;
  /** Victims there that a lower decision has saved, or is saving, and that pass over to this preemptor. */
  holdsOn(node: NodeName): Holds;
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
  | { readonly kind: 'evictNow'; readonly candidate: PreemptCandidate; readonly cheaper: readonly CheaperEviction[] }
  /** The best node's victims have to be saved first. */
  | { readonly kind: 'save'; readonly decision: Decision; readonly cheaper: readonly CheaperEviction[] }
  /** Offers are left out because they are excluded or unfit, or because the index sees none of their victims. */
  | { readonly kind: 'none'; readonly because: 'AllReserved' | 'NoKnownVictims' };

interface Offer {
  readonly on: NodeSnapshot;
  readonly candidate: PreemptCandidate;
  /** Places of the victims on the node's sheet, in the order of an answer; never empty. */
  readonly places: readonly number[];
  /** Nobody was left out, and nobody moved. */
  readonly isAsSent: boolean;
}

interface PlannedOffer extends NodeOption {
  readonly offer: Offer;
}

/**
 * The preempt decision ("The life of one preempt call" in ARCHITECTURE.md, step 3). Pure: the same view and request give
 * the same choice.
 *
 * Candidates are taken as kube-scheduler's dry run made them; nobody is added to the victims. Left out are victims the
 * index no longer sees on that node (they are gone, their room is free), candidates of whom nobody is left, and candidates
 * with a victim that, by the index, is not less important than the preemptor.
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
    const offer = offerOf(on, candidate);
    const [first] = offer.places; // the most important one
    if (first !== undefined && on.sheet.priority(first) < request.preemptor.priority) offers.push(offer);
  }
  if (offers.length === 0) return { kind: 'none', because: excluded > 0 ? 'AllReserved' : 'NoKnownVictims' };
  if (!offers.some(({ on, places }) => places.some((place) => on.sheet.policy(place, view) !== null))) {
    return { kind: 'passThrough', candidates: offers.map(passedOn) };
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
  const plan = planOf(view, request.preemptor, chosen.offer, context);
  const cheaper = cheaperIn(view, request.preemptor, chosen.offer, plan);
  if (plan.victims.every(({ action }) => action === 'evict')) {
    return { kind: 'evictNow', candidate: toCandidate(chosen.offer), cheaper };
  }
  return { kind: 'save', decision: toDecision(view, request.preemptor, { ...chosen, plan }, context), cheaper };
}

/** With those who still stand there. */
function offerOf(on: NodeSnapshot, candidate: PreemptCandidate): Offer {
  const { sheet } = on;
  const places: number[] = [];
  let isInOrder = true;
  let last = -1;
  for (const uid of candidate.victims) {
    const place = sheet.placeOf(uid);
    if (place < 0) continue;
    if (isInOrder && last >= 0) {
      const order = sheet.compareImportance(last, place);
      isInOrder = order < 0 || (order === 0 && !places.includes(place));
    }
    places.push(place);
    last = place;
  }
  // So kube-scheduler sends them, each once; who is as important as the next stands there as it likes.
  if (isInOrder) return { on, candidate, places, isAsSent: places.length === candidate.victims.length };
  const sorted = [...new Set(places)].sort((a, b) => sheet.compareForAnswer(a, b));
  return { on, candidate, places: sorted, isAsSent: false };
}

function planOffer(view: ClusterView, preemptor: Pod, offer: Offer, context: DecideContext): PlannedOffer {
  const { on, places, candidate } = offer;
  const { sheet } = on;
  let cost = 0;
  for (const victim of planOf(view, preemptor, offer, context).victims) cost += victim.cost;
  const highest = sheet.priority(places[0] as number);
  let startOfHighestMs = Number.POSITIVE_INFINITY;
  for (const place of places) {
    if (sheet.priority(place) !== highest) break;
    const startMs = sheet.startMs(place);
    startOfHighestMs = Math.min(startOfHighestMs, Number.isNaN(startMs) ? context.nowMs : startMs);
  }
  return {
    node: on.node.name,
    numPdbViolations: candidate.numPdbViolations,
    highestVictimPriority: highest,
    cost,
    victimCount: places.length,
    startOfHighestMs,
    offer,
  };
}

/** What is best done with each victim, in the order of the offer. */
interface Plan {
  readonly victims: readonly VictimPlan[];
  /** What it takes over. */
  readonly holds: Holds;
}

/** With what can be taken over, unless that would end before all are saved. */
function planOf(view: ClusterView, preemptor: Pod, offer: Offer, context: DecideContext): Plan {
  const holds = context.holdsOn(offer.on.node.name);
  const victims = plansOf(view, preemptor, offer, context, holds);
  if (holds.size === 0) return { victims, holds };
  let savedMs = context.nowMs;
  for (const { saveMs } of victims) savedMs = Math.max(savedMs, context.nowMs + saveMs);
  if (savedMs + LEAST_MARGIN_MS <= endOf(offer, holds)) return { victims, holds };
  return { victims: plansOf(view, preemptor, offer, context, NO_HOLDS), holds: NO_HOLDS };
}

/** Beyond the time that is expected. */
const LEAST_MARGIN_MS = 2_000;

/** When the first of those ends that the offer takes over. */
function endOf({ on, places }: Offer, holds: Holds): number {
  let endMs = Number.POSITIVE_INFINITY;
  for (const place of places) endMs = Math.min(endMs, holds.get(on.sheet.pod(place).uid)?.untilMs ?? endMs);
  return endMs;
}

function plansOf(
  view: ClusterView,
  preemptor: Pod,
  { on, places }: Offer,
  context: DecideContext,
  holds: Holds,
): VictimPlan[] {
  const { node, sheet } = on;
  const preemptorShare = dominantShare(preemptor.requests, node.allocatable);
  const saved = view.checkpointsOn(node.name);
  let queuedBytes = bytesBeingWritten(view, on, context.costs);
  const plans: VictimPlan[] = [];
  for (const place of places) {
    const hold = holds.size === 0 ? undefined : holds.get(sheet.pod(place).uid);
    const plan = planVictim(
      {
        hold: hold === undefined ? null : hold.checkpoint?.ready ? 'saved' : 'saving',
        weight: sheet.weight(place),
        memoryBytes: sheet.memoryBytes(place),
        startMs: sheet.startMs(place),
        isEnding: sheet.isEnding(place),
        displacements: sheet.displacements(place),
        policy: sheet.policy(place, view),
        latest: saved.length === 0 ? null : latestCheckpoint(view, sheet.pod(place)),
        dumpBytesPerSecond: node.dumpBytesPerSecond,
        preemptorShare,
        queuedBytes,
        nowMs: context.nowMs,
      },
      context.costs,
    );
    if (plan.action === 'checkpoint' && hold === undefined) queuedBytes += plan.bytes;
    plans.push(plan);
  }
  return plans;
}

/** What this node's disk still has to write for checkpoints that are under way. */
function bytesBeingWritten(view: ClusterView, on: NodeSnapshot, costs: CostModel): number {
  let bytes = 0;
  for (const checkpoint of view.checkpointsOn(on.node.name)) {
    if (checkpoint.ready || checkpoint.failure !== null || checkpoint.deleting) continue;
    const pod = view.pod(checkpoint.podUid);
    if (standsOn(pod, on.node.name)) bytes += (pod.stateBytes ?? pod.requests.memoryBytes) || costs.defaultStateBytes;
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

function toDecision(
  view: ClusterView,
  preemptor: Pod,
  { plan: { victims: plans, holds }, offer, ...chosen }: PlannedOffer & { readonly plan: Plan },
  context: DecideContext,
): Decision {
  let promisedMs = 0;
  let maxDelayMs = Number.POSITIVE_INFINITY;
  const { sheet } = offer.on;
  const victims = offer.places.map((place, position): PlannedVictim => {
    const pod = sheet.pod(place);
    const policy = sheet.policy(place, view);
    const plan = plans[position] as VictimPlan;
    promisedMs = Math.max(promisedMs, plan.saveMs);
    const hold = holds.get(pod.uid);
    if (hold !== undefined) {
      maxDelayMs = Math.min(maxDelayMs, hold.planned.terms.maxDelayMs);
      return hold.planned;
    }
    if (policy !== null && plan.action === 'checkpoint')
      maxDelayMs = Math.min(maxDelayMs, policy.preemption.maxDelayMs);
    const ref = {
      uid: pod.uid,
      namespace: pod.namespace,
      name: pod.name,
      onFailure: policy?.preemption.onFailure ?? 'Evict',
    } as const;
    if (policy === null || plan.action === 'evict') return { ...ref, action: 'evict', checkpoint: null, terms: null };
    const { checkpoint: rules, restore, preemption } = policy;
    const terms = { policy: policy.name, maxDelayMs: preemption.maxDelayMs, checkpoint: rules, restore };
    const reused = plan.action === 'reuse' ? latestCheckpoint(view, pod) : null;
    if (reused !== null) return { ...ref, action: 'reuse', checkpoint: reused.name, terms };
    const checkpoint = checkpointNameOf(ticketNameOf(pod), context.decisionId);
    return { ...ref, action: 'checkpoint', checkpoint, terms };
  });
  if (maxDelayMs === Number.POSITIVE_INFINITY) maxDelayMs = context.defaultMaxDelayMs;
  const deadlineMs = context.nowMs + Math.min(Math.ceil(promisedMs), LONGEST_SAVE_MS) + maxDelayMs;
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
    deadlineMs: Math.min(deadlineMs, endOf(offer, holds)),
  };
}

/** Protected victims that are not worth saving. */
function cheaperIn(
  view: ClusterView,
  preemptor: Pod,
  { on: { sheet }, places }: Offer,
  { victims }: Plan,
): readonly CheaperEviction[] {
  return places.flatMap((place, position) => {
    const { cost, savingCost } = victims[position] as VictimPlan;
    if (savingCost === null) return [];
    const policy = sheet.policy(place, view)?.name ?? '';
    return [{ victim: refOf(sheet.pod(place)), preemptor: refOf(preemptor), policy, evictCost: cost, savingCost }];
  });
}

function refOf({ namespace, name, uid }: Pod): PodRef {
  return { namespace, name, uid };
}

function passedOn(offer: Offer): PreemptCandidate {
  return offer.isAsSent ? offer.candidate : toCandidate(offer);
}

/** With our UIDs: those of the request may hold its whole body in memory. */
function toCandidate({ on, candidate, places }: Offer): PreemptCandidate {
  return {
    node: on.node.name,
    victims: places.map((place) => on.sheet.pod(place).uid),
    numPdbViolations: candidate.numPdbViolations,
  };
}
