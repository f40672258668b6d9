import { RUNTIME_CLASS } from '../../src/domain/labels.ts';
import { isTerminal } from '../../src/domain/pod.ts';
import { isFinal, isOpenAndFree, type Ticket } from '../../src/domain/ticket.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { siblingIdentity } from './identity.ts';
import { podOf } from './parsed.ts';

/** A pod that a controller made in place of a displaced one, past the gate. */
export interface Taker {
  readonly pod: KubeObject;
  readonly atMs: number;
}

/**
 * Which pods controllers made in place of displaced ones without the gate, and which tickets were open at that time. A controller
 * makes one pod for each that it lacks: behind the gate, or past it. A pod past the gate takes the place of the oldest ticket for
 * which no gated pod stands.
 */
export class Replacements {
  /** Ticket uid -> who took its place. */
  readonly takers = new Map<string, Taker>();
  /** Since when a pod may claim a ticket; absent while none may. */
  readonly freeMs = new Map<string, number>(); // ticket uid -> time
  readonly #reviews = new Map<string, number>(); // uid of an owner -> its pods that the webhook let pass and that are not written yet

  /** The webhook has answered about a new pod of that owner. */
  reviewed(ownerUid: string): void {
    this.#reviews.set(ownerUid, (this.#reviews.get(ownerUid) ?? 0) + 1);
  }

  noteTicket(ticket: Ticket, isGone: boolean, atMs: number): void {
    const isFree = !isGone && isOpenAndFree(ticket);
    if (isFree === this.freeMs.has(ticket.uid)) return;
    if (isFree) this.freeMs.set(ticket.uid, atMs);
    else this.freeMs.delete(ticket.uid);
    // A claim that was taken back, or a person's `retry`: whoever came before is none of its replacements.
    if (isFree) this.takers.delete(ticket.uid);
  }

  /** A controller has made this pod. Returns the tickets that the webhook has overlooked, where it was asked. */
  created(
    object: KubeObject,
    tickets: readonly Ticket[],
    pods: readonly KubeObject[],
    atMs: number,
  ): readonly Ticket[] {
    const pod = podOf(object);
    if (pod.owner === null) return [];
    const pending = this.#reviews.get(pod.owner.uid) ?? 0;
    if (pending > 0) this.#reviews.set(pod.owner.uid, pending - 1);
    if (pod.runtimeClassName === RUNTIME_CLASS) return [];
    const missed = tickets
      .filter((ticket) => isReplacedBy(ticket, object) && !this.takers.has(ticket.uid))
      .toSorted((a, b) => a.creationMs - b.creationMs || (a.name < b.name ? -1 : 1));
    const isClaimed = (uid: string): boolean =>
      tickets.some(({ claim, phase }) => claim?.uid === uid && !isFinal(phase));
    const behindGate = pods
      .filter((one) => isSibling(one, object))
      .map(podOf)
      .filter((one) => one.gates.length > 0 && one.deletionMs === null && !isClaimed(one.uid));
    const taken = missed[behindGate.length];
    if (taken !== undefined) this.takers.set(taken.uid, { pod: object, atMs });
    const dying = tickets.filter((ticket) => isWorkOf(ticket, object) && isComingFree(ticket, pods));
    return pending > 0 ? [...missed, ...dying] : [];
  }

  clear(): void {
    this.takers.clear();
    this.#reviews.clear();
  }
}

/** The pod may be what the controller made because the pod of this ticket was displaced. */
function isReplacedBy(ticket: Ticket, object: KubeObject): boolean {
  return isOpenAndFree(ticket) && isWorkOf(ticket, object);
}

/** Its claim will be withdrawn: the pod that has it is gone, or ended or is being deleted before it was restored. */
function isComingFree({ claim, phase, deleting }: Ticket, pods: readonly KubeObject[]): boolean {
  if (claim === null || isFinal(phase) || deleting) return false;
  const object = pods.find(({ metadata }) => metadata.uid === claim.uid);
  if (object === undefined) return true;
  const pod = podOf(object);
  return pod.restored === null && (pod.deletionMs !== null || isTerminal(pod));
}

/** The pod is of the same controller as that of the ticket, and nothing tells the two apart. */
function isWorkOf(ticket: Ticket, object: KubeObject): boolean {
  const pod = podOf(object);
  if (ticket.phase === 'Saving' || ticket.namespace !== pod.namespace) return false;
  if (ticket.owner === null || ticket.owner.uid !== pod.owner?.uid) return false;
  const identity = siblingIdentity(object);
  const { name, completionIndex, identityLabels } = ticket.pod;
  return ['', name, String(completionIndex), ...Object.values(identityLabels ?? {})].includes(identity);
}

function isSibling(one: KubeObject, other: KubeObject): boolean {
  return podOf(one).owner?.uid === podOf(other).owner?.uid && siblingIdentity(one) === siblingIdentity(other);
}
