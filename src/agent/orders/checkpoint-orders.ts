import { AGENT_FINALIZER } from '../../domain/labels.ts';
import { serverClock, type ServerTime } from '../../kube/server-time.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { Clock } from '../../ports/clock.ts';
import type { NodeApi } from '../node-api.ts';
import { Freezer } from './freezer.ts';
import { Holds, mayBeMarked } from './holds.ts';
import { isWanted, keyOf, Order, type OrderMove, type OrderOptions } from './order.ts';
import { notHeld } from './order-status.ts';
import { OutcomeReports } from './outcome-reports.ts';
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
  /** Told of each change of a request's state. */
  readonly onMove: (move: OrderMove) => void;
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
 * moment the pod is thawed without a word to the API server (`src/domain/thaw-rule.ts`); only a dump that CRIU has not finished
 * delays it. Nothing that fails ends the process: it ends the order, as Failed, or is tried again.
 */
export class CheckpointOrders {
  readonly #options: CheckpointOrdersOptions;
  readonly #freezer: Freezer;
  readonly #orders = new Map<string, Order>(); // uid of a PodCheckpoint -> what is done about it
  readonly #lanes = new PodLanes();
  readonly #orderOptions: OrderOptions;
  readonly #holds: Holds;
  readonly #saver: Saver;
  readonly #outcomes: OutcomeReports;
  readonly #life = new AbortController();
  readonly #quarantine: Quarantine;
  #isRecovered = false;

  constructor(options: CheckpointOrdersOptions) {
    // Its times are compared with those of the API server: how fresh a state is, and how long it is kept.
    const clock = serverClock(options.serverTime, options.clock);
    this.#options = { ...options, clock };
    const { pods, keepUnknownMs, onUnknown, onMove, onError } = options;
    this.#quarantine = new Quarantine({ pods, clock, keepMs: keepUnknownMs, onNotice: onUnknown, onError });
    this.#freezer = new Freezer({ ...this.#options, life: this.#life.signal });
    const onOrderMove = (order: Order, move: OrderMove): void => {
      if (!order.occupiesPod) this.#lanes.leave(order);
      onMove(move);
      // The pod was being deleted when it was to be thawed, and was not killed until `thawAt`.
      if (move.from === 'Undone' && move.cause === 'RunsOn') this.#firmly(() => this.#outcomes.thawedLate(order));
    };
    this.#orderOptions = { api: options.api, life: this.#life.signal, onMove: onOrderMove };
    const shared = { ...this.#options, freezer: this.#freezer };
    this.#holds = new Holds({
      ...shared,
      life: this.#life.signal,
      orderOf: (key) => this.#orderOf(key),
      firmly: (work) => this.#firmly(work),
    });
    this.#saver = new Saver({ ...shared, holds: this.#holds, lanes: this.#lanes });
    this.#outcomes = new OutcomeReports({ ...shared, holds: this.#holds });
  }

  /** A PodCheckpoint for this node was added or changed. */
  changed(checkpoint: KubeObject): void {
    if (this.#life.signal.aborted) return;
    const uid = checkpoint.metadata.uid as string;
    let order = this.#orders.get(uid);
    const isNew = order === undefined;
    order ??= new Order(checkpoint, this.#orderOptions);
    order.checkpoint = checkpoint;
    this.#orders.set(uid, order);
    if (isNew) this.#firmly(() => this.#quarantine.remove(order.key));
    if (checkpoint.metadata.deletionTimestamp !== undefined) {
      if (order.move('Deleted')) this.#firmly(() => this.#remove(order));
    } else if (order.value.release !== null) this.#release(order);
    else if (isNew) this.#takeOnceKnown(order);
  }

  /** It is gone. `wentUnseen`: nobody was seen to delete it, so etcd may have been restored, and its state is kept for a while. */
  removed(checkpoint: KubeObject, wentUnseen: boolean): void {
    const uid = checkpoint.metadata.uid as string;
    const order = this.#orders.get(uid);
    if (order === undefined) return;
    this.#orders.delete(uid);
    const wasSeen = !wentUnseen || order.undoCause === 'Deleted';
    order.move('Gone');
    this.#firmly(async () => {
      await this.#holds.undo(order);
      if (wasSeen) await this.#options.pods.forget(order.key);
      else await this.#quarantine.add(order.key);
    });
  }

  /** A pod was killed while it stood frozen by the order of this key, as it must once it is being deleted. */
  killed(key: string): void {
    this.#holds.unbound(key);
    const order = this.#orderOf(key);
    if (order !== undefined) this.#firmly(() => this.#outcomes.killed(order));
  }

  /**
   * A pod that an earlier process of this agent froze. Nobody is asked: its `thawAt` holds from now on, and where it cannot have
   * been marked, it is thawed at once.
   */
  found(pod: SavablePod): void {
    const { hold } = pod;
    if (hold === null) return;
    this.#holds.bound(pod, hold);
    const checkpoint = this.#orderOf(hold.key)?.checkpoint;
    if (mayBeMarked(hold) && (!this.#isRecovered || isWanted(checkpoint))) return;
    this.#firmly(() => this.#holds.letGo(pod, hold, checkpoint));
  }

  /** Ends at once, as a process that dies: dumps stay unfinished, frozen pods stand still, states stay on the disk. */
  stop(): void {
    this.#life.abort(new Error('the agent died'));
    this.#holds.stop();
    this.#quarantine.stop();
    for (const order of this.#orders.values()) order.abandon();
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
    const known = new Map(checkpoints().map((checkpoint) => [keyOf(checkpoint), checkpoint]));
    await Promise.all(
      [...pods.all()].map(async (pod) => {
        const { hold } = pod;
        // A dump that was not finished is begun anew; the pod may go on until then.
        const checkpoint = hold === null ? undefined : known.get(hold.key);
        if (hold === null || (mayBeMarked(hold) && isWanted(checkpoint))) return;
        await this.#untilDone(() => this.#holds.letGo(pod, hold, checkpoint));
      }),
    );
    await ready();
    if (life.aborted) return false;
    // After the thaws: the record of what stands frozen lies with the state.
    const unknown = pods.references().filter((reference) => !known.has(reference));
    for (const reference of unknown) this.#firmly(() => this.#quarantine.add(reference));
    this.#isRecovered = true;
    // First the order that holds its pod: the other orders of that pod wait for it.
    const holders = new Set([...pods.all()].map(({ frozenBy }) => frozenBy));
    const isHolder = (checkpoint: KubeObject): boolean => holders.has(keyOf(checkpoint));
    const found = checkpoints();
    for (const checkpoint of found) if (isHolder(checkpoint)) this.changed(checkpoint);
    for (const checkpoint of found) if (!isHolder(checkpoint)) this.changed(checkpoint);
    return true;
  }

  #orderOf(key: string): Order | undefined {
    return [...this.#orders.values()].find((order) => order.key === key);
  }

  /** It waits until it is known what its predecessor left frozen for it. */
  #takeOnceKnown(order: Order): void {
    const lookedAt = this.#options.pods.lookedAt(order.key);
    if (lookedAt === null) return this.#take(order);
    order.saving = lookedAt.then(() => {
      if (order.isUntouched && !this.#life.signal.aborted) this.#take(order);
    });
  }

  /** An order this process has not seen before: a new one, or one that its predecessor worked on. */
  #take(order: Order): void {
    if (this.#holds.isHeld(order)) {
      order.move('FoundHeld'); // and is bounded since it was found
      this.#firmly(() => this.#lanes.enter(order, order.life));
      return;
    }
    if (order.status.saysOutcome) {
      order.move('FoundDone');
      if (order.status.saysFrozen) this.#firmly(() => this.#outcomes.catchUp(order));
      return;
    }
    order.move('Taken');
    if (order.status.saysFrozen) {
      const restarted = notHeld('AgentRestarted', 'the agent died during the dump; the pod was thawed');
      this.#firmly(() => order.status.report({}, [restarted]));
    }
    this.#holds.expireAtDeadline(order);
    order.saving = this.#saver.save(order).then((report) => {
      if (!this.#holds.isHeld(order)) {
        this.#holds.unbound(order.key);
        order.move('Killed'); // ignored unless it was frozen until now
      }
      this.#firmly(report);
    });
  }

  /** It is called off: the pod is thawed unless it is being deleted, and the object stays. */
  #release(order: Order): void {
    const lookedAt = order.isUntouched ? this.#options.pods.lookedAt(order.key) : null;
    if (lookedAt !== null) order.saving = lookedAt;
    // Where the status says it already, the predecessor has carried it out.
    if (!order.move(order.status.saysReleased ? 'FoundDone' : 'Released') || order.status.saysReleased) return;
    this.#firmly(async () => {
      await this.#holds.undo(order);
      await this.#outcomes.released(order);
    });
  }

  /** The object is being deleted: undo, then let it go. */
  async #remove(order: Order): Promise<void> {
    await this.#holds.undo(order);
    if (order.ranOn && order.status.saysFrozen) {
      await order.status.report({}, [notHeld('Thawed', 'the checkpoint was deleted')]);
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
