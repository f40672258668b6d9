import { setNewest } from '../../domain/newest.ts';
import type { DumpFailure } from '../runtime/dump-failure.ts';

interface Failed {
  readonly containers: readonly string[];
  readonly message: string;
}

/** Several times as many as a node runs; pods that are gone are among them. */
const MOST_PODS = 1_000;

/**
 * Pods that CRIU could not save. What it stumbled over is still there as long as the same containers run, and the next preemptor
 * would wait for the same failure.
 */
export class SavedInVain {
  readonly #failed = new Map<string, Failed>(); // pod uid -> its last save

  failed(podUid: string, containers: readonly string[], message: string): void {
    setNewest(this.#failed, podUid, { containers, message }, MOST_PODS);
  }

  /** Null where the pod was not saved in vain, or has begun anew since. `present`: ids of its containers. */
  reason(podUid: string, present: readonly string[]): DumpFailure | null {
    const failed = this.#failed.get(podUid);
    if (failed === undefined) return null;
    if (failed.containers.every((id) => present.includes(id))) {
      return { reason: 'SavedInVain', message: `it could not be saved: ${failed.message}` };
    }
    this.#failed.delete(podUid);
    return null;
  }
}
