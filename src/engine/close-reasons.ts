/** How a decision ended, once: metric label, log field and `REFERENCE.md`. */
export const CLOSE_REASONS = {
  Bound: 'The preemptor got its room: it is bound to the node.',
  BoundElsewhere: 'kube-scheduler found another node for the preemptor.',
  PreemptorGone: 'The preemptor was deleted, or has ended.',
  CheckpointFailed: 'A victim could not be saved, and its policy does not allow to evict it unsaved.',
  DeadlineExceeded: 'A victim was not saved in time, and its policy does not allow to evict it unsaved.',
  PolicyChanged: 'A victim that was to go unsaved is to be saved by now.',
  NodeGone: 'The node no longer exists.',
  NodeUnfit: 'The node takes no such pod any more: not ready, cordoned, or tainted.',
  Superseded: 'A preemptor of higher priority takes the node.',
  RecordsConflict:
    'What is recorded cannot be true: edited by hand, or from a damaged backup. No pod is evicted for it.',
  HoldLost: 'The ticket of a victim that was taken over from a lower decision is gone, and kube-scheduler asks anew.',
  NotBound: 'The victims are gone, but the preemptor was not bound, and kube-scheduler asks anew.',
} as const;

export type CloseReason = keyof typeof CLOSE_REASONS;
