import { AGENT_FINALIZER } from '../../domain/labels.ts';
import type { ServerTime } from '../../kube/server-time.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { Clock } from '../../ports/clock.ts';
import type { NodeApi } from '../node-api.ts';
import { Freezer } from './freezer.ts';
import { Holds, mayBeMarked } from './holds.ts';
import { notHeld, Order, POD_KILLED, POD_THAWED } from './order.ts';
import { PodLanes } from './pod-lanes.ts';
import { Quarantine } from './quarantine.ts';
import { untilDone } from './retry.ts';
import type { SavablePod, SavablePods } from './savable-pod.ts';
import { Saver } from './saver.ts';

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

/**
 * Carries out the PodCheckpoints of one node and undoes them: freezes, saves, marks, holds until the pod is deleted, thaws.
 * One of these lives as long as its agent process. What a predecessor left frozen is made known by {@link found}, and what it
 * left to do by {@link recover}.
 *
 * {@link Saver} saves one pod, {@link Holds} bounds how long a pod stays frozen and thaws it.
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
  readonly #holds: Holds;
  readonly #saver: Saver;
  readonly #life = new AbortController();
  readonly #quarantine: Quarantine;
  #isRecovered = false;

  constructor(options: CheckpointOrdersOptions) {
    this.#options = options;
    const { pods, clock, keepUnknownMs, onUnknown, onError } = options;
    this.#quarantine = new Quarantine({ pods, clock, keepMs: keepUnknownMs, onNotice: onUnknown, onError });
    this.#freezer = new Freezer({ ...options, life: this.#life.signal });
    const shared = { ...options, freezer: this.#freezer, lanes: this.#lanes };
    this.#holds = new Holds({
      ...shared,
      life: this.#life.signal,
      orderOf: (key) => this.#orderOf(key),
      firmly: (work) => this.#firmly(work),
    });
    this.#saver = new Saver({ ...shared, holds: this.#holds });
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
      await this.#holds.undo(order);
      if (order.removing || !wentUnseen) await this.#options.pods.forget(order.key);
      else await this.#quarantine.add(order.key);
    });
  }

  /** A pod was killed while it stood frozen by the order of this key, as it must once it is being deleted. */
  killed(key: string): void {
    this.#holds.unbound(key);
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
    this.#holds.bound(pod, hold);
    const order = this.#orderOf(hold.key);
    if (mayBeMarked(hold) && (!this.#isRecovered || isWanted(order))) return;
    this.#firmly(() => this.#holds.letGo(pod, hold));
  }

  /** Ends at once, as a process that dies: dumps stay unfinished, frozen pods stand still, states stay on the disk. */
  stop(): void {
    this.#life.abort(new Error('the agent died'));
    this.#holds.stop();
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
        await this.#untilDone(() => this.#holds.letGo(pod, hold));
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
    if (this.#holds.isHeld(order)) {
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
    this.#holds.expireAtDeadline(order);
    order.saving = this.#saver.save(order).then((report) => {
      if (!this.#holds.isHeld(order)) {
        this.#holds.unbound(order.key);
        this.#lanes.leave(order);
      }
      this.#firmly(report);
    });
  }

  /** Its status lags behind: the predecessor died between the deed and the report. */
  async #catchUp(order: Order): Promise<void> {
    const { pods } = this.#options;
    const pod = this.#holds.podOf(order);
    if (pod?.frozenBy === order.key) return; // its kill is under way, and is told then
    const isOver = pod === undefined || pod.state === 'ended';
    if (isOver && (await pods.isValid(order.key))) return this.#reportKilled(order);
    if (pod !== undefined && !isOver) await this.#freezer.unmark(pod, order.checkpoint.metadata.name);
    await order.report({}, [POD_THAWED]);
  }

  async #reportKilled(order: Order): Promise<void> {
    await order.saving; // it may be about to say that the pod is held
    this.#lanes.leave(order);
    if (order.heldInStatus) await order.report({}, [POD_KILLED]);
  }

  /** The object is being deleted: undo, then let it go. */
  async #remove(order: Order): Promise<void> {
    await this.#holds.undo(order);
    if (order.wentOn && order.heldInStatus) {
      await order.report({}, [notHeld('Thawed', 'the checkpoint was deleted')]);
    }
    await this.#options.pods.forget(order.key);
    await this.#options.api.removeFinalizer(order.checkpoint, AGENT_FINALIZER, order.life);
  }

  #firmly(work: () => Promise<unknown>): void {
    void this.#untilDone(work);
  }

  #untilDone(work: () => Promise<unknown>): Promise<void> {
    const { clock, onError } = this.#options;
    return untilDone({ clock, onError, life: this.#life.signal }, work);
  }
}

function isWanted(order: Order | undefined): boolean {
  return order !== undefined && order.value.ready && !order.value.deleting;
}
