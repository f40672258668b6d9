import type { ConditionEntry } from './condition-entry.ts';

/** Conditions of a Reprieve (a ticket). */
export const TICKET_CONDITIONS = {
  Restored: {
    writer: 'Reprieve',
    statuses: {
      True: 'The replacement pod continues the saved state.',
      False: 'It is certain that it will not: it started cold, or was abandoned.',
      Unknown: 'Not yet; `status.phase` says how far it is.',
    },
    reasons: {
      Saving: { status: 'Unknown', meaning: 'The victim is being saved; nothing has been evicted.' },
      Evicted: { status: 'Unknown', meaning: 'Its state is saved, and the victim is being deleted.' },
      Queued: { status: 'Unknown', meaning: 'The victim is gone; the ticket waits for a pod and for room.' },
      Admitted: { status: 'Unknown', meaning: 'The gate is lifted; kube-scheduler places the pod.' },
      Placed: { status: 'Unknown', meaning: 'The pod has its node, which restores it.' },
      TriesElsewhere: {
        status: 'Unknown',
        meaning: 'A node could not restore it, the message says why; its pod is replaced, and another node tries.',
      },
      NotPlaced: {
        status: 'Unknown',
        meaning:
          'kube-scheduler placed the admitted pod nowhere within the bound: the pod is replaced, and the next one may run on any node.',
      },
      NodesGone: {
        status: 'Unknown',
        meaning: 'No node that the admitted pod requires for its restore exists any more: the pod is replaced.',
      },
      Disrupted: {
        status: 'Unknown',
        meaning: 'The pod ended before its node reported that it was restored: it is made again.',
      },
      AgentSilent: {
        status: 'Unknown',
        meaning: 'The agent of the node that was to restore the pod does not answer: the pod is replaced.',
      },
      Refused: {
        status: 'Unknown',
        meaning:
          'The API server refuses what brings the pod back, for a cause that the message names (quota, PodSecurity, an admission webhook): tried again when pods of the namespace go or the namespace changes, and after up to ten minutes.',
      },
      Held: {
        status: 'Unknown',
        meaning:
          'Every attempt failed and the policy says Hold: the state is kept, the pod stays gated until a person decides.',
      },
      Restored: { status: 'True', meaning: 'The pod continues.' },
      NotGated: {
        status: 'False',
        meaning: 'The controller created the replacement without a review of the webhook, so it started cold.',
      },
      TemplateDiffers: {
        status: 'False',
        meaning:
          'Started cold: the pod that came in its place has another template than the saved pod; the message names the fields.',
      },
      EndedUnreported: { status: 'False', meaning: 'The pod ended, and its node never said that it was restored.' },
      NotReported: { status: 'False', meaning: 'The pod runs, and its node never said that it was restored.' },
      CheckpointMissing: { status: 'False', meaning: 'Started cold: the checkpoint was gone when it was needed.' },
      Incompatible: {
        status: 'False',
        meaning:
          'Started cold: the node is of another class than the checkpoint, or its policy names the source node only.',
      },
      ImagesDiffer: { status: 'False', meaning: 'Started cold: the pod runs other images than those saved.' },
      DigestMismatch: { status: 'False', meaning: 'Started cold: the saved files are not those that were verified.' },
      OwnerDiffers: { status: 'False', meaning: 'Started cold: the state is of another namespace or owner.' },
      SecurityContextDiffers: {
        status: 'False',
        meaning: 'Started cold: the pod runs with other rights than the one that was saved.',
      },
      ImagesRefused: {
        status: 'False',
        meaning: 'Started cold: the saved processes have rights that the pod may not have, or hold something unknown.',
      },
      MountsDiffer: { status: 'False', meaning: 'Started cold: the pod has other mounts than the one saved.' },
      FetchFailed: { status: 'False', meaning: 'Started cold: the state could not be brought from its node.' },
      StagingFailed: {
        status: 'False',
        meaning: 'Started cold: the node could not read the state or its records, several times over.',
      },
      RestoreFailed: { status: 'False', meaning: 'Started cold: the restore itself failed; the message says how.' },
      VictimRemains: {
        status: 'False',
        meaning: 'The displaced pod was not removed within `maxWait`; a second copy of it must not run.',
      },
      HolderGone: { status: 'False', meaning: 'Only the node that held the state may restore it, and it is gone.' },
      StateTooLarge: {
        status: 'False',
        meaning:
          'Started cold: the pod may use less memory than the one that was saved, and less than its state takes.',
      },
      OtherRuntimeClass: {
        status: 'False',
        meaning:
          'Started cold: the pod has another RuntimeClass than `reprieve`, from another webhook for example, so no node can restore it.',
      },
      GateRemoved: {
        status: 'False',
        meaning: 'Started cold: the scheduling gate was removed by hand before there was capacity.',
      },
      NotSaved: { status: 'False', meaning: 'The victim went before its state was saved.' },
      OwnerGone: { status: 'False', meaning: 'Its controller was deleted: no pod comes to continue it.' },
      OwnerComplete: { status: 'False', meaning: 'Its Job is complete: no pod comes to continue it.' },
      OwnerFailed: { status: 'False', meaning: 'Its Job failed, the message says why: no pod comes to continue it.' },
      OwnerWantsFewer: {
        status: 'False',
        meaning:
          'Its controller wants no pod in its place: it was scaled down, has finished that index, or has another pod already.',
      },
      Superseded: {
        status: 'False',
        meaning: 'A newer state of the same work was saved, by the ticket that the message names.',
      },
      NobodyClaimed: { status: 'False', meaning: 'No pod came to continue it within `maxWait`.' },
      NameTaken: {
        status: 'False',
        meaning:
          'Another pod has the name of the bare pod that was to come back, and was created without a review of the webhook.',
      },
      PodDeleted: {
        status: 'False',
        meaning:
          'A bare pod was deleted by its user, before Reprieve evicted it or before it was restored: it is not created again.',
      },
      Uninstalled: { status: 'False', meaning: '`reprieve uninstall` ended the ticket before a pod continued it.' },
      DecidedByHand: { status: 'False', meaning: 'A person decided so, by the annotation `reprieve.dev/decide`.' },
      TicketEnded: { status: 'False', meaning: 'Started cold: its ticket ended before a node could restore it.' },
    },
  },
} as const satisfies Readonly<Record<string, ConditionEntry>>;
