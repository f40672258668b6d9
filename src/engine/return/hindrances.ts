import { RESTORE_GATE } from '../../domain/labels.ts';
import type { Pod } from '../../domain/pod.ts';
import { formatBytes } from '../../domain/quantity.ts';
import type { ClusterView } from '../../index/types.ts';
import type { EngineSettings, Steps, World } from '../core/steps.ts';
import { startColdOrHold } from './outcomes.ts';
import type { Queued } from './queue.ts';
import { HOUR_MS, recentDisplacements } from './recent-displacements.ts';

/** What keeps a pod behind its gate though its ticket is claimed and its state is there: reasons that are not capacity. */

/** The pod may use less memory than the one before it, and less than the state would take: it would be killed while it is restored. */
export function isTooLarge({ ticket, pod, checkpoint }: Queued): boolean {
  const before = ticket.pod.memoryLimitBytes;
  const limit = pod.memoryLimitBytes ?? 0;
  if (before === null || limit === 0 || (before !== 0 && limit >= before)) return false;
  return checkpoint !== undefined && checkpoint.bytes > limit;
}

export function stepTooLarge({ ticket, pod, checkpoint }: Queued, steps: Steps): void {
  const [state, limit] = [checkpoint?.bytes ?? 0, pod.memoryLimitBytes ?? 0].map(formatBytes);
  const what = `its state takes ${state}, and pod ${pod.name} may use ${limit} of memory`;
  startColdOrHold(ticket, 'StateTooLarge', what, steps);
}

/** A scheduling gate that is not ours holds it back as well, such as that of a quota. */
export function isHeldByOthers({ gates }: Pod): boolean {
  return gates.some((gate) => gate !== RESTORE_GATE);
}

/** A person keeps it where it is. The annotation is all there is to wait for: neither `maxGate` nor room lets the pod go. */
export function isKept({ ticket }: Queued): boolean {
  return ticket.heldFor !== null;
}

/**
 * The work was displaced as often within an hour as it may be: displaced again at once, it would do nothing but be saved and restored.
 * It rests until an hour after the first of these displacements, and no longer than `maxGate`.
 */
export function isResting({ view, nowMs, settings }: World, entry: Queued, steps: Steps): boolean {
  const untilMs = restsUntilMs(view, entry, nowMs, settings);
  if (untilMs === null) return false;
  steps.lookAgainAt(untilMs);
  return true;
}

/** When it has rested long enough; null: it rests no longer, or need not. */
export function restsUntilMs(
  view: ClusterView,
  { ticket, pod }: Queued,
  nowMs: number,
  { maxDisplacementsPerHour, maxGateMs }: Pick<EngineSettings, 'maxDisplacementsPerHour' | 'maxGateMs'>,
): number | null {
  const recent = recentDisplacements(view, ticket, nowMs - HOUR_MS);
  const first = recent[maxDisplacementsPerHour - 1];
  if (first === undefined) return null;
  const untilMs = Math.min(first + HOUR_MS, pod.creationMs + maxGateMs);
  return nowMs < untilMs ? untilMs : null;
}
