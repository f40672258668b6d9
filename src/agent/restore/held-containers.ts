import type { Clock, Timer } from '../../ports/clock.ts';
import type { RestoreHands } from './restore-hands.ts';

/** A restored container waits at most this long for the others of its pod: an image that cannot be pulled must not stop the rest. */
const HELD_MS = 30_000;

export interface HeldContainersOptions {
  readonly hands: Pick<RestoreHands, 'letGo'>;
  readonly clock: Clock;
  /** True while a container of the pod waits for what follows a failure: Reprieve may delete the pod. */
  readonly isUndecided: (podUid: string) => boolean;
  readonly onError: (error: unknown) => void;
}

/**
 * Pods with containers that were restored stopped and wait for the other containers of their pod:
 *
 *     not held ── begin ──> held ──┬── end: the pod is gone, or saved with one container ──> not held
 *                                  ├── HELD_MS, undecided ─────────────────────────────────> held
 *                                  └── letGo, or HELD_MS ──> not held, the containers run
 *
 * While a failure is undecided the pod may be about to be deleted, and the work of a container that runs until then would be lost.
 */
export class HeldContainers {
  readonly #options: HeldContainersOptions;
  readonly #timers = new Map<string, Timer>(); // pod uid -> when its containers stop waiting for the others

  constructor(options: HeldContainersOptions) {
    this.#options = options;
  }

  /** A container of the pod is there. Nothing changes where the pod is held already. */
  begin(podUid: string): void {
    const { clock, isUndecided, onError } = this.#options;
    if (this.#timers.has(podUid)) return;
    const onTime = (): void => {
      this.#timers.delete(podUid);
      if (isUndecided(podUid)) this.begin(podUid);
      else this.letGo(podUid).catch(onError);
    };
    this.#timers.set(podUid, clock.setTimer(HELD_MS, onTime));
  }

  /** No container of the pod waits any more. */
  end(podUid: string): void {
    this.#timers.get(podUid)?.cancel();
    this.#timers.delete(podUid);
  }

  /** Lets all containers of the pod run that were restored. */
  async letGo(podUid: string): Promise<void> {
    this.end(podUid);
    await this.#options.hands.letGo(podUid);
  }

  /** Containers that are held stay stopped. */
  stop(): void {
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
  }
}
