import type { Checkpoint } from '../domain/checkpoint.ts';
import { rulingPolicy, selectsNamespace } from '../domain/protection.ts';
import { isFinal } from '../domain/ticket.ts';
import type { ClusterView } from '../index/types.ts';
import { isVoid, ticketNaming } from './saved-state.ts';
import { seesAll, type Steps, type World } from './steps.ts';

/**
 * The only place that decides how long a PodCheckpoint is kept once its work is over; `withdraw` (displacement.ts) deletes the
 * checkpoint of a victim that is thawed. PodCheckpoints have no owner reference: the garbage collector deletes none of them.
 *
 * | checkpoint                                        | is kept                                                          |
 * | ------------------------------------------------- | ---------------------------------------------------------------- |
 * | an open ticket names it                           | as long as the ticket is open                                    |
 * | made for a ticket that is Restored                | no longer                                                        |
 * | made for a ticket that is ColdStarted, Abandoned  | as long as the ticket: `ticketRetention` after its end           |
 * | made for a ticket, and its pod was thawed         | no longer: the state is older than the pod; a failed one has no  |
 * |                                                   | state, and is kept as long as the ticket, for people to read     |
 * | made for a ticket that no longer exists           | no longer; a failed one `ticketRetention` after it failed        |
 * | made by a user (reason Manual)                    | `store.ttl` after its state was taken, or after it failed; while |
 * |                                                   | no policy says how long: until the user deletes it               |
 */
export function stepRetention(world: World, checkpoint: Checkpoint, steps: Steps): void {
  if (checkpoint.deleting) return;
  const untilMs = keptUntilMs(world, checkpoint, steps);
  if (world.nowMs < untilMs) steps.lookAgainAt(untilMs);
  else steps.do({ kind: 'DeleteCheckpoint', checkpoint, undo: null });
}

/** Infinity: nothing that is known now ends it. */
function keptUntilMs(world: World, checkpoint: Checkpoint, steps: Steps): number {
  const { view, settings } = world;
  const ticket = ticketNaming(view, checkpoint);
  if (ticket !== undefined && !isFinal(ticket.phase)) return Infinity;
  const keptByTicketMs =
    ticket === undefined || ticket.phase === 'Restored' ? -Infinity : ticket.phaseMs + settings.ticketRetentionMs;
  if (checkpoint.reason === 'Manual') return Math.max(keptByTicketMs, endOfTtlMs(view, checkpoint));
  if (ticket !== undefined) return isVoid(checkpoint) && checkpoint.failure === null ? -Infinity : keptByTicketMs;
  if (checkpoint.failure !== null) return checkpoint.failure.atMs + settings.ticketRetentionMs;
  // The ticket of a checkpoint that another process made may still be on its way to us.
  return seesAll(world, steps) ? -Infinity : Infinity;
}

function endOfTtlMs(view: ClusterView, checkpoint: Checkpoint): number {
  const doneMs = checkpoint.failure?.atMs ?? checkpoint.takenMs;
  const ttlMs = ttlMsOf(view, checkpoint);
  return doneMs === null || ttlMs === null ? Infinity : doneMs + ttlMs;
}

/**
 * The `store.ttl` of the policy of its pod. A pod that is gone has none any more: then the longest of all policies that select
 * pods of the namespace. Null: no policy is about it.
 */
function ttlMsOf(view: ClusterView, { namespace, podUid }: Checkpoint): number | null {
  const labels = view.namespaceLabels(namespace);
  const pod = view.pod(podUid);
  if (pod !== undefined) return rulingPolicy(pod, view.policies(), labels)?.store.ttlMs ?? null;
  const ttls = view.policies().filter((policy) => selectsNamespace(policy, namespace, labels));
  return ttls.length === 0 ? null : Math.max(...ttls.map(({ store }) => store.ttlMs));
}
