import { checkpointOf } from '../engine/checkpoints/saved-state.ts';
import type { EngineMetricsOptions } from './engine-metrics.ts';

/** Durations and sizes, read off the records, whoever wrote them; what was over before this process could act is not counted. */
export function measureRecords({ metrics, engine, view, clock }: EngineMetricsOptions): void {
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
      if (!engine.mayAct) return;
      metrics.observe('reprieve_checkpoint_duration_seconds', {}, Math.max(0, clock.now() - creationMs) / 1000);
      metrics.observe('reprieve_checkpoint_bytes', {}, bytes);
    } else if (event.kind === 'ticket') {
      const { uid, phase, phaseMs } = event.value;
      const startMs = admittedMs.get(uid);
      if (phase !== 'Admitted' && phase !== 'Restoring') admittedMs.delete(uid);
      // kube-scheduler may place it before its admission is written.
      else if (startMs === undefined && engine.mayAct) admittedMs.set(uid, phaseMs);
      if (phase !== 'Restored' || startMs === undefined || !engine.mayAct) return;
      metrics.observe('reprieve_restore_duration_seconds', {}, Math.max(0, phaseMs - startMs) / 1000);
      const checkpoint = checkpointOf(view, event.value);
      if (checkpoint !== undefined) metrics.observe('reprieve_restore_bytes', {}, checkpoint.bytes);
    }
  });
}
