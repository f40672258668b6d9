import type { ConditionEntry } from './condition-entry.ts';

/** Conditions of a PodCheckpoint. */
export const CHECKPOINT_CONDITIONS = {
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
        meaning: 'It is held until it is deleted, until `spec.release` is set, or until `status.thawAt`.',
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
  Released: {
    writer: 'agent',
    statuses: { True: 'The agent has carried out `spec.release`: the request holds no pod any more.' },
    reasons: {
      Thawed: { status: 'True', meaning: 'The pod was thawed for it; no work is lost.' },
      NotFrozen: { status: 'True', meaning: 'The pod was not frozen by this request, or not any more.' },
      PodKilled: {
        status: 'True',
        meaning: 'The pod was being deleted when it was to be thawed, and was killed; the saved state is its last.',
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
      QuotaExceeded: {
        status: 'True',
        meaning:
          'The states of its namespace, or of all, on this node have reached `agent.quota`; the message says which.',
      },
      NoSpace: { status: 'True', meaning: 'The disk of the node has no room for its state.' },
      DumpFailed: { status: 'True', meaning: 'Its state could not be written; the message says why.' },
      DeadlineExceeded: {
        status: 'True',
        meaning:
          'It was not saved before `spec.thawAt`; a request without it may take five minutes, and a second for each 16 MiB of memory.',
      },
    },
  },
} as const satisfies Readonly<Record<string, ConditionEntry>>;
