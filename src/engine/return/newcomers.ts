import { beneficiaryOf, nodesOf } from '../../domain/displacement.ts';
import type { PodUid } from '../../domain/ids.ts';
import { isTerminal, type Pod } from '../../domain/pod.ts';
import type { Resources } from '../../domain/resources.ts';
import { isFinal } from '../../domain/ticket.ts';
import type { IndexedKind, IndexedKinds, IndexEvent } from '../../index/types.ts';
import type { Steps, World } from '../core/steps.ts';
import { countedRequests } from '../fit/counted-requests.ts';
import type { Queued } from './queue.ts';
import type { Room } from './room.ts';

/** A pod that kube-scheduler places by itself, on a node that no nomination names yet. */
export interface Newcomer {
  readonly pod: Pod;
  readonly requests: Resources;
}

/**
 * kube-scheduler tries a pod again within ten seconds of a change that may help the pod (`podMaxBackoffSeconds`), and later where many
 * pods wait. A pod that was not placed by then is kept off by something that the index does not know.
 */
const KEPT_FOR_MS = 20_000;

function isNewcomer(pod: Pod): boolean {
  return (
    pod.nodeName === null &&
    pod.nominatedNodeName === null &&
    pod.gates.length === 0 &&
    pod.deletionMs === null &&
    !isTerminal(pod)
  );
}

/** Somebody whom kube-scheduler places came, left, or changed. */
export function isAboutNewcomer(event: IndexEvent, before: IndexedKinds[IndexedKind] | undefined): boolean {
  if (event.kind !== 'pod') return false;
  return (event.type === 'upsert' && isNewcomer(event.value)) || (before !== undefined && isNewcomer(before as Pod));
}

/**
 * Newcomers of one pass. A gated pod is not admitted to the room that a more important newcomer is about to take: kube-scheduler would
 * place the newcomer first, or preempt the restored pod at once.
 */
export class NewcomersOfPass {
  readonly #world: World;
  readonly #room: Room;
  readonly #steps: Steps;
  readonly #waiting: Pod[]; // the most important last
  readonly #found = new Map<PodUid, number>();
  readonly #roomless: Newcomer[] = []; // one of each kind for which no node has room, whatever was promised
  readonly #crowdedOut: Newcomer[] = []; // the same, after what was promised: there is only less from then on

  /** `rivals`: gated pods that may be admitted. */
  constructor(world: World, room: Room, rivals: readonly Queued[], steps: Steps) {
    this.#world = world;
    this.#room = room;
    this.#steps = steps;
    let lowest = Number.POSITIVE_INFINITY;
    for (const { ticket } of rivals) lowest = Math.min(lowest, ticket.priority);
    this.#waiting = lowest === Number.POSITIVE_INFINITY ? [] : newcomersAbove(world, lowest);
  }

  /** Promises room to all newcomers that are more important than `priority`. */
  *expectAbove(priority: number): Generator<void, void> {
    for (let pod = this.#waiting.at(-1); pod !== undefined && pod.priority > priority; pod = this.#waiting.at(-1)) {
      this.#waiting.pop();
      this.#expect({ pod, requests: countedRequests(this.#world.view, pod) });
      yield;
    }
  }

  end(): void {
    this.#world.roomMemory.setOpen(this.#found);
  }

  #expect(newcomer: Newcomer): void {
    const { roomMemory, nowMs, steadyMs } = this.#world;
    if (this.#roomless.some((other) => isAlike(other, newcomer))) return;
    if (!this.#room.hasRoomFor(newcomer)) {
      this.#roomless.push(newcomer);
      return;
    }
    const { uid } = newcomer.pod;
    const sinceMs = roomMemory.openSinceMs(uid) ?? steadyMs;
    this.#found.set(uid, sinceMs);
    const leftMs = sinceMs + KEPT_FOR_MS - steadyMs;
    if (leftMs <= 0) return;
    this.#steps.lookAgainAt(nowMs + leftMs);
    if (this.#crowdedOut.some((other) => isAlike(other, newcomer))) return;
    if (!this.#room.keepFor(newcomer)) this.#crowdedOut.push(newcomer);
  }
}

/**
 * Promises the nodes of open displacements to the pods for which they are emptied. kube-scheduler clears a nomination whenever it is
 * told to wait, so a part of the room may be free while no nomination speaks of it.
 */
export function keepForBeneficiaries({ view, book }: World, room: Room): void {
  for (const displacement of book.all()) {
    const beneficiary = beneficiaryOf(displacement);
    const pod = beneficiary === null ? undefined : view.pod(beneficiary.uid);
    if (pod === undefined || pod.nodeName !== null || pod.deletionMs !== null) continue;
    for (const node of nodesOf(displacement))
      if (pod.nominatedNodeName !== node) room.keepAt({ pod, requests: countedRequests(view, pod) }, node);
  }
}

/** In order of kube-scheduler's queue, the first one last. A pod that continues an open ticket stands in ours. */
function newcomersAbove({ view }: World, priority: number): Pod[] {
  const pods: Pod[] = [];
  for (const pod of view.pendingPods()) {
    if (pod.priority <= priority || !isNewcomer(pod)) continue;
    const continued = pod.ticket === null ? [] : view.ticketsOfClaimant(pod);
    if (!continued.some(({ phase }) => !isFinal(phase))) pods.push(pod);
  }
  return pods.sort((a, b) => a.priority - b.priority || b.creationMs - a.creationMs || (a.uid < b.uid ? 1 : -1));
}

/** Pods of one template have one object for each of these. */
function isAlike(a: Newcomer, b: Newcomer): boolean {
  return (
    a.requests === b.requests &&
    a.pod.tolerations === b.pod.tolerations &&
    a.pod.nodeSelector === b.pod.nodeSelector &&
    a.pod.constraints === b.pod.constraints &&
    a.pod.labels === b.pod.labels
  );
}
