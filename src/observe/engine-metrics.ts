import type { TicketPhase } from '../domain/ticket.ts';
import type { EngineEvents } from '../engine/engine-events.ts';
import type { ClusterView, IndexedKind, IndexEvent } from '../index/types.ts';
import type { Clock } from '../ports/clock.ts';
import type { Metrics } from './metrics.ts';

/** The live index, as far as it is measured. */
type MeasuredView = ClusterView & {
  count(kind: IndexedKind): number;
  onChange(listener: (event: IndexEvent) => void): () => void;
};

export interface EngineMetricsOptions {
  readonly metrics: Metrics;
  readonly events: EngineEvents;
  readonly view: MeasuredView;
  readonly isSynced: () => boolean;
  readonly clock: Clock;
}

const PHASES: Readonly<Record<TicketPhase, null>> = {
  Saving: null,
  Displacing: null,
  Waiting: null,
  Admitted: null,
  Restoring: null,
  Restored: null,
  ColdStarted: null,
  Abandoned: null,
};
const KINDS: Readonly<Record<IndexedKind, null>> = {
  pod: null,
  node: null,
  namespace: null,
  budget: null,
  policy: null,
  checkpoint: null,
  ticket: null,
};

/** Counts what the engine does, and reads the gauges off the index at each scrape. */
export function measureEngine(options: EngineMetricsOptions): void {
  countEvents(options);
  timeRecords(options);
  options.metrics.onCollect(() => readGauges(options));
}

function countEvents({ metrics, events }: EngineMetricsOptions): void {
  events.on('preempt:answered', ({ verdict }) => {
    metrics.inc('reprieve_decisions_total', { reason: verdict.reason });
  });
  events.on('record:contradiction', ({ kind }) => metrics.inc('reprieve_contradictions_total', { kind }));
  events.on('command:done', ({ command, outcome }) => {
    metrics.inc('reprieve_commands_total', { command: command.kind, outcome });
    if (command.kind !== 'Evict' || outcome !== 'done') return;
    const isSaved = command.unsaved === null && command.victim.checkpoint !== null;
    metrics.inc('reprieve_evictions_total', { saved: String(isSaved) });
  });
}

/** Durations are read off the records, whoever wrote them; what was already over when the process started is not counted. */
function timeRecords({ metrics, view, isSynced, clock }: EngineMetricsOptions): void {
  const saved = new Set<string>(); // uids of checkpoints that were ready when last seen
  const admittedMs = new Map<string, number>(); // uid of a ticket -> when it was admitted
  view.onChange((event) => {
    if (event.type === 'delete') {
      saved.delete(event.uid);
      admittedMs.delete(event.uid);
    } else if (event.kind === 'checkpoint') {
      const { uid, ready, creationMs, bytes } = event.value;
      if (!ready || saved.has(uid)) return;
      saved.add(uid);
      if (!isSynced()) return;
      metrics.observe('reprieve_checkpoint_duration_seconds', {}, Math.max(0, clock.now() - creationMs) / 1000);
      metrics.observe('reprieve_checkpoint_bytes', {}, bytes);
    } else if (event.kind === 'ticket') {
      const { uid, phase, phaseMs } = event.value;
      const startMs = admittedMs.get(uid);
      if (phase === 'Admitted') admittedMs.set(uid, phaseMs);
      else if (phase !== 'Restoring') admittedMs.delete(uid);
      if (phase !== 'Restored' || startMs === undefined) return;
      metrics.observe('reprieve_restore_duration_seconds', {}, Math.max(0, phaseMs - startMs) / 1000);
    }
  });
}

function readGauges({ metrics, view, isSynced, clock }: EngineMetricsOptions): void {
  const byPhase = new Map<TicketPhase, number>();
  let oldestMs = 0;
  for (const { phase, phaseMs } of view.tickets()) {
    byPhase.set(phase, (byPhase.get(phase) ?? 0) + 1);
    if (phase === 'Waiting') oldestMs = Math.max(oldestMs, clock.now() - phaseMs);
  }
  for (const phase in PHASES) {
    metrics.set('reprieve_tickets', { phase }, byPhase.get(phase as TicketPhase) ?? 0);
  }
  metrics.set('reprieve_queue_oldest_seconds', {}, oldestMs / 1000);

  let frozen = 0;
  for (const checkpoint of view.checkpoints()) if (checkpoint.frozen) frozen++;
  metrics.set('reprieve_frozen_pods', {}, frozen);

  for (const kind in KINDS) metrics.set('reprieve_index_objects', { kind }, view.count(kind as IndexedKind));
  metrics.set('reprieve_index_synced', {}, isSynced() ? 1 : 0);
}
