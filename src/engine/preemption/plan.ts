import type { Checkpoint } from '../../domain/checkpoint.ts';
import { LONGEST_SAVE_MS, type DisplacedPod, type Preemption } from '../../domain/displacement.ts';
import type { NodeName } from '../../domain/ids.ts';
import { standsOn, type Pod } from '../../domain/pod.ts';
import { dominantShare } from '../../domain/resources.ts';
import { planVictim, type CostModel, type VictimPlan } from '../../domain/victim-cost.ts';
import type { ClusterView, NodeSnapshot } from '../../index/types.ts';
import type { PodRef } from '../../ports/cluster-writer.ts';
import { NO_HOLDS, type Holds } from '../displace/adoption.ts';
import { isCalledOff } from '../checkpoints/saved-state.ts';
import { endsItsJob } from '../policies/job-limit.ts';
import { displacementsOf, HOUR_MS } from '../return/recent-displacements.ts';
import { checkpointNameOf, ticketNameOf } from '../displace/names.ts';
import type { CheaperEviction } from './cheaper-evictions.ts';
import type { Offer } from './offer.ts';

export interface PlanContext {
  readonly nowMs: number;
  readonly costs: CostModel;
  /** Victims there that a lower displacement has saved, or is saving, and that pass over to this preemptor. */
  holdsOn(node: NodeName): Holds;
  /** Unique for each displacement, at most 12 characters fit for object names. */
  readonly displacementId: string;
  /** Where no victim's policy says otherwise. */
  readonly defaultMaxDelayMs: number;
  /** How often the same work is displaced within an hour, where that can be helped. */
  readonly maxDisplacementsPerHour: number;
}

/** What is best done with each victim, in the order of the offer. */
export interface Plan {
  readonly victims: readonly VictimPlan[];
  /** What it takes over. */
  readonly holds: Holds;
}

/** With what can be taken over, unless that would end before all are saved. */
export function planOf(view: ClusterView, preemptor: Pod, offer: Offer, context: PlanContext): Plan {
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
  context: PlanContext,
  holds: Holds,
): VictimPlan[] {
  const { node, sheet } = on;
  const preemptorShare = dominantShare(preemptor.requests, node.allocatable);
  const saved = view.checkpointsOn(node.name);
  const mayEndJobs = view.failingOwners().size > 0;
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
        displacements:
          Math.min(sheet.displacements(place), MOST_TOLD) + (isWorn(view, sheet, place, context) ? WORN : 0),
        policy: sheet.policy(place, view),
        latest: saved.length === 0 ? null : latestCheckpoint(view, sheet.pod(place)),
        dumpBytesPerSecond: node.dumpBytesPerSecond,
        preemptorShare,
        queuedBytes,
        endsItsJob: mayEndJobs && endsItsJob(view, sheet.pod(place)),
        nowMs: context.nowMs,
      },
      context.costs,
    );
    if (plan.plan === 'Save' && hold === undefined) queuedBytes += plan.bytes;
    plans.push(plan);
  }
  return plans;
}

/** A pod tells by its annotation how often it was displaced, which its author may write: beyond this its word adds no cost. */
const MOST_TOLD = 64;

/** Counts as so many displacements more: any other victim of the same priority is cheaper. */
const WORN = 1_000;

/** The work was displaced within the last hour as often as it may be. Most pods say by their own count that it was not. */
function isWorn(
  view: ClusterView,
  sheet: NodeSnapshot['sheet'],
  place: number,
  { maxDisplacementsPerHour, nowMs }: PlanContext,
): boolean {
  if (sheet.displacements(place) < maxDisplacementsPerHour) return false;
  return displacementsOf(view, sheet.pod(place), nowMs - HOUR_MS) >= maxDisplacementsPerHour;
}

/** What this node's disk still has to write for checkpoints that are under way. */
export function bytesBeingWritten(view: ClusterView, on: NodeSnapshot, costs: CostModel): number {
  let bytes = 0;
  for (const checkpoint of view.checkpointsOn(on.node.name)) {
    if (checkpoint.ready || checkpoint.failure !== null || isCalledOff(checkpoint)) continue;
    const pod = view.podOf({ namespace: checkpoint.namespace, uid: checkpoint.podUid });
    if (standsOn(pod, on.node.name)) bytes += stateBytesOf(pod, costs);
  }
  return bytes;
}

/** As far as it is known before the pod is saved. */
export function stateBytesOf({ stateBytes, requests }: Pod, { defaultStateBytes }: CostModel): number {
  return (stateBytes ?? requests.memoryBytes) || defaultStateBytes;
}

/** The newest checkpoint of a pod that could be restored. */
function latestCheckpoint(view: ClusterView, pod: Pod): Checkpoint | null {
  let latest: Checkpoint | null = null;
  for (const checkpoint of view.checkpointsOfPod(pod)) {
    // One that was made to hold the pod frozen belongs to its preemption, and goes when that is off.
    if (!checkpoint.ready || checkpoint.deleting || checkpoint.keepFrozen || checkpoint.takenMs === null) continue;
    if (latest === null || checkpoint.takenMs > (latest.takenMs ?? 0)) latest = checkpoint;
  }
  return latest;
}

export function toDisplacement(
  view: ClusterView,
  preemptor: Pod,
  offer: Offer,
  { victims: plans, holds }: Plan,
  context: PlanContext,
): Preemption {
  let promisedMs = 0;
  let maxDelayMs = Number.POSITIVE_INFINITY;
  const { sheet } = offer.on;
  const pods = offer.places.map((place, position): DisplacedPod => {
    const pod = sheet.pod(place);
    const policy = sheet.policy(place, view);
    const plan = plans[position] as VictimPlan;
    promisedMs = Math.max(promisedMs, plan.saveMs);
    const hold = holds.get(pod.uid);
    if (hold !== undefined) {
      maxDelayMs = Math.min(maxDelayMs, hold.planned.terms.maxDelayMs);
      return hold.planned;
    }
    if (policy !== null && plan.plan === 'Save') maxDelayMs = Math.min(maxDelayMs, policy.preemption.maxDelayMs);
    const ref = {
      uid: pod.uid,
      namespace: pod.namespace,
      name: pod.name,
      node: offer.on.node.name,
      onFailure: policy?.preemption.onFailure ?? 'Evict',
    } as const;
    if (policy === null || plan.plan === 'Evict') return { ...ref, plan: 'Evict', checkpoint: null, terms: null };
    const { checkpoint: rules, restore, preemption } = policy;
    const terms = { policy: policy.name, maxDelayMs: preemption.maxDelayMs, checkpoint: rules, restore };
    const reused = plan.plan === 'Reuse' ? latestCheckpoint(view, pod) : null;
    if (reused !== null) return { ...ref, plan: 'Reuse', checkpoint: reused.name, terms };
    const checkpoint = checkpointNameOf(ticketNameOf(pod), context.displacementId);
    return { ...ref, plan: 'Save', checkpoint, terms };
  });
  if (maxDelayMs === Number.POSITIVE_INFINITY) maxDelayMs = context.defaultMaxDelayMs;
  const deadlineMs = context.nowMs + Math.min(Math.ceil(promisedMs), LONGEST_SAVE_MS) + maxDelayMs;
  return {
    id: context.displacementId,
    cause: {
      kind: 'Preemption',
      preemptor: {
        namespace: preemptor.namespace,
        name: preemptor.name,
        uid: preemptor.uid,
        priority: preemptor.priority,
      },
      node: offer.on.node.name,
      numPdbViolations: offer.candidate.numPdbViolations,
    },
    pods,
    commit: 'AllSaved',
    decidedMs: context.nowMs,
    deadlineMs: Math.min(deadlineMs, endOf(offer, holds)),
  };
}

/** Protected victims that are not worth saving. */
export function cheaperIn(
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
