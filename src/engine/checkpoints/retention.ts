/**
 * The state of a ticket, and how long it is kept. Begin with this file.
 *
 * - `retention.ts`: when a PodCheckpoint is deleted whose work is over.
 * - `saved-state.ts`: which PodCheckpoint belongs to which ticket, whether it holds the last state of its pod, and which nodes may
 *   restore it.
 *
 * Invariants:
 * 1. The PodCheckpoint of an open ticket is deleted only where it was released, and its pod was thawed or not saved.
 * 2. A PodCheckpoint that holds a pod which stands is released first. Its agent says what became of the pod; then it is deleted.
 * 3. A state goes at once only after its ticket is `Restored`, or where the pod is newer than the state.
 * 4. A state whose ticket is not in the index is deleted only when that ticket would be there by now (`seesAll`).
 */
import type { Checkpoint } from '../../domain/checkpoint.ts';
import { rulingPolicy, selectsNamespace } from '../../domain/protection.ts';
import { isFinal } from '../../domain/ticket.ts';
import type { ClusterView } from '../../index/types.ts';
import { isBeingReleased, isVoid, mayHoldPod, ticketNaming } from './saved-state.ts';
import { seesAll, type Steps, type World } from '../core/steps.ts';

/**
 * The only place that deletes PodCheckpoints. One that holds a pod which stands is released first, here or by `withdraw`
 * (displacement.ts), so that its agent thaws the pod. They have no owner reference: the garbage collector deletes none of them.
 *
 * | checkpoint                                        | is kept                                                          |
 * | ------------------------------------------------- | ---------------------------------------------------------------- |
 * | released, and its agent has yet to thaw the pod   | until the agent has said so; no longer where the agent is silent |
 * |                                                   | or the node is gone, and {@link RELEASE_MS} beyond `thawAt`; one |
 * |                                                   | that is saved, and whose pod is going or gone: as one below      |
 * | released, and nothing was saved                   | no longer                                                        |
 * | released for a ticket, and its pod was thawed     | no longer, also while the ticket is open: its pod is saved anew  |
 * | an open ticket names it                           | as long as the ticket is open                                    |
 * | made for a ticket that is Restored                | no longer                                                        |
 * | made for a ticket that is ColdStarted, Abandoned  | as long as the ticket: `ticketRetention` after its end           |
 * | made for a ticket, and its pod was thawed         | no longer: the state is older than the pod; a failed one has no  |
 * |                                                   | state, and is kept as long as the ticket, for people to read     |
 * | made for a ticket that no longer exists           | no longer; a failed one `ticketRetention` after it failed        |
 * | made by a user (no owner)                         | `store.ttl` after its state was taken, or after it failed; while |
 * |                                                   | no policy says how long: until the user deletes it               |
 */
export function stepRetention(world: World, checkpoint: Checkpoint, steps: Steps): void {
  if (checkpoint.deleting) return;
  const untilMs = waitsForAgentUntilMs(world, checkpoint) ?? keptUntilMs(world, checkpoint, steps);
  if (world.nowMs < untilMs) {
    steps.lookAgainAt(untilMs);
    return;
  }
  const victim =
    checkpoint.release === null && mayHoldPod(checkpoint)
      ? world.view.podOf({ namespace: checkpoint.namespace, uid: checkpoint.podUid })
      : undefined;
  if (victim === undefined || victim.deletionMs !== null) steps.do({ kind: 'DeleteCheckpoint', checkpoint });
  else steps.do({ kind: 'ReleaseCheckpoint', checkpoint, victim, because: 'no ticket needs its state' });
}

/** After `thawAt` no pod is frozen any more: an agent that says nothing until then is of an earlier version, and knows no releases. */
const RELEASE_MS = 60_000;

function waitsForAgentUntilMs({ view }: World, checkpoint: Checkpoint): number | null {
  const { namespace, nodeName, podUid, ready, deadlineMs } = checkpoint;
  if (!isBeingReleased(checkpoint)) return null;
  // The pod may have been killed frozen, whether its agent can say so or not: then this is its last state.
  if (ready && view.podOf({ namespace, uid: podUid })?.deletionMs !== null) return null;
  const on = view.node(nodeName);
  return on === undefined || on.node.agentSilent ? -Infinity : (deadlineMs ?? Infinity) + RELEASE_MS;
}

/** Infinity: nothing that is known now ends it. */
function keptUntilMs(world: World, checkpoint: Checkpoint, steps: Steps): number {
  const { view, settings } = world;
  const { owner, ready, released, failure } = checkpoint;
  const isOfUse = ready && (owner === null || !isVoid(checkpoint));
  if (released && failure === null && !isOfUse) return -Infinity;
  const ticket = ticketNaming(view, checkpoint);
  if (ticket !== undefined && !isFinal(ticket.phase)) return Infinity;
  const keptByTicketMs =
    ticket === undefined || ticket.phase === 'Restored' ? -Infinity : ticket.phaseMs + settings.ticketRetentionMs;
  if (owner === null) return Math.max(keptByTicketMs, endOfTtlMs(view, checkpoint));
  if (ticket !== undefined) return isVoid(checkpoint) && failure === null ? -Infinity : keptByTicketMs;
  if (failure !== null) return failure.atMs + settings.ticketRetentionMs;
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
  const pod = view.podOf({ namespace, uid: podUid });
  if (pod !== undefined) return rulingPolicy(pod, view.policies(), labels)?.store.ttlMs ?? null;
  const ttls = view.policies().filter((policy) => selectsNamespace(policy, namespace, labels));
  return ttls.length === 0 ? null : Math.max(...ttls.map(({ store }) => store.ttlMs));
}
