import type { LabelSelector } from './selector.ts';

/** A ReprievePolicy (design 6), durations in milliseconds, defaults applied. */
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
  readonly restore: {
    readonly nodes: 'Any' | 'Same';
    readonly attempts: number;
    readonly onFailure: 'ColdStart' | 'Hold';
    /** A ticket that nobody claimed for this long is abandoned. */
    readonly maxWaitMs: number;
  };
}

/** All given parts must select the pod; a policy that gives none selects every pod outside kube-system. */
interface PolicyMatch {
  readonly namespaceSelector: LabelSelector | null;
  readonly podSelector: LabelSelector | null;
  /** Null: any. */
  readonly priorityClassNames: readonly string[] | null;
}
