import type { PodUid } from '../../domain/ids.ts';
import { setNewest } from '../../domain/newest.ts';
import type { Clock } from '../../ports/clock.ts';
import type { GuardRequest } from './guard-request.ts';

/** The oldest are forgotten first. */
const MOST_ASKED = 10_000;
/** How long a client that was told to wait is taken for the one that asks again: clients of Kubernetes wait a few seconds. */
const SAME_CLIENT_MS = 15_000;

/** What the guard was asked last. Times are on the monotonic clock. */
export class Asked {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #asked = new Map<PodUid, { readonly atMs: number; readonly allowed: boolean }>(); // pod -> its last question, oldest first
  readonly #waiting = new Map<string, { readonly atMs: number; readonly uid: PodUid }>(); // requester and name -> the pod that it waits for
  readonly #doubted = new Map<PodUid, number>(); // pod -> its last question that the index did not bear out

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  note(uid: PodUid, allowed: boolean): void {
    setNewest(this.#asked, uid, { atMs: this.#clock.monotonic(), allowed }, MOST_ASKED);
  }

  /** Null where this process was not asked. */
  lastMs(uid: PodUid): number | null {
    return this.#asked.get(uid)?.atMs ?? null;
  }

  /** The pod may go: whoever asked is about to delete it, and not its user. */
  mayGo(uid: PodUid): boolean {
    return this.#asked.get(uid)?.allowed ?? false;
  }

  /** Its requester was told to wait for this pod; null: it need not wait. */
  noteWaiting(request: GuardRequest, uid: PodUid | null): void {
    if (uid === null) this.#waiting.delete(clientOf(request));
    else setNewest(this.#waiting, clientOf(request), { atMs: this.#clock.monotonic(), uid }, MOST_ASKED);
  }

  /**
   * The requester waited for a pod that is gone, and another one (`uid`; null: none that is known) has its name: requests go by name.
   * Says so once: the next question is about the new pod.
   */
  isReplaced(request: GuardRequest, uid: PodUid | null): boolean {
    const waited = this.#waiting.get(clientOf(request));
    if (waited === undefined || waited.uid === uid) return false;
    this.#waiting.delete(clientOf(request));
    return this.#clock.monotonic() - waited.atMs < SAME_CLIENT_MS;
  }

  /** The index does not bear the question out. True the first time: it may have to be read on. */
  isFirstDoubt(uid: PodUid): boolean {
    const nowMs = this.#clock.monotonic();
    const lastMs = this.#doubted.get(uid) ?? -Infinity;
    setNewest(this.#doubted, uid, nowMs, MOST_ASKED);
    return nowMs - lastMs >= SAME_CLIENT_MS;
  }
}

function clientOf({ by, requester, namespace, name }: GuardRequest): string {
  return `${by} ${namespace}/${name} ${requester}`;
}
