import type { NodeName, PodUid } from '../../domain/ids.ts';
import type { Node } from '../../domain/node.ts';
import { whyExcluded } from '../../domain/node-fit.ts';
import { selectsNode } from '../../domain/node-selector.ts';
import type { Ticket } from '../../domain/ticket.ts';
import { dominantShare, fits, subtractResources, type Resources } from '../../domain/resources.ts';
import { Coming, type Expectation, type NodeRule } from './coming.ts';
import type { Queued } from './queue.ts';
import type { ClusterView } from '../../index/types.ts';
import type { Newcomer } from './newcomers.ts';
import type { Place } from './place.ts';
import type { Reservation } from './room-memory.ts';
import { Shares } from './shares.ts';
import { byShare, isBefore, type Slot } from './slot.ts';
import { Slots } from './slots.ts';
import { mayRestore, suits, type Candidate, type Sort } from './sorts.ts';
import { Unplaceable } from './unplaceable.ts';

/**
 * The capacity of all nodes, kept from pass to pass: {@link Slots}, and
 *
 *     #roomFor   big {}, gpu {n9}         sorts of pods for which a search failed, and the nodes that have room for them since:
 *                                         a change of one node is compared with each of these sorts, and no search repeated
 *
 * Promises of one pass (`expect`, `take`, `keepFor`, `reserveBest`) are taken back at its end (`giveBack`).
 * Ports, volumes and other pods ({@link Coming.fitOf}) do not belong to a sort: they are looked at where there is room otherwise, and
 * cost a search of their own where they exclude the node that was found.
 */
export class Room {
  /** Pods that continue tickets and have no node yet -> the node that this pass promises to each. */
  promises = new Map<PodUid, NodeName>();
  readonly #maxRestores: number;
  readonly #slots = new Slots();
  readonly #roomFor = new Map<Sort, Set<Slot>>(); // sort -> the nodes that have room for it, whatever was promised; absent: not known
  readonly #crowdedOut = new Set<Sort>(); // no node has, after what this pass has promised: there is only less from then on
  readonly #shares = new Shares();
  #reserved: Slot | null = null; // kept clear for the head of the queue
  #head: Ticket | null = null; // whom that node is for
  readonly #coming: Coming; // whom this pass has promised a node
  readonly #unplaceable = new Unplaceable();
  readonly #unreservable = new Set<Sort>(); // no node could take pods of this sort, were it empty

  constructor(maxRestores: number, view: ClusterView) {
    this.#maxRestores = maxRestores;
    this.#coming = new Coming(view);
  }

  /** A node as it is now; null for one that is gone. Returns whether that can make a difference to a search. */
  set(name: NodeName, place: Place | null): boolean {
    const former = this.#slots.get(name);
    const restoring = former?.place.restoring;
    if (place === null) {
      if (former === undefined) return false;
      this.#slots.remove(former);
      this.#shares.change(restoring, undefined);
      for (const slots of this.#roomFor.values()) slots.delete(former);
      return true;
    }
    this.#shares.change(restoring, place.restoring);
    const changed = this.#slots.set(name, place);
    if (changed !== null) this.#noteRoom(changed);
    return changed !== null;
  }

  /** The holder of the state where it has room, else the emptiest compatible node; null: none, or a related pod ({@link Coming}) comes. */
  find(entry: Queued): NodeName | null {
    const name = this.#find(entry);
    return name !== null && this.#coming.hasRelativeOf(entry.pod) ? null : name;
  }

  #find(entry: Queued): NodeName | null {
    const found = this.#findRoom(entry);
    if (found === null || this.#unplaceable.has(entry)) return null;
    const fit = this.#fitOf(entry);
    if (fit === null || fit(found.name)) return found.name;
    const other = entry.ticket.restore.nodes === 'Same' ? undefined : this.#search(entry, fit);
    if (other === undefined) this.#unplaceable.note(entry);
    return other?.name ?? null;
  }

  /** The same by resources, taints and labels alone. */
  #findRoom(entry: Queued): Slot | null {
    const { sort } = entry;
    const known = this.#roomFor.get(sort);
    if (known?.size === 0 || this.#crowdedOut.has(sort)) return null;
    const holder = entry.holder === null ? undefined : this.#slots.get(entry.holder);
    if (holder !== undefined && this.#hasRoom(holder, entry)) return holder;
    if (entry.ticket.restore.nodes !== 'Same') {
      const found = known === undefined ? this.#search(entry) : this.#emptiestOf(known, entry);
      if (found !== undefined) return found;
    }
    const left = known ?? this.#roomBut(entry);
    this.#roomFor.set(sort, left);
    if (left.size > 0) this.#crowdedOut.add(sort);
    return null;
  }

  /** No node has room for pods of this sort, whatever is promised. False where that is not known. */
  isHopeless(sort: Sort): boolean {
    return this.#roomFor.get(sort)?.size === 0;
  }

  /** Nobody of this sort waits any more. */
  forget(sort: Sort): void {
    this.#roomFor.delete(sort);
  }

  /** {@link Shares.isOver}, while pods of so many namespaces wait. */
  isOverShare({ pod }: Queued, namespaces: number): boolean {
    return namespaces > 1 && this.#shares.isOver(pod.namespace, (this.#slots.size * this.#maxRestores) / namespaces);
  }

  /** Promises a node to a pod that is admitted now. */
  take(entry: Queued, name: NodeName): void {
    this.#give(entry, name);
    this.#coming.placeSoon(entry.pod);
  }

  /** Promises a node to a pod that was admitted before: the former one while it has room, else any, where `mayMove`. False: none. */
  expect(entry: Queued, { former, mayMove, isSoon }: Expectation): boolean {
    const slot = former === undefined ? undefined : this.#slots.get(former);
    const isKept = slot !== undefined && this.#hasRoom(slot, entry) && (this.#fitOf(entry)?.(slot.name) ?? true);
    const name = isKept ? slot.name : mayMove ? this.#find(entry) : null;
    if (name !== null) this.#give(entry, name);
    if (isSoon) this.#coming.placeSoon(entry.pod);
    return name !== null;
  }

  /** Some node has room for a pod that is not ours, whatever was promised. */
  hasRoomFor(newcomer: Newcomer): boolean {
    return this.#slots.some(this.#takesNewcomer(newcomer, ({ place }) => place.free));
  }

  /** Promises the emptiest node with room to a pod that is not ours. False: there is none. */
  keepFor(newcomer: Newcomer): boolean {
    const slot = this.#slots.emptiest(this.#takesNewcomer(newcomer, ({ free }) => free));
    if (slot === undefined) return false;
    this.#promise(newcomer, slot);
    this.#coming.placeSoon(newcomer.pod);
    return true;
  }

  /** Promises a node to a pod that is not ours, whether it has room now or not. */
  keepAt(newcomer: Newcomer, name: NodeName): void {
    const slot = this.#slots.get(name);
    if (slot !== undefined) this.#promise(newcomer, slot);
  }

  /** Keeps the node that comes nearest to fitting `entry` clear of everybody behind it. False: no node could take it. */
  reserveBest(entry: Queued): boolean {
    if (this.#unreservable.has(entry.sort)) return false;
    let bestMissing = Number.POSITIVE_INFINITY;
    const fit = this.#fitOf(entry);
    for (const slot of this.#slots.all()) {
      const { node } = slot.place;
      if (!suits(node, entry) || !fits(entry.requests, node.allocatable) || fit?.(slot.name) === false) continue;
      const missing = dominantShare(subtractResources(entry.requests, slot.free), node.allocatable);
      if (missing > bestMissing || (missing === bestMissing && !isBefore(slot, this.#reserved))) continue;
      this.#reserved = slot;
      bestMissing = missing;
    }
    if (this.#reserved !== null) this.#head = entry.ticket;
    else if (fit === null) this.#unreservable.add(entry.sort);
    return this.#reserved !== null;
  }

  get reservation(): Reservation | null {
    return this.#reserved === null || this.#head === null ? null : { node: this.#reserved.name, head: this.#head };
  }

  /** Ends a pass. */
  giveBack(): void {
    this.#slots.giveBack();
    this.#crowdedOut.clear();
    this.#reserved = this.#head = null;
    this.#shares.giveBack();
    this.#coming.clear();
    this.promises = new Map();
    this.#unplaceable.clear();
    this.#unreservable.clear();
  }

  #fitOf(entry: Queued): NodeRule | null {
    return this.#coming.fitOf(entry.pod, (node) => mayRestore(node, entry));
  }

  #give(entry: Queued, name: NodeName): void {
    const slot = this.#slots.get(name);
    if (slot === undefined) return;
    this.#shares.promise(entry.pod.namespace);
    slot.restores++;
    this.promises.set(entry.pod.uid, name);
    this.#promise(entry, slot);
  }

  #promise({ pod, requests }: Newcomer, slot: Slot): void {
    this.#coming.add({ pod, node: slot.place.node });
    this.#slots.promise(slot, requests);
  }

  #takesNewcomer({ pod, requests }: Newcomer, freeOf: (slot: Slot) => Resources): (slot: Slot) => boolean {
    const fit = this.#coming.fitOf(pod, (node) => pod.nodeSelector === null || selectsNode(pod.nodeSelector, node));
    return (slot) =>
      fits(requests, freeOf(slot)) && whyExcluded(slot.place.node, pod) === null && (fit === null || fit(slot.name));
  }

  #hasRoom(slot: Slot, entry: Queued): boolean {
    return slot !== this.#reserved && this.#takes(slot.place.node, slot, entry);
  }

  /** A node that changed, among those that have room for sorts of which that is known. */
  #noteRoom(slot: Slot): void {
    for (const [sort, slots] of this.#roomFor) {
      if (!this.#fitsInto(slot.place, sort.example)) slots.delete(slot);
      else if (slots.add(slot).size > MAX_KNOWN_NODES) this.#roomFor.delete(sort);
    }
  }

  /** Where a search has failed: the nodes that had room before this pass promised or reserved it. */
  #roomBut(entry: Queued): Set<Slot> {
    const slots = this.#slots.promised().filter(({ place }) => this.#fitsInto(place, entry));
    if (this.#reserved !== null && this.#fitsInto(this.#reserved.place, entry)) slots.push(this.#reserved);
    return new Set(slots);
  }

  #fitsInto(place: Place, entry: Candidate): boolean {
    return this.#takes(place.node, place, entry);
  }

  #takes(node: Node, { free, restores }: Pick<Place, 'free' | 'restores'>, entry: Candidate): boolean {
    return restores < this.#maxRestores && fits(entry.requests, free) && suits(node, entry);
  }

  #search(entry: Queued, fit: NodeRule | null = null): Slot | undefined {
    return this.#slots.emptiest((slot) => this.#hasRoom(slot, entry) && (fit === null || fit(slot.name)));
  }

  /** The same, among a few nodes. */
  #emptiestOf(slots: Iterable<Slot>, entry: Queued): Slot | undefined {
    let emptiest: Slot | undefined;
    for (const slot of slots) {
      if (emptiest !== undefined && byShare(emptiest, slot) < 0) continue;
      if (this.#hasRoom(slot, entry)) emptiest = slot;
    }
    return emptiest;
  }
}

/** Where more nodes have room than these, a search in order of their load finds one soon. */
const MAX_KNOWN_NODES = 64;
