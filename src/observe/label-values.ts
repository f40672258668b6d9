import { CLOSE_REASONS } from '../engine/displace/close-reasons.ts';
import type { FrozenCause } from '../engine/displace/frozen-pods.ts';
import { PREEMPT_REASONS } from '../engine/preemption/preempt-reasons.ts';
import type { MetricName } from './metrics-table.ts';

/** What an answer to `preempt` comes to. */
const VERDICTS = {
  held: 'No pod may be evicted yet.',
  answered: 'One node and its victims.',
  passed: 'The candidates of kube-scheduler: it chooses.',
} as const;

export type VerdictKind = keyof typeof VERDICTS;

/** Why a pod is frozen. */
export const FROZEN_CAUSES: Readonly<Record<FrozenCause, string>> = {
  Saving: 'Its displacement is being carried out: others are being saved, or its eviction is on the way.',
  Evicting: 'Its deletion has begun.',
  Undoing: 'Its checkpoint is being deleted: the agent thaws the pod first.',
  Dumping: 'For a checkpoint that does not keep the pod frozen: the agent thaws it when the dump is written.',
  None: 'No ticket or checkpoint needs it frozen. Its agent thaws it at the deadline; if this stays above 0, look at that node’s agent.',
};

/** Why work or room was lost. Node-seconds: the largest share of its node that a pod requests, times seconds. */
const LOSS_CAUSES = {
  Unsaved:
    'Work of a victim that was preempted without a checkpoint, by Reprieve or by kube-scheduler: since its start, and what it had continued.',
  Stale: 'Work of a victim from the moment of its checkpoint until its eviction; none while it was frozen.',
  NotContinued: 'Work that was counted as saved, when its ticket ended cold or abandoned.',
  Frozen: 'Capacity of a frozen pod, from the saved moment until it was deleted or thawed.',
  Restoring: 'Capacity of a restored pod, from its placement until it continued, or started cold.',
} as const;

export type LossCause = keyof typeof LOSS_CAUSES;

/** Whether an agent renews its Lease. */
const AGENT_STATES = {
  live: 'It does.',
  silent: 'Not for 40 s: its node saves and restores nothing, and no preemption waits for it.',
} as const;

/** Why a victim that a policy selects went without its state. */
const UNSAVED_CAUSES = {
  SavingCostsMore: 'Its policy says Adaptive, and saving it would cost more than starting it again.',
  NotProtected: 'It was not protected: it could not be saved, or would not have been restored. Its Event says why.',
  SavingFailed: 'It could not be saved, or not in time, and its policy says `onFailure: Evict`.',
} as const;

export type UnsavedCause = keyof typeof UNSAVED_CAUSES;

/** What the costs are compared of. */
const COMPARED_ACTIONS = {
  evict: 'What was done: its work since its start, and starting it again.',
  save: 'What was not: freezing, saving and restoring it, or continuing from an earlier checkpoint.',
} as const;

interface LabelEntry {
  readonly metric: MetricName;
  readonly label: string;
  readonly values: Readonly<Record<string, string>>;
}

/** Labels whose values are words of ours, with what each means. `REFERENCE.md` is held to it. */
export const LABEL_VALUES: readonly LabelEntry[] = [
  { metric: 'reprieve_decisions_total', label: 'verdict', values: VERDICTS },
  { metric: 'reprieve_decisions_total', label: 'reason', values: PREEMPT_REASONS },
  { metric: 'reprieve_displacement_duration_seconds', label: 'reason', values: CLOSE_REASONS },
  { metric: 'reprieve_agents', label: 'state', values: AGENT_STATES },
  { metric: 'reprieve_unsaved_evictions_total', label: 'cause', values: UNSAVED_CAUSES },
  { metric: 'reprieve_unsaved_cost_node_seconds_total', label: 'action', values: COMPARED_ACTIONS },
  { metric: 'reprieve_frozen_pods', label: 'cause', values: FROZEN_CAUSES },
  { metric: 'reprieve_lost_node_seconds_total', label: 'cause', values: LOSS_CAUSES },
];
