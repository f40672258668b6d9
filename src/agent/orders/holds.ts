import { lastEvictionMs, UNMARK_BEFORE_MS } from '../../domain/thaw-rule.ts';
import type { ServerTime } from '../../kube/server-time.ts';
import { sleep, type Clock } from '../../ports/clock.ts';
import type { Freezer, HeldPod } from './freezer.ts';
import { checkpointNameIn, notHeld, type Order } from './order.ts';
import type { PodLanes } from './pod-lanes.ts';
import type { Hold, HoldTerms, SavablePod, SavablePods, SaveFailure } from './savable-pod.ts';
import { ThawTimers } from './thaw-timers.ts';

/** At `thawAt` the thaw waits at most this long for the disk to record that the state is invalid. */
const INVALIDATE_WITHIN_MS = 1_000;

/** The longest hold of an order that has no deadline, of a pod that has no liveness probes: CRIU may hang. */
const LONGEST_HOLD_MS = 3_600_000;

export interface HoldsOptions {
  readonly pods: SavablePods;
  readonly clock: Clock;
  readonly serverTime: ServerTime;
  readonly onError: (error: unknown) => void;
  readonly freezer: Freezer;
  readonly lanes: PodLanes;
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
 *     not frozen ── bound ──> frozen ── thawAt - UNMARK_BEFORE_MS ──> being unmarked ── thawAt ──> thawed, whatever hangs
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

  podOf(order: Order): SavablePod | undefined {
    return this.#options.pods.find(order.value.podUid);
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
    const probesEndMs = serverTime.earliestMs() + (pod.longestFreezeMs ?? Infinity);
    const serverMs = Math.floor(
      Math.min(deadlineMs ?? Infinity, probesEndMs, serverTime.earliestMs() + LONGEST_HOLD_MS),
    );
    return { key: order.key, keepFrozen, thawAt: { serverMs, monotonicMs: this.#monotonicOf(serverMs) } };
  }

  /** Why freezing the pod on these terms is useless: it would be thawed before an eviction could rely on its state. Null: it is not. */
  tooShort(order: Order, terms: HoldTerms): SaveFailure | null {
    const { keepFrozen, thawAt } = terms;
    const isInTime = !keepFrozen || this.#options.serverTime.earliestMs() < lastEvictionMs(thawAt.serverMs);
    return isInTime ? null : expired(isByProbes(order, terms));
  }

  /**
   * Guarantees that the pod is thawed at `thawAt`, whatever hangs, fails or is not known yet. Shortly before `thawAt` the agent
   * tries to remove the mark: that write tells it of a deletion of the pod that its watch has not delivered.
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

  /** Ends the dump and thaws the pod, unless the pod is being deleted: then the pod stays frozen until the kubelet kills it. */
  async undo(order: Order): Promise<void> {
    order.cancelled.abort(new Error('the checkpoint was undone'));
    await order.saving;
    await this.#release(order);
    this.#options.lanes.leave(order);
  }

  /** Thaws a pod that an earlier agent process froze and that need not stay frozen. */
  async letGo(pod: SavablePod, hold: Hold): Promise<void> {
    const held = { pod, key: hold.key, checkpointName: checkpointNameIn(hold.key) };
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
    if (order.isExpiring) return;
    order.isExpiring = true;
    const hold = this.podOf(order)?.hold ?? null;
    const byProbes = hold !== null && isByProbes(order, hold);
    this.#options.firmly(() => this.#expire(order, byProbes));
  }

  async #thawUnasked(pod: SavablePod, key: string): Promise<void> {
    const { pods, clock, life, lanes, orderOf, firmly, onError } = this.#options;
    const order = orderOf(key);
    if (order !== undefined) this.#beginExpiry(order);
    order?.cancelled.abort(new Error('thawAt has come'));
    await order?.working; // criu works inside of the processes
    const { hold } = pod;
    if (pod.state !== 'frozen' || hold?.key !== key) return;
    if (mayBeMarked(hold)) {
      // A delete may have relied on this state: before the pod is thawed, the state must not be restorable any more.
      const invalid = pods.invalidate(key).catch((error: unknown) => {
        onError(error);
        firmly(() => pods.invalidate(key));
      });
      await Promise.race([invalid, sleep(clock, INVALIDATE_WITHIN_MS, life).catch(() => undefined)]);
    }
    await this.#freezer.release({ pod, key });
    if (order === undefined || this.isHeld(order)) return;
    if (!hasEnded(pod)) order.wentOn = true;
    lanes.leave(order);
  }

  async #expire(order: Order, byProbes: boolean): Promise<void> {
    await this.undo(order);
    const exceeded = byProbes
      ? notHeld('ProbesEnd', 'a liveness probe would have had it killed')
      : notHeld('DeadlineExceeded', 'the pod was not deleted before the deadline');
    if (order.isDone) {
      if (order.wentOn && order.heldInStatus) await order.report({}, [exceeded]);
      return;
    }
    await this.#options.pods.forget(order.key);
    await order.report({}, [{ type: 'Failed', status: 'True', ...expired(byProbes) }, exceeded]);
  }

  /** Thaws the pod of an order that was cancelled, and removes its mark. */
  async #release(order: Order): Promise<void> {
    const pod = this.podOf(order);
    if (pod === undefined || hasEnded(pod)) return;
    const held = heldBy(order, pod);
    const wasHeld = this.isHeld(order);
    if (order.mayBeMarked && (wasHeld || order.wentOn)) await this.#freezer.thaw(held);
    else if (wasHeld) await this.#freezer.release(held);
    else await this.#freezer.unmark(pod, held.checkpointName);
    if (this.isHeld(order)) return; // it is being deleted, and killed
    order.mayBeMarked = false;
    if (wasHeld && !hasEnded(pod)) order.wentOn = true;
    this.#timers.cancel(order.key);
  }
}

export function heldBy({ key, checkpoint }: Order, pod: SavablePod): HeldPod {
  return { pod, key, checkpointName: checkpoint.metadata.name };
}

/** Only what is saved is marked, and only what stays frozen. */
export function mayBeMarked({ isSaved, keepFrozen }: Hold): boolean {
  return isSaved && keepFrozen;
}

function hasEnded({ state }: SavablePod): boolean {
  return state === 'ended';
}

function isByProbes({ value }: Order, { thawAt }: HoldTerms): boolean {
  return thawAt.serverMs < (value.deadlineMs ?? Infinity);
}

function expired(byProbes: boolean): SaveFailure {
  return byProbes
    ? { reason: 'ProbesEnd', message: 'saving took longer than its liveness probes allow' }
    : { reason: 'DeadlineExceeded', message: 'it was not saved until the deadline' };
}
