import type { ConditionOf } from '../../domain/condition-reasons.ts';
import { AGENT_FINALIZER } from '../../domain/labels.ts';
import { timestampOf } from '../../kube/project/time.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { LONGEST_TIMER_MS, type Clock } from '../../ports/clock.ts';
import type { NodeApi } from '../node-api.ts';
import { Freezer } from './freezer.ts';
import { held, notHeld, Order } from './order.ts';
import { PodLanes } from './pod-lanes.ts';
import type { SavablePod, SavablePods, SavedParts, SaveFailure } from './savable-pod.ts';

export interface CheckpointOrdersOptions {
  readonly nodeName: string;
  readonly pods: SavablePods;
  readonly api: NodeApi;
  readonly clock: Clock;
  /** Class of nodes that can restore what is saved here, at the moment of asking. */
  readonly compatibility: () => string;
}

/**
 * Carries out the PodCheckpoints of one node and undoes them: freezes, saves, marks, holds until the pod is deleted, thaws.
 * One of these lives as long as its agent process. What a predecessor left behind, {@link recover} takes over.
 */
export class CheckpointOrders {
  readonly #options: CheckpointOrdersOptions;
  readonly #freezer: Freezer;
  readonly #orders = new Map<string, Order>(); // uid of a PodCheckpoint -> what is done about it
  readonly #lanes = new PodLanes();
  readonly #life = new AbortController();

  constructor(options: CheckpointOrdersOptions) {
    this.#options = options;
    this.#freezer = new Freezer(options.api);
  }

  /** A PodCheckpoint for this node was added or changed. */
  changed(checkpoint: KubeObject): void {
    if (this.#life.signal.aborted) return;
    const uid = checkpoint.metadata.uid as string;
    let order = this.#orders.get(uid);
    const isNew = order === undefined;
    order ??= this.#orderFor(checkpoint);
    order.checkpoint = checkpoint;
    this.#orders.set(uid, order);
    if (checkpoint.metadata.deletionTimestamp === undefined) {
      if (isNew) this.#take(order);
    } else if (!order.removing) {
      order.removing = true;
      void unlessDead(order, this.#remove(order));
    }
  }

  /** It is gone without waiting for us, or because we were done. */
  removed(checkpoint: KubeObject): void {
    const uid = checkpoint.metadata.uid as string;
    const order = this.#orders.get(uid);
    if (order === undefined) return;
    this.#orders.delete(uid);
    void unlessDead(
      order,
      this.#undo(order).then(() => this.#options.pods.forget(order.key)),
    );
  }

  /** A pod was killed while it stood frozen by the order of this key, as it must be once it is being deleted. */
  killed(key: string): void {
    for (const order of this.#orders.values()) {
      if (order.key === key) void unlessDead(order, this.#reportKilled(order));
    }
  }

  /** Ends at once, as a process that dies: dumps stay unfinished, frozen pods stand still, states stay on the disk. */
  stop(): void {
    this.#life.abort(new Error('the agent died'));
    for (const order of this.#orders.values()) {
      order.deadline?.cancel();
      order.cancelled.abort(new Error('the agent died'));
    }
    this.#orders.clear();
  }

  /**
   * Looks after what was left behind, before any order is taken: whatever stands frozen is still wanted, or goes on, and
   * states without an order go. `checkpoints` are those of this node as they are known at each moment: what changes while pods
   * are thawed is not missed. False where it was stopped meanwhile.
   */
  async recover(checkpoints: () => readonly KubeObject[]): Promise<boolean> {
    const { pods } = this.#options;
    const life = this.#life.signal;
    const orders = new Map(
      checkpoints().map((checkpoint) => {
        const order = this.#orderFor(checkpoint);
        return [order.key, order];
      }),
    );
    try {
      for (const pod of pods.all()) {
        if (pod.state !== 'frozen' || pod.frozenBy === null) continue;
        const order = orders.get(pod.frozenBy);
        // A dump that was not finished is begun anew; the pod may go on until then.
        const isWanted = order !== undefined && order.value.ready && !order.value.deleting;
        if (!isWanted) await this.#freezer.thaw(pod, life);
      }
    } catch (error) {
      if (!life.aborted) throw error;
    }
    if (life.aborted) return false;
    // After the thaws: the record of what stands frozen lies with the state.
    for (const reference of pods.references()) if (!orders.has(reference)) await pods.forget(reference);
    // First the order that holds its pod: the other orders of that pod wait for it.
    const holders = new Set([...pods.all()].map(({ frozenBy }) => frozenBy));
    const isHolder = (checkpoint: KubeObject): boolean => holders.has(this.#orderFor(checkpoint).key);
    const found = checkpoints();
    for (const checkpoint of found) if (isHolder(checkpoint)) this.changed(checkpoint);
    for (const checkpoint of found) if (!isHolder(checkpoint)) this.changed(checkpoint);
    return true;
  }

  #orderFor(checkpoint: KubeObject): Order {
    return new Order(checkpoint, this.#options.api, this.#life.signal);
  }

  /** An order this process has not seen before: a new one, or one that its predecessor worked on. */
  #take(order: Order): void {
    if (!order.isDone) order.saving = unlessDead(order, this.#save(order));
    else if (order.heldInStatus && !this.#isHeld(order)) void unlessDead(order, this.#catchUp(order));
    const pod = this.#podOf(order);
    if (pod !== undefined && this.#isHeld(order)) {
      void unlessDead(order, this.#lanes.enter(order, order.life));
      this.#standsStill(order, pod);
    } else {
      this.#armDeadline(order);
    }
  }

  /** Its status lags behind: the predecessor died between the deed and the report. */
  async #catchUp(order: Order): Promise<void> {
    const pod = this.#podOf(order);
    if (pod?.frozenBy === order.key) return; // its kill is under way, and is told then
    if (pod === undefined || pod.state === 'ended') return this.#reportKilled(order);
    await this.#freezer.unmark(pod, order.checkpoint.metadata.name, order.life);
    await order.report({}, [notHeld('Thawed', 'the pod went on after it was saved')]);
  }

  async #save(order: Order): Promise<void> {
    const { clock, pods } = this.#options;
    const { podName, podUid, keepFrozen } = order.value;
    const pod = this.#podOf(order);
    if (pod === undefined) {
      return order.fail({ reason: 'PodGone', message: `pod ${podName} with UID ${podUid} is not on this node` });
    }
    const startedMs = clock.now();
    const cancelled = order.cancelled.signal;
    const stop = AbortSignal.any([cancelled, pod.ended]);
    try {
      await this.#lanes.enter(order, stop);
      if (pod.state !== 'running' || pod.object.metadata.deletionTimestamp !== undefined) {
        return await order.fail({ reason: 'NotRunning', message: `pod ${podName} does not run` });
      }
      const copy = await pods.disk.take(() => this.#copy(order, pod, stop), stop);
      if (copy.failure !== null) {
        if (this.#isHeld(order)) await this.#freezer.thaw(pod, order.life);
        return await this.#fail(order, copy.failure);
      }
      if (keepFrozen) await this.#freezer.mark(pod, order.checkpoint.metadata.name, cancelled);
      else await this.#freezer.thaw(pod, order.life);
      cancelled.throwIfAborted();
      await this.#reportReady(order, pod, { startedMs, ...copy });
    } catch (error) {
      if (!stop.aborted) throw error;
      // Whoever undid the order says so; the kubelet, which ended the pod, knows nothing of it.
      if (!cancelled.aborted) {
        await this.#fail(order, { reason: 'PodGone', message: `pod ${podName} ended before it was saved` });
      }
    } finally {
      if (!this.#isHeld(order)) {
        order.deadline?.cancel();
        this.#lanes.leave(order);
      }
    }
  }

  /** The object stays for people to read; what was written of the state would take room for nothing. */
  async #fail(order: Order, failure: SaveFailure): Promise<void> {
    await this.#options.pods.forget(order.key);
    await order.fail(failure);
  }

  /** Freezes the pod and writes its state to the disk, whose turn it has: nothing is frozen that waits for the disk. */
  async #copy(order: Order, pod: SavablePod, stop: AbortSignal): Promise<Copy> {
    const unfreezable = await pod.freeze(order.key, stop);
    if (unfreezable !== null) return { failure: unfreezable };
    const takenMs = this.#options.clock.now();
    this.#standsStill(order, pod);
    const dump = await pod.dump(order.key, order.value.rules, stop);
    return dump.failure === null ? { ...dump, takenMs } : dump;
  }

  async #reportReady(
    order: Order,
    pod: SavablePod,
    { startedMs, takenMs, saved }: { readonly startedMs: number; readonly takenMs: number; readonly saved: SavedParts },
  ): Promise<void> {
    const { nodeName, clock, compatibility } = this.#options;
    const fields = {
      ...saved,
      location: { node: nodeName, reference: order.key },
      compatibility: compatibility(),
      takenAt: timestampOf(takenMs),
      startedAt: timestampOf(startedMs),
      completedAt: timestampOf(clock.now()),
    };
    const stands =
      pod.frozenBy === order.key
        ? held('the pod stands still')
        : pod.state === 'ended'
          ? POD_KILLED
          : notHeld('Thawed', 'the pod went on after it was saved');
    const ready: ConditionOf<'PodCheckpoint'> = {
      type: 'Ready',
      status: 'True',
      reason: 'Verified',
      message: 'the state is complete on the node',
    };
    await order.report(fields, [ready, stands]);
  }

  async #reportKilled(order: Order): Promise<void> {
    order.deadline?.cancel();
    await order.saving; // it may be about to say that the pod is held
    this.#lanes.leave(order);
    if (order.heldInStatus) await order.report({}, [POD_KILLED]);
  }

  /** From now on its probes fail. */
  #standsStill(order: Order, pod: SavablePod): void {
    order.deadline?.cancel();
    if (pod.longestFreezeMs !== null) order.probesEndMs = this.#options.clock.monotonic() + pod.longestFreezeMs;
    this.#armDeadline(order);
  }

  /** At the deadline nobody may be left to ask: a pod that is not being deleted goes on, saved or not. */
  #armDeadline(order: Order): void {
    const leftMs = this.#leftMs(order);
    if (leftMs === Infinity || (order.isDone && !this.#isHeld(order))) return;
    // Whole milliseconds: what is less of one may be nothing beside the time of day.
    order.deadline = this.#options.clock.setTimer(Math.min(Math.ceil(leftMs), LONGEST_TIMER_MS), () => {
      if (this.#leftMs(order) > 0) this.#armDeadline(order);
      else void unlessDead(order, this.#expire(order));
    });
  }

  /** The deadline is a time of day, written on another machine; how long probes let a pod stand still is none. */
  #leftMs({ value, probesEndMs }: Order): number {
    const { clock } = this.#options;
    const untilDeadlineMs = (value.deadlineMs ?? Infinity) - clock.now();
    return Math.min(untilDeadlineMs, (probesEndMs ?? Infinity) - clock.monotonic());
  }

  async #expire(order: Order): Promise<void> {
    const byProbes = this.#options.clock.now() < (order.value.deadlineMs ?? Infinity);
    const wentOn = await this.#undo(order);
    const exceeded = byProbes
      ? notHeld('ProbesEnd', 'a liveness probe would have had it killed')
      : notHeld('DeadlineExceeded', 'nobody deleted the pod until the deadline');
    if (order.isDone) {
      if (wentOn) await order.report({}, [exceeded]);
      return;
    }
    await this.#options.pods.forget(order.key);
    const failed: ConditionOf<'PodCheckpoint'> = byProbes
      ? {
          type: 'Failed',
          status: 'True',
          reason: 'ProbesEnd',
          message: 'saving took longer than its liveness probes allow',
        }
      : { type: 'Failed', status: 'True', reason: 'DeadlineExceeded', message: 'it was not saved until the deadline' };
    await order.report({}, [failed, exceeded]);
  }

  /** The object is being deleted: undo, then let it go. */
  async #remove(order: Order): Promise<void> {
    if (await this.#undo(order)) await order.report({}, [notHeld('Thawed', 'the checkpoint was deleted')]);
    await this.#options.pods.forget(order.key);
    await this.#options.api.removeFinalizer(order.checkpoint, AGENT_FINALIZER, order.life);
  }

  /** Ends the dump; the pod goes on, unless it is being deleted. True where this thawed it. */
  async #undo(order: Order): Promise<boolean> {
    order.deadline?.cancel();
    order.cancelled.abort(new Error('the checkpoint was undone'));
    await order.saving;
    const wasThawed = await this.#release(order);
    this.#lanes.leave(order);
    return wasThawed;
  }

  async #release(order: Order): Promise<boolean> {
    const pod = this.#podOf(order);
    if (pod === undefined || pod.state === 'ended') return false;
    if (this.#isHeld(order)) return this.#freezer.thaw(pod, order.life);
    await this.#freezer.unmark(pod, order.checkpoint.metadata.name, order.life);
    return false;
  }

  #podOf(order: Order): SavablePod | undefined {
    return this.#options.pods.find(order.value.podUid);
  }

  /** Its pod stands frozen, by this order. */
  #isHeld(order: Order): boolean {
    const pod = this.#podOf(order);
    return pod?.state === 'frozen' && pod.frozenBy === order.key;
  }
}

/** What came of freezing and dumping one pod. */
type Copy =
  { readonly failure: SaveFailure } | { readonly failure: null; readonly saved: SavedParts; readonly takenMs: number };

const POD_KILLED = notHeld('PodKilled', 'the pod was deleted while it stood still');

/** What the death of the agent cuts off is no error. */
async function unlessDead(order: Order, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!order.life.aborted) throw error;
  }
}
