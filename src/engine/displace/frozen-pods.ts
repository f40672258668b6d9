import type { Checkpoint } from '../../domain/checkpoint.ts';
import type { Pod } from '../../domain/pod.ts';
import { isFinal } from '../../domain/ticket.ts';
import { isCalledOff } from '../checkpoints/saved-state.ts';
import type { ClusterView } from '../../index/types.ts';

/** Why a pod stands still. `None` is what must not last: the node's own deadline ends it. */
export type FrozenCause = 'Saving' | 'Evicting' | 'Undoing' | 'Dumping' | 'None';

export interface FrozenPod {
  readonly pod: Pod;
  readonly checkpoint: Checkpoint;
  readonly cause: FrozenCause;
  /** The moment its state is from; the order's, until that is reported. */
  readonly sinceMs: number;
}

/** Pods that stand still, as far as the index knows. */
export function* frozenPods(view: ClusterView): Generator<FrozenPod> {
  for (const checkpoint of view.checkpoints()) {
    if (!checkpoint.frozen) continue;
    const pod = view.podOf({ namespace: checkpoint.namespace, uid: checkpoint.podUid });
    // Killed with its pod: the node has not said so yet.
    if (pod === undefined) continue;
    const sinceMs = checkpoint.takenMs ?? checkpoint.creationMs;
    yield { pod, checkpoint, cause: causeOf(view, checkpoint, pod), sinceMs };
  }
}

function causeOf(view: ClusterView, checkpoint: Checkpoint, pod: Pod): FrozenCause {
  if (pod.deletionMs !== null) return 'Evicting';
  if (isCalledOff(checkpoint)) return 'Undoing';
  if (!checkpoint.keepFrozen) return 'Dumping';
  const ticket = view.ticketOfVictim(pod);
  const isWanted = ticket !== undefined && !isFinal(ticket.phase) && ticket.checkpoint === checkpoint.name;
  return isWanted ? 'Saving' : 'None';
}
