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

/** Every metric, once: name, type, help, labels. `REFERENCE.md` and the dashboards are held to it. */
export const METRICS = {
  reprieve_decisions_total: {
    type: 'counter',
    help: 'Answers to preempt, by reason.',
    labels: ['reason'],
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
  reprieve_tickets: {
    type: 'gauge',
    help: 'Tickets (Reprieve objects), by phase.',
    labels: ['phase'],
  },
  reprieve_queue_oldest_seconds: {
    type: 'gauge',
    help: 'How long the oldest displaced pod has been waiting for room; 0 when none waits.',
    labels: [],
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
    help: 'Time from the admission of a ticket until its pod goes on.',
    labels: [],
    buckets: STATE_SECONDS,
  },
  reprieve_evictions_total: {
    type: 'counter',
    help: 'Victims evicted for a decision, by whether their state was saved.',
    labels: ['saved'],
  },
  reprieve_frozen_pods: {
    type: 'gauge',
    help: 'Pods that stand still now.',
    labels: [],
  },
  reprieve_index_objects: {
    type: 'gauge',
    help: 'Objects in the index, by kind.',
    labels: ['kind'],
  },
  reprieve_index_synced: {
    type: 'gauge',
    help: '1 when the index holds all the API server had, else 0.',
    labels: [],
  },
  reprieve_contradictions_total: {
    type: 'counter',
    help: 'Records found to contradict each other (edited by hand, restored from a backup), by kind; each is resolved.',
    labels: ['kind'],
  },
  reprieve_commands_total: {
    type: 'counter',
    help: 'Writes to the cluster, by command and outcome (done, moved, failed).',
    labels: ['command', 'outcome'],
  },
  reprieve_watch_restarts_total: {
    type: 'counter',
    help: 'Watches that had to be opened again, by kind.',
    labels: ['kind'],
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
