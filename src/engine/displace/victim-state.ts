import { objectKey } from '../../domain/ids.ts';
import { standsOn, type Pod } from '../../domain/pod.ts';
import { lastEvictionMs, THAW_AFTER_DEADLINE_MS } from '../../domain/thaw-rule.ts';
import type { Displacement, DisplacedPod, SavedPod } from '../../domain/displacement.ts';
import type { Ticket } from '../../domain/ticket.ts';
import { adopts } from './adoption.ts';
import { isCalledOff } from '../checkpoints/saved-state.ts';
import type { Command } from '../core/commands.ts';
import { ticketNameOf } from './names.ts';
import { seesAll, type Steps, type World } from '../core/steps.ts';

/**
 * Where one victim of a displacement stands.
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
  displacement: Displacement,
  victim: DisplacedPod,
  { deadlineMs, steps }: VictimLook,
): VictimState {
  const { view } = world;
  const agentSilent = view.node(victim.node)?.node.agentSilent ?? false;
  const now = { nowMs: world.nowMs, deadlineMs, agentSilent };
  const pod = view.podOf(victim);
  if (!standsOn(pod, victim.node)) return { kind: 'gone' };
  if (pod.deletionMs !== null) return { kind: 'terminating' };
  if (victim.plan === 'Evict') return { kind: 'ready', pod, frozenBy: null, thawAtMs: null };
  const refusal = world.book.refusalOf(victim.uid);
  if (refusal?.act === 'save' && world.steadyMs < refusal.untilMs)
    return failed(pod, 'SaveRefused', `the API server refuses to record it: ${refusal.reason}: ${refusal.message}`);

  const ticket = view.ticketOfVictim(victim);
  if (ticket === undefined) return unfinished(createTicket(displacement, victim, pod), pod, now);
  // Of an earlier displacement about the same pod: it is taken over, or undone first.
  if (adopts(displacement, ticket))
    return unfinished({ kind: 'AdoptTicket', ticket, displacement }, pod, { ...now, agentSilent: false });
  if (ticket.displacement.id !== displacement.id || ticket.deleting) return unfinished(null, pod, now);

  const checkpoint = view.checkpoint(objectKey(victim.namespace, victim.checkpoint));
  if (checkpoint === undefined) {
    if (victim.plan === 'Reuse' && !seesAll(world, steps)) return unfinished(null, pod, now);
    if (victim.plan === 'Reuse')
      return failed(pod, 'CheckpointGone', `checkpoint ${victim.checkpoint} no longer exists`);
    return unfinished(createCheckpoint(displacement, victim, ticket), pod, now);
  }
  if (checkpoint.failure !== null) return failed(pod, checkpoint.failure.reason, checkpoint.failure.message);
  if (victim.plan === 'Reuse') {
    if (!checkpoint.deleting) return { kind: 'ready', pod, frozenBy: null, thawAtMs: null };
    return failed(pod, 'CheckpointGone', `checkpoint ${victim.checkpoint} is being deleted`);
  }
  // Its node thaws the pod: what is evicted now would have no state to come back to. Once the object is gone, the pod is saved anew.
  if (isCalledOff(checkpoint)) return unfinished(null, pod, now);
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

function createTicket(displacement: Displacement, victim: SavedPod, pod: Pod): Command {
  const { restore, policy } = victim.terms;
  return {
    kind: 'CreateTicket',
    order: {
      name: ticketNameOf(pod),
      victim: { namespace: pod.namespace, name: pod.name, uid: pod.uid },
      planned: victim,
      displacement,
      restore,
      policyName: policy,
    },
  };
}

function createCheckpoint(displacement: Displacement, victim: SavedPod, ticket: Pick<Ticket, 'name'>): Command {
  return {
    kind: 'CreateCheckpoint',
    order: {
      namespace: victim.namespace,
      name: victim.checkpoint,
      pod: { namespace: victim.namespace, name: victim.name, uid: victim.uid },
      node: victim.node,
      reason: displacement.cause.kind,
      ticket: ticket.name,
      keepFrozen: true,
      rules: victim.terms.checkpoint,
      // The agent's own bound, for the case that none of us is left: later than ours, so that it never decides first.
      deadlineMs: displacement.deadlineMs + THAW_AFTER_DEADLINE_MS,
    },
    displacement,
  };
}
