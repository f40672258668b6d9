import { standsOn } from '../domain/pod.ts';
import { isFinal, type Decision, type PlannedVictim } from '../domain/ticket.ts';
import { isSaved } from '../engine/saved-state.ts';
import type { ClusterView } from '../index/types.ts';

/** What became of the victims of a decision that is over. */
interface VictimFates {
  /** They are going, or gone, and their state is not. */
  readonly saved: readonly PlannedVictim[];
  readonly unsaved: readonly PlannedVictim[];
  /** They were not evicted after all. */
  readonly spared: readonly PlannedVictim[];
}

export function victimFates(view: ClusterView, decision: Decision): VictimFates {
  const saved: PlannedVictim[] = [];
  const unsaved: PlannedVictim[] = [];
  const spared: PlannedVictim[] = [];
  for (const victim of decision.victims) {
    const pod = view.pod(victim.uid);
    if (standsOn(pod, decision.node) && pod.deletionMs === null) spared.push(victim);
    else if (hasTicket(view, decision, victim)) saved.push(victim);
    else unsaved.push(victim);
  }
  return { saved, unsaved, spared };
}

/** One that can still be continued, or was. */
function hasTicket(view: ClusterView, decision: Decision, victim: PlannedVictim): boolean {
  const ticket = view.ticketOfVictim(victim.uid);
  if (ticket === undefined || ticket.decision.id !== decision.id) return false;
  return isFinal(ticket.phase) ? ticket.phase !== 'Abandoned' : isSaved(view, ticket);
}
