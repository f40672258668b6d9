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
    meaning: 'The pod is being frozen and saved for the named preemptor.',
  },
  Thawed: {
    type: 'Normal',
    action: 'Checkpointing',
    on: 'victim',
    meaning: 'The pod is thawed and not evicted for the named preemptor; no work is lost.',
  },
  Displaced: {
    type: 'Normal',
    action: 'Evicting',
    on: 'victim',
    meaning: 'The pod was evicted for the named preemptor; where it was saved, the checkpoint is named.',
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
    meaning: 'A node could not restore the pod, for the named cause: the pod is replaced, and another node tries.',
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
    meaning: 'No room within `restore.maxGate`: the pod waits as an ordinary pending pod, visible to autoscalers.',
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
  RecordsConflict: {
    type: 'Warning',
    action: 'Resolving',
    on: 'ticket',
    meaning: 'Records contradict each other, by hand or from a restored backup; the message says how that is resolved.',
  },
} as const satisfies Readonly<Record<string, EventReasonEntry>>;

export type EventReason = keyof typeof EVENT_REASONS;
