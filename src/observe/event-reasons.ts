/** A reason of a Kubernetes Event: what it says to the reader of `kubectl describe`. */
export interface EventReasonEntry {
  readonly type: 'Normal' | 'Warning';
  /** What was done: `action` of the Event. */
  readonly action: string;
  /** The object it is written on. */
  readonly on: string;
  readonly meaning: string;
}

/** Every Event reason, once. `REFERENCE.md` is held to it. */
export const EVENT_REASONS = {
  PreemptionHeld: {
    type: 'Normal',
    action: 'Preempting',
    on: 'preemptor',
    meaning: 'The pod has its node and waits until the named victims there are saved.',
  },
  PreemptionDone: {
    type: 'Normal',
    action: 'Preempting',
    on: 'preemptor',
    meaning: 'The pod got its room; says how many victims were saved, and names those who were not, or not needed.',
  },
  PreemptionCancelled: {
    type: 'Normal',
    action: 'Preempting',
    on: 'preemptor',
    meaning:
      'The attempt on that node, with the named victims, is off for the named cause; kube-scheduler tries again.',
  },
  NotCheckpointable: {
    type: 'Warning',
    action: 'Checkpointing',
    on: 'pod',
    meaning: 'A policy protects the pod, and its processes hold what cannot be saved; says what to do about it.',
  },
  Checkpointing: {
    type: 'Normal',
    action: 'Checkpointing',
    on: 'victim',
    meaning: 'The pod is being frozen and saved: for the named preemptor, or by hand.',
  },
  Thawed: {
    type: 'Normal',
    action: 'Checkpointing',
    on: 'victim',
    meaning: 'The pod is thawed and not evicted; no work is lost.',
  },
  Displaced: {
    type: 'Normal',
    action: 'Evicting',
    on: 'victim',
    meaning: 'The pod was evicted for the named preemptor, or by hand; where it was saved, the checkpoint is named.',
  },
  NotMoved: {
    type: 'Warning',
    action: 'Displacing',
    on: 'pod',
    meaning:
      'The pod stays on its node, though `reprieve.dev/displace` or `reprieve.dev/evacuate` asks to move it; says why.',
  },
  EvictedUnsaved: {
    type: 'Warning',
    action: 'Evicting',
    on: 'victim and preemptor',
    meaning:
      'A pod that a policy selects was evicted without its state. The message says why: saving failed, or the pod was not protected.',
  },
  SavingCostsMore: {
    type: 'Normal',
    action: 'Evicting',
    on: 'victim',
    meaning:
      'A protected pod was evicted without its state: its policy says Adaptive, and saving it would cost more than starting it again. Both costs are named, in node-seconds.',
  },
  RestoreQueued: {
    type: 'Normal',
    action: 'Restoring',
    on: 'ticket and replacement',
    meaning:
      'The displaced pod stands in the queue and continues when there is room; the message names its ticket and place.',
  },
  RestoreRetried: {
    type: 'Warning',
    action: 'Restoring',
    on: 'ticket',
    meaning:
      'A node could not restore the pod, or the pod could not be placed, for the named cause: the pod is replaced, and its successor continues the ticket.',
  },
  WriteRefused: {
    type: 'Warning',
    action: 'Writing',
    on: 'pod or ticket',
    meaning:
      'The API server refuses what Reprieve has to write about the object, and will refuse it again until something changes: quota, PodSecurity, an admission webhook, a size. A pod that cannot be saved for it is treated as its policy says for a failed save, at once.',
  },
  RestoreHeld: {
    type: 'Warning',
    action: 'Restoring',
    on: 'replacement and ticket',
    meaning:
      'Every attempt to restore the pod failed and the policy says Hold: its state is kept, and its pod stays gated until a person decides.',
  },
  DecisionRefused: {
    type: 'Warning',
    action: 'Deciding',
    on: 'ticket',
    meaning: 'The annotation `reprieve.dev/decide` says what is not possible; the message says what is allowed.',
  },
  DecisionTaken: {
    type: 'Normal',
    action: 'Deciding',
    on: 'ticket',
    meaning: 'What the annotation `reprieve.dev/decide` says was done.',
  },
  RestoreAdmitted: {
    type: 'Normal',
    action: 'Restoring',
    on: 'replacement',
    meaning: 'There is room: the gate is lifted, and the pod continues where it stopped.',
  },
  GateExpired: {
    type: 'Warning',
    action: 'Restoring',
    on: 'replacement',
    meaning:
      'No capacity within `restore.maxGate`: the gate is removed, and autoscalers see the pod. Any node may run it, and it starts cold where its state does not fit; with `onFailure: Hold` only nodes that can restore it.',
  },
  Restored: {
    type: 'Normal',
    action: 'Restoring',
    on: 'replacement and ticket',
    meaning: 'The pod continues its saved state.',
  },
  ColdStarted: {
    type: 'Warning',
    action: 'Restoring',
    on: 'replacement and ticket',
    meaning: 'The pod starts from the beginning, for the named cause.',
  },
  Abandoned: {
    type: 'Warning',
    action: 'Restoring',
    on: 'ticket',
    meaning: 'No pod will continue the saved state, for the named cause.',
  },
  WebhookNotCalled: {
    type: 'Warning',
    action: 'Protecting',
    on: 'policy',
    meaning:
      'Pods of controllers that the policy protects are evicted unsaved, because kube-apiserver does not call the webhook; condition `Restorable` says when that is over.',
  },
  JobWouldFail: {
    type: 'Warning',
    action: 'Displacing',
    on: 'victim',
    meaning: 'The pod is about to be evicted, and its Job counts that as a failure and fails; says what prevents it.',
  },
  NotRestorable: {
    type: 'Warning',
    action: 'Protecting',
    on: 'policy',
    meaning:
      'Pods of controllers that the policy selects are evicted unsaved, because their replacements would not be gated, restored or recognized; the message says which, condition `Restorable` when that is over.',
  },
  RecordsConflict: {
    type: 'Warning',
    action: 'Resolving',
    on: 'ticket',
    meaning: 'Records contradict each other, by hand or from a restored backup; the message says how that is resolved.',
  },
} as const satisfies Readonly<Record<string, EventReasonEntry>>;

export type EventReason = keyof typeof EVENT_REASONS;
