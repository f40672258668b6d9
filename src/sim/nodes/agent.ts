import { AGENT_FINALIZER, FROZEN_CONDITION } from '../../domain/labels.ts';
import { objectKey } from '../../domain/ids.ts';
import { checkpointOf } from '../../kube/project/checkpoint.ts';
import { timestampOf } from '../../kube/project/time.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { sleep, type Clock, type Timer } from '../../ports/clock.ts';
import type { Container } from './container.ts';
import type { ConditionPatch, NodeApi } from './node-api.ts';
import { imageIdOf } from './pod-status.ts';
import type { SimulatedNode } from './simulated-node.ts';
import type { SavedState } from './state-store.ts';
import { workEvent, type WorkLedger } from './work-ledger.ts';
import { containersOf, PROGRESS_ANNOTATION, rounded, workloadOf } from './workload.ts';

/** Below the 32 bits of the platform's timers. */
const LONGER_THAN_ANY_STORY_MS = 2_000_000_000;

/** Seeded or scripted failures; each is asked once per attempt. */
export interface NodeFaults {
  /** Message of a dump that fails; null: it succeeds. */
  readonly dumpFails?: (pod: KubeObject) => string | null;
  readonly dumpHangs?: (pod: KubeObject) => boolean;
  readonly restoreFails?: (pod: KubeObject) => string | null;
}

export interface AgentOptions {
  readonly node: SimulatedNode;
  readonly api: NodeApi;
  readonly clock: Clock;
  readonly ledger: WorkLedger;
  readonly faults: NodeFaults;
  /** The kubelet's timers follow what the agent does to a container. */
  readonly onFrozen: (container: Container) => void;
  readonly onThawed: (container: Container) => void;
}

/** One PodCheckpoint the agent works on. */
interface Order {
  checkpoint: KubeObject;
  /** Ends the dump. */
  readonly cancelled: AbortController;
  deadline: Timer | null;
  /** Undone: at its deadline, or because its object is being deleted. */
  undone: boolean;
}

/**
 * Reprieve's node agent as the API server sees it: obeys PodCheckpoints, keeps the Frozen mark and the container in step,
 * and restores. What the real agent does with CRIU takes time and bytes here, and saves a number.
 */
export class Agent {
  readonly #options: AgentOptions;
  readonly #orders = new Map<string, Order>(); // uid of a PodCheckpoint -> what is done about it
  readonly #references = new Map<string, string>(); // pod uid -> newest state of it in the store

  constructor(options: AgentOptions) {
    this.#options = options;
  }

  /** A PodCheckpoint for this node was added or changed. */
  checkpointChanged(checkpoint: KubeObject): void {
    if (!this.#options.node.agentAlive) return;
    const uid = checkpoint.metadata.uid as string;
    let order = this.#orders.get(uid);
    if (order === undefined) {
      order = { checkpoint, cancelled: new AbortController(), deadline: null, undone: false };
      this.#orders.set(uid, order);
      const { ready, failure, deleting } = checkpointOf(checkpoint);
      if (!ready && failure === null && !deleting) void this.#save(order);
      else this.#armDeadline(order);
    }
    order.checkpoint = checkpoint;
    if (checkpoint.metadata.deletionTimestamp !== undefined) void this.#remove(order);
  }

  checkpointRemoved(checkpoint: KubeObject): void {
    const uid = checkpoint.metadata.uid as string;
    const order = this.#orders.get(uid);
    order?.deadline?.cancel();
    order?.cancelled.abort(new Error('the checkpoint is gone'));
    this.#orders.delete(uid);
  }

  /** The kubelet killed a frozen container, as it must once the pod is being deleted. */
  killed(container: Container): void {
    const order = this.#orderOf(container);
    if (order === undefined) return;
    order.deadline?.cancel();
    if (checkpointOf(order.checkpoint).frozen) {
      void this.#report(order, {}, [frozen('False', 'PodKilled', 'the pod was deleted while it stood still')]);
    }
  }

  /** Seconds of work that a state in the store keeps of this container; null where there is none. */
  savedProgressOf(container: Container): number | null {
    const reference = this.#references.get(container.uid);
    return reference === undefined ? null : (this.#options.node.store.get(reference)?.progressSeconds ?? null);
  }

  /** Dies: dumps end unfinished, frozen containers stand still, states stay on the disk. */
  crash(): void {
    this.#options.node.agentAlive = false;
    for (const order of this.#orders.values()) {
      order.deadline?.cancel();
      order.cancelled.abort(new Error('the agent died'));
    }
    this.#orders.clear();
  }

  /**
   * Starts again: whatever stands frozen is still wanted, or goes on. `checkpoints` are those of this node as the API server
   * has them now.
   */
  async restart(checkpoints: readonly KubeObject[]): Promise<void> {
    const { node } = this.#options;
    node.agentAlive = true;
    const byKey = new Map(checkpoints.map((checkpoint) => [keyOf(checkpoint), checkpoint]));
    for (const container of node.containers.values()) {
      if (container.frozenBy === null) continue;
      const checkpoint = byKey.get(container.frozenBy);
      const { ready, deleting } = checkpoint ? checkpointOf(checkpoint) : { ready: false, deleting: true };
      // A dump that was not finished is begun anew; the container may go on until then.
      if (!ready || deleting) await this.#thaw(container);
    }
    for (const checkpoint of checkpoints) this.checkpointChanged(checkpoint);
  }

  async #save(order: Order): Promise<void> {
    const { node, clock, ledger, onFrozen } = this.#options;
    const { podUid, podName, keepFrozen } = checkpointOf(order.checkpoint);
    const container = node.containers.get(podUid);
    if (container === undefined)
      return this.#fail(order, 'PodGone', `pod ${podName} with UID ${podUid} is not on this node`);
    if (container.state !== 'running' || container.pod.metadata.deletionTimestamp !== undefined) {
      return this.#fail(order, 'NotRunning', `pod ${podName} does not run`);
    }
    const startedAt = timestampOf(clock.now());
    const { stateBytes, images } = workloadOf(container.pod);
    const stop = AbortSignal.any([order.cancelled.signal, container.ended.signal]);
    try {
      await sleep(clock, node.spec.freezeMs, stop);
      if (container.state !== 'running')
        return await this.#fail(order, 'NotRunning', `pod ${podName} ended before it was frozen`);
      container.freeze(keyOf(order.checkpoint));
      onFrozen(container);
      ledger.record(workEvent('frozen', container, clock.now()));
      const takenMs = clock.now();
      const failure = await node.disk.use(() => this.#dump(container, stateBytes, stop));
      if (failure !== null) {
        await this.#thaw(container);
        return await this.#fail(order, 'DumpFailed', failure);
      }
      const reference = keyOf(order.checkpoint);
      node.store.put(reference, {
        progressSeconds: container.progressSeconds,
        bytes: stateBytes,
        images,
        weight: node.weightOf(container.pod),
        restored: false,
      });
      this.#references.set(container.uid, reference);
      ledger.record(workEvent('saved', container, clock.now(), stateBytes));
      if (keepFrozen) await this.#mark(container, order);
      else await this.#thaw(container);
      await this.#reportReady(order, container, { startedAt, takenMs, reference, stateBytes, keepFrozen });
      this.#armDeadline(order);
    } catch (error) {
      // The order was undone, or the pod ended: whoever did that has said so.
      if (!stop.aborted) throw error;
      if (container.ended.signal.aborted && !order.cancelled.signal.aborted) {
        await this.#fail(order, 'PodGone', `pod ${podName} ended before it was saved`);
      }
    }
  }

  /** Writes the state; returns why it could not. */
  async #dump(container: Container, bytes: number, stop: AbortSignal): Promise<string | null> {
    const { node, clock, faults } = this.#options;
    if (faults.dumpHangs?.(container.pod)) await sleep(clock, LONGER_THAN_ANY_STORY_MS, stop);
    await sleep(clock, (bytes / node.spec.dumpBytesPerSecond) * 1000, stop);
    return faults.dumpFails?.(container.pod) ?? null;
  }

  /** The pod says itself that it stands still and is saved: that is what an eviction locks on. */
  async #mark(container: Container, order: Order): Promise<void> {
    const { api } = this.#options;
    await api.patchPod(container.pod, {
      conditions: [
        { type: FROZEN_CONDITION, status: 'True', reason: 'Checkpointed', message: order.checkpoint.metadata.name },
      ],
      annotations: { [PROGRESS_ANNOTATION]: String(rounded(container.progressSeconds)) },
    });
  }

  async #reportReady(
    order: Order,
    container: Container,
    made: { startedAt: string; takenMs: number; reference: string; stateBytes: number; keepFrozen: boolean },
  ): Promise<void> {
    const { node, clock } = this.#options;
    const digest = imageIdOf(made.reference).split('@')[1] as string;
    const isHeld = made.keepFrozen && container.state === 'frozen';
    await this.#report(
      order,
      {
        containers: containersOf(container.pod).map(({ name, image }) => ({
          name,
          imageDigest: imageIdOf(image).split('@')[1] as string,
          bytes: made.stateBytes,
          digest,
        })),
        bytes: made.stateBytes,
        location: { node: node.spec.name, reference: made.reference },
        compatibility: node.spec.compatibility,
        takenAt: timestampOf(made.takenMs),
        startedAt: made.startedAt,
        completedAt: timestampOf(clock.now()),
        manifestDigest: digest,
      },
      [
        { type: 'Ready', status: 'True', reason: 'Verified', message: 'the state is complete on the node' },
        isHeld
          ? frozen('True', 'Held', 'the pod stands still')
          : container.state === 'ended'
            ? frozen('False', 'PodKilled', 'the pod was deleted while it stood still')
            : frozen('False', 'Thawed', 'the pod went on after it was saved'),
      ],
    );
  }

  /** At the deadline nobody may be left to ask: a pod that is not being deleted goes on. */
  #armDeadline(order: Order): void {
    const { clock, node } = this.#options;
    const { deadlineMs, podUid, deleting } = checkpointOf(order.checkpoint);
    if (deadlineMs === null || deleting || node.containers.get(podUid)?.frozenBy !== keyOf(order.checkpoint)) return;
    order.deadline = clock.setTimer(deadlineMs - clock.now(), () => void this.#expire(order));
  }

  async #expire(order: Order): Promise<void> {
    const container = this.#containerOf(order);
    if (order.undone || container?.frozenBy !== keyOf(order.checkpoint)) return;
    order.undone = true;
    if (await this.#thaw(container)) {
      await this.#report(order, {}, [frozen('False', 'DeadlineExceeded', 'nobody deleted the pod until the deadline')]);
    }
  }

  /** The object is being deleted: undo, then let it go. */
  async #remove(order: Order): Promise<void> {
    if (order.undone && order.cancelled.signal.aborted) return;
    order.undone = true;
    order.cancelled.abort(new Error('the checkpoint was cancelled'));
    order.deadline?.cancel();
    const { api, node, ledger } = this.#options;
    const container = this.#containerOf(order);
    const key = keyOf(order.checkpoint);
    if (container?.frozenBy === key && container.state === 'frozen') await this.#thaw(container);
    const state = node.store.take(key);
    if (state !== undefined) this.#forget(state, key, container, ledger);
    await api.removeFinalizer(order.checkpoint, AGENT_FINALIZER);
  }

  /** What was saved and never continued is lost with its state, unless the container itself went on. */
  #forget(state: SavedState, reference: string, container: Container | undefined, ledger: WorkLedger): void {
    for (const [uid, held] of this.#references) if (held === reference) this.#references.delete(uid);
    const wentOn = container !== undefined && container.state !== 'ended';
    if (!state.restored && !wentOn) ledger.discard(state.weight, state.progressSeconds);
  }

  /**
   * Lets a frozen container go on. The mark goes first, by a write that fails when the pod changed: a deletion that was
   * decided on the mark and this write exclude each other. Returns false where the pod is being deleted: it stays frozen and
   * the kubelet kills it.
   */
  async #thaw(container: Container): Promise<boolean> {
    const { api, clock, node, ledger, onThawed } = this.#options;
    const { namespace = null, name } = container.pod.metadata;
    for (;;) {
      const pod = await api.read(RESOURCES.pods, namespace, name);
      if (pod === null || pod.metadata.uid !== container.uid || pod.metadata.deletionTimestamp !== undefined)
        return false;
      if (container.state !== 'frozen') return false;
      const fenced = await api.patchPod(pod, {
        conditions: [{ type: FROZEN_CONDITION, status: 'False', reason: 'Thawed', message: '' }],
        resourceVersion: pod.metadata.resourceVersion as string,
      });
      if (fenced === null) continue; // it changed in between: look again
      if (fenced.metadata.deletionTimestamp !== undefined) return false;
      ledger.hold(node.weightOf(pod), container.stateSeconds);
      container.thaw();
      ledger.record(workEvent('thawed', container, clock.now()));
      onThawed(container);
      return true;
    }
  }

  async #fail(order: Order, reason: string, message: string): Promise<void> {
    await this.#report(order, {}, [{ type: 'Failed', status: 'True', reason, message }]);
  }

  async #report(
    order: Order,
    fields: Parameters<NodeApi['patchCheckpoint']>[1],
    conditions: readonly ConditionPatch[],
  ): Promise<void> {
    await this.#options.api.patchCheckpoint(order.checkpoint, fields, conditions);
  }

  #containerOf(order: Order): Container | undefined {
    return this.#options.node.containers.get(checkpointOf(order.checkpoint).podUid);
  }

  #orderOf(container: Container): Order | undefined {
    for (const order of this.#orders.values()) if (keyOf(order.checkpoint) === container.frozenBy) return order;
    return undefined;
  }
}

function keyOf(checkpoint: KubeObject): string {
  return objectKey(checkpoint.metadata.namespace ?? '', checkpoint.metadata.name);
}

function frozen(status: 'True' | 'False', reason: string, message: string): ConditionPatch {
  return { type: 'Frozen', status, reason, message };
}
