import type { ConditionOf } from '../../domain/condition-reasons.ts';
import { messageOf } from '../../domain/message-of.ts';
import { timestampOf } from '../../kube/project/time.ts';
import type { Clock } from '../../ports/clock.ts';
import { reportDump } from './dump-report.ts';
import type { Freezer } from './freezer.ts';
import { heldBy, type Holds } from './holds.ts';
import type { Order } from './order.ts';
import { held, POD_KILLED, POD_THAWED } from './order-status.ts';
import type { PodLanes } from './pod-lanes.ts';
import type { SavablePod, SavablePods, SavedParts, SaveFailure } from './savable-pod.ts';

export interface SaverOptions {
  readonly nodeName: string;
  readonly pods: SavablePods;
  readonly clock: Clock;
  /** Class of nodes that can restore what is saved here, at the moment of asking. */
  readonly compatibility: () => string;
  readonly onError: (error: unknown) => void;
  readonly holds: Holds;
  readonly freezer: Freezer;
  readonly lanes: PodLanes;
}

/** What came of freezing and dumping one pod. */
type Copy =
  { readonly failure: SaveFailure } | { readonly failure: null; readonly saved: SavedParts; readonly takenMs: number };

/**
 * Carries out one PodCheckpoint from Waiting to Held or Closed (`order-state.ts`): the turn on the pod, the turn on the disk, the
 * freeze, the dump, the mark or the thaw, the report.
 *
 * `order.cancelled` ends each step without a report: the caller that undoes the request reports the outcome.
 */
export class Saver {
  readonly #options: SaverOptions;
  readonly #holds: Holds;
  readonly #freezer: Freezer;
  readonly #lanes: PodLanes;

  constructor(options: SaverOptions) {
    this.#options = options;
    this.#holds = options.holds;
    this.#freezer = options.freezer;
    this.#lanes = options.lanes;
  }

  /** Resolves to a function that reports the outcome; the caller need not await the report. Never rejects. */
  async save(order: Order): Promise<() => Promise<void>> {
    const { clock } = this.#options;
    const { podName, podUid, keepFrozen } = order.value;
    const pod = this.#holds.podOf(order);
    if (pod === undefined) {
      return this.#failed(order, {
        reason: 'PodGone',
        message: `pod ${podName} with UID ${podUid} is not on this node`,
      });
    }
    const startedMs = clock.now();
    const working = this.#copyInTurn(order, pod);
    order.working = working;
    const done = await working;
    const held = heldBy(order, pod);
    if (done === null || done.failure !== null || !keepFrozen) await this.#freezer.release(held);
    if (done === null) {
      if (pod.state !== 'ended') order.move('RunsOn'); // the caller that cancelled the order reports it
      return () => Promise.resolve();
    }
    if (done.failure !== null) return this.#failed(order, done.failure);
    order.move(keepFrozen ? 'Saved' : 'Copied'); // a mark may be on the way from now on
    if (keepFrozen) {
      try {
        await this.#freezer.mark(pod, order.checkpoint.metadata.name, order.cancelled);
      } catch (error) {
        if (order.cancelled.aborted) return () => Promise.resolve();
        this.#options.onError(error);
        const message = `the pod could not be marked: ${messageOf(error)}`;
        return async () => {
          await this.#freezer.thaw(held);
          if (!this.#holds.isHeld(order)) order.move('Failed');
          await this.#reportFailed(order, { reason: 'DumpFailed', message });
        };
      }
    }
    if (order.cancelled.aborted) return () => Promise.resolve();
    return () => this.#reportReady(order, pod, { ...done, startedMs });
  }

  #failed(order: Order, failure: SaveFailure): () => Promise<void> {
    order.move('Failed');
    return () => this.#reportFailed(order, failure);
  }

  /** Keeps the object for people to read, and removes the incomplete state from the disk. */
  async #reportFailed(order: Order, failure: SaveFailure): Promise<void> {
    await order.status.fail(failure);
    await this.#options.pods.forget(order.key);
  }

  /** Works on the node only: one request of a pod at a time, and a few dumps of the disk at a time. Never rejects. */
  async #copyInTurn(order: Order, pod: SavablePod): Promise<Copy | null> {
    const { pods, clock, onError } = this.#options;
    const { podName } = order.value;
    const startedMs = clock.now();
    const cancelled = order.cancelled;
    const stop = AbortSignal.any([cancelled, pod.ended]);
    try {
      await this.#lanes.enter(order, stop);
      if (pod.state !== 'running' || pod.object.metadata.deletionTimestamp !== undefined) {
        return { failure: { reason: 'NotRunning', message: `pod ${podName} does not run` } };
      }
      return await pods.disk.take(() => this.#copy(order, pod, { startedMs, stop }), stop);
    } catch (error) {
      // The caller that cancelled the order reports that. A pod that ended by itself has to be reported here.
      if (cancelled.aborted) return null;
      if (pod.ended.aborted) {
        return { failure: { reason: 'PodGone', message: `pod ${podName} ended before it was saved` } };
      }
      onError(error);
      return { failure: { reason: 'DumpFailed', message: messageOf(error) } };
    }
  }

  /** Freezes the pod and dumps it. Called when the disk is free: no pod is frozen while it waits for the disk. */
  async #copy(
    order: Order,
    pod: SavablePod,
    { startedMs, stop }: { readonly startedMs: number; readonly stop: AbortSignal },
  ): Promise<Copy> {
    const { clock, onError } = this.#options;
    order.move('DiskTurn');
    const terms = this.#holds.termsFor(order, pod);
    const tooShort = this.#holds.tooShort(order, pod, terms);
    if (tooShort !== null) return { failure: tooShort };
    const unfreezable = await pod.freeze(terms, stop);
    if (unfreezable !== null) return { failure: unfreezable };
    const takenMs = clock.now();
    this.#holds.bound(pod, terms);
    const ended = new AbortController();
    const until = AbortSignal.any([ended.signal, order.life]);
    void reportDump(order, pod, { clock, startedMs, takenMs, until, onError });
    try {
      const dump = await pod.dump(order.key, order.value.rules, stop);
      return dump.failure === null ? { ...dump, takenMs } : dump;
    } finally {
      ended.abort();
    }
  }

  async #reportReady(
    order: Order,
    pod: SavablePod,
    { startedMs, takenMs, saved }: { readonly startedMs: number; readonly takenMs: number; readonly saved: SavedParts },
  ): Promise<void> {
    const { nodeName, clock, compatibility } = this.#options;
    const isHeld = pod.frozenBy === order.key;
    const fields = {
      ...saved,
      location: { node: nodeName, reference: order.key },
      compatibility: compatibility(),
      takenAt: timestampOf(takenMs),
      startedAt: timestampOf(startedMs),
      completedAt: timestampOf(clock.now()),
      ...(isHeld && pod.hold !== null && { thawAt: timestampOf(pod.hold.thawAt.serverMs) }),
    };
    const stands = isHeld ? held('the pod is frozen') : pod.state === 'ended' ? POD_KILLED : POD_THAWED;
    const ready: ConditionOf<'PodCheckpoint'> = {
      type: 'Ready',
      status: 'True',
      reason: 'Verified',
      message: 'the state is complete on the node',
    };
    await order.status.report(fields, [ready, stands]);
  }
}
