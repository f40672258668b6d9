import { growingWaitMs } from '../../domain/growing-wait.ts';
import { setNewest } from '../../domain/newest.ts';
import type { Clock } from '../../ports/clock.ts';
import type { SaveFailure } from '../orders/savable-pod.ts';
import type { DumpFailure } from '../runtime/dump-failure.ts';

/** So many failures in a row are no chance any more: from then on the pod is not frozen again before its time has come. */
const NO_CHANCE = 3;
/** As long as a pod rests the first time; each failure after that doubles it, up to almost three hours. */
const FIRST_REST_MS = 600_000;
/** Several times as many as a node runs; pods that are gone are among them. */
const MOST_PODS = 1_000;

/** Failures that say nothing about the pod: the next save may succeed as soon as the node has room, or the quota. */
const OF_THE_NODE: ReadonlySet<SaveFailure['reason']> = new Set(['NoSpace', 'QuotaExceeded']);

interface Failed {
  readonly containers: readonly string[];
  readonly failures: number;
  /** How often it has rested, this time included. */
  readonly rests: number;
  /** On the monotonic clock; as `message` says it for people. */
  readonly restsUntilMs: number;
  readonly message: string;
}

/**
 * Pods that could not be saved. Each try freezes the pod, and the next preemptor waits for the same failure, so such a pod is called
 * not checkpointable for a time that grows: at once where CRIU refused it, since what it refused lasts, and else from the third
 * failure in a row on. A save that succeeds, and containers that were started anew, begin from zero. Another process of the agent
 * knows nothing of it, and tries again.
 */
export class SavedInVain {
  readonly #clock: Clock;
  readonly #failed = new Map<string, Failed>(); // pod uid -> its last saves

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `byCriu`: CRIU itself refused something in its processes. */
  failed(
    podUid: string,
    containers: readonly string[],
    { reason, message, byCriu }: SaveFailure & { readonly byCriu: boolean },
  ): void {
    if (OF_THE_NODE.has(reason)) return;
    const before = this.#known(podUid, containers);
    const failures = (before?.failures ?? 0) + 1;
    const isToRest = byCriu || failures >= NO_CHANCE;
    const rests = (before?.rests ?? 0) + (isToRest ? 1 : 0);
    const restMs = isToRest ? growingWaitMs(FIRST_REST_MS, rests) : 0;
    const until = new Date(this.#clock.now() + restMs).toISOString();
    const times = failures === 1 ? '' : ` ${failures} times in a row, at last`;
    const said = `it could not be saved${times}: ${message}; the next try is after ${until}, or when its containers have started anew`;
    const restsUntilMs = this.#clock.monotonic() + restMs;
    setNewest(this.#failed, podUid, { containers, failures, rests, restsUntilMs, message: said }, MOST_PODS);
  }

  saved(podUid: string): void {
    this.#failed.delete(podUid);
  }

  /** Null where the pod was not saved in vain, or may be tried again. `present`: ids of its containers. */
  reason(podUid: string, present: readonly string[]): DumpFailure | null {
    const failed = this.#resting(podUid, present);
    return failed && { reason: 'SavedInVain', message: failed.message };
  }

  /** Why the pod is not even frozen; null: it may be. */
  refusal(podUid: string, present: readonly string[]): SaveFailure | null {
    const failed = this.#resting(podUid, present);
    if (failed === null || failed.failures < NO_CHANCE) return null;
    return { reason: 'NotCheckpointable', message: failed.message };
  }

  #resting(podUid: string, present: readonly string[]): Failed | null {
    const failed = this.#known(podUid, present);
    return failed === undefined || this.#clock.monotonic() >= failed.restsUntilMs ? null : failed;
  }

  #known(podUid: string, present: readonly string[]): Failed | undefined {
    const failed = this.#failed.get(podUid);
    if (failed === undefined || failed.containers.every((id) => present.includes(id))) return failed;
    this.#failed.delete(podUid);
    return undefined;
  }
}
