import type { Checkpoint } from './checkpoint.ts';
import type { Policy } from './policy.ts';
import type { Plan } from './displacement.ts';

/** What the cluster's hardware and workloads cost; from the configuration, refined by what agents measure. */
export interface CostModel {
  /** From the start of a container until it works again, without a checkpoint. */
  readonly coldStartMs: number;
  readonly freezeMs: number;
  /** Where the node has not measured its own. */
  readonly dumpBytesPerSecond: number;
  readonly restoreBytesPerSecond: number;
  /** Size of a pod's state where neither a checkpoint nor a memory request tells. */
  readonly defaultStateBytes: number;
  /** Each earlier displacement adds this share to the cost, so that the same pod is not chosen over and over. */
  readonly displacementFactor: number;
}

export const DEFAULT_COST_MODEL: CostModel = {
  coldStartMs: 10_000,
  freezeMs: 100,
  dumpBytesPerSecond: 500 * 2 ** 20,
  restoreBytesPerSecond: 1000 * 2 ** 20,
  defaultStateBytes: 256 * 2 ** 20,
  displacementFactor: 0.5,
};

/** What is known about a victim when its cost is asked. */
export interface VictimFacts {
  /** Its largest share of the node's allocatable, 0 to 1. */
  readonly weight: number;
  /** Requested. */
  readonly memoryBytes: number;
  /** NaN before it started. */
  readonly startMs: number;
  /** It is being deleted. */
  readonly isEnding: boolean;
  readonly displacements: number;
  /** The policy that protects it; null: it is evicted as Kubernetes does. */
  readonly policy: Policy | null;
  /** Another displacement, which this one takes over, has saved it, or is at it; null: none has. */
  readonly hold: 'saved' | 'saving' | null;
  /** The newest checkpoint of this pod that is ready, verified and not being deleted. */
  readonly latest: Checkpoint | null;
  /** Measured by its node; null where it has not said. */
  readonly dumpBytesPerSecond: number | null;
  /** The preemptor's weight on this node, 0 to 1: what its waiting costs a second. */
  readonly preemptorShare: number;
  /** Bytes that this node's disk has to write before it comes to this victim. */
  readonly queuedBytes: number;
  /** Its Job would fail for good by the eviction: nothing continues what is saved. */
  readonly endsItsJob: boolean;
  readonly nowMs: number;
}

export interface VictimPlan {
  readonly plan: Plan;
  /** Node-seconds. */
  readonly cost: number;
  /** Expected time until it is saved, from now; 0 unless `action` is `checkpoint`. */
  readonly saveMs: number;
  /** Expected size of its state. */
  readonly bytes: number;
  /** What saving it would cost, where its policy would have it saved and evicting it is cheaper; else null. Node-seconds. */
  readonly savingCost: number | null;
}

/**
 * The cheapest action its policy allows. Ties go to the action that loses least: checkpoint, reuse, evict.
 */
export function planVictim(facts: VictimFacts, model: CostModel): VictimPlan {
  const { weight, policy, latest, nowMs } = facts;
  const bytes = latest?.bytes || facts.memoryBytes || model.defaultStateBytes;
  const burden = 1 + model.displacementFactor * facts.displacements;
  const evictCost = burden * weight * (secondsSince(facts.startMs, nowMs) + model.coldStartMs / 1000);
  // It ends anyway; nothing more can be lost or saved.
  if (facts.isEnding) return { plan: 'Evict', cost: 0, saveMs: 0, bytes, savingCost: null };
  if (policy === null && facts.hold === null)
    return { plan: 'Evict', cost: evictCost, saveMs: 0, bytes, savingCost: null };

  // What is being saved already stands in the queue of its disk.
  const queuedBytes = facts.queuedBytes + (facts.hold === null ? bytes : 0);
  const dumpMs = (queuedBytes / (facts.dumpBytesPerSecond ?? model.dumpBytesPerSecond)) * 1000;
  const restoreMs = (bytes / model.restoreBytesPerSecond) * 1000;
  const saveMs = facts.hold === 'saved' ? 0 : model.freezeMs + dumpMs;
  let plan: Plan = 'Save';
  const lost = facts.endsItsJob ? evictCost : 0;
  let cost = lost + (burden * weight * (saveMs + restoreMs)) / 1000 + (facts.preemptorShare * saveMs) / 1000;
  // Begun is begun: the pod stands still for it.
  if (policy === null || facts.hold !== null) return { plan, cost, saveMs, bytes, savingCost: null };
  const fresh = latest !== null && latest.takenMs !== null && nowMs - latest.takenMs <= policy.preemption.freshForMs;
  if (fresh) {
    // The pod stood frozen, and did no work, from the moment that was saved until the dump was complete.
    const ranSinceMs = latest.completedMs ?? latest.takenMs;
    const reuseCost = lost + burden * weight * (secondsSince(ranSinceMs, nowMs) + restoreMs / 1000);
    if (reuseCost < cost) {
      plan = 'Reuse';
      cost = reuseCost;
    }
  }
  // `startMs` of a restored pod says nothing about the work it carries: what was saved once is not thrown away.
  if (policy.preemption.decision === 'Adaptive' && facts.displacements === 0 && evictCost < cost) {
    return { plan: 'Evict', cost: evictCost, saveMs: 0, bytes, savingCost: cost };
  }
  return { plan, cost, saveMs: plan === 'Save' ? saveMs : 0, bytes, savingCost: null };
}

/** 0 since what has not been. */
function secondsSince(thenMs: number, nowMs: number): number {
  return Number.isNaN(thenMs) ? 0 : Math.max(0, nowMs - thenMs) / 1000;
}
