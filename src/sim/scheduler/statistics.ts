/** A pod that the scheduler has bound. */
export interface BoundPod {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly priority: number;
  readonly node: string;
  /** From its creation to the binding. */
  readonly waitMs: number;
  readonly boundMs: number;
  /** At some time it fitted nowhere unless somebody was evicted. */
  readonly neededPreemption: boolean;
}

/** A victim of the scheduler's own preemption. */
export interface Eviction {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly preemptorUid: string;
  readonly atMs: number;
}

/** What the scheduler has done so far; a copy. */
export interface SchedulerStatistics {
  readonly bound: readonly BoundPod[];
  /** Times that the preemption plugin ran, as `scheduler_preemption_attempts_total`. */
  readonly preemptionAttempts: number;
  readonly evictions: readonly Eviction[];
  readonly cycles: number;
  readonly extenderCalls: Readonly<Record<'filter' | 'prioritize' | 'preempt', number>>;
}
