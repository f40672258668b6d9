import type { Node } from '../domain/node.ts';
import { isTerminal } from '../domain/pod.ts';
import { dominantShare, fits, subtractResources, type Resources } from '../domain/resources.ts';
import { selects } from '../domain/selector.ts';
import { isFinal } from '../domain/ticket.ts';
import { objectKey, type NodeName } from '../domain/ids.ts';
import { whyUnfit } from '../domain/toleration.ts';
import { insert, remove } from '../index/sorted.ts';
import type { ClusterView, NodeSnapshot } from '../index/types.ts';
import type { Queued } from './queue.ts';
import { restoreObstacle } from './saved-state.ts';

/** A node as the queue sees it. */
export interface Place {
  readonly node: Node;
  /** What nobody stands on and nobody is nominated for. */
  readonly free: Resources;
  /** Restores under way. */
  readonly restores: number;
}

export function placeOf(view: ClusterView, name: NodeName): Place | null {
  const on = view.node(name);
  if (on === undefined) return null;
  let { free } = on;
  for (const { requests } of on.nominated) free = subtractResources(free, requests);
  return { node: on.node, free, restores: restoresUnderWay(view, on) };
}

/** A place, and what is left of it by what this pass has promised there. */
interface Slot {
  readonly name: NodeName;
  place: Place;
  /** Largest share of the node that is taken, before promises and after. */
  placeShare: number;
  share: number;
  free: Resources;
  restores: number;
  isPromised: boolean;
}

/**
 * The capacity of all nodes, kept from pass to pass:
 *
 *     #byShare   n7 ▏n3 ▎n9 ▌n1 ▊n4 █     emptiest first: a search ends at the first node that has room
 *     #promised           n3 ▍n7 ▋        those of them that somebody was given in this pass, by what is left
 *     #hopeless  {big, gpu}               sorts of pods for which no node has room; looked at again where a node changed
 *
 * Promises of one pass (`take`, `reserveBest`) are taken back at its end (`giveBack`).
 */
export class Room {
  readonly #maxRestores: number;
  readonly #slots = new Map<NodeName, Slot>();
  readonly #byShare: Slot[] = []; // emptiest first, then by name
  readonly #hopeless = new Set<Sort>(); // no node has room for them, whatever was promised
  readonly #crowdedOut = new Set<Sort>(); // no node has, after what this pass has promised: there is only less from then on
  #promised: Slot[] = []; // given to somebody by this pass; emptiest first by what is left
  #unpromisedFrom = 0; // in `#byShare`; all before it are promised
  #reserved: Slot | null = null; // kept clear for the head of the queue

  constructor(maxRestores: number) {
    this.#maxRestores = maxRestores;
  }

  /** A node as it is now; null for one that is gone. Returns whether that can make a difference to a search. */
  set(name: NodeName, place: Place | null): boolean {
    const slot = this.#slots.get(name);
    if (place === null) {
      if (slot === undefined) return false;
      this.#slots.delete(name);
      remove(this.#byShare, slot, byPlaceShare);
      return true;
    }
    const share = shareOf(place.node, place.free);
    if (slot === undefined) {
      const { free, restores } = place;
      const added: Slot = { name, place, placeShare: share, share, free, restores, isPromised: false };
      this.#slots.set(name, added);
      insert(this.#byShare, added, byPlaceShare);
    } else {
      if (isSamePlace(slot.place, place)) return false;
      if (share !== slot.placeShare) {
        remove(this.#byShare, slot, byPlaceShare);
        slot.placeShare = share;
        insert(this.#byShare, slot, byPlaceShare);
      }
      slot.place = place;
      takeBack(slot);
    }
    for (const sort of this.#hopeless) if (this.#fitsInto(place, sort.example)) this.#hopeless.delete(sort);
    return true;
  }

  /** The node that holds the state where it has room, else the emptiest compatible one; null when there is none. */
  find(entry: Queued): NodeName | null {
    const { sort } = entry;
    if (this.#hopeless.has(sort) || this.#crowdedOut.has(sort)) return null;
    const holder = entry.holder === null ? undefined : this.#slots.get(entry.holder);
    if (holder !== undefined && this.#hasRoom(holder, entry)) return holder.name;
    if (entry.ticket.restore.nodes === 'Same') return null;
    const promised = this.#promised.find((slot) => this.#hasRoom(slot, entry));
    const other = this.#firstUnpromised(entry, promised);
    if (other !== undefined || promised !== undefined) return (other ?? promised)?.name ?? null;
    (this.#isHopeless(entry) ? this.#hopeless : this.#crowdedOut).add(sort);
    return null;
  }

  /** A place in the queue that is gone. */
  forget({ sort }: Queued): void {
    if (sort.isSingle) this.#hopeless.delete(sort);
  }

  take({ pod }: Queued, name: NodeName): void {
    const slot = this.#slots.get(name);
    if (slot === undefined) return;
    if (slot.isPromised) remove(this.#promised, slot, byShare);
    slot.isPromised = true;
    slot.free = subtractResources(slot.free, pod.requests);
    slot.restores++;
    slot.share = shareOf(slot.place.node, slot.free);
    insert(this.#promised, slot, byShare);
  }

  /** Keeps the node that comes nearest to fitting `entry` clear of everybody behind it. */
  reserveBest(entry: Queued): void {
    let bestMissing = Number.POSITIVE_INFINITY;
    for (const slot of this.#slots.values()) {
      const { node } = slot.place;
      if (!suits(node, entry) || !fits(entry.pod.requests, node.allocatable)) continue;
      const missing = dominantShare(subtractResources(entry.pod.requests, slot.free), node.allocatable);
      if (missing > bestMissing || (missing === bestMissing && !isBefore(slot, this.#reserved))) continue;
      this.#reserved = slot;
      bestMissing = missing;
    }
  }

  /** Ends a pass. */
  giveBack(): void {
    for (const slot of this.#promised) takeBack(slot);
    this.#promised = [];
    this.#unpromisedFrom = 0;
    this.#crowdedOut.clear();
    this.#reserved = null;
  }

  #hasRoom(slot: Slot, entry: Queued): boolean {
    return (
      slot !== this.#reserved &&
      slot.restores < this.#maxRestores &&
      fits(entry.pod.requests, slot.free) &&
      suits(slot.place.node, entry)
    );
  }

  /** No node has room now: neither would those that were promised or are reserved, if they were not. */
  #isHopeless(entry: Queued): boolean {
    for (const { place } of this.#promised) if (this.#fitsInto(place, entry)) return false;
    return this.#reserved === null || !this.#fitsInto(this.#reserved.place, entry);
  }

  #fitsInto({ node, free, restores }: Place, entry: Candidate): boolean {
    return restores < this.#maxRestores && fits(entry.pod.requests, free) && suits(node, entry);
  }

  /** The emptiest node with room that nobody was given, where it is emptier than `than`. */
  #firstUnpromised(entry: Queued, than: Slot | undefined): Slot | undefined {
    const slots = this.#byShare;
    while (slots[this.#unpromisedFrom]?.isPromised === true) this.#unpromisedFrom++;
    for (let at = this.#unpromisedFrom; at < slots.length; at++) {
      const slot = slots[at] as Slot;
      if (slot.isPromised) continue;
      if (than !== undefined && byShare(than, slot) < 0) return undefined;
      if (this.#hasRoom(slot, entry)) return slot;
    }
    return undefined;
  }
}

function takeBack(slot: Slot): void {
  slot.isPromised = false;
  slot.free = slot.place.free;
  slot.restores = slot.place.restores;
  slot.share = slot.placeShare;
}

function shareOf({ allocatable }: Node, free: Resources): number {
  return dominantShare(subtractResources(allocatable, free), allocatable);
}

function byPlaceShare(a: Slot, b: Slot): number {
  return a.placeShare - b.placeShare || byName(a, b);
}

function byShare(a: Slot, b: Slot): number {
  return a.share - b.share || byName(a, b);
}

function byName(a: Slot, b: Slot): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

function isBefore({ name }: Slot, other: Slot | null): boolean {
  return other === null || name < other.name;
}

/** Pods that need the same: a search that failed for one of them fails for all. */
export interface Sort {
  readonly example: Candidate;
  /** Of one pod alone: it goes with its place in the queue ({@link Room.forget}). */
  readonly isSingle: boolean;
}

/** What decides which nodes may take the pod of a ticket. */
type Candidate = Pick<Queued, 'ticket' | 'pod' | 'checkpoint'>;

type Parts = WeakMap<object, Parts | Map<string, Sort>>;
const SORTS: Parts = new WeakMap();
const NO_SELECTOR = {};

/** Pods of one template have one object for what they have alike (kube/project/part-pool.ts). */
export function sortOf(entry: Candidate): Sort {
  if (entry.ticket.restore.nodes === 'Same' || entry.ticket.failedNodes.length > 0)
    return { example: entry, isSingle: true };
  const { requests, tolerations, nodeSelector } = entry.pod;
  const alike = partOf(partOf(SORTS, requests), tolerations);
  let sorts = alike.get(nodeSelector ?? NO_SELECTOR) as Map<string, Sort> | undefined;
  if (sorts === undefined) alike.set(nodeSelector ?? NO_SELECTOR, (sorts = new Map()));
  const key = entry.checkpoint === undefined ? 'none' : `class ${entry.checkpoint.compatibility ?? ''}`;
  let sort = sorts.get(key);
  if (sort === undefined) sorts.set(key, (sort = { example: entry, isSingle: false }));
  return sort;
}

function partOf(parts: Parts, key: object): Parts {
  let part = parts.get(key) as Parts | undefined;
  if (part === undefined) parts.set(key, (part = new WeakMap()));
  return part;
}

function isSamePlace(a: Place, b: Place): boolean {
  return a.restores === b.restores && isSameAmount(a.free, b.free) && isSameNode(a.node, b.node);
}

/** A heartbeat is a new version of a node, and mostly nothing else. */
function isSameNode(a: Node, b: Node): boolean {
  return a === b || JSON.stringify({ ...a, resourceVersion: '' }) === JSON.stringify({ ...b, resourceVersion: '' });
}

function isSameAmount(a: Resources, b: Resources): boolean {
  return (
    a === b ||
    (a.cpuMilli === b.cpuMilli &&
      a.memoryBytes === b.memoryBytes &&
      a.ephemeralBytes === b.ephemeralBytes &&
      a.pods === b.pods &&
      isSameRecord(a.extended ?? NOTHING, b.extended ?? NOTHING))
  );
}

function isSameRecord(
  a: Readonly<Record<string, string | number>>,
  b: Readonly<Record<string, string | number>>,
): boolean {
  if (a === b) return true;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

const NOTHING = {};

/** Pods on this node that continue an open ticket and have not reported yet. */
export function restoresUnderWay(view: ClusterView, on: NodeSnapshot): number {
  let count = 0;
  for (const pod of on.pods) {
    if (pod.ticket === null || pod.restored !== null || isTerminal(pod)) continue;
    // One that never reports does not take a place for ever: its ticket ends some time.
    const ticket = view.ticket(objectKey(pod.namespace, pod.ticket));
    if (ticket !== undefined && !isFinal(ticket.phase)) count++;
  }
  return count;
}

/** Whether `node` may take the pod at all, whatever room there is. */
export function suits(node: Node, { ticket, pod, checkpoint }: Candidate): boolean {
  if (whyUnfit(node, pod.tolerations) !== null) return false;
  if (checkpoint !== undefined && restoreObstacle(node, { ticket, checkpoint }) !== null) return false;
  return pod.nodeSelector === null || selects(pod.nodeSelector, node.labels);
}
