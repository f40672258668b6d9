import type { Checkpoint, StateRecord } from '../../domain/checkpoint.ts';
import { objectKey } from '../../domain/ids.ts';
import type { Node } from '../../domain/node.ts';
import type { Pod } from '../../domain/pod.ts';
import { isFinal, type Ticket } from '../../domain/ticket.ts';
import type { ClusterView } from '../../index/types.ts';
import type { Steps, World } from '../core/steps.ts';

/** The checkpoint that holds the state of a ticket; undefined when it is gone. */
export function checkpointOf(view: ClusterView, ticket: Ticket): Checkpoint | undefined {
  return view.checkpoint(objectKey(ticket.namespace, ticket.checkpoint));
}

/** The ticket that names this checkpoint; of several an open one, else the one that ended last. */
export function ticketNaming(view: ClusterView, { namespace, name, podUid }: Checkpoint): Ticket | undefined {
  let naming: Ticket | undefined;
  for (const ticket of view.ticketsOfVictim(podUid)) {
    if (ticket.checkpoint !== name || ticket.namespace !== namespace) continue;
    if (!isFinal(ticket.phase)) return ticket;
    if (naming === undefined || ticket.phaseMs > naming.phaseMs) naming = ticket;
  }
  return naming;
}

/** The checkpoint holds the pod's last state: nothing ran on after it. A reused one is as old as the policy allows. */
export function isSaved(view: ClusterView, ticket: Ticket): boolean {
  const checkpoint = checkpointOf(view, ticket);
  return checkpoint !== undefined && checkpoint.ready && !isCalledOff(checkpoint) && !isVoid(checkpoint);
}

/** What a ticket that does not say yet where its state lies has to say from now on. */
export function stateFor(view: ClusterView, ticket: Ticket): { readonly state?: StateRecord } {
  if (ticket.state !== null) return {};
  const { ready = false, location, manifestDigest, compatibility } = checkpointOf(view, ticket) ?? {};
  if (!ready || !location || !manifestDigest) return {};
  return { state: { ...location, manifestDigest, compatibility: compatibility ?? null } };
}

/** It was made to hold the pod frozen until its eviction, and the pod was thawed: the pod is newer than the state. */
export function isVoid({ keepFrozen, thawed }: Checkpoint): boolean {
  return keepFrozen && thawed;
}

/**
 * It is being undone, or was: nothing continues its state. A request that was released is none once its agent has said that the pod was
 * killed frozen: then the state is the last one of the pod.
 */
export function isCalledOff({ deleting, keepFrozen, release, ready, frozen, thawed }: Checkpoint): boolean {
  return deleting || (keepFrozen && release !== null && (!ready || frozen || thawed));
}

/** Its agent has not said yet that the pod was thawed or killed, or could not be saved: the pod may be frozen by it, or about to be. */
export function mayHoldPod({ keepFrozen, ready, frozen, thawed, failure, released }: Checkpoint): boolean {
  return keepFrozen && (frozen || !ready) && !thawed && failure === null && !released;
}

/** Its `release` is written, and its agent has yet to say what became of the pod. */
export function isBeingReleased({ release, released, deleting }: Checkpoint): boolean {
  return release !== null && !released && !deleting;
}

/** Whether the ticket's state is the last one of its pod: an agent that is not silent has yet to say that the pod was thawed or killed. */
export function isUndecided({ view, nowMs }: World, ticket: Ticket, steps: Steps): boolean {
  const checkpoint = checkpointOf(view, ticket);
  if (checkpoint === undefined || !isBeingReleased(checkpoint)) return false;
  const endMs = ticket.phaseMs + ticket.restore.maxWaitMs;
  if (nowMs >= endMs || view.node(checkpoint.nodeName)?.node.agentSilent !== false) return false;
  steps.lookAgainAt(endMs);
  return true;
}

/** A ticket whose state exists. */
export interface SavedState {
  readonly ticket: Ticket;
  readonly checkpoint: Checkpoint;
}

/** What `pod` continues; null for a pod that continues nothing, or whose ticket or state is gone: it starts cold. */
export function savedStateOf(view: ClusterView, pod: Pod): SavedState | null {
  const ticket = pod.ticket === null ? undefined : view.ticket(objectKey(pod.namespace, pod.ticket));
  const checkpoint = ticket && checkpointOf(view, ticket);
  return ticket === undefined || checkpoint === undefined ? null : { ticket, checkpoint };
}

/** Why `node` may not restore it, whatever room there is; null when it may. */
export function restoreObstacle(
  node: Node,
  { ticket, checkpoint }: SavedState,
): 'OtherClass' | 'DoesNotHoldIt' | 'AgentSilent' | 'FailedThere' | null {
  if (node.agentSilent) return 'AgentSilent';
  if (ticket.failedNodes.some((failed) => failed.node === node.name)) return 'FailedThere';
  if (checkpoint.compatibility !== null && node.compatibility !== checkpoint.compatibility) return 'OtherClass';
  if (ticket.restore.nodes === 'Same' && checkpoint.location?.node !== node.name) return 'DoesNotHoldIt';
  return null;
}
