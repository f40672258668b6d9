import type { Freezer } from './freezer.ts';
import type { Holds } from './holds.ts';
import type { Order } from './order.ts';
import { notHeld, POD_KILLED, POD_THAWED, released, type ReleaseOutcome } from './order-status.ts';
import type { SavablePod, SavablePods } from './savable-pod.ts';

export interface OutcomeReportsOptions {
  readonly pods: SavablePods;
  readonly holds: Holds;
  readonly freezer: Freezer;
}

/** Reports what became of the pod of a request after it was saved, or instead. */
export class OutcomeReports {
  readonly #options: OutcomeReportsOptions;

  constructor(options: OutcomeReportsOptions) {
    this.#options = options;
  }

  /** The status lags behind: the predecessor died between the deed and the report. */
  async catchUp(order: Order): Promise<void> {
    const { holds, freezer } = this.#options;
    const pod = holds.podOf(order);
    if (pod?.frozenBy === order.key) return; // it is being killed, which `killed` reports
    if (await this.#wasKilled(order, pod)) return this.killed(order);
    if (pod !== undefined && pod.state !== 'ended') await freezer.unmark(pod, order.checkpoint.metadata.name);
    await order.status.report({}, [POD_THAWED]);
  }

  /** The pod was killed while it was frozen by this request. */
  async killed(order: Order): Promise<void> {
    await order.saving; // it may be about to say that the pod is held
    order.move('Killed');
    if (order.undoCause === 'Released') await this.#reportReleased(order, 'PodKilled');
    else if (order.status.saysFrozen) await order.status.report({}, [POD_KILLED]);
  }

  /** `release` was carried out. A pod that is being deleted stays frozen until it is killed or `thawAt` comes, and is reported then. */
  async released(order: Order): Promise<void> {
    const { pods, holds } = this.#options;
    const { status } = order;
    const pod = holds.podOf(order);
    if (pod?.frozenBy === order.key) return;
    if (!status.saysOutcome) await pods.forget(order.key); // a dump that was cancelled leaves files
    if (!status.saysFrozen) await this.#reportReleased(order, 'NotFrozen');
    else await this.#reportReleased(order, (await this.#wasKilled(order, pod)) ? 'PodKilled' : 'Thawed');
  }

  /** A pod that was being deleted, and stayed frozen for that, was thawed at `thawAt`. */
  async thawedLate(order: Order): Promise<void> {
    if (order.undoCause === 'Released') await this.released(order);
  }

  /** Before a marked pod is thawed, its state is made invalid: a valid state is the last one of a pod that ended. */
  async #wasKilled(order: Order, pod: SavablePod | undefined): Promise<boolean> {
    const isOver = pod === undefined || pod.state === 'ended';
    return isOver && !order.ranOn && (await this.#options.pods.isValid(order.key));
  }

  async #reportReleased(order: Order, outcome: ReleaseOutcome): Promise<void> {
    const { status } = order;
    if (status.saysReleased) return;
    const stands = outcome === 'PodKilled' ? POD_KILLED : notHeld('Thawed', 'the pod was thawed for spec.release');
    await status.report({}, [...(status.saysFrozen ? [stands] : []), released(outcome)]);
  }
}
