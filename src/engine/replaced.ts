import { identityOf, type Pod } from '../domain/pod.ts';
import { isOpenAndFree, type Ticket } from '../domain/ticket.ts';
import type { World } from './steps.ts';

/** Clocks of this process and of the API server may differ by 10 s (preflight), and a watch may be late. */
const FREED_SLACK_MS = 15_000;

/**
 * Pods that a controller made in place of displaced ones without a review of the webhook, by the UID of the ticket: each takes
 * the place of the oldest ticket that waits. From then on the controller lacks nothing, and a pod that it makes later replaces
 * another pod.
 */
export function placesTaken(world: World, ownerUid: string): ReadonlyMap<string, Pod> {
  const { view } = world;
  const tickets = view
    .ticketsOfOwner(ownerUid)
    .filter((ticket) => isOpenAndFree(ticket) || wasReplaced(ticket))
    .map((ticket) => ({ ticket, sinceMs: waitsSince(world, ticket) }))
    .toSorted((a, b) => a.sinceMs - b.sinceMs || (a.ticket.name < b.ticket.name ? -1 : 1));
  const taken = new Map<string, Pod>();
  const [oldest] = tickets;
  if (oldest === undefined) return taken;
  // Both by age: one that is too old for a ticket is so for the next.
  const pods = Map.groupBy(view.unreviewedPodsOfOwner(ownerUid, oldest.sinceMs), (pod) => identityOf(pod.owner, pod));
  for (const { ticket, sinceMs } of tickets) {
    const left = pods.get(identityOf(ticket.owner, ticket.pod)) ?? [];
    while (left[0] !== undefined && left[0].creationMs <= sinceMs) left.shift();
    const [pod] = left;
    if (pod === undefined || (wasReplaced(ticket) && pod.creationMs > ticket.phaseMs)) continue;
    taken.set(ticket.uid, pod);
    left.shift();
  }
  return taken;
}

/** The pod that took the place of this one; asks nothing of other tickets where there can be none. */
export function placeTakenBy(world: World, ticket: Ticket): Pod | null {
  if (ticket.owner === null) return null;
  const { uid } = ticket.owner;
  if (world.view.unreviewedPodsOfOwner(uid, waitsSince(world, ticket)).length === 0) return null;
  return placesTaken(world, uid).get(ticket.uid) ?? null;
}

/** From now on another pod may claim the ticket: its claim was withdrawn, or a person put it back into the queue. */
export function isFreed(before: Ticket | undefined, after: Ticket): boolean {
  if (before === undefined || !isOpenAndFree(after)) return false;
  return !isOpenAndFree(before);
}

/** A pod created later than this may be its replacement. Creation is in whole seconds: of one second, the pod may be the older. */
function waitsSince({ freed }: World, { uid, creationMs }: Ticket): number {
  return Math.max(creationMs, (freed.get(uid) ?? Number.NEGATIVE_INFINITY) - FREED_SLACK_MS);
}

function wasReplaced({ phase, said }: Ticket): boolean {
  return phase === 'ColdStarted' && said.reason === 'NotGated';
}
