import { CHECKPOINTABLE_CONDITION, FROZEN_CONDITION, RESTORED_CONDITION } from '../labels.ts';
import type { ConditionEntry } from './condition-entry.ts';

/** Conditions that Reprieve and its agents write on pods. */
export const POD_CONDITIONS = {
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
      Incompatible: {
        status: 'False',
        meaning: 'The checkpoint is of another class than the node, or its policy names the source node only.',
      },
      ImagesDiffer: { status: 'False', meaning: 'The pod runs other images than those that were saved.' },
      DigestMismatch: {
        status: 'False',
        meaning: 'The saved files are not those that were verified when it was saved.',
      },
      OwnerDiffers: { status: 'False', meaning: 'The state is of a pod of another namespace or owner.' },
      TemplateDiffers: {
        status: 'False',
        meaning:
          'The pod has another template (command, args, env, ...) than the one that was saved; the message names the fields.',
      },
      SecurityContextDiffers: {
        status: 'False',
        meaning: 'The pod runs with other rights (user, capabilities, seccomp, ...) than the one that was saved.',
      },
      ImagesRefused: {
        status: 'False',
        meaning:
          'The saved processes have rights that the pod may not have, or hold something that is not known; the message says what.',
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
      SuccessorUnknown: {
        status: 'False',
        meaning:
          'Its controller generates the names of its pods, so nothing tells which pod continues it; `restore.identityLabels` of the policy may name labels that do.',
      },
      SpecUnsupported: {
        status: 'False',
        meaning: 'Its spec asks for something that cannot be saved; the message names it.',
      },
      ProcessTraced: {
        status: 'False',
        meaning: 'A process is being traced (strace, gdb): it cannot be frozen, and CRIU cannot trace it as well.',
      },
      AgentRightsMissing: {
        status: 'False',
        meaning: 'A process is not of root, and the agent lacks CAP_SYS_RESOURCE, which its node cannot give.',
      },
      NamespaceNested: { status: 'False', meaning: 'A process has made a namespace of its own, as sandboxes do.' },
      MountUnsupported: { status: 'False', meaning: 'Something was mounted into a container after it began.' },
      SocketUnsupported: {
        status: 'False',
        meaning: 'It has a socket of a kind that CRIU does not know, such as MPTCP.',
      },
      AddressBound: {
        status: 'False',
        meaning: 'It listens on the address of this pod, which its successor does not have.',
      },
      FileUnsupported: {
        status: 'False',
        meaning: 'A process holds a file open that CRIU cannot save, or that the next pod does not have.',
      },
      IpcShared: { status: 'False', meaning: 'Several of its containers have System V memory attached.' },
      ContainerEnded: { status: 'False', meaning: 'One of its containers has ended; it would run again.' },
      ProbesTooStrict: {
        status: 'False',
        meaning: 'Saving it takes longer than its liveness probes allow: the kubelet would kill it meanwhile.',
      },
      SaveFailed: {
        status: 'False',
        meaning:
          'CRIU could not save it the last time, or saving it failed three times in a row. It is tried again later: the message says when.',
      },
      Unsupported: { status: 'False', meaning: 'Something else that cannot be saved; the message names it.' },
    },
  },
  DisruptionTarget: {
    writer: 'Reprieve',
    statuses: {
      True: 'It is about to be deleted: for a pod of higher priority, because a person asks for it, or because its restore failed.',
    },
    reasons: {
      PreemptionByScheduler: { status: 'True', meaning: 'Kubernetes’ own reason: controllers and budgets know it.' },
      DisplacedByHand: {
        status: 'True',
        meaning: 'It is saved, and leaves its node because an annotation of the pod or of the node asks for it.',
      },
      RestoreFailed: {
        status: 'True',
        meaning:
          'Its node could not restore it, so it is replaced. A Job whose podFailurePolicy ignores disruptions does not count it.',
      },
    },
  },
} as const satisfies Readonly<Record<string, ConditionEntry>>;
