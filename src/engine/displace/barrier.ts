import type { DisplacedPod, Displacement } from '../../domain/displacement.ts';
import { lastEvictionMs } from '../../domain/thaw-rule.ts';
import { isBeforeEviction, podsMakingWay, type Ticket } from '../../domain/ticket.ts';
import { compareVersions } from '../../index/object-table.ts';
import type { ClusterView } from '../../index/types.ts';
import type { Steps, World } from '../core/steps.ts';
import { mayGoUnsaved } from './displacement-terms.ts';
import type { VictimState } from './victim-state.ts';

/**
 * The commit barrier: replicas that answer the webhook from their index and have not published yet that they have seen these tickets.
 * Where one of them answered for the replacement of a pod that goes now, the replacement would start cold.
 *
 * Only tickets whose victims stand count: that an eviction has begun shows that the barrier was passed, also by an earlier leader.
 */
export function replicasBehind(view: ClusterView, tickets: readonly Ticket[]): readonly string[] {
  let highest: string | null = null;
  for (const ticket of tickets) {
    const { phase, resourceVersion } = ticket;
    if (!isBeforeEviction(phase) && podsMakingWay(ticket).length === 0) continue;
    if (highest === null || compareVersions(resourceVersion, highest) > 0) highest = resourceVersion;
  }
  if (highest === null) return [];
  const version = highest;
  return view
    .webhookReplicas()
    .filter(({ seen }) => compareVersions(seen, version) < 0)
    .map(({ name }) => name);
}

/** What a delete takes from the moment it is decided, beyond what {@link lastEvictionMs} allows for. */
const EVICTION_TAKES_MS = 2_000;

/**
 * The last check before the first eviction: each replica that answers the webhook from its index has seen the tickets, so that
 * none of them lets a replacement start cold. It ends with the time for saving. A victim that must not lose its work stays
 * then; any other goes with its state, which its replacement most likely continues: nothing is better for it.
 */
export function stepBarrier(
  world: World,
  displacement: Displacement,
  states: readonly { readonly victim: DisplacedPod; readonly state: VictimState }[],
  { deadlineMs, steps }: { readonly deadlineMs: number; readonly steps: Steps },
): 'passed' | 'waits' | { readonly message: string } {
  const { view, nowMs } = world;
  const saved = states.flatMap(({ victim, state }) => {
    const ticket = victim.plan === 'Evict' ? undefined : view.ticketOfVictim(victim);
    return state.kind === 'ready' && ticket !== undefined ? [{ victim, state, ticket }] : [];
  });
  const tickets = saved.map(({ ticket }) => ticket);
  const behind = replicasBehind(view, tickets);
  if (behind.length === 0) return 'passed';
  const thawsMs = saved.map(({ state }) => lastEvictionMs(state.thawAtMs ?? Infinity) - EVICTION_TAKES_MS);
  const endMs = Math.min(deadlineMs, ...thawsMs);
  if (nowMs < endMs) {
    steps.waiting.push({ displacement, behind });
    steps.lookAgainAt(endMs);
    return 'waits';
  }
  const refused = saved.find(({ victim, state }) => !mayGoUnsaved(view, state.pod, victim, displacement));
  if (refused === undefined) return 'passed';
  const { namespace, name } = refused.victim;
  return { message: `${namespace}/${name}: ${behind.join(', ')} has not seen its ticket in time` };
}
