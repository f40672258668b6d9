/** Every name Reprieve writes into other objects, in one place. */

/** Scheduling gate of a pod that waits for its turn to be restored. */
export const RESTORE_GATE = 'reprieve.dev/restore';
/** Pod annotation: name of the ticket (same namespace) that this pod continues. */
export const TICKET_ANNOTATION = 'reprieve.dev/ticket';
/**
 * Pod annotation, beside the ticket: `Hold` where the ticket's policy says that a pod whose restore failed must not start cold.
 * The runtime wrapper reads it when the agent does not answer.
 */
export const ON_FAILURE_ANNOTATION = 'reprieve.dev/on-failure';
/** Pod annotation: nodes that Reprieve excluded from the pod's node affinity, because the restore failed there. */
export const EXCLUDED_NODES_ANNOTATION = 'reprieve.dev/excluded-nodes';
/**
 * Pod annotation, `true`: Reprieve removed the gate after `restore.maxGate`, without capacity on a compatible node. The pod may
 * run on any node, and starts cold where its state does not fit.
 */
export const GATE_EXPIRED_ANNOTATION = 'reprieve.dev/gate-expired';
/** Ticket annotation, written by people: what becomes of the saved state, see {@link HAND_DECISIONS}. Removed when acted on. */
export const DECIDE_ANNOTATION = 'reprieve.dev/decide';
/** Values of {@link DECIDE_ANNOTATION}, and the phases in which each may be given. */
export const HAND_DECISIONS = {
  retry: {
    from: ['Held', 'ColdStarted', 'Abandoned'],
    meaning:
      'The next matching pod continues the saved state, on any compatible node. The checkpoint must still exist.',
  },
  cold: { from: ['Held', 'Waiting'], meaning: 'The waiting pod starts from the beginning.' },
  abandon: { from: ['Held', 'Waiting'], meaning: 'Nobody continues the saved state.' },
} as const;
/** Pod annotation, written by people: save the pod and move it off its node; the value says why. */
export const DISPLACE_ANNOTATION = 'reprieve.dev/displace';
/** Node annotation, written by people: save what can be saved on a cordoned node, and move it elsewhere; the value says why. */
export const EVACUATE_ANNOTATION = 'reprieve.dev/evacuate';
/** Annotation of the namespace of Reprieve itself, written by operators: no pod is saved for as long as it is there; the value says why. */
export const PAUSE_ANNOTATION = 'reprieve.dev/pause';
/** Ticket annotation, written by people: its pod stays behind the gate for as long as it is there; the value says why. */
export const HOLD_ANNOTATION = 'reprieve.dev/hold';
/** Pod annotation: how often this work was displaced before. */
export const DISPLACEMENTS_ANNOTATION = 'reprieve.dev/displacements';
/** Pod condition, written by the agent: the pod stands still and its state is saved; `message` names the PodCheckpoint. */
export const FROZEN_CONDITION = 'reprieve.dev/Frozen';
/** Pod condition, written by the agent: the state was restored (True) or could not be (False). */
export const RESTORED_CONDITION = 'reprieve.dev/Restored';
/** Pod condition, written by the agent: False while something in its running processes cannot be saved; absent otherwise. */
export const CHECKPOINTABLE_CONDITION = 'reprieve.dev/Checkpointable';
/** Pod annotation, written by the agent: memory that a checkpoint of the pod would hold, in bytes, where a policy selects it. */
export const STATE_BYTES_ANNOTATION = 'reprieve.dev/state-bytes';
/** RuntimeClass of pods that may be restored, and its handler on the nodes. */
export const RUNTIME_CLASS = 'reprieve';
/** Node label, written by the agent: pods can be saved here. */
export const CHECKPOINT_LABEL = 'reprieve.dev/checkpoint';
/** Node label, written by the agent: checkpoints move between nodes with the same value. */
export const COMPATIBILITY_LABEL = 'reprieve.dev/compatibility';
/** Node annotation, written by the agent: measured speed of a dump. */
export const DUMP_SPEED_ANNOTATION = 'reprieve.dev/dump-bytes-per-second';
/** Node annotation, written by the agent: what its compatibility class is made of, as JSON. */
export const COMPATIBILITY_FACTS_ANNOTATION = 'reprieve.dev/compatibility-facts';
/** Node annotation, written by the agent: why pods cannot be saved here; absent where they can. */
export const CHECKPOINT_PROBLEM_ANNOTATION = 'reprieve.dev/checkpoint-problem';
/** Node annotation, written by the agent: `host:port` where other agents fetch states from. */
export const PEER_ANNOTATION = 'reprieve.dev/peer';
/** Label of the Leases by which agents say that they are alive; its value is `true`. */
export const AGENT_LEASE_LABEL = 'reprieve.dev/agent-lease';
/** Label of the Leases by which replicas say which tickets their webhook knows; its value is `true`. */
export const REPLICA_LEASE_LABEL = 'reprieve.dev/replica-lease';
/**
 * Annotation of such a Lease: the index of the replica holds every ticket up to this resourceVersion. Absent while the replica reads
 * the tickets of each new pod from the API server.
 */
export const TICKETS_SEEN_ANNOTATION = 'reprieve.dev/tickets-seen';
/** Label of tickets and checkpoints: UID of the saved pod's controller. */
export const OWNER_UID_LABEL = 'reprieve.dev/owner-uid';
/** Label of tickets and checkpoints: UID of the saved pod. */
export const POD_UID_LABEL = 'reprieve.dev/pod-uid';
/** Label of the leader's own pod, with the value `leader`; the extender Service selects it. */
export const ROLE_LABEL = 'reprieve.dev/role';
/** Finalizer of PodCheckpoints: the agent thaws the pod and removes the files first. */
export const AGENT_FINALIZER = 'reprieve.dev/agent';
/** Namespace of what belongs to Reprieve itself, where nothing says otherwise: that of deploy/namespace.yaml. */
export const DEFAULT_NAMESPACE = 'reprieve-system';
/**
 * Pod annotation of a canary, which is created by a dry run only: a nonce. The webhook repeats it in {@link CANARY_ANSWER_ANNOTATION},
 * so the answer of the dry run shows that kube-apiserver calls the webhook.
 */
export const CANARY_ANNOTATION = 'reprieve.dev/canary';
/** Pod annotation that the webhook adds to a canary: the nonce of {@link CANARY_ANNOTATION}. */
export const CANARY_ANSWER_ANNOTATION = 'reprieve.dev/canary-answer';
/** Label that the API server gives each namespace: its name. */
export const NAMESPACE_NAME_LABEL = 'kubernetes.io/metadata.name';
/**
 * Pod annotation of a dry run that asks whether the API server accepts a pod with the gate and our RuntimeClass, or without: the
 * webhook changes nothing of it.
 */
export const PROBE_ANNOTATION = 'reprieve.dev/probe';
/** Field manager and event source. */
export const COMPONENT = 'reprieve';
/** The account of the agents, in the namespace of Reprieve. */
export const AGENT_ACCOUNT = `${COMPONENT}-agent`;
/** The claim of a bound token that names the node of its holder, as the API server puts it into `extra` of the user. */
export const TOKEN_NODE_KEY = 'authentication.kubernetes.io/node-name';
