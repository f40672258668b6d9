const FIRST_MS = 250;
/** As client-go's reflector: a server that comes back is noticed within half a minute. */
const LAST_MS = 30_000;

/**
 * How long to wait after the given number of failures in a row (1, 2, ...): doubling, with the upper half random so that
 * the watches of all replicas do not come back at one instant. What the server asked for is the least.
 */
export function backoffMs(failures: number, random: () => number, retryAfterMs: number | null = null): number {
  const stepMs = Math.min(LAST_MS, FIRST_MS * 2 ** (failures - 1));
  return Math.round((retryAfterMs ?? 0) + stepMs * (0.5 + random() / 2));
}
