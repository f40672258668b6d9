/** How a displacement ended, once: metric label, log field and `REFERENCE.md`. */
export const CLOSE_REASONS = {
  Bound: 'The preemptor got its room: it is bound to the node.',
  BoundElsewhere: 'kube-scheduler found another node for the preemptor.',
  PreemptorGone: 'The preemptor was deleted, or has ended.',
  CheckpointFailed: 'A victim could not be saved, and its policy does not allow to evict it unsaved.',
  DeadlineExceeded: 'A victim was not saved in time, and its policy does not allow to evict it unsaved.',
  EvictionRefused: 'The API server, or an admission webhook, refuses the deletion of a victim.',
  PolicyChanged: 'A victim that was to go unsaved is to be saved by now.',
  NodeGone: 'The node no longer exists.',
  NodeUnfit: 'The node takes no such pod any more: not ready, cordoned, tainted, or without a label that it asks for.',
  NoLongerFits: 'The node would have no room for the preemptor even without the victims, which are not evicted for it.',
  Paused: 'Operators have paused Reprieve: no pod is saved, and pods that are frozen are thawed.',
  Superseded: 'A preemptor of higher priority takes the node.',
  RecordsConflict:
    'What is recorded cannot be true: edited by hand, or from a damaged backup. No pod is evicted for it.',
  HoldLost:
    'The ticket of a victim that was taken over from a lower displacement is gone, and kube-scheduler asks anew.',
  Moved: 'The pod that was to be moved by hand has left its node, with its state.',
  NotAsked: 'The annotation that asked to move the pod was taken back or changed.',
  Gone: 'The client that was told to wait has deleted or evicted its pod.',
  NotRepeated:
    'The client that was told to wait with the deletion or eviction of the pod does not ask again: the pod is thawed.',
  BudgetForbids:
    'The PodDisruptionBudget of the pod does not allow its eviction any more: the pod is thawed, and kube-apiserver refuses the eviction.',
  NotBound: 'The victims are gone, but the preemptor was not bound, and kube-scheduler asks anew.',
} as const;

export type CloseReason = keyof typeof CLOSE_REASONS;
