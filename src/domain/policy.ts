import type { CheckpointRules } from './checkpoint-rules.ts';
import type { LabelSelector } from './selector.ts';

/** A ReprievePolicy (src/kube/crd/reprieve-policy.ts), durations in milliseconds, defaults applied. */
export interface Policy {
  readonly name: string;
  readonly uid: string;
  readonly creationMs: number;
  readonly resourceVersion: string;
  readonly generation: number;
  readonly match: PolicyMatch;
  /** Higher wins where several policies select a pod; then the older one, then the name. */
  readonly precedence: number;
  readonly preemption: {
    readonly decision: 'Adaptive' | 'Always' | 'Never';
    readonly maxDelayMs: number;
    readonly onFailure: 'Evict' | 'Refuse';
    /** A checkpoint younger than this may be used instead of a new one; 0: never. */
    readonly freshForMs: number;
  };
  readonly displacement: {
    /** What an eviction by the eviction API does to a ready pod behind a Service. */
    readonly servingPods: 'Evict' | 'Save';
  };
  readonly checkpoint: CheckpointRules;
  readonly store: {
    /** How long a checkpoint that a user made is kept. */
    readonly ttlMs: number;
  };
  readonly restore: {
    readonly nodes: 'Any' | 'Same';
    readonly attempts: number;
    readonly onFailure: 'ColdStart' | 'Hold';
    /** A ticket that nobody claimed for this long is abandoned. */
    readonly maxWaitMs: number;
    /** Labels that tell the pods of a controller apart whose kind Reprieve does not know. */
    readonly identityLabels: readonly string[];
  };
  /** What its status says; null while that is not a whole report. */
  readonly status: PolicyStatus | null;
}

/** How a policy works in the cluster as it is. */
export interface PolicyReport {
  /** The generation of the spec that was looked at. */
  readonly observedGeneration: number;
  /** False: it says something that cannot work. */
  readonly accepted: PolicyFinding;
  /** True: it shares pods with another policy of its precedence, or others rule all of its pods. */
  readonly conflicted: PolicyFinding;
  /** False: pods of controllers would not come back, so they are evicted unsaved. */
  readonly restorable: PolicyFinding;
  /** Pods that it selects, of those that hold room or wait for it. */
  readonly selectedPods: number;
  /** Those of them for which it is the policy. */
  readonly rulingPods: number;
  /** Those of these that would be saved if they had to go now. */
  readonly protectedPods: number;
  /** Reason -> pods of this effective policy that would be evicted unsaved because of it, in the order of the reasons. */
  readonly unprotectedPods: ReadonlyMap<string, number>;
}

/** One condition of a policy. */
export interface PolicyFinding {
  readonly holds: boolean;
  readonly reason: string;
  readonly message: string;
}

/** The report that a policy carries. */
export interface PolicyStatus {
  readonly report: PolicyReport;
  /** Since when each finding holds, or does not; null where it does not say. */
  readonly acceptedSinceMs: number | null;
  readonly conflictedSinceMs: number | null;
  readonly restorableSinceMs: number | null;
}

/** All given parts must select the pod; a policy that gives none selects every pod outside kube-system and reprieve-system. */
interface PolicyMatch {
  readonly namespaceSelector: LabelSelector | null;
  readonly podSelector: LabelSelector | null;
  /** Null: any. */
  readonly priorityClassNames: readonly string[] | null;
}
