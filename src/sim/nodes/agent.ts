import type { ConditionOf } from '../../domain/condition-reasons.ts';
import type { PodUid } from '../../domain/ids.ts';
import { AGENT_FINALIZER } from '../../domain/labels.ts';
import { timestampOf } from '../../kube/project/time.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { sleep } from '../../ports/clock.ts';
import type { Container } from './container.ts';
import { Freezer, type FreezerOptions } from './freezer.ts';
import { held, notHeld, Order } from './order.ts';
import { imageIdOf } from './pod-status.ts';
import { workEvent } from './work-ledger.ts';
import { containersOf, workloadOf } from './workload.ts';

/** Below the 32 bits of the platform's timers. */
const LONGEST_TIMER_MS = 2_000_000_000;

/** Seeded or scripted failures; each is asked once per attempt. */
export interface NodeFaults {
  /** Message of a dump that fails; null: it succeeds. */
  readonly dumpFails?: (pod: KubeObject) => string | null;
  readonly dumpHangs?: (pod: KubeObject) => boolean;
  readonly restoreFails?: (pod: KubeObject) => string | null;
}

export interface AgentOptions extends FreezerOptions {
  readonly faults: NodeFaults;
}

/**
 * Reprieve's node agent as the API server sees it: obeys PodCheckpoints and undoes them. What the real agent does with CRIU
 * takes time and bytes here, and saves a number.
 */
export class Agent {
  readonly #options: AgentOptions;
  readonly #freezer: Freezer;
  readonly #orders = new Map<string, Order>(); // uid of a PodCheckpoint -> what is done about it
  #life = new AbortController(); // of the process: a restart begins another one

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#freezer = new Freezer(options);
  }

  /** A PodCheckpoint for this node was added or changed. */
  checkpointChanged(checkpoint: KubeObject): void {
    const { node, api } = this.#options;
    if (!node.agentAlive) return;
    const uid = checkpoint.metadata.uid as string;
    let order = this.#orders.get(uid);
    const isNew = order === undefined;
    order ??= new Order(checkpoint, api, this.#life.signal);
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
  checkpointRemoved(checkpoint: KubeObject): void {
    const uid = checkpoint.metadata.uid as string;
    const order = this.#orders.get(uid);
    if (order === undefined) return;
    this.#orders.delete(uid);
    void unlessDead(
      order,
      this.#undo(order).then(() => this.#forget(order.key)),
    );
  }

  /** The kubelet killed a frozen container, as it must once the pod is being deleted. */
  killed(container: Container): void {
    for (const order of this.#orders.values()) {
      if (order.key === container.frozenBy) void unlessDead(order, this.#reportKilled(order));
    }
  }

  /** Dies: dumps end unfinished, frozen containers stand still, states stay on the disk. */
  crash(): void {
    this.#options.node.agentAlive = false;
    this.#life.abort(new Error('the agent died'));
    for (const order of this.#orders.values()) {
      order.deadline?.cancel();
      order.cancelled.abort(new Error('the agent died'));
    }
    this.#orders.clear();
  }

  /**
   * Starts again: whatever stands frozen is still wanted, or goes on. `checkpoints` are those of this node as they are known
   * at each moment: what changes while containers are thawed is not missed.
   */
  async restart(checkpoints: () => readonly KubeObject[]): Promise<void> {
    const { node } = this.#options;
    if (node.agentAlive) return;
    const life = new AbortController();
    this.#life = life;
    const orders = new Map(
      checkpoints().map((checkpoint) => {
        const order = new Order(checkpoint, this.#options.api, life.signal);
        return [order.key, order];
      }),
    );
    for (const reference of node.store.references()) if (!orders.has(reference)) this.#forget(reference);
    try {
      for (const container of node.containers.values()) {
        if (container.state !== 'frozen') continue;
        const order = orders.get(container.frozenBy ?? '');
        // A dump that was not finished is begun anew; the container may go on until then.
        const isWanted = order !== undefined && order.value.ready && !order.value.deleting;
        if (!isWanted) await this.#freezer.thaw(container, life.signal);
      }
    } catch (error) {
      if (life.signal.aborted) return; // died again
      throw error;
    }
    node.agentAlive = true;
    for (const checkpoint of checkpoints()) this.checkpointChanged(checkpoint);
  }

  /** An order this process has not seen before: a new one, or one that its predecessor worked on. */
  #take(order: Order): void {
    if (!order.isDone) order.saving = unlessDead(order, this.#save(order));
    else if (order.heldInStatus && !this.#isHeld(order)) void unlessDead(order, this.#catchUp(order));
    this.#armDeadline(order);
  }

  /** Its status lags behind: the predecessor died between the deed and the report. */
  async #catchUp(order: Order): Promise<void> {
    const container = this.#containerOf(order);
    if (container === undefined || container.state === 'ended') await this.#reportKilled(order);
    else await order.report({}, [notHeld('Thawed', 'the pod went on after it was saved')]);
  }

  async #save(order: Order): Promise<void> {
    const { node, clock, ledger } = this.#options;
    const { podName, podUid, keepFrozen } = order.value;
    const container = this.#containerOf(order);
    if (container === undefined) return order.fail('PodGone', `pod ${podName} with UID ${podUid} is not on this node`);
    if (container.state !== 'running' || container.pod.metadata.deletionTimestamp !== undefined) {
      return order.fail('NotRunning', `pod ${podName} does not run`);
    }
    const startedAt = timestampOf(clock.now());
    const { stateBytes, images } = workloadOf(container.pod);
    const cancelled = order.cancelled.signal;
    const stop = AbortSignal.any([cancelled, container.ended.signal]);
    try {
      await sleep(clock, node.spec.freezeMs, stop);
      if (container.state !== 'running')
        return await order.fail('NotRunning', `pod ${podName} ended before it was frozen`);
      this.#freezer.freeze(container, order.key);
      const takenMs = clock.now();
      const failure = await node.disk.take(() => this.#dump(container, stateBytes, stop), stop);
      if (failure !== null) {
        await this.#freezer.thaw(container, order.life);
        return await order.fail('DumpFailed', failure);
      }
      node.store.put(order.key, {
        podUid,
        progressSeconds: container.progressSeconds,
        bytes: stateBytes,
        images,
        weight: node.weightOf(container.pod),
        owed: false,
      });
      ledger.record(workEvent('saved', container, clock.now(), stateBytes));
      if (keepFrozen) await this.#freezer.mark(container, order.checkpoint.metadata.name, cancelled);
      else await this.#freezer.thaw(container, order.life);
      cancelled.throwIfAborted();
      await this.#reportReady(order, container, { startedAt, takenMs, stateBytes });
    } catch (error) {
      if (!stop.aborted) throw error;
      // Whoever undid the order says so; the kubelet, which ended the pod, knows nothing of it.
      if (!cancelled.aborted) await order.fail('PodGone', `pod ${podName} ended before it was saved`);
    } finally {
      if (!this.#isHeld(order)) order.deadline?.cancel();
    }
  }

  /** Writes the state; returns why it could not. */
  async #dump(container: Container, bytes: number, stop: AbortSignal): Promise<string | null> {
    const { node, clock, faults } = this.#options;
    if (faults.dumpHangs?.(container.pod)) await sleep(clock, LONGEST_TIMER_MS, stop);
    await sleep(clock, (bytes / node.spec.dumpBytesPerSecond) * 1000, stop);
    return faults.dumpFails?.(container.pod) ?? null;
  }

  async #reportReady(
    order: Order,
    container: Container,
    made: { readonly startedAt: string; readonly takenMs: number; readonly stateBytes: number },
  ): Promise<void> {
    const { node, clock } = this.#options;
    const digest = digestOf(order.key);
    const fields = {
      containers: containersOf(container.pod).map(({ name, image }) => ({
        name,
        imageDigest: digestOf(image),
        bytes: made.stateBytes,
        digest,
      })),
      bytes: made.stateBytes,
      location: { node: node.spec.name, reference: order.key },
      compatibility: node.spec.compatibility,
      takenAt: timestampOf(made.takenMs),
      startedAt: made.startedAt,
      completedAt: timestampOf(clock.now()),
      manifestDigest: digest,
    };
    const stands = this.#isHeld(order)
      ? held('the pod stands still')
      : container.state === 'ended'
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
    if (order.heldInStatus) await order.report({}, [POD_KILLED]);
  }

  /** At the deadline nobody may be left to ask: a pod that is not being deleted goes on, saved or not. */
  #armDeadline(order: Order): void {
    const { clock } = this.#options;
    const { deadlineMs } = order.value;
    if (deadlineMs === null || (order.isDone && !this.#isHeld(order))) return;
    const delayMs = Math.min(deadlineMs - clock.now(), LONGEST_TIMER_MS);
    order.deadline = clock.setTimer(delayMs, () => {
      if (clock.now() < deadlineMs) this.#armDeadline(order);
      else void unlessDead(order, this.#expire(order));
    });
  }

  async #expire(order: Order): Promise<void> {
    const wentOn = await this.#undo(order);
    const message = 'nobody deleted the pod until the deadline';
    const exceeded = notHeld('DeadlineExceeded', message);
    if (order.isDone) {
      if (wentOn) await order.report({}, [exceeded]);
      return;
    }
    this.#forget(order.key);
    await order.report({}, [
      { type: 'Failed', status: 'True', reason: 'DeadlineExceeded', message: 'it was not saved until the deadline' },
      exceeded,
    ]);
  }

  /** The object is being deleted: undo, then let it go. */
  async #remove(order: Order): Promise<void> {
    if (await this.#undo(order)) await order.report({}, [notHeld('Thawed', 'the checkpoint was deleted')]);
    this.#forget(order.key);
    await this.#options.api.removeFinalizer(order.checkpoint, AGENT_FINALIZER, order.life);
  }

  /** Ends the dump; the container goes on, unless its pod is being deleted. True where this thawed it. */
  async #undo(order: Order): Promise<boolean> {
    order.deadline?.cancel();
    order.cancelled.abort(new Error('the checkpoint was undone'));
    await order.saving;
    const container = this.#containerOf(order);
    return container !== undefined && this.#isHeld(order) && this.#freezer.thaw(container, order.life);
  }

  #forget(reference: string): void {
    const { node, ledger } = this.#options;
    const removed = node.store.remove(reference);
    if (removed !== null) ledger.discard(removed.state.weight, removed.lostSeconds);
  }

  #containerOf(order: Order): Container | undefined {
    const podUid: PodUid = order.value.podUid;
    return this.#options.node.containers.get(podUid);
  }

  /** Its container stands frozen, by this order. */
  #isHeld(order: Order): boolean {
    const container = this.#containerOf(order);
    return container?.state === 'frozen' && container.frozenBy === order.key;
  }
}

const POD_KILLED = notHeld('PodKilled', 'the pod was deleted while it stood still');

/** What the death of the agent cuts off is no error. */
async function unlessDead(order: Order, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!order.life.aborted) throw error;
  }
}

function digestOf(name: string): string {
  return imageIdOf(name).split('@').at(-1) as string;
}
