import { ownerKey, type OwnerKey } from '../../domain/ids.ts';
import { identityOf, identityOfPod } from '../../domain/owner-kinds.ts';
import type { Pod } from '../../domain/pod.ts';
import { isOpenAndFree, type Ticket } from '../../domain/ticket.ts';
import type { World } from '../core/steps.ts';

/** The time of the API server is known to a second here, and a watch may be late. */
const FREED_SLACK_MS = 15_000;

/**
 * Pods that a controller made in place of displaced ones without a review of the webhook, by the UID of the ticket: each takes
 * the place of the oldest ticket that waits. From then on the controller lacks nothing, and a pod that it makes later replaces
 * another pod.
 */
export function placesTaken(world: World, owner: OwnerKey): ReadonlyMap<string, Pod> {
  const { view } = world;
  const tickets = view
    .ticketsOfOwner(owner)
    .filter((ticket) => isOpenAndFree(ticket) || endedNotGated(ticket))
    .map((ticket) => ({ ticket, sinceMs: waitsSince(world, ticket) }))
    .toSorted((a, b) => a.sinceMs - b.sinceMs || (a.ticket.name < b.ticket.name ? -1 : 1));
  const taken = new Map<string, Pod>();
  const [oldest] = tickets;
  if (oldest === undefined) return taken;
  const pods = view.unreviewedPodsOfOwner(owner, oldest.sinceMs);
  const groups = new Map<string, PodsByIdentity>(); // keys of identity labels -> pods by the values; usually none and one
  for (const { ticket, sinceMs } of tickets) {
    const keys = Object.keys(ticket.pod.identityLabels ?? {});
    const byIdentity = groups.get(keys.join()) ?? podsByIdentity(pods, keys);
    groups.set(keys.join(), byIdentity);
    // Both by age: one that is too old for a ticket is so for the next.
    const left = byIdentity.get(identityOf(ticket.owner, ticket.pod)) ?? [];
    while (left[0] !== undefined && left[0].creationMs <= sinceMs) left.shift();
    const [pod] = left;
    if (pod === undefined || (endedNotGated(ticket) && pod.creationMs > ticket.phaseMs)) continue;
    taken.set(ticket.uid, pod);
    left.shift();
  }
  return taken;
}

type PodsByIdentity = Map<string | number | null, Pod[]>;

function podsByIdentity(pods: readonly Pod[], keys: readonly string[]): PodsByIdentity {
  return Map.groupBy(pods, (pod) => identityOfPod(pod, keys));
}

/** The pod that took the place of this one; asks nothing of other tickets where there can be none. */
export function placeTakenBy(world: World, ticket: Ticket): Pod | null {
  if (ticket.owner === null) return null;
  const owner = ownerKey(ticket.namespace, ticket.owner);
  if (world.view.unreviewedPodsOfOwner(owner, waitsSince(world, ticket)).length === 0) return null;
  return placesTaken(world, owner).get(ticket.uid) ?? null;
}

/** From now on another pod may claim the ticket: its claim was withdrawn, or a person put it back into the queue. */
export function isFreed(before: Ticket | undefined, after: Ticket): boolean {
  if (before === undefined || !isOpenAndFree(after)) return false;
  return !isOpenAndFree(before);
}

/**
 * A pod created later than this may be its replacement. Times of creation and eviction are whole seconds: a pod of one second with
 * the eviction counts as the replacement, as it does for claims. While the eviction is not known, a pod of one second with the
 * ticket may be the older.
 */
function waitsSince({ freed }: World, { uid, creationMs, evictedMs }: Ticket): number {
  const freedMs = (freed.get(uid) ?? Number.NEGATIVE_INFINITY) - FREED_SLACK_MS;
  return Math.max(evictedMs === null ? creationMs : evictedMs - 1, freedMs);
}

function endedNotGated({ phase, said }: Ticket): boolean {
  return phase === 'ColdStarted' && said.reason === 'NotGated';
}
