/** One metric as Prometheus sees it. */
export interface MetricEntry {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  readonly buckets?: readonly number[];
}

/** From well under the budget of a callback (1 ms) to the default `httpTimeout` of kube-scheduler (5 s). */
const CALL_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5] as const;
/** From a small process on a fast disk to hundreds of gigabytes. */
const STATE_SECONDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600] as const;
/** 1 MiB to 256 GiB, in steps of four. */
const STATE_BYTES = [2 ** 20, 2 ** 22, 2 ** 24, 2 ** 26, 2 ** 28, 2 ** 30, 2 ** 32, 2 ** 34, 2 ** 36, 2 ** 38] as const;
/** From one save on a fast disk to the default `maxDelay` (60 s), and as much again for large states and late bindings. */
const DISPLACEMENT_SECONDS = [0.5, 1, 2.5, 5, 10, 20, 30, 45, 60, 90, 120, 300] as const;
/** From a quick answer of kube-apiserver to its own timeout (60 s): an eviction is three requests, other commands one or two. */
const COMMAND_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60] as const;

/** Every metric, once: name, type, help, labels. `REFERENCE.md` is held to it. */
export const METRICS = {
  reprieve_decisions_total: {
    type: 'counter',
    help: 'Answers to preempt, by verdict and reason.',
    labels: ['verdict', 'reason'],
  },
  reprieve_displacement_duration_seconds: {
    type: 'histogram',
    help: 'Time from the opening of a displacement until it is over, by how it ended.',
    labels: ['reason'],
    buckets: DISPLACEMENT_SECONDS,
  },
  reprieve_extender_request_duration_seconds: {
    type: 'histogram',
    help: 'Time from the head of a call to its answer; reading the body is part of it.',
    labels: ['verb'],
    buckets: CALL_SECONDS,
  },
  reprieve_extender_requests_total: {
    type: 'counter',
    help: 'Calls of kube-scheduler and of the webhook, by verb and HTTP status.',
    labels: ['verb', 'code'],
  },
  reprieve_guard_answers_total: {
    type: 'counter',
    help: 'Answers to kube-apiserver whether a pod may be deleted, by reason.',
    labels: ['reason', 'allowed'],
  },
  reprieve_paused: {
    type: 'gauge',
    help: '1 while operators have paused Reprieve (annotation reprieve.dev/pause of its namespace): no pod is saved.',
    labels: [],
  },
  reprieve_runtime_class_exists: {
    type: 'gauge',
    help: '1 while the RuntimeClass of restored pods exists. 0: the API server refuses pods that name it, so displaced pods start cold.',
    labels: [],
  },
  reprieve_refused_writes_total: {
    type: 'counter',
    help: 'Writes that the API server refused and will refuse again until something changes, by command and reason.',
    labels: ['command', 'reason'],
  },
  reprieve_tickets: {
    type: 'gauge',
    help: 'Tickets (Reprieve objects), by phase.',
    labels: ['phase'],
  },
  reprieve_tickets_ended_total: {
    type: 'counter',
    help: 'Tickets that ended, by their last phase and its reason.',
    labels: ['phase', 'reason'],
  },
  reprieve_queue_length: {
    type: 'gauge',
    help: 'Displaced pods that wait for capacity, by priority; a priority without a waiting pod is absent.',
    labels: ['priority'],
  },
  reprieve_queue_oldest_seconds: {
    type: 'gauge',
    help: 'How long the oldest displaced pod of a priority has been waiting for room; absent when none waits.',
    labels: ['priority'],
  },
  reprieve_checkpoint_duration_seconds: {
    type: 'histogram',
    help: 'Time from the order of a checkpoint until it is verified.',
    labels: [],
    buckets: STATE_SECONDS,
  },
  reprieve_checkpoint_bytes: {
    type: 'histogram',
    help: 'Size of verified checkpoints.',
    labels: [],
    buckets: STATE_BYTES,
  },
  reprieve_restore_duration_seconds: {
    type: 'histogram',
    help: 'Time from the admission of a ticket until its pod continues.',
    labels: [],
    buckets: STATE_SECONDS,
  },
  reprieve_restore_bytes: {
    type: 'histogram',
    help: 'Size of the checkpoints that were restored.',
    labels: [],
    buckets: STATE_BYTES,
  },
  reprieve_evictions_total: {
    type: 'counter',
    help: 'Victims evicted for a displacement, by whether their state was saved.',
    labels: ['saved'],
  },
  reprieve_unsaved_evictions_total: {
    type: 'counter',
    help: 'Victims that a policy selects and that were evicted without their state, by cause.',
    labels: ['cause'],
  },
  reprieve_unsaved_cost_node_seconds_total: {
    type: 'counter',
    help: 'Expected cost of the victims that were evicted because saving them would cost more, for both actions.',
    labels: ['action'],
  },
  reprieve_saved_node_seconds_total: {
    type: 'counter',
    help: 'Work that evicted victims carried in a checkpoint: the largest share of its node that the victim requested, times the seconds from its start to the saved moment.',
    labels: [],
  },
  reprieve_lost_node_seconds_total: {
    type: 'counter',
    help: 'Work thrown away, and room held without progress, in the same measure, by cause.',
    labels: ['cause'],
  },
  reprieve_agents: {
    type: 'gauge',
    help: 'Agents that have a Lease, by whether they renew it: nothing is saved or restored on the node of a silent one.',
    labels: ['state'],
  },
  reprieve_frozen_pods: {
    type: 'gauge',
    help: 'Pods that are frozen now, by cause.',
    labels: ['cause'],
  },
  reprieve_frozen_oldest_seconds: {
    type: 'gauge',
    help: 'How long the longest frozen pod has been frozen; 0 when no pod is frozen.',
    labels: [],
  },
  reprieve_index_objects: {
    type: 'gauge',
    help: 'Objects in the index, by kind.',
    labels: ['kind'],
  },
  reprieve_index_synced: {
    type: 'gauge',
    help: '1 when the index holds all objects of a kind that the API server had, else 0.',
    labels: ['kind'],
  },
  reprieve_index_age_seconds: {
    type: 'gauge',
    help: 'Time since the API server last said anything about a kind, bookmarks (about one a minute) included; absent before it did.',
    labels: ['kind'],
  },
  reprieve_index_missed_total: {
    type: 'counter',
    help: 'Objects that a listing had and the watch had not delivered, by kind.',
    labels: ['kind'],
  },
  reprieve_index_redundant_total: {
    type: 'counter',
    help: 'Objects that a listing no longer had and whose end the watch had not delivered, by kind.',
    labels: ['kind'],
  },
  reprieve_index_unreadable_total: {
    type: 'counter',
    help: 'Objects left out of the index because they could not be read, by kind.',
    labels: ['kind'],
  },
  reprieve_commands_in_flight: {
    type: 'gauge',
    help: 'Writes to the cluster that wait for their answer.',
    labels: [],
  },
  reprieve_contradictions_total: {
    type: 'counter',
    help: 'Records found to contradict each other (edited by hand, restored from a backup), by kind; each is resolved.',
    labels: ['kind'],
  },
  reprieve_command_duration_seconds: {
    type: 'histogram',
    help: 'Time of the writes to the cluster, by command and outcome (done, moved, failed, refused).',
    labels: ['command', 'outcome'],
    buckets: COMMAND_SECONDS,
  },
  reprieve_pass_duration_seconds: {
    type: 'histogram',
    help: 'Time a pass of the reconciler takes of the event loop, all its slices together.',
    labels: [],
    buckets: CALL_SECONDS,
  },
  reprieve_watch_restarts_total: {
    type: 'counter',
    help: 'Watches that had to be opened again, by kind.',
    labels: ['kind'],
  },
  reprieve_watch_relists_total: {
    type: 'counter',
    help: 'Full listings after the first one, by kind.',
    labels: ['kind'],
  },
  reprieve_leader: {
    type: 'gauge',
    help: '1 while this replica leads: it alone decides and writes; else 0.',
    labels: [],
  },
  reprieve_lease_age_seconds: {
    type: 'gauge',
    help: 'Time since this replica renewed the lease, or read that another one holds it. Beyond `leaderElection.leaseDuration` it can neither lead nor follow, and `/readyz` says so.',
    labels: [],
  },
  reprieve_webhook_reachable: {
    type: 'gauge',
    help: '1 while this replica leads and kube-apiserver calls the webhook (the last canary was answered); else 0. While no replica has 1, protected pods of controllers are evicted unsaved.',
    labels: [],
  },
  reprieve_webhook_answers_from_index: {
    type: 'gauge',
    help: '1 while this replica answers the webhook from its index; 0 while it reads the tickets of each new pod of a selected controller from the API server.',
    labels: [],
  },
  reprieve_webhook_live_reads_total: {
    type: 'counter',
    help: 'Reviews of new pods for which this replica read the tickets from the API server.',
    labels: [],
  },
  reprieve_webhook_replicas_behind: {
    type: 'gauge',
    help: 'Replicas that have not yet seen all tickets whose victims are still to be evicted: evictions wait for them. Of the leader; else 0.',
    labels: [],
  },
  reprieve_barrier_wait_seconds: {
    type: 'histogram',
    help: 'Time that displacements with all victims saved waited until every replica of the webhook had seen their tickets. Displacements that did not wait are not counted.',
    labels: [],
    buckets: COMMAND_SECONDS,
  },
  reprieve_leader_transitions_total: {
    type: 'counter',
    help: 'How often this replica began or ceased to lead.',
    labels: [],
  },
  reprieve_event_loop_delay_seconds: {
    type: 'gauge',
    help: 'Delay of the event loop since the last scrape, by quantile.',
    labels: ['quantile'],
  },
} as const satisfies Readonly<Record<string, MetricEntry>>;

export type MetricName = keyof typeof METRICS;
type OfType<T extends MetricEntry['type']> = {
  [N in MetricName]: (typeof METRICS)[N]['type'] extends T ? N : never;
}[MetricName];
export type CounterName = OfType<'counter'>;
export type GaugeName = OfType<'gauge'>;
export type HistogramName = OfType<'histogram'>;

/** The labels of a metric, all of them required. */
export type LabelsOf<N extends MetricName> = Readonly<Record<(typeof METRICS)[N]['labels'][number], string>>;
