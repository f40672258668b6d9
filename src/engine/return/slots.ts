import type { NodeName } from '../../domain/ids.ts';
import { subtractResources, type Resources } from '../../domain/resources.ts';
import { insert, remove } from '../../index/sorted.ts';
import { isSamePlace, type Place } from './place.ts';
import { byPlaceShare, byShare, shareOf, takeBack, type Slot } from './slot.ts';

/**
 * The places of all nodes in order of their load, kept from pass to pass, and what one pass has promised of them:
 *
 *     #byShare   n7 ▏n3 ▎n9 ▌n1 ▊n4 █     emptiest first: a search ends at the first node that has room
 *     #promised           n3 ▍n7 ▋        those of them that a pod was given in this pass, by what is left
 */
export class Slots {
  readonly #byName = new Map<NodeName, Slot>();
  readonly #byShare: Slot[] = []; // emptiest first, then by name
  #promised: Slot[] = []; // given to a pod by this pass; emptiest first by what is left
  #unpromisedFrom = 0; // in `#byShare`; all before it are promised

  get(name: NodeName): Slot | undefined {
    return this.#byName.get(name);
  }

  get size(): number {
    return this.#byName.size;
  }

  all(): Iterable<Slot> {
    return this.#byName.values();
  }

  promised(): readonly Slot[] {
    return this.#promised;
  }

  remove(slot: Slot): void {
    this.#byName.delete(slot.name);
    remove(this.#byShare, slot, byPlaceShare);
  }

  /** A node as it is now; null where that is as it was. */
  set(name: NodeName, place: Place): Slot | null {
    const share = shareOf(place.node, place.free);
    const slot = this.#byName.get(name);
    if (slot === undefined) {
      const { free, restores } = place;
      const added: Slot = { name, place, placeShare: share, share, free, restores, isPromised: false };
      this.#byName.set(name, added);
      insert(this.#byShare, added, byPlaceShare);
      return added;
    }
    if (isSamePlace(slot.place, place)) return null;
    if (share !== slot.placeShare) {
      remove(this.#byShare, slot, byPlaceShare);
      slot.placeShare = share;
      insert(this.#byShare, slot, byPlaceShare);
    }
    slot.place = place;
    takeBack(slot);
    return slot;
  }

  promise(slot: Slot, requests: Resources): void {
    if (slot.isPromised) remove(this.#promised, slot, byShare);
    slot.isPromised = true;
    slot.free = subtractResources(slot.free, requests);
    slot.share = shareOf(slot.place.node, slot.free);
    insert(this.#promised, slot, byShare);
  }

  /** Ends a pass. */
  giveBack(): void {
    for (const slot of this.#promised) takeBack(slot);
    this.#promised = [];
    this.#unpromisedFrom = 0;
  }

  /** Some node has room, whatever was promised. */
  some(isRoom: (slot: Slot) => boolean): boolean {
    return this.#byShare.some(isRoom);
  }

  /** The emptiest node with room, by what is left of it. */
  emptiest(isRoom: (slot: Slot) => boolean): Slot | undefined {
    const promised = this.#promised.find(isRoom);
    return this.#firstUnpromised(isRoom, promised) ?? promised;
  }

  /** The emptiest node with room that nobody was given, where it is emptier than `than`. */
  #firstUnpromised(isRoom: (slot: Slot) => boolean, than: Slot | undefined): Slot | undefined {
    const slots = this.#byShare;
    while (slots[this.#unpromisedFrom]?.isPromised === true) this.#unpromisedFrom++;
    for (let at = this.#unpromisedFrom; at < slots.length; at++) {
      const slot = slots[at] as Slot;
      if (slot.isPromised) continue;
      if (than !== undefined && byShare(than, slot) < 0) return undefined;
      if (isRoom(slot)) return slot;
    }
    return undefined;
  }
}
