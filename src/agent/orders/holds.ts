import { lastEvictionMs, longestHoldMs, UNMARK_BEFORE_MS } from '../../domain/thaw-rule.ts';
import { podOf } from '../../kube/project/pod.ts';
import type { ServerTime } from '../../kube/server-time.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Freezer, HeldPod } from './freezer.ts';
import { checkpointNameIn, type Order } from './order.ts';
import type { UndoCause } from './order-state.ts';
import { notHeld } from './order-status.ts';
import type { Hold, HoldTerms, SavablePod, SavablePods, SaveFailure } from './savable-pod.ts';
import { ThawTimers } from './thaw-timers.ts';

type Expiry = Extract<UndoCause, 'DeadlineExceeded' | 'ProbesEnd'>;

/** What is reported, depending on whether the pod was saved before. */
const EXPIRED: Readonly<Record<Expiry, { readonly unsaved: string; readonly thawed: string }>> = {
  DeadlineExceeded: {
    unsaved: 'it was not saved until the deadline',
    thawed: 'the pod was not deleted before the deadline',
  },
  ProbesEnd: {
    unsaved: 'saving took longer than its liveness probes allow',
    thawed: 'a liveness probe would have had it killed',
  },
};

/** Reported of a request without a deadline. */
const TOO_LONG = 'saving took too long for a request without spec.thawAt; one with it may take up to an hour';

export interface HoldsOptions {
  readonly pods: SavablePods;
  readonly clock: Clock;
  readonly serverTime: ServerTime;
  readonly onError: (error: unknown) => void;
  readonly freezer: Freezer;
  /** Ends with the agent: pods that are frozen then are left to the next agent process. */
  readonly life: AbortSignal;
  /** The checkpoint request with this key; undefined where this process does not know it (yet). */
  readonly orderOf: (key: string) => Order | undefined;
  /** Starts `work`, and repeats it until it succeeds or the agent ends. */
  readonly firmly: (work: () => Promise<unknown>) => void;
}

/**
 * How long the pods of this node stay frozen, and how they are thawed. There is one timer for each checkpoint request:
 *
 *     not frozen ── bound ──> frozen ── thawAt - UNMARK_BEFORE_MS ──> being unmarked ── thawAt ──> thawed, also without the API server
 *          │                    │                                           │
 *          │ deadline           └── undo, or the pod is killed ─────────────┴── mark removed ──> thawed (unless it is being deleted)
 *          └──> expired
 *
 * Before `thawAt`, a marked pod is thawed only after the API server has removed the mark. At `thawAt` the agent thaws the pod
 * without the API server, and first invalidates the state of a pod that may be marked (`src/domain/thaw-rule.ts`).
 */
export class Holds {
  readonly #options: HoldsOptions;
  readonly #freezer: Freezer;
  readonly #timers: ThawTimers;

  constructor(options: HoldsOptions) {
    this.#options = options;
    this.#freezer = options.freezer;
    this.#timers = new ThawTimers(options.clock);
  }

  /** The pod that the request names, in the namespace of the request: whoever may write there has no say about other pods. */
  podOf({ value: { namespace, podName, podUid } }: Order): SavablePod | undefined {
    const pod = this.#options.pods.find(podUid);
    const { metadata } = pod?.object ?? {};
    return metadata?.namespace === namespace && metadata.name === podName ? pod : undefined;
  }

  /** True if the pod of this order is frozen by it. */
  isHeld(order: Order): boolean {
    const pod = this.podOf(order);
    return pod?.state === 'frozen' && pod.frozenBy === order.key;
  }

  /** Expires an order that has not frozen its pod by its deadline. {@link bound} replaces this timer. */
  expireAtDeadline(order: Order): void {
    const { deadlineMs } = order.value;
    if (deadlineMs === null) return;
    this.#timers.set(order.key, this.#monotonicOf(deadlineMs), () => this.#beginExpiry(order));
  }

  /** To be called just before the freeze: liveness probes fail from the freeze on. */
  termsFor(order: Order, pod: SavablePod): HoldTerms {
    const { serverTime } = this.#options;
    const { deadlineMs, keepFrozen } = order.value;
    const longestMs = Math.min(pod.longestFreezeMs ?? Infinity, longestOf(order, pod));
    const serverMs = Math.floor(Math.min(deadlineMs ?? Infinity, serverTime.earliestMs() + longestMs));
    return { key: order.key, keepFrozen, thawAt: { serverMs, monotonicMs: this.#monotonicOf(serverMs) } };
  }

  /** Why freezing the pod on these terms is useless: it would be thawed before an eviction could rely on its state. Null: it is not. */
  tooShort(order: Order, pod: SavablePod, terms: HoldTerms): SaveFailure | null {
    const { keepFrozen, thawAt } = terms;
    const isInTime = !keepFrozen || this.#options.serverTime.earliestMs() < lastEvictionMs(thawAt.serverMs);
    return isInTime ? null : expired(order, expiryOf(order, pod, terms));
  }

  /**
   * Guarantees that the agent thaws the pod at `thawAt`, or as soon after it as CRIU has left the processes of the pod: also where the
   * API server does not answer, and where the agent does not know the request any more. Shortly before `thawAt` the agent tries to
   * remove the mark: that write tells it of a deletion of the pod that its watch has not delivered.
   */
  bound(pod: SavablePod, { key, thawAt }: HoldTerms): void {
    this.#timers.set(key, thawAt.monotonicMs - UNMARK_BEFORE_MS, () => {
      this.#timers.set(key, thawAt.monotonicMs, () => void this.#thawUnasked(pod, key));
      const order = this.#options.orderOf(key);
      if (order?.mayBeMarked) this.#beginExpiry(order);
    });
  }

  /** The pod was thawed or killed: its timer is no longer needed. */
  unbound(key: string): void {
    this.#timers.cancel(key);
  }

  /**
   * Carries out the state Undoing: waits for the end of the dump and thaws the pod. A pod that is being deleted stays frozen until
   * the kubelet kills it.
   */
  async undo(order: Order): Promise<void> {
    await order.saving;
    await this.#release(order);
    order.move('Undone');
  }

  /** Thaws a pod that an earlier agent process froze and that need not stay frozen. `checkpoint`: its request, where it is known. */
  async letGo(pod: SavablePod, hold: Hold, checkpoint: KubeObject | undefined): Promise<void> {
    const held = {
      pod,
      key: hold.key,
      checkpointName: checkpointNameIn(hold.key),
      voidsState: checkpoint !== undefined,
    };
    if (mayBeMarked(hold)) await this.#freezer.thaw(held);
    else await this.#freezer.release(held);
  }

  /** Ends at once, as a process that dies: frozen pods stay frozen. */
  stop(): void {
    this.#timers.stop();
  }

  /** Converts a time of the API server to the monotonic clock of this machine. */
  #monotonicOf(serverMs: number): number {
    const { clock, serverTime } = this.#options;
    return clock.monotonic() + serverMs - serverTime.earliestMs();
  }

  #beginExpiry(order: Order): void {
    const pod = this.podOf(order);
    const cause = pod?.hold ? expiryOf(order, pod, pod.hold) : 'DeadlineExceeded';
    if (order.move(cause)) this.#options.firmly(() => this.#expire(order, cause));
  }

  async #thawUnasked(pod: SavablePod, key: string): Promise<void> {
    const order = this.#options.orderOf(key);
    if (order !== undefined) this.#beginExpiry(order);
    await order?.working; // criu works inside of the processes
    const { hold } = pod;
    if (pod.state !== 'frozen' || hold?.key !== key) return;
    if (mayBeMarked(hold)) await this.#freezer.invalidate(key);
    await this.#freezer.release({ pod, key });
    if (order !== undefined && !this.isHeld(order) && !hasEnded(pod)) order.move('RunsOn');
  }

  async #expire(order: Order, cause: Expiry): Promise<void> {
    const { status } = order;
    await this.undo(order);
    if (status.saysOutcome) {
      if (order.ranOn && status.saysFrozen) await status.report({}, [notHeld(cause, EXPIRED[cause].thawed)]);
      return;
    }
    await this.#options.pods.forget(order.key);
    const failure = expired(order, cause);
    await status.report({}, [{ type: 'Failed', status: 'True', ...failure }, notHeld(cause, failure.message)]);
  }

  /** Thaws the pod of a request that is being undone, and removes its mark. */
  async #release(order: Order): Promise<void> {
    const pod = this.podOf(order);
    if (pod === undefined || hasEnded(pod)) return;
    const held = heldBy(order, pod);
    const wasHeld = this.isHeld(order);
    if (order.mayBeMarked && (wasHeld || order.ranOn)) await this.#freezer.thaw(held);
    else if (wasHeld) await this.#freezer.release(held);
    else await this.#freezer.unmark(pod, held.checkpointName);
    if (this.isHeld(order)) return; // it is being deleted, and killed
    order.move('Unmarked');
    if (wasHeld && !hasEnded(pod)) order.move('RunsOn');
    this.#timers.cancel(order.key);
  }
}

export function heldBy({ key, checkpoint, undoCause }: Order, pod: SavablePod): HeldPod {
  return { pod, key, checkpointName: checkpoint.metadata.name, voidsState: undoCause !== 'Gone' };
}

/** Only what is saved is marked, and only what stays frozen. */
export function mayBeMarked({ isSaved, keepFrozen }: Hold): boolean {
  return isSaved && keepFrozen;
}

function hasEnded({ state }: SavablePod): boolean {
  return state === 'ended';
}

function expiryOf(order: Order, pod: SavablePod, { thawAt }: HoldTerms): Expiry {
  const { deadlineMs } = order.value;
  const { longestFreezeMs } = pod;
  if (longestFreezeMs === null || longestFreezeMs > longestOf(order, pod)) return 'DeadlineExceeded';
  return thawAt.serverMs < (deadlineMs ?? Infinity) ? 'ProbesEnd' : 'DeadlineExceeded';
}

/** Beside what its liveness probes allow. */
function longestOf({ value }: Order, { object }: SavablePod): number {
  return longestHoldMs(podOf(object), value.deadlineMs);
}

function expired({ value }: Order, reason: Expiry): SaveFailure {
  const hasNoDeadline = reason === 'DeadlineExceeded' && value.deadlineMs === null;
  return { reason, message: hasNoDeadline ? TOO_LONG : EXPIRED[reason].unsaved };
}
