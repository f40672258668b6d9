/**
 * What a higher preemptor takes over from a lower decision on the same node: victims that stand frozen, or are about to.
 *
 * The hold itself stays as it is (ticket, PodCheckpoint, mark, deadline); only the decision in the ticket is replaced, by one
 * write. So the node need not be told, and a crash between two tickets leaves each with the one or the other decision: the
 * lower one is closed as superseded, and the higher one goes on adopting. The new decision ends before the first of the holds
 * does: no deadline is ever moved.
 */
import type { Checkpoint } from '../domain/checkpoint.ts';
import { objectKey, type NodeName, type PodUid } from '../domain/ids.ts';
import { standsOn } from '../domain/pod.ts';
import { lastEvictionMs, THAW_AFTER_DEADLINE_MS } from '../domain/thaw-rule.ts';
import type { Decision, PlannedVictim, SavedVictim, Ticket } from '../domain/ticket.ts';
import type { ClusterView } from '../index/types.ts';
import type { Decisions } from './steps.ts';
import { checkpointNameOf, ticketNameOf } from './names.ts';

/** A victim of a lower decision, on its way to be saved or saved already. */
interface Hold {
  /** As the lower decision has it: what was promised to the victim stays promised. */
  readonly planned: SavedVictim;
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
  book: Decisions,
  node: NodeName,
  preemptor: { readonly uid: PodUid; readonly priority: number },
): Holds {
  let holds: Map<PodUid, Hold> | null = null;
  for (const decision of book.on(node, preemptor.uid)) {
    if (decision.preemptor.priority >= preemptor.priority) continue;
    for (const victim of decision.victims) {
      const hold = holdOf(view, decision, victim);
      if (hold !== null) (holds ??= new Map()).set(victim.uid, hold);
    }
  }
  return holds ?? NO_HOLDS;
}

function holdOf(view: ClusterView, decision: Decision, victim: PlannedVictim): Hold | null {
  const pod = view.pod(victim.uid);
  const ticket = view.ticketOfVictim(victim.uid);
  if (victim.action !== 'checkpoint' || !standsOn(pod, decision.node) || pod.deletionMs !== null) return null;
  if (ticket?.decision.id !== decision.id || !mayBeAdopted(ticket)) return null;
  const checkpoint = view.checkpoint(objectKey(victim.namespace, victim.checkpoint)) ?? null;
  if (checkpoint === null) return { planned: victim, checkpoint, untilMs: Number.POSITIVE_INFINITY };
  if (checkpoint.deleting || checkpoint.thawed || checkpoint.failure !== null || checkpoint.deadlineMs === null)
    return null;
  const evictedMs = lastEvictionMs(checkpoint.thawAtMs ?? checkpoint.deadlineMs);
  const untilMs = Math.min(checkpoint.deadlineMs - THAW_AFTER_DEADLINE_MS, evictedMs);
  return { planned: victim, checkpoint, untilMs };
}

function mayBeAdopted({ phase, deleting, flaw }: Ticket): boolean {
  return phase === 'Saving' && !deleting && flaw === null;
}

/** `decision` takes this ticket over: it names the state that another decision began. */
export function adopts(decision: Decision, ticket: Ticket): boolean {
  if (decision.id === ticket.decision.id || decision.node !== ticket.decision.node || !mayBeAdopted(ticket))
    return false;
  return decision.victims.some(({ uid, checkpoint }) => uid === ticket.pod.uid && checkpoint === ticket.checkpoint);
}

/** An open decision takes this ticket over, or is about to. */
export function isAdopted(book: Decisions, ticket: Ticket): boolean {
  for (const decision of book.on(ticket.decision.node)) if (adopts(decision, ticket)) return true;
  return false;
}

/** Its state was begun for another decision, and is not made anew under that name. */
export function isTakenOver(decision: Decision, victim: PlannedVictim): boolean {
  return victim.action === 'checkpoint' && victim.checkpoint !== checkpointNameOf(ticketNameOf(victim), decision.id);
}
