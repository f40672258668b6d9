import type { Pod } from './pod.ts';

/**
 * The rule by which a pod never runs on after it was deleted for its saved state.
 *
 * A frozen pod has one `thawAt`, a time of the API server: the earliest of the deadline of its PodCheckpoint, the end of
 * {@link longestHoldMs}, and the moment at which a liveness probe would have it killed. At `thawAt` the node agent thaws the pod,
 * whether the API server answers or not. A delete that relies on the pod being frozen is therefore sent only while
 * it takes effect before `thawAt`, or never:
 *
 *     now + LONGEST_IN_FLIGHT_MS + CLOCK_SKEW_MS < thawAt
 *
 * Both sides take the time from the answers of the API server (`src/kube/server-time.ts`): the agent the earliest that it can be
 * there, the controller the latest. Clocks that are set on nodes or replicas change nothing.
 */

/** `timeout` of such a delete: the API server gives it up after this. */
export const DELETE_TIMEOUT_MS = 2_000;

/** From the last question whether it may be sent until it has taken effect or never will: the way there, and the server's limit. */
const LONGEST_IN_FLIGHT_MS = 2_000 + DELETE_TIMEOUT_MS;

/** How far the clocks of the API servers of one cluster may be apart. */
const CLOCK_SKEW_MS = 2_000;

/**
 * How long after the deadline of a displacement a node may still hold a pod frozen: time for the eviction to be written. The agent
 * never decides first.
 */
export const THAW_AFTER_DEADLINE_MS = 30_000;

/** How long before `thawAt` the agent begins to remove the mark by a write that fails when the pod was deleted meanwhile. */
export const UNMARK_BEFORE_MS = 3_000;

/** The longest hold of all: a request that allows more is bounded by this. */
const LONGEST_HOLD_MS = 3_600_000;

/**
 * How long a dump may keep a pod frozen whose request names no deadline: it may hang. A slow disk or network store takes 16 MiB a
 * second; the rest is for files, whose size is not known before the pod is frozen.
 */
const LONGEST_DUMP_MS = 300_000;
const SLOWEST_BYTES_PER_MS = (16 * 1024 * 1024) / 1000;

/** How long a PodCheckpoint may keep that pod frozen, whatever its deadline (null: none) allows. */
export function longestHoldMs(
  { stateBytes, requests }: Pick<Pod, 'stateBytes' | 'requests'>,
  deadlineMs: number | null,
): number {
  if (deadlineMs !== null) return LONGEST_HOLD_MS;
  const bytes = stateBytes ?? requests.memoryBytes;
  return Math.min(LONGEST_HOLD_MS, LONGEST_DUMP_MS + Math.ceil(bytes / SLOWEST_BYTES_PER_MS));
}

/** After this no delete is sent that relies on the pod being frozen. */
export function lastEvictionMs(thawAtMs: number): number {
  return thawAtMs - LONGEST_IN_FLIGHT_MS - CLOCK_SKEW_MS;
}
