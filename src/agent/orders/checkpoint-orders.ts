import type { ConditionOf } from '../../domain/condition-reasons.ts';
import { AGENT_FINALIZER } from '../../domain/labels.ts';
import { lastEvictionMs, UNMARK_BEFORE_MS } from '../../domain/thaw-rule.ts';
import { messageOf } from '../../domain/message-of.ts';
import { timestampOf } from '../../kube/project/time.ts';
import type { ServerTime } from '../../kube/server-time.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { sleep, type Clock } from '../../ports/clock.ts';
import type { NodeApi } from '../node-api.ts';
import { reportDump } from './dump-report.ts';
import { Freezer } from './freezer.ts';
import { checkpointNameIn, held, notHeld, Order } from './order.ts';
import { untilDone } from './retry.ts';
import { PodLanes } from './pod-lanes.ts';
import { Quarantine } from './quarantine.ts';
import type { Hold, HoldTerms, SavablePod, SavablePods, SavedParts, SaveFailure } from './savable-pod.ts';
import { ThawTimers } from './thaw-timers.ts';

/** A pod whose `thawAt` has come does not wait longer than this for a disk on which its state is to be invalidated. */
const INVALIDATE_WITHIN_MS = 1_000;

export interface CheckpointOrdersOptions {
  readonly nodeName: string;
  readonly pods: SavablePods;
  readonly api: NodeApi;
  readonly clock: Clock;
  readonly serverTime: ServerTime;
  /** Class of nodes that can restore what is saved here, at the moment of asking. */
  readonly compatibility: () => string;
  /** See {@link Quarantine}. */
  readonly keepUnknownMs: number;
  readonly onUnknown: (reference: string, message: string) => void;
  /** Told of every failure that is tried again or ends an order. */
  readonly onError: (error: unknown) => void;
}

/** What came of freezing and dumping one pod. */
type Copy =
  { readonly failure: SaveFailure } | { readonly failure: null; readonly saved: SavedParts; readonly takenMs: number };

/**
 * Carries out the PodCheckpoints of one node and undoes them: freezes, saves, marks, holds until the pod is deleted, thaws.
 * One of these lives as long as its agent process. What a predecessor left frozen is made known by {@link found}, and what it
 * left to do by {@link recover}.
 *
 * No pod is frozen for longer than its hold says: `thawAt` is on the disk before the first container is frozen, and at that
 * moment the pod is thawed without a word to the API server (`src/domain/thaw-rule.ts`). Nothing that fails ends the process:
 * it ends the order, as Failed, or is tried again.
 */
export class CheckpointOrders {
  readonly #options: CheckpointOrdersOptions;
  readonly #freezer: Freezer;
  readonly #orders = new Map<string, Order>(); // uid of a PodCheckpoint -> what is done about it
  readonly #lanes = new PodLanes();
  readonly #timers: ThawTimers;
  readonly #life = new AbortController();
  readonly #quarantine: Quarantine;
  #isRecovered = false;

  constructor(options: CheckpointOrdersOptions) {
    this.#options = options;
    const { pods, clock, keepUnknownMs, onUnknown, onError } = options;
    this.#quarantine = new Quarantine({ pods, clock, keepMs: keepUnknownMs, onNotice: onUnknown, onError });
    this.#freezer = new Freezer({ ...options, life: this.#life.signal });
    this.#timers = new ThawTimers(options.clock);
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
    if (isNew) this.#firmly(() => this.#quarantine.remove(order.key));
    if (checkpoint.metadata.deletionTimestamp === undefined) {
      if (isNew) this.#takeOnceKnown(order);
    } else if (!order.removing) {
      order.removing = true;
      this.#firmly(() => this.#remove(order));
    }
  }

  /** It is gone. `wentUnseen`: nobody was seen to delete it, so etcd may have been restored, and its state is kept for a while. */
  removed(checkpoint: KubeObject, wentUnseen: boolean): void {
    const uid = checkpoint.metadata.uid as string;
    const order = this.#orders.get(uid);
    if (order === undefined) return;
    this.#orders.delete(uid);
    this.#firmly(async () => {
      await this.#undo(order);
      if (order.removing || !wentUnseen) await this.#options.pods.forget(order.key);
      else await this.#quarantine.add(order.key);
    });
  }

  /** A pod was killed while it stood frozen by the order of this key, as it must once it is being deleted. */
  killed(key: string): void {
    this.#timers.cancel(key);
    const order = this.#orderOf(key);
    if (order !== undefined) this.#firmly(() => this.#reportKilled(order));
  }

  /**
   * A pod that an earlier process of this agent froze. Nobody is asked: its `thawAt` holds from now on, and where it cannot have
   * been marked, it is thawed at once.
   */
  found(pod: SavablePod): void {
    const { hold } = pod;
    if (hold === null) return;
    this.#bound(pod, hold);
    const order = this.#orderOf(hold.key);
    if (mayBeMarked(hold) && (!this.#isRecovered || isWanted(order))) return;
    this.#firmly(() => this.#letGo(pod, hold));
  }

  /** Ends at once, as a process that dies: dumps stay unfinished, frozen pods stand still, states stay on the disk. */
  stop(): void {
    this.#life.abort(new Error('the agent died'));
    this.#timers.stop();
    this.#quarantine.stop();
    for (const order of this.#orders.values()) order.cancelled.abort(new Error('the agent died'));
    this.#orders.clear();
  }

  /**
   * Looks after what was left behind, before any order is taken: whatever stands frozen is still wanted, or goes on, and
   * states without an order are kept for a while. `checkpoints` are those of this node as they are known at each moment: what
   * changes while pods are thawed is not missed. `ready` is waited for before the first order is taken. False where it was
   * stopped meanwhile.
   */
  async recover(
    checkpoints: () => readonly KubeObject[],
    ready: () => Promise<void> = () => Promise.resolve(),
  ): Promise<boolean> {
    const { pods } = this.#options;
    const life = this.#life.signal;
    const orders = new Map(
      checkpoints().map((checkpoint) => {
        const order = this.#orderFor(checkpoint);
        return [order.key, order];
      }),
    );
    await Promise.all(
      [...pods.all()].map(async (pod) => {
        const { hold } = pod;
        // A dump that was not finished is begun anew; the pod may go on until then.
        if (hold === null || (mayBeMarked(hold) && isWanted(orders.get(hold.key)))) return;
        await this.#untilDone(() => this.#letGo(pod, hold));
      }),
    );
    await ready();
    if (life.aborted) return false;
    // After the thaws: the record of what stands frozen lies with the state.
    const unknown = pods.references().filter((reference) => !orders.has(reference));
    for (const reference of unknown) this.#firmly(() => this.#quarantine.add(reference));
    this.#isRecovered = true;
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

  #orderOf(key: string): Order | undefined {
    return [...this.#orders.values()].find((order) => order.key === key);
  }

  /** It waits until it is known what its predecessor left frozen for it. */
  #takeOnceKnown(order: Order): void {
    const lookedAt = this.#options.pods.lookedAt(order.key);
    if (lookedAt === null) return this.#take(order);
    order.saving = lookedAt.then(() => {
      if (!order.removing && !this.#life.signal.aborted) this.#take(order);
    });
  }

  /** An order this process has not seen before: a new one, or one that its predecessor worked on. */
  #take(order: Order): void {
    if (this.#isHeld(order)) {
      order.mayBeMarked = true; // and is bounded since it was found
      this.#firmly(() => this.#lanes.enter(order, order.life));
      return;
    }
    if (order.isDone) {
      if (order.heldInStatus) this.#firmly(() => this.#catchUp(order));
      return;
    }
    if (order.heldInStatus) {
      const restarted = notHeld('AgentRestarted', 'the agent died during the dump; the pod was thawed');
      this.#firmly(() => order.report({}, [restarted]));
    }
    const { deadlineMs } = order.value;
    if (deadlineMs !== null) {
      this.#timers.set(order.key, this.#monotonicOf(deadlineMs), () => this.#beginExpiry(order));
    }
    order.saving = this.#save(order).then((report) => {
      if (!this.#isHeld(order)) {
        this.#timers.cancel(order.key);
        this.#lanes.leave(order);
      }
      this.#firmly(report);
    });
  }

  /** Its status lags behind: the predecessor died between the deed and the report. */
  async #catchUp(order: Order): Promise<void> {
    const { pods } = this.#options;
    const pod = this.#podOf(order);
    if (pod?.frozenBy === order.key) return; // its kill is under way, and is told then
    const isOver = pod === undefined || pod.state === 'ended';
    if (isOver && (await pods.isValid(order.key))) return this.#reportKilled(order);
    if (pod !== undefined && !isOver) await this.#freezer.unmark(pod, order.checkpoint.metadata.name);
    await order.report({}, [notHeld('Thawed', 'the pod went on after it was saved')]);
  }

  /** Gives the report of what became of it, which nobody has to wait for. Never rejects. */
  async #save(order: Order): Promise<() => Promise<void>> {
    const { clock } = this.#options;
    const { podName, podUid, keepFrozen } = order.value;
    const pod = this.#podOf(order);
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
    const held = this.#heldBy(order, pod);
    if (done === null || done.failure !== null || !keepFrozen) await this.#freezer.release(held);
    if (done === null) return () => Promise.resolve();
    if (done.failure !== null) return this.#failed(order, done.failure);
    if (keepFrozen) {
      order.mayBeMarked = true;
      try {
        await this.#freezer.mark(pod, order.checkpoint.metadata.name, order.cancelled.signal);
      } catch (error) {
        if (order.cancelled.signal.aborted) return () => Promise.resolve();
        this.#options.onError(error);
        const message = `the pod could not be marked: ${messageOf(error)}`;
        return async () => {
          await this.#freezer.thaw(held);
          await this.#failed(order, { reason: 'DumpFailed', message })();
        };
      }
    }
    if (order.cancelled.signal.aborted) return () => Promise.resolve();
    return () => this.#reportReady(order, pod, { ...done, startedMs });
  }

  /** The object stays for people to read; what was written of the state would take room for nothing. */
  #failed(order: Order, failure: SaveFailure): () => Promise<void> {
    return async () => {
      await order.fail(failure);
      await this.#options.pods.forget(order.key);
    };
  }

  /** What works on the node alone: one order of a pod at a time, and few of the disk. Never rejects. */
  async #copyInTurn(order: Order, pod: SavablePod): Promise<Copy | null> {
    const { pods, clock, onError } = this.#options;
    const { podName } = order.value;
    const startedMs = clock.now();
    const cancelled = order.cancelled.signal;
    const stop = AbortSignal.any([cancelled, pod.ended]);
    try {
      await this.#lanes.enter(order, stop);
      if (pod.state !== 'running' || pod.object.metadata.deletionTimestamp !== undefined) {
        return { failure: { reason: 'NotRunning', message: `pod ${podName} does not run` } };
      }
      return await pods.disk.take(() => this.#copy(order, pod, { startedMs, stop }), stop);
    } catch (error) {
      // Whoever undid the order says so; the kubelet, which ended the pod, knows nothing of it.
      if (cancelled.aborted) return null;
      if (pod.ended.aborted) {
        return { failure: { reason: 'PodGone', message: `pod ${podName} ended before it was saved` } };
      }
      onError(error);
      return { failure: { reason: 'DumpFailed', message: messageOf(error) } };
    }
  }

  /** Freezes the pod and writes its state to the disk, whose turn it has: nothing is frozen that waits for the disk. */
  async #copy(
    order: Order,
    pod: SavablePod,
    { startedMs, stop }: { readonly startedMs: number; readonly stop: AbortSignal },
  ): Promise<Copy> {
    const { clock, onError } = this.#options;
    const terms = this.#termsFor(order, pod);
    if (this.#isTooShort(terms)) return { failure: expired(isByProbes(order, terms)) };
    const unfreezable = await pod.freeze(terms, stop);
    if (unfreezable !== null) return { failure: unfreezable };
    const takenMs = clock.now();
    this.#bound(pod, terms);
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
    const stands = isHeld
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
    await order.saving; // it may be about to say that the pod is held
    this.#lanes.leave(order);
    if (order.heldInStatus) await order.report({}, [POD_KILLED]);
  }

  /** Bounds begin with the freeze: from then on liveness probes fail. */
  #termsFor(order: Order, pod: SavablePod): HoldTerms {
    const { serverTime } = this.#options;
    const { deadlineMs, keepFrozen } = order.value;
    const probesEndMs = serverTime.earliestMs() + (pod.longestFreezeMs ?? Infinity);
    const serverMs = Math.floor(
      Math.min(deadlineMs ?? Infinity, probesEndMs, serverTime.earliestMs() + LONGEST_HOLD_MS),
    );
    return { key: order.key, keepFrozen, thawAt: { serverMs, monotonicMs: this.#monotonicOf(serverMs) } };
  }

  /** It could not be evicted for its state before it is thawed again. */
  #isTooShort({ keepFrozen, thawAt }: HoldTerms): boolean {
    return keepFrozen && this.#options.serverTime.earliestMs() >= lastEvictionMs(thawAt.serverMs);
  }

  /** A time of the API server, on the clock of this machine that nobody sets. */
  #monotonicOf(serverMs: number): number {
    const { clock, serverTime } = this.#options;
    return clock.monotonic() + serverMs - serverTime.earliestMs();
  }

  /**
   * From now on the pod is thawed at `thawAt`, whatever hangs, fails or is not known yet. Shortly before, the agent tries to
   * remove the mark in time, which tells it of a deletion that its watch has not brought.
   */
  #bound(pod: SavablePod, { key, thawAt }: HoldTerms): void {
    this.#timers.set(key, thawAt.monotonicMs - UNMARK_BEFORE_MS, () => {
      this.#timers.set(key, thawAt.monotonicMs, () => void this.#thawUnasked(pod, key));
      const order = this.#orderOf(key);
      if (order?.mayBeMarked) this.#beginExpiry(order);
    });
  }

  #beginExpiry(order: Order): void {
    if (order.isExpiring) return;
    order.isExpiring = true;
    const hold = this.#podOf(order)?.hold ?? null;
    const byProbes = hold !== null && isByProbes(order, hold);
    this.#firmly(() => this.#expire(order, byProbes));
  }

  async #thawUnasked(pod: SavablePod, key: string): Promise<void> {
    const { pods, clock, onError } = this.#options;
    const order = this.#orderOf(key);
    if (order !== undefined) this.#beginExpiry(order);
    order?.cancelled.abort(new Error('thawAt has come'));
    await order?.working; // criu works inside of the processes
    const { hold } = pod;
    if (pod.state !== 'frozen' || hold?.key !== key) return;
    if (mayBeMarked(hold)) {
      // Somebody may have deleted it for this state: before it goes on, nobody can restore that any more.
      const invalid = pods.invalidate(key).catch((error: unknown) => {
        onError(error);
        this.#firmly(() => pods.invalidate(key));
      });
      const life = this.#life.signal;
      await Promise.race([invalid, sleep(clock, INVALIDATE_WITHIN_MS, life).catch(() => undefined)]);
    }
    await this.#freezer.release({ pod, key });
    if (order === undefined || this.#isHeld(order)) return;
    if (!hasEnded(pod)) order.wentOn = true;
    this.#lanes.leave(order);
  }

  async #expire(order: Order, byProbes: boolean): Promise<void> {
    await this.#undo(order);
    const exceeded = byProbes
      ? notHeld('ProbesEnd', 'a liveness probe would have had it killed')
      : notHeld('DeadlineExceeded', 'nobody deleted the pod until the deadline');
    if (order.isDone) {
      if (order.wentOn && order.heldInStatus) await order.report({}, [exceeded]);
      return;
    }
    await this.#options.pods.forget(order.key);
    await order.report({}, [{ type: 'Failed', status: 'True', ...expired(byProbes) }, exceeded]);
  }

  /** The object is being deleted: undo, then let it go. */
  async #remove(order: Order): Promise<void> {
    await this.#undo(order);
    if (order.wentOn && order.heldInStatus) {
      await order.report({}, [notHeld('Thawed', 'the checkpoint was deleted')]);
    }
    await this.#options.pods.forget(order.key);
    await this.#options.api.removeFinalizer(order.checkpoint, AGENT_FINALIZER, order.life);
  }

  /** Ends the dump; the pod goes on, unless it is being deleted. */
  async #undo(order: Order): Promise<void> {
    order.cancelled.abort(new Error('the checkpoint was undone'));
    await order.saving;
    await this.#release(order);
    this.#lanes.leave(order);
  }

  async #release(order: Order): Promise<void> {
    const pod = this.#podOf(order);
    if (pod === undefined || hasEnded(pod)) return;
    const held = this.#heldBy(order, pod);
    const wasHeld = this.#isHeld(order);
    if (order.mayBeMarked && (wasHeld || order.wentOn)) await this.#freezer.thaw(held);
    else if (wasHeld) await this.#freezer.release(held);
    else await this.#freezer.unmark(pod, held.checkpointName);
    if (this.#isHeld(order)) return; // it is being deleted, and killed
    order.mayBeMarked = false;
    if (wasHeld && !hasEnded(pod)) order.wentOn = true;
    this.#timers.cancel(order.key);
  }

  /** Thaws what was found frozen for no order that is worked on. */
  async #letGo(pod: SavablePod, hold: Hold): Promise<void> {
    const held = { pod, key: hold.key, checkpointName: checkpointNameIn(hold.key) };
    if (mayBeMarked(hold)) await this.#freezer.thaw(held);
    else await this.#freezer.release(held);
  }

  #podOf(order: Order): SavablePod | undefined {
    return this.#options.pods.find(order.value.podUid);
  }

  #heldBy(order: Order, pod: SavablePod) {
    return { pod, key: order.key, checkpointName: order.checkpoint.metadata.name };
  }

  /** Its pod stands frozen, by this order. */
  #isHeld(order: Order): boolean {
    const pod = this.#podOf(order);
    return pod?.state === 'frozen' && pod.frozenBy === order.key;
  }

  #firmly(work: () => Promise<unknown>): void {
    void this.#untilDone(work);
  }

  #untilDone(work: () => Promise<unknown>): Promise<void> {
    const { clock, onError } = this.#options;
    return untilDone({ clock, onError, life: this.#life.signal }, work);
  }
}

const POD_KILLED = notHeld('PodKilled', 'the pod was deleted while it stood still');

/** An order without a deadline, of a pod without liveness probes: criu is not waited for any longer than this. */
const LONGEST_HOLD_MS = 3_600_000;

/** Only what is saved is marked, and only what stays frozen. */
function mayBeMarked({ isSaved, keepFrozen }: Hold): boolean {
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

function isWanted(order: Order | undefined): boolean {
  return order !== undefined && order.value.ready && !order.value.deleting;
}
