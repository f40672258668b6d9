import { objectKey } from '../domain/ids.ts';
import { standsOn, type Pod } from '../domain/pod.ts';
import { lastEvictionMs, THAW_AFTER_DEADLINE_MS } from '../domain/thaw-rule.ts';
import type { Decision, PlannedVictim, SavedVictim } from '../domain/ticket.ts';
import { adopts } from './adoption.ts';
import type { Command } from './commands.ts';
import { ticketNameOf } from './names.ts';
import { seesAll, type Steps, type World } from './steps.ts';

/**
 * Where one victim of a decision stands.
 *
 *     (alive) ── unfinished ──> ready ──evicted──> terminating ──> gone
 *                    └────────> failed ──┘ (only where its policy allows it)
 */
export type VictimState =
  /** It no longer holds room on the node. */
  | { readonly kind: 'gone' }
  /** Its deletion has begun, by us or by others. */
  | { readonly kind: 'terminating' }
  /** It may be evicted now: saved and frozen, covered by a fresh checkpoint, or never protected. */
  | {
      readonly kind: 'ready';
      readonly pod: Pod;
      readonly frozenBy: string | null;
      /** When its node thaws it; null where it is not frozen for this. */
      readonly thawAtMs: number | null;
    }
  /** It is being saved; `next` is the write that is still missing, null while the node works. */
  | { readonly kind: 'unfinished'; readonly next: Command | null }
  /** It will not be saved. */
  | { readonly kind: 'failed'; readonly pod: Pod; readonly reason: string; readonly message: string };

interface VictimLook {
  /** When saving must be done. */
  readonly deadlineMs: number;
  /** Told when to look again, where something may still come into view. */
  readonly steps: Steps;
}

export function victimState(
  world: World,
  decision: Decision,
  victim: PlannedVictim,
  { deadlineMs, steps }: VictimLook,
): VictimState {
  const { view } = world;
  const agentSilent = view.node(decision.node)?.node.agentSilent ?? false;
  const now = { nowMs: world.nowMs, deadlineMs, agentSilent };
  const pod = view.pod(victim.uid);
  if (!standsOn(pod, decision.node)) return { kind: 'gone' };
  if (pod.deletionMs !== null) return { kind: 'terminating' };
  if (victim.action === 'evict') return { kind: 'ready', pod, frozenBy: null, thawAtMs: null };

  const ticket = view.ticketOfVictim(victim.uid);
  if (ticket === undefined) return unfinished(createTicket(decision, victim, pod), pod, now);
  // Of an earlier decision about the same pod: it is taken over, or undone first.
  if (adopts(decision, ticket))
    return unfinished({ kind: 'AdoptTicket', ticket, decision }, pod, { ...now, agentSilent: false });
  if (ticket.decision.id !== decision.id || ticket.deleting) return unfinished(null, pod, now);

  const checkpoint = view.checkpoint(objectKey(victim.namespace, victim.checkpoint));
  if (checkpoint === undefined) {
    if (victim.action === 'reuse' && !seesAll(world, steps)) return unfinished(null, pod, now);
    if (victim.action === 'reuse')
      return failed(pod, 'CheckpointGone', `checkpoint ${victim.checkpoint} no longer exists`);
    return unfinished(createCheckpoint(decision, victim), pod, now);
  }
  if (checkpoint.failure !== null) return failed(pod, checkpoint.failure.reason, checkpoint.failure.message);
  if (victim.action === 'reuse') {
    if (!checkpoint.deleting) return { kind: 'ready', pod, frozenBy: null, thawAtMs: null };
    return failed(pod, 'CheckpointGone', `checkpoint ${victim.checkpoint} is being deleted`);
  }
  // Its node lets the pod go on and removes the files: what is evicted now would have no state to come back to. Once the object
  // is gone, the pod is saved anew.
  if (checkpoint.deleting) return unfinished(null, pod, now);
  if (checkpoint.thawed) return failed(pod, 'Thawed', 'its node thawed it before it was evicted');
  if (checkpoint.ready && checkpoint.frozen && pod.frozenBy === checkpoint.name) {
    const thawAtMs = checkpoint.thawAtMs ?? checkpoint.deadlineMs ?? Infinity;
    // Too late to be evicted for its state: its node thaws it, and says so.
    if (world.nowMs >= lastEvictionMs(thawAtMs)) return unfinished(null, pod, now);
    steps.lookAgainAt(lastEvictionMs(thawAtMs));
    return { kind: 'ready', pod, frozenBy: checkpoint.name, thawAtMs };
  }
  return unfinished(null, pod, now);
}

function unfinished(
  next: Command | null,
  pod: Pod,
  {
    nowMs,
    deadlineMs,
    agentSilent,
  }: { readonly nowMs: number; readonly deadlineMs: number; readonly agentSilent: boolean },
): VictimState {
  if (agentSilent) return failed(pod, 'AgentSilent', 'the agent of its node does not answer');
  if (nowMs < deadlineMs) return { kind: 'unfinished', next };
  return failed(pod, 'DeadlineExceeded', 'its checkpoint was not ready in time');
}

function failed(pod: Pod, reason: string, message: string): VictimState {
  return { kind: 'failed', pod, reason, message };
}

function createTicket(decision: Decision, victim: SavedVictim, pod: Pod): Command {
  const { restore, policy } = victim.terms;
  return {
    kind: 'CreateTicket',
    order: {
      name: ticketNameOf(pod),
      victim: { namespace: pod.namespace, name: pod.name, uid: pod.uid },
      planned: victim,
      decision,
      restore,
      policyName: policy,
    },
  };
}

function createCheckpoint(decision: Decision, victim: SavedVictim): Command {
  return {
    kind: 'CreateCheckpoint',
    order: {
      namespace: victim.namespace,
      name: victim.checkpoint,
      pod: { namespace: victim.namespace, name: victim.name, uid: victim.uid },
      node: decision.node,
      reason: 'Preemption',
      keepFrozen: true,
      rules: victim.terms.checkpoint,
      // The agent's own bound, for the case that none of us is left: later than ours, so that it never decides first.
      deadlineMs: decision.deadlineMs + THAW_AFTER_DEADLINE_MS,
    },
    preemptor: decision.preemptor,
  };
}
