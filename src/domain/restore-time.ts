/** States that a node fetches, or gives away, at the same time. */
export const FETCHES_OF_A_LINK = 6;
/** 20 MB/s: a gigabit link that so many fetches share. */
const SLOW_FETCH_BYTES_PER_MS = 20_000;
/** Beside the time that the bytes take: to wait for a turn, and for an agent that is just being restarted. */
const FETCHED_WITHIN_MS = 480_000;
/** The rest is for the checks, the files and the processes: the node gives up before the controller does, and says why. */
const RESTORED_WITHIN_MS = 600_000;

/** A node gives up fetching a state of that size after this. */
export function fetchedWithinMs(bytes: number): number {
  return FETCHED_WITHIN_MS + slowFetchMs(bytes);
}

/** A pod that was placed on a node is restored within this; else that is a failed attempt. */
export function restoredWithinMs(bytes: number): number {
  return RESTORED_WITHIN_MS + slowFetchMs(bytes);
}

function slowFetchMs(bytes: number): number {
  return Math.ceil(bytes / SLOW_FETCH_BYTES_PER_MS);
}
