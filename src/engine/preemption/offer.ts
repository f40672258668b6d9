import type { NodeSnapshot } from '../../index/types.ts';
import type { PreemptCandidate } from './callbacks.ts';

/** A candidate of kube-scheduler, as the index sees it. */
export interface Offer {
  readonly on: NodeSnapshot;
  readonly candidate: PreemptCandidate;
  /** Places of the victims on the node's sheet, in the order of an answer; never empty. */
  readonly places: readonly number[];
  /** Nobody was left out, and nobody moved. */
  readonly isAsSent: boolean;
}

/** With those who still stand there. */
export function offerOf(on: NodeSnapshot, candidate: PreemptCandidate): Offer {
  const { sheet } = on;
  const places: number[] = [];
  let isInOrder = true;
  let last = -1;
  for (const uid of candidate.victims) {
    const place = sheet.placeOf(uid);
    if (place < 0) continue;
    if (isInOrder && last >= 0) {
      const order = sheet.compareImportance(last, place);
      isInOrder = order < 0 || (order === 0 && !places.includes(place));
    }
    places.push(place);
    last = place;
  }
  // So kube-scheduler sends them, each once; who is as important as the next stands there as it likes.
  if (isInOrder) return { on, candidate, places, isAsSent: places.length === candidate.victims.length };
  const sorted = [...new Set(places)].sort((a, b) => sheet.compareForAnswer(a, b));
  return { on, candidate, places: sorted, isAsSent: false };
}

export function passedOn(offer: Offer): PreemptCandidate {
  return offer.isAsSent ? offer.candidate : toCandidate(offer);
}

/** With our UIDs: those of the request may hold its whole body in memory. */
export function toCandidate({ on, candidate, places }: Offer): PreemptCandidate {
  return {
    node: on.node.name,
    victims: places.map((place) => on.sheet.pod(place).uid),
    numPdbViolations: candidate.numPdbViolations,
  };
}
