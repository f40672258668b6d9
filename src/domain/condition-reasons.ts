import { CHECKPOINTABLE_CONDITION, FROZEN_CONDITION, RESTORED_CONDITION } from './labels.ts';

/** A condition type of one kind of object: who writes it, what each status says, and every reason it can carry. */
export interface ConditionEntry {
  readonly writer: 'Reprieve' | 'agent' | 'agent and Reprieve';
  /** Only the statuses that are ever written. */
  readonly statuses: Partial<Readonly<Record<ConditionStatus, string>>>;
  /** Reason -> the status it stands with, and what it says. */
  readonly reasons: Readonly<Record<string, { readonly status: ConditionStatus; readonly meaning: string }>>;
}

type ConditionStatus = 'True' | 'False' | 'Unknown';

/** Every condition that Reprieve and its agents write, once: a reason that is missing here does not compile. */
export const CONDITIONS = {
  ReprievePolicy: {
    Restorable: {
      writer: 'Reprieve',
      statuses: {
        True: 'kube-apiserver calls the webhook, so the replacement of a displaced pod is gated and restored.',
        False:
          'Pods of controllers are evicted unsaved: their replacements would start cold. Bare pods are still saved.',
      },
      reasons: {
        WebhookCalled: { status: 'True', meaning: 'The webhook answered the last canary, a pod created as a dry run.' },
        WebhookNotCalled: {
          status: 'False',
          meaning:
            'kube-apiserver created the canary without an answer of the webhook: no webhook configuration, no `server.tls`, a Service without endpoints, a certificate of another authority, or selectors that leave out namespace `reprieve-canary`.',
        },
        NotYetKnown: {
          status: 'False',
          meaning: 'No canary was answered: kube-apiserver refused it or did not answer; the message says how.',
        },
        NamespaceNotReviewed: {
          status: 'False',
          meaning:
            'The webhook answers the canary, but a replacement in the named namespaces was created without a review: often selectors of the webhook configuration.',
        },
      },
    },
  },
  Reprieve: {
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
        EndedUnreported: { status: 'False', meaning: 'The pod ended, and its node never said that it was restored.' },
        NotReported: { status: 'False', meaning: 'The pod runs, and its node never said that it was restored.' },
        CheckpointMissing: { status: 'False', meaning: 'Started cold: the checkpoint was gone when it was needed.' },
        Incompatible: { status: 'False', meaning: 'Started cold: the node is of another class than the checkpoint.' },
        ImagesDiffer: { status: 'False', meaning: 'Started cold: the pod runs other images than those saved.' },
        DigestMismatch: { status: 'False', meaning: 'Started cold: the saved files are not those that were verified.' },
        OwnerDiffers: { status: 'False', meaning: 'Started cold: the state is of another namespace or owner.' },
        SecurityContextDiffers: {
          status: 'False',
          meaning: 'Started cold: the pod runs with other rights than the one that was saved.',
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
        GateRemoved: {
          status: 'False',
          meaning: 'Started cold: the scheduling gate was removed by hand before there was capacity.',
        },
        NotSaved: { status: 'False', meaning: 'The victim went before its state was saved.' },
        NobodyClaimed: { status: 'False', meaning: 'No pod came to continue it within `maxWait`.' },
        NameTaken: { status: 'False', meaning: 'Another pod has the name of the bare pod that was to come back.' },
        PodDeleted: { status: 'False', meaning: 'The pod was deleted before it was restored.' },
        Uninstalled: { status: 'False', meaning: '`reprieve uninstall` ended the ticket before a pod continued it.' },
        DecidedByHand: { status: 'False', meaning: 'A person decided so, by the annotation `reprieve.dev/decide`.' },
        TicketEnded: { status: 'False', meaning: 'Started cold: its ticket ended before a node could restore it.' },
      },
    },
  },
  PodCheckpoint: {
    Ready: {
      writer: 'agent',
      statuses: { True: 'The state is complete on the node, and its digests were verified.' },
      reasons: { Verified: { status: 'True', meaning: 'Every file was read back and matches the manifest.' } },
    },
    Frozen: {
      writer: 'agent',
      statuses: { True: 'The pod is frozen.', False: 'It was frozen, and no longer is.' },
      reasons: {
        Saving: {
          status: 'True',
          meaning: 'The pod is frozen while its state is written; `status.progress` says how far that is.',
        },
        Held: {
          status: 'True',
          meaning: 'It is held until it is deleted, this object is, or the deadline has passed.',
        },
        Thawed: { status: 'False', meaning: 'The pod was thawed; the saved state is outdated.' },
        AgentRestarted: {
          status: 'False',
          meaning: 'The agent died during the dump: the pod was thawed, and is saved again.',
        },
        DeadlineExceeded: {
          status: 'False',
          meaning: 'The pod was not deleted before the deadline, so the agent thawed it.',
        },
        ProbesEnd: {
          status: 'False',
          meaning: 'The agent thawed the pod before a liveness probe could have it killed.',
        },
        PodKilled: {
          status: 'False',
          meaning: 'The pod was deleted while it was frozen; the saved state is its last.',
        },
      },
    },
    Failed: {
      writer: 'agent',
      statuses: { True: 'The pod could not be saved, and runs on where it still exists.' },
      reasons: {
        PodGone: { status: 'True', meaning: 'The pod is not on this node, or ended before it was saved.' },
        NotRunning: { status: 'True', meaning: 'The pod did not run when it was to be frozen.' },
        NotCheckpointable: {
          status: 'True',
          meaning: 'Something in its processes cannot be saved; the message says what, and what to do about it.',
        },
        ProbesEnd: {
          status: 'True',
          meaning: 'A liveness probe would have had the frozen pod killed before it was saved.',
        },
        TcpEstablished: {
          status: 'True',
          meaning: 'It has an established TCP connection, and `sockets: Refuse` says that such a pod is not saved.',
        },
        TooLarge: { status: 'True', meaning: 'Its state is, or would be, larger than `maxBytes` allows.' },
        NoSpace: { status: 'True', meaning: 'The disk of the node has no room for its state.' },
        DumpFailed: { status: 'True', meaning: 'Its state could not be written; the message says why.' },
        DeadlineExceeded: { status: 'True', meaning: 'It was not saved until the deadline.' },
      },
    },
  },
  Pod: {
    [FROZEN_CONDITION]: {
      writer: 'agent',
      statuses: {
        True: 'The pod is frozen and saved: evictions lock on this. `message` is the name of the PodCheckpoint.',
        False: 'The pod was thawed. Written before that, or later where the API server was away at `thawAt`.',
      },
      reasons: {
        Checkpointed: { status: 'True', meaning: 'Saved, and held still.' },
        Thawed: { status: 'False', meaning: 'The agent thaws the pod; no work is lost.' },
      },
    },
    [RESTORED_CONDITION]: {
      writer: 'agent and Reprieve',
      statuses: {
        True: 'It continues a saved state.',
        False: 'It was to continue one, and started cold.',
        Unknown: 'It is to continue one, and does not run yet.',
      },
      reasons: {
        Restored: { status: 'True', meaning: 'It continues the checkpoint that the message names.' },
        CheckpointMissing: { status: 'False', meaning: 'No checkpoint exists, or its node no longer holds the state.' },
        Incompatible: { status: 'False', meaning: 'The checkpoint is of another class than the node.' },
        ImagesDiffer: { status: 'False', meaning: 'The pod runs other images than those that were saved.' },
        DigestMismatch: {
          status: 'False',
          meaning: 'The saved files are not those that were verified when it was saved.',
        },
        OwnerDiffers: { status: 'False', meaning: 'The state is of a pod of another namespace or owner.' },
        SecurityContextDiffers: {
          status: 'False',
          meaning: 'The pod runs with other rights (user, capabilities, seccomp, ...) than the one that was saved.',
        },
        MountsDiffer: { status: 'False', meaning: 'The pod has other mounts than the one that was saved.' },
        FetchFailed: { status: 'False', meaning: 'The state could not be brought from the node that holds it.' },
        StagingFailed: {
          status: 'False',
          meaning: 'The node could not read the state or its records, several times over; the message says why.',
        },
        RestoreFailed: { status: 'False', meaning: 'The restore itself failed; the message says how.' },
        TicketEnded: {
          status: 'False',
          meaning: 'Its ticket ended before it could be restored; the message says why.',
        },
        NotRestoredHere: {
          status: 'Unknown',
          meaning:
            'Its node could not restore it; the message is one of the reasons of `False` and why. Another node tries, the pod starts cold, or its replacement is held.',
        },
        Held: {
          status: 'Unknown',
          meaning:
            'Every attempt failed and the policy says Hold: the pod stays gated until a person decides about its ticket.',
        },
        Queued: {
          status: 'Unknown',
          meaning:
            'The pod waits behind its gate; the message says its place in the queue, its ticket, and what it waits for.',
        },
        Admitted: {
          status: 'Unknown',
          meaning: 'The gate of a pod that had waited is removed; kube-scheduler places it.',
        },
      },
    },
    [CHECKPOINTABLE_CONDITION]: {
      writer: 'agent',
      statuses: {
        True: 'What could not be saved is gone; written only after a False.',
        False: 'It is evicted unsaved, as without Reprieve, until this changes.',
      },
      reasons: {
        Checkpointable: { status: 'True', meaning: 'Its processes hold nothing that cannot be saved any more.' },
        IoUringInUse: { status: 'False', meaning: 'A process has io_uring mapped, which CRIU cannot save.' },
        DeviceInUse: { status: 'False', meaning: 'A process has a device open that CRIU cannot save.' },
        SocketShared: {
          status: 'False',
          meaning:
            'A unix socket connects it with a process outside that container, which would be saved at another moment.',
        },
        TcpEstablished: {
          status: 'False',
          meaning: 'It has an established TCP connection, and its policy says `sockets: Refuse`.',
        },
        TooLarge: { status: 'False', meaning: 'Its memory alone is larger than `maxBytes` of its policy allows.' },
        Unsupported: { status: 'False', meaning: 'Something else that cannot be saved; the message names it.' },
      },
    },
    DisruptionTarget: {
      writer: 'Reprieve',
      statuses: {
        True: 'It is about to be deleted: for a pod of higher priority, or because its restore failed.',
      },
      reasons: {
        PreemptionByScheduler: { status: 'True', meaning: 'Kubernetes’ own reason: controllers and budgets know it.' },
        RestoreFailed: {
          status: 'True',
          meaning:
            'Its node could not restore it, so it is replaced. A Job whose podFailurePolicy ignores disruptions does not count it.',
        },
      },
    },
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, ConditionEntry>>>>;

type Tables = typeof CONDITIONS;
export type ConditionKind = keyof Tables;

/** Reasons of one condition type that stand with `Status`. */
type ReasonIn<Reasons, Status> = {
  [R in keyof Reasons]: Reasons[R] extends { readonly status: Status } ? R : never;
}[keyof Reasons] &
  string;

/** A reason of condition `Type` of `Kind`; with `Status`, one that stands with it. */
export type ConditionReason<
  Kind extends ConditionKind,
  Type extends keyof Tables[Kind],
  Status extends ConditionStatus = ConditionStatus,
> = Tables[Kind][Type] extends { readonly reasons: infer Reasons } ? ReasonIn<Reasons, Status> : never;

/** What may be written as a condition of `Kind`: a type, one of its statuses, and a reason that stands with it. */
export type ConditionOf<Kind extends ConditionKind> = {
  [Type in keyof Tables[Kind] & string]: {
    [Status in ConditionStatus]: {
      readonly type: Type;
      readonly status: Status;
      readonly reason: ConditionReason<Kind, Type, Status>;
      readonly message: string;
    };
  }[ConditionStatus];
}[keyof Tables[Kind] & string];

/** Why a ticket is in its phase. */
export type TicketReason = ConditionReason<'Reprieve', 'Restored'>;
/** How a restore ended. */
export type RestoreReason = ConditionReason<'Pod', typeof RESTORED_CONDITION, 'True' | 'False'>;
/** Why a node did not restore a pod. */
export type RestoreFailure = ConditionReason<'Pod', typeof RESTORED_CONDITION, 'False'>;
