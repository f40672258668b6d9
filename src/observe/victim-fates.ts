import { standsOn } from '../domain/pod.ts';
import type { Displacement, DisplacedPod } from '../domain/displacement.ts';
import { isFinal } from '../domain/ticket.ts';
import { isSaved } from '../engine/checkpoints/saved-state.ts';
import type { ClusterView } from '../index/types.ts';

/** What became of the victims of a displacement that is over. */
interface VictimFates {
  /** They are going, or gone, and their state is not. */
  readonly saved: readonly DisplacedPod[];
  readonly unsaved: readonly DisplacedPod[];
  /** They were not evicted after all. */
  readonly spared: readonly DisplacedPod[];
}

export function victimFates(view: ClusterView, displacement: Displacement): VictimFates {
  const saved: DisplacedPod[] = [];
  const unsaved: DisplacedPod[] = [];
  const spared: DisplacedPod[] = [];
  for (const victim of displacement.pods) {
    const pod = view.pod(victim.uid);
    if (standsOn(pod, victim.node) && pod.deletionMs === null) spared.push(victim);
    else if (hasTicket(view, displacement, victim)) saved.push(victim);
    else unsaved.push(victim);
  }
  return { saved, unsaved, spared };
}

/** One that can still be continued, or was. */
function hasTicket(view: ClusterView, displacement: Displacement, victim: DisplacedPod): boolean {
  const ticket = view.ticketOfVictim(victim);
  if (ticket === undefined || ticket.displacement.id !== displacement.id) return false;
  return isFinal(ticket.phase) ? ticket.phase !== 'Abandoned' : isSaved(view, ticket);
}
