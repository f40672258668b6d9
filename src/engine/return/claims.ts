import { RESTORE_GATE, RUNTIME_CLASS } from '../../domain/labels.ts';
import { objectKey, type PodUid, ownerKey, type OwnerKey } from '../../domain/ids.ts';
import { identityOf, identityOfPod } from '../../domain/owner-kinds.ts';
import { hasOurClass, isTerminal, type Pod } from '../../domain/pod.ts';
import { differingFields } from '../../domain/restore-shape.ts';
import { byNewestState, isFinal, isOpenAndFree, type Ticket } from '../../domain/ticket.ts';
import type { ClusterView } from '../../index/types.ts';
import { endWith } from './outcomes.ts';
import { placesTaken } from './replaced.ts';
import { seesAll, WATCH_LAG_MS, type Steps, type World } from '../core/steps.ts';
import { stateFor } from '../checkpoints/saved-state.ts';

/**
 * The gated pods among which tickets are given out together: those of one controller, by its key; a pod without one by itself,
 * by its UID, as no other can have its name. No ticket is for pods of two groups.
 */
export function claimGroupOf({ namespace, owner, uid }: Pod): string {
  return owner === null ? uid : ownerKey(namespace, owner);
}

/**
 * How far the clocks of two API servers may be apart, with a second for timestamps in whole seconds: the one that deletes a pod
 * need not be the one that creates its replacement. etcd warns of more than a second between its members.
 */
const API_CLOCKS_MS = 2_000;

/**
 * Binds tickets to the gated pods of one group that will continue them ("The life of one preempt call" in ARCHITECTURE.md,
 * step 8). A pod for which nothing can be continued loses its gate at once: it must not wait for what never comes.
 *
 * A ticket is for the replacement of its pod, so for a pod created since the eviction. One that the same controller created before,
 * to scale up or for the next completion of a Job, is not. One that is older by no more than the clocks of two API servers may
 * differ takes the ticket after its grace, if no later pod came.
 */
export function stepClaims(world: World, group: string, steps: Steps): void {
  const { view, nowMs, actingSinceMs, settings } = world;
  const taken = new Set<string>(placesTaken(world, group as OwnerKey).keys()); // uids of tickets that are not to be had
  for (const pod of gatedPodsOf(view, group)) {
    if (pod.deletionMs !== null || holdsTicket(view, pod, steps)) continue;
    // The eviction of what it continues has begun, so the state is final. One that waited long enough takes no ticket that
    // may have to wait on.
    const others: Ticket[] = []; // of another template
    const candidates = ticketsOfIdentity(view, pod).filter((ticket) => {
      if (taken.has(ticket.uid) || steps.isContested(ticket)) return false;
      if (ticket.restoreShape !== pod.restoreShape) others.push(ticket);
      return ticket.restoreShape === pod.restoreShape;
    });
    const graceEndMs = Math.max(pod.creationMs, actingSinceMs + WATCH_LAG_MS) + settings.claimGraceMs;
    const expiresMs = pod.creationMs + settings.maxGateMs;
    const claimable = candidates.filter(
      ({ phase }) => phase === 'Waiting' || phase === 'Held' || (phase === 'Displacing' && nowMs < expiresMs),
    );
    const replaced = claimable.find((candidate) => pod.creationMs >= claimableSince(candidate));
    const ticket = replaced ?? (nowMs < graceEndMs ? undefined : claimable[0]);
    const ended = view.ticketsOfClaimant(pod).find(({ phase }) => isFinal(phase));
    if (candidates.length > 0 && nowMs < expiresMs) steps.lookAgainAt(expiresMs);
    const toCome = ticketToCome(view, pod, taken);
    const outgrown = others.find((other) => other.phase !== 'Saving' && pod.creationMs >= claimableSince(other));
    if (ticket !== undefined) {
      taken.add(ticket.uid);
      if (hasOurClass(pod)) steps.do({ kind: 'Claim', ticket, pod, ...stateFor(view, ticket) });
      else endOfOtherClass(ticket, pod, steps);
    } else if (candidates.length > 0 && nowMs < graceEndMs) {
      // The replacement came before we saw its predecessor's deletion: in a moment one of these is claimable.
      steps.lookAgainAt(graceEndMs);
    } else if (ended !== undefined) {
      const { reason, message } = ended.said;
      steps.do({ kind: 'Ungate', pod, as: null, because: 'TicketEnded', ended: `${reason}: ${message}` });
    } else if (toCome !== undefined && nowMs < expiresMs) {
      taken.add(toCome.uid);
      steps.lookAgainAt(expiresMs);
    } else if (outgrown !== undefined) {
      // A later pod may have the template of the saved one.
      if (nowMs < graceEndMs) steps.lookAgainAt(graceEndMs);
      else {
        taken.add(outgrown.uid);
        endOutgrown(outgrown, pod, steps);
      }
    } else if (seesAll(world, steps)) {
      steps.do({ kind: 'Ungate', pod, as: null, because: 'NoMatchingTicket' });
    }
  }
}

/** The pod came in the place of the displaced one, and the state would not fit it: the pod starts cold, and says in what it differs. */
function endOutgrown(ticket: Ticket, pod: Pod, steps: Steps): void {
  const fields = differingFields(ticket.restoreShape, pod.restoreShape ?? '');
  const where = fields.length === 0 ? 'its template' : fields.join(', ');
  const message = `pod ${pod.name} came in its place and differs from the saved pod in: ${where}`;
  endWith(ticket, pod, 'TemplateDiffers', message, steps);
}

/** The pod came in the place of the displaced one, and would not run through our wrapper: it starts cold. */
export function endOfOtherClass(ticket: Ticket, pod: Pod, steps: Steps): void {
  const named = pod.runtimeClassName === null ? 'no RuntimeClass' : `RuntimeClass ${pod.runtimeClassName}`;
  const message = `pod ${pod.name} has ${named}: only a pod of RuntimeClass ${RUNTIME_CLASS} is restored`;
  endWith(ticket, pod, 'OtherRuntimeClass', message, steps);
}

/** Oldest first. */
export function gatedPodsOf(view: ClusterView, group: string): readonly Pod[] {
  const bare = view.pod(group as PodUid);
  const pods =
    bare === undefined ? view.gatedPodsOfOwner(group as OwnerKey) : bare.owner === null && isGated(bare) ? [bare] : [];
  return pods.toSorted((a, b) => a.creationMs - b.creationMs || (a.uid < b.uid ? -1 : 1));
}

/** Some open ticket claims it. A ticket that is going takes its claimant along no further, however long its own end takes. */
function holdsTicket(view: ClusterView, pod: Pod, steps: Steps): boolean {
  return view
    .ticketsOfClaimant(pod)
    .some((ticket) => !isFinal(ticket.phase) && !ticket.deleting && !steps.isContested(ticket));
}

/**
 * The pod that claims `ticket` is gone, or ended or is being deleted before it was restored: the claim will be withdrawn, and the
 * controller makes another pod meanwhile. That pod must not start cold.
 */
function willBeFree(view: ClusterView, { namespace, claim, deleting, phase }: Ticket): boolean {
  if (claim === null || deleting || isFinal(phase)) return false;
  const claimant = view.podOf({ namespace, ...claim });
  return (
    claimant === undefined || (claimant.restored === null && (claimant.deletionMs !== null || isTerminal(claimant)))
  );
}

/** A ticket that `pod` may claim, or end by its other template, as soon as the claim of another pod was withdrawn. */
function ticketToCome(view: ClusterView, pod: Pod, taken: ReadonlySet<string>): Ticket | undefined {
  return ticketsOfKin(view, pod).find(
    (ticket) => !taken.has(ticket.uid) && willBeFree(view, ticket) && isSameWork(ticket, pod),
  );
}

/** Open, unclaimed tickets whose work is that of `pod`, whatever its template; the newest state first. */
function ticketsOfIdentity(view: ClusterView, pod: Pod): readonly Ticket[] {
  // The name on a pod with an owner is that of a claim that was taken back.
  if (pod.ticket !== null && pod.owner === null) {
    const ticket = view.ticket(objectKey(pod.namespace, pod.ticket));
    const isOurs = ticket?.owner === null && ticket.pod.name === pod.name;
    if (ticket !== undefined && isOurs && isOpenAndFree(ticket)) return [ticket];
  }
  return ticketsOfKin(view, pod)
    .filter((ticket) => isOpenAndFree(ticket) && isSameWork(ticket, pod))
    .filter((ticket) => pod.creationMs >= claimableSince(ticket) - API_CLOCKS_MS)
    .sort(byNewestState);
}

/**
 * A pod created before this is no replacement of the displaced one. Where nobody saw the eviction it is known to be later than the
 * ticket. A StatefulSet and an indexed Job create no pod of an identity while another one has it.
 */
function claimableSince({ creationMs, evictedMs, owner, pod }: Ticket): number {
  if (identityOf(owner, pod) !== null) return Number.NEGATIVE_INFINITY;
  return evictedMs ?? creationMs;
}

/** Same namespace and owner; and the same identity, because others know the work by it (volumes, DNS names, rank). */
function isSameWork(ticket: Ticket, pod: Pod): boolean {
  return ticket.namespace === pod.namespace && sameIdentity(ticket, pod);
}

/** What the claim of a pod, or its admission, is decided by. `name` is null while it is not chosen yet. */
export type Successor = Pick<Pod, 'namespace' | 'owner' | 'completionIndex' | 'labels'> & {
  readonly name: string | null;
};

/** Tickets of the pods of the same controller; of a pod without one, those of the pod that had its name. */
export function ticketsOfKin(view: ClusterView, { namespace, name, owner }: Successor): readonly Ticket[] {
  if (owner !== null) return view.ticketsOfOwner(ownerKey(namespace, owner));
  return name === null ? [] : view.ticketsOfBarePod(objectKey(namespace, name));
}

/** Whether what tells the pods of the controller apart (name, index, labels) is that of the displaced pod. */
export function sameIdentity(ticket: Ticket, pod: Successor): boolean {
  if (ticket.owner?.uid !== pod.owner?.uid) return false;
  return identityOf(ticket.owner, ticket.pod) === identityOfPod(pod, Object.keys(ticket.pod.identityLabels ?? {}));
}

/** Whether our gate still holds `pod`. */
export function isGated(pod: Pod): boolean {
  return pod.gates.includes(RESTORE_GATE);
}
