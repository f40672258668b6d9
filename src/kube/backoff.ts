const FIRST_MS = 250;
/** A few watches that ask this often cost a server nothing, and preemption waits for them (client-go: 30 s). */
const LAST_MS = 10_000;

/**
 * How long to wait after the given number of failures in a row (1, 2, ...): doubling, with the upper half random so that
 * the watches of all replicas do not come back at one instant. Where the server named a time, it is waited for, and at most
 * twice: a server that still loads its custom resources says one second, and means it.
 */
export function backoffMs(failures: number, random: () => number, retryAfterMs: number | null = null): number {
  const stepMs = Math.min(retryAfterMs ?? LAST_MS, FIRST_MS * 2 ** (failures - 1));
  return Math.round((retryAfterMs ?? 0) + stepMs * (0.5 + random() / 2));
}
