import type { PodUid } from '../../domain/ids.ts';
import type { Order } from './order.ts';

interface Entry {
  readonly order: Order;
  readonly begin: () => void;
}

/**
 * The checkpoint requests of each pod, one after the other. The next one begins when the one before it no
 * longer occupies the pod (`order-state.ts`).
 *
 *     pod ──> [ Manual: is being saved | Preemption: waits | Manual: waits ]
 *
 * A request that keeps the pod frozen goes before those that wait and do not: a preemption waits for it, and the pod that is
 * killed in the end would fail them.
 */
export class PodLanes {
  readonly #lanes = new Map<PodUid, Entry[]>(); // pod -> its requests; the first one has the pod

  /** Resolves when the order has the pod; rejects with the reason of `stop` before that. Both are undone by {@link leave},
   * which is called when the order no longer occupies the pod. */
  enter(order: Order, stop: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onStop = (): void => reject(stop.reason as Error);
    const begin = (): void => {
      stop.removeEventListener('abort', onStop);
      resolve();
    };
    const { podUid, keepFrozen } = order.value;
    const lane = this.#lanes.get(podUid) ?? [];
    this.#lanes.set(podUid, lane);
    const behind = keepFrozen ? lane.findIndex((other, at) => at > 0 && !other.order.value.keepFrozen) : -1;
    lane.splice(behind === -1 ? lane.length : behind, 0, { order, begin });
    if (stop.aborted) onStop();
    else stop.addEventListener('abort', onStop, { once: true });
    if (lane[0]?.order === order) begin();
    return promise;
  }

  /** The order no longer needs the pod; nothing happens where it has left already. */
  leave(order: Order): void {
    const { podUid } = order.value;
    const lane = this.#lanes.get(podUid) ?? [];
    const at = lane.findIndex((entry) => entry.order === order);
    if (at === -1) return;
    lane.splice(at, 1);
    if (lane.length === 0) this.#lanes.delete(podUid);
    else if (at === 0) lane[0]?.begin();
  }
}
