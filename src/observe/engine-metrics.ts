import { isFinal, TICKET_PHASES, type TicketPhase } from '../domain/ticket.ts';
import type { PreemptVerdict } from '../engine/preemption/callbacks.ts';
import type { Engine } from '../engine/engine.ts';
import { frozenPods, type FrozenCause } from '../engine/displace/frozen-pods.ts';
import type { ClusterView, IndexedKind, IndexEvent } from '../index/types.ts';
import type { Clock } from '../ports/clock.ts';
import { FROZEN_CAUSES, type UnsavedCause, type VerdictKind } from './label-values.ts';
import type { Metrics } from './metrics.ts';
import { measureRecords } from './record-metrics.ts';
import { measureWork } from './work-metrics.ts';

export interface EngineMetricsOptions {
  readonly metrics: Metrics;
  readonly engine: Pick<Engine, 'events' | 'mayAct' | 'commandsInFlight'>;
  /** The live index, as far as it is measured. */
  readonly view: ClusterView & {
    count(kind: IndexedKind): number;
    onChange(listener: (event: IndexEvent) => void): () => void;
  };
  readonly clock: Clock;
}

const KINDS: Readonly<Record<IndexedKind, null>> = {
  pod: null,
  node: null,
  namespace: null,
  budget: null,
  service: null,
  volumeClaim: null,
  volume: null,
  storageClass: null,
  csiNode: null,
  policy: null,
  checkpoint: null,
  ticket: null,
};

/**
 * Counts what the engine does, and reads the gauges off the index at each scrape. What records tell (durations, bytes, work)
 * is counted by the replica that may act: each thing once in a cluster.
 */
export function measureEngine(options: EngineMetricsOptions): void {
  countEvents(options);
  measureRecords(options);
  measureWork(options);
  options.metrics.onCollect(() => readGauges(options));
}

function countEvents({ metrics, engine: { events }, clock }: EngineMetricsOptions): void {
  events.on('preempt:answered', ({ verdict }) => {
    metrics.inc('reprieve_decisions_total', { verdict: kindOf(verdict), reason: verdict.reason });
  });
  events.on('record:contradiction', ({ kind }) => metrics.inc('reprieve_contradictions_total', { kind }));
  events.on('guard:answered', ({ verdict }) => {
    metrics.inc('reprieve_guard_answers_total', { reason: verdict.reason, allowed: String(verdict.allowed) });
    if (verdict.allowed && verdict.unsaved !== undefined)
      countUnsaved(metrics, verdict.reason === 'SavingFailed' ? 'SavingFailed' : 'NotProtected');
  });
  events.on('victim:unprotected', () => countUnsaved(metrics, 'NotProtected'));
  events.on('victim:cheaper', ({ evictCost, savingCost }) => {
    countUnsaved(metrics, 'SavingCostsMore');
    metrics.inc('reprieve_unsaved_cost_node_seconds_total', { action: 'evict' }, evictCost);
    metrics.inc('reprieve_unsaved_cost_node_seconds_total', { action: 'save' }, savingCost);
  });
  events.on('displacement:closed', ({ displacement, because }) => {
    const seconds = Math.max(0, clock.now() - displacement.decidedMs) / 1000;
    metrics.observe('reprieve_displacement_duration_seconds', { reason: because }, seconds);
  });
  events.on('pass:done', ({ tookMs }) => metrics.observe('reprieve_pass_duration_seconds', {}, tookMs / 1000));
  events.on('command:done', ({ command, outcome, refusal, tookMs }) => {
    metrics.observe('reprieve_command_duration_seconds', { command: command.kind, outcome }, tookMs / 1000);
    if (refusal !== null)
      metrics.inc('reprieve_refused_writes_total', { command: command.kind, reason: refusal.reason });
    if (outcome !== 'done') return;
    if (command.kind === 'Evict') {
      const isSaved = command.unsaved === null && command.victim.checkpoint !== null;
      metrics.inc('reprieve_evictions_total', { saved: String(isSaved) });
      if (command.unsaved !== null) countUnsaved(metrics, 'SavingFailed');
    } else if (command.kind === 'SetTicketPhase' && isFinal(command.phase)) {
      metrics.inc('reprieve_tickets_ended_total', { phase: command.phase, reason: command.reason });
    }
  });
}

function countUnsaved(metrics: Metrics, cause: UnsavedCause): void {
  metrics.inc('reprieve_unsaved_evictions_total', { cause });
}

function kindOf({ candidates, node }: PreemptVerdict): VerdictKind {
  if (candidates.length === 0) return 'held';
  return node === null ? 'passed' : 'answered';
}

function readGauges(options: EngineMetricsOptions): void {
  const { metrics, view, engine } = options;
  readTickets(options);
  readFrozen(options);
  for (const kind in KINDS) metrics.set('reprieve_index_objects', { kind }, view.count(kind as IndexedKind));
  metrics.set('reprieve_paused', {}, view.pausedFor() === null ? 0 : 1);
  metrics.set('reprieve_commands_in_flight', {}, engine.commandsInFlight);
}

function readTickets({ metrics, view, clock }: EngineMetricsOptions): void {
  const byPhase = new Map<TicketPhase, number>();
  const queues = new Map<number, { length: number; oldestMs: number }>(); // priority -> who waits
  for (const { phase, phaseMs, priority } of view.tickets()) {
    byPhase.set(phase, (byPhase.get(phase) ?? 0) + 1);
    if (phase !== 'Waiting') continue;
    const queue = queues.get(priority) ?? { length: 0, oldestMs: phaseMs };
    queue.length++;
    queue.oldestMs = Math.min(queue.oldestMs, phaseMs);
    queues.set(priority, queue);
  }
  for (const phase of TICKET_PHASES) metrics.set('reprieve_tickets', { phase }, byPhase.get(phase) ?? 0);
  const nowMs = clock.now();
  const samples = [...queues].map(([priority, queue]) => ({ labels: { priority: String(priority) }, queue }));
  metrics.setOnly(
    'reprieve_queue_length',
    samples.map(({ labels, queue }) => [labels, queue.length]),
  );
  metrics.setOnly(
    'reprieve_queue_oldest_seconds',
    samples.map(({ labels, queue }) => [labels, Math.max(0, nowMs - queue.oldestMs) / 1000]),
  );
}

function readFrozen({ metrics, view, clock }: EngineMetricsOptions): void {
  const byCause = new Map<FrozenCause, number>();
  const nowMs = clock.now();
  let oldestMs = nowMs;
  for (const { cause, sinceMs } of frozenPods(view)) {
    byCause.set(cause, (byCause.get(cause) ?? 0) + 1);
    oldestMs = Math.min(oldestMs, sinceMs);
  }
  for (const cause in FROZEN_CAUSES) {
    metrics.set('reprieve_frozen_pods', { cause }, byCause.get(cause as FrozenCause) ?? 0);
  }
  metrics.set('reprieve_frozen_oldest_seconds', {}, (nowMs - oldestMs) / 1000);
}
