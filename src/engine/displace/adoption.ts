/**
 * What a higher preemptor takes over from a lower displacement on the same node: victims that stand frozen, or are about to.
 *
 * The hold itself stays as it is (ticket, PodCheckpoint, mark, deadline); only the displacement in the ticket is replaced, by one
 * write. So the node need not be told, and a crash between two tickets leaves each with the one or the other displacement: the
 * lower one is closed as superseded, and the higher one goes on adopting. The new displacement ends before the first of the holds
 * does: no deadline is ever moved.
 */
import type { Checkpoint } from '../../domain/checkpoint.ts';
import { objectKey, type NodeName, type PodUid } from '../../domain/ids.ts';
import { standsOn } from '../../domain/pod.ts';
import { lastEvictionMs, THAW_AFTER_DEADLINE_MS } from '../../domain/thaw-rule.ts';
import type { Displacement, DisplacedPod, SavedPod } from '../../domain/displacement.ts';
import { sourceNodeOf, type Ticket } from '../../domain/ticket.ts';
import type { ClusterView } from '../../index/types.ts';
import { yieldsTo } from '../causes/causes.ts';
import { isCalledOff } from '../checkpoints/saved-state.ts';
import type { Displacements } from '../core/steps.ts';
import { checkpointNameOf, ticketNameOf } from './names.ts';

/** A victim of a lower displacement, on its way to be saved or saved already. */
interface Hold {
  /** As the lower displacement has it: what was promised to the victim stays promised. */
  readonly planned: SavedPod;
  /** Null: the node has not been told yet. */
  readonly checkpoint: Checkpoint | null;
  /** Whoever adopts it must be done by then. */
  readonly untilMs: number;
}

export type Holds = ReadonlyMap<PodUid, Hold>;
export const NO_HOLDS: Holds = new Map();

/** What a preemptor of that priority could take over on `node`; nearly always nothing, and then at no cost. */
export function holdsOn(
  view: ClusterView,
  book: Displacements,
  node: NodeName,
  preemptor: { readonly uid: PodUid; readonly priority: number },
): Holds {
  let holds: Map<PodUid, Hold> | null = null;
  for (const displacement of book.on(node, preemptor.uid)) {
    if (!yieldsTo(view, displacement, preemptor)) continue;
    for (const victim of displacement.pods) {
      const hold = holdOf(view, displacement, victim);
      if (hold !== null) (holds ??= new Map()).set(victim.uid, hold);
    }
  }
  return holds ?? NO_HOLDS;
}

function holdOf(view: ClusterView, displacement: Displacement, victim: DisplacedPod): Hold | null {
  const pod = view.podOf(victim);
  const ticket = view.ticketOfVictim(victim);
  if (victim.plan !== 'Save' || !standsOn(pod, victim.node) || pod.deletionMs !== null) return null;
  if (ticket?.displacement.id !== displacement.id || !mayBeAdopted(ticket)) return null;
  const checkpoint = view.checkpoint(objectKey(victim.namespace, victim.checkpoint)) ?? null;
  if (checkpoint === null) return { planned: victim, checkpoint, untilMs: Number.POSITIVE_INFINITY };
  if (isCalledOff(checkpoint) || checkpoint.thawed || checkpoint.failure !== null || checkpoint.deadlineMs === null)
    return null;
  const evictedMs = lastEvictionMs(checkpoint.thawAtMs ?? checkpoint.deadlineMs);
  const untilMs = Math.min(checkpoint.deadlineMs - THAW_AFTER_DEADLINE_MS, evictedMs);
  return { planned: victim, checkpoint, untilMs };
}

function mayBeAdopted({ phase, deleting, flaw }: Ticket): boolean {
  return phase === 'Saving' && !deleting && flaw === null;
}

/** `displacement` takes this ticket over: it names the state that another displacement began. */
export function adopts(displacement: Displacement, ticket: Ticket): boolean {
  if (displacement.id === ticket.displacement.id || !mayBeAdopted(ticket)) return false;
  const on = sourceNodeOf(ticket);
  return displacement.pods.some(({ uid, checkpoint, node }) => {
    return uid === ticket.pod.uid && checkpoint === ticket.checkpoint && node === on;
  });
}

/** An open displacement takes this ticket over, or is about to. */
export function isAdopted(book: Displacements, ticket: Ticket): boolean {
  const on = sourceNodeOf(ticket);
  if (on === null) return false;
  for (const displacement of book.on(on)) if (adopts(displacement, ticket)) return true;
  return false;
}

/** Its state was begun for another displacement, and is not made anew under that name. */
export function isTakenOver(displacement: Displacement, victim: DisplacedPod): boolean {
  return victim.plan === 'Save' && victim.checkpoint !== checkpointNameOf(ticketNameOf(victim), displacement.id);
}
