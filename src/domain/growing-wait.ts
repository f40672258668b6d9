/** Attempts that fail one after the other are this many times as far apart in the end: their victims stand still for each. */
const LONGEST_FACTOR = 16;

/** How long is waited after that many failures in a row, where `forMs` is waited after the first: twice as long each time. */
export function growingWaitMs(forMs: number, failures: number): number {
  return forMs * Math.min(2 ** (failures - 1), LONGEST_FACTOR);
}
