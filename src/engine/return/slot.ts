import type { NodeName } from '../../domain/ids.ts';
import type { Node } from '../../domain/node.ts';
import { dominantShare, subtractResources, type Resources } from '../../domain/resources.ts';
import type { Place } from './place.ts';

/** A place, and what is left of it by what this pass has promised there. */
export interface Slot {
  readonly name: NodeName;
  place: Place;
  /** Largest share of the node that is taken, before promises and after. */
  placeShare: number;
  share: number;
  free: Resources;
  restores: number;
  isPromised: boolean;
}

export function takeBack(slot: Slot): void {
  slot.isPromised = false;
  slot.free = slot.place.free;
  slot.restores = slot.place.restores;
  slot.share = slot.placeShare;
}

export function shareOf({ allocatable }: Node, free: Resources): number {
  return dominantShare(subtractResources(allocatable, free), allocatable);
}

export function byPlaceShare(a: Slot, b: Slot): number {
  return a.placeShare - b.placeShare || byName(a, b);
}

export function byShare(a: Slot, b: Slot): number {
  return a.share - b.share || byName(a, b);
}

function byName(a: Slot, b: Slot): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

export function isBefore({ name }: Slot, other: Slot | null): boolean {
  return other === null || name < other.name;
}
