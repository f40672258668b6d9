import type { Ticket } from '../../domain/ticket.ts';
import { checkpointOf } from '../checkpoints/saved-state.ts';
import { seesAll, type Steps, type World } from '../core/steps.ts';

/** Longer than a request takes. */
const LAST_TRY_MS = 5_000;

/**
 * Its pod is made again, gated. Where the API server refuses what we add to it, because our RuntimeClass is missing or a webhook
 * allows no such class, it is made without that after `maxGate`, and starts cold. A quota would refuse that pod as well. Where `maxWait`
 * is not much longer, it is made so in the middle of that: the ticket ends with `maxWait`, and nobody would make the pod after that.
 * Whatever was refused is tried once more shortly before that, however long it would rest.
 */
export function stepUnmade(world: World, ticket: Ticket, steps: Steps): void {
  const { view, book, nowMs, settings } = world;
  const unvouched = whyUnvouched(world, ticket, steps);
  if (unvouched !== null) {
    if (unvouched !== 'later') steps.move(ticket, 'Abandoned', 'CheckpointMissing', unvouched);
    return;
  }
  const plainMs = ticket.phaseMs + Math.min(settings.maxGateMs, ticket.restore.maxWaitMs / 2);
  const { act, reason } = book.refusalOf(ticket.pod.uid) ?? {};
  const isRefused = act === 'recreate' && reason !== 'Quota' && reason !== 'TooLarge';
  const mayBePlain = (isRefused || !view.hasRuntimeClass()) && ticket.restore.onFailure === 'ColdStart';
  const lastMs = ticket.phaseMs + ticket.restore.maxWaitMs - LAST_TRY_MS;
  for (const atMs of [plainMs, lastMs]) if (nowMs < atMs) steps.lookAgainAt(atMs);
  steps.do({ kind: 'RecreatePod', ticket, plain: mayBePlain && nowMs >= plainMs, last: nowMs >= lastMs });
}

/**
 * Whether the node of the displaced pod has said that it saved that pod: a ticket alone is no reason to create a pod. Null: it has;
 * `later`: its PodCheckpoint may still come into view.
 */
function whyUnvouched(world: World, ticket: Ticket, steps: Steps): string | null {
  const checkpoint = checkpointOf(world.view, ticket);
  if (checkpoint === undefined) return seesAll(world, steps) ? 'its PodCheckpoint was deleted' : 'later';
  if (checkpoint.deleting) return 'its PodCheckpoint was deleted';
  const { ready, podName, podUid } = checkpoint;
  const isOfPod = ready && podName === ticket.pod.name && podUid === ticket.pod.uid;
  return isOfPod ? null : 'its PodCheckpoint holds no state of the displaced pod';
}
