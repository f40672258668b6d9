import type { PodUid } from '../../domain/ids.ts';
import { RESTORED_CONDITION, TICKET_ANNOTATION } from '../../domain/labels.ts';
import { conditionOf, isConditionTrue } from '../../kube/project/conditions.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { sleep, type Clock, type Timer } from '../../ports/clock.ts';
import type { Agent } from './agent.ts';
import { Container } from './container.ts';
import type { NodeApi, PodPatch } from '../../agent/node-api.ts';
import { endedStatus, readiness, runningStatus } from './pod-status.ts';
import type { Restore, Restorer } from './restorer.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { workEvent, type WorkLedger } from './work-ledger.ts';
import { conditionsOf, isEnded, PROGRESS_ANNOTATION, rounded, workloadOf } from './workload.ts';

export interface KubeletOptions {
  readonly node: SimulatedNode;
  readonly agent: Agent;
  readonly restorer: Restorer;
  readonly api: NodeApi;
  readonly clock: Clock;
  readonly ledger: WorkLedger;
  /** Work that was evicted without its state: its replacement's start is part of the loss. Shared by all nodes. */
  readonly unsavedWork: Set<string>;
}

/** Runs the pods of one simulated node: starts, completes, and ends them with grace, as kubelet does. */
export class Kubelet {
  readonly #options: KubeletOptions;
  readonly #completions = new Map<string, Timer>(); // pod uid -> when its work is done

  constructor(options: KubeletOptions) {
    this.#options = options;
  }

  /** A pod of this node was added or changed. */
  podChanged(pod: KubeObject): void {
    const { node, clock } = this.#options;
    const uid = pod.metadata.uid as string;
    const container = node.containers.get(uid);
    if (container === undefined) {
      if (isEnded(pod)) {
        if (pod.metadata.deletionTimestamp !== undefined) void this.#deleteObject(pod);
        return;
      }
      const started = new Container(pod, node.spec.name, clock);
      node.containers.set(uid, started);
      if (pod.metadata.deletionTimestamp === undefined) void this.#start(started);
      else void this.#end(started);
      return;
    }
    const wasDeleting = container.pod.metadata.deletionTimestamp !== undefined;
    container.pod = pod;
    if (pod.metadata.deletionTimestamp !== undefined && !wasDeleting) void this.#terminate(container);
    // The pod was refused, or its node is shut down: its containers do not start.
    else if (container.state === 'starting' && isEnded(pod)) this.#kill(container);
    // As the status manager: a report that took effect late, after its sender gave up and told more, is put right.
    else if (container.isEndTold && !isEnded(pod)) void this.#end(container);
  }

  podRemoved(pod: KubeObject): void {
    const { node } = this.#options;
    const uid = pod.metadata.uid as string;
    const container = node.containers.get(uid);
    if (container === undefined) return;
    this.#kill(container); // removed by force: nothing is asked of it any more
    node.containers.delete(uid);
  }

  /** A pod's process dies by itself, frozen or not: the kernel needed its memory. It is not started again. */
  crash(podUid: string): void {
    const container = this.#options.node.containers.get(podUid);
    if (container === undefined || container.state === 'starting' || container.state === 'ended') return;
    this.#kill(container);
    void this.#end(container);
  }

  /** The node is gone, or nobody follows it any more: its containers stay as they were seen last, and nothing waits for them. */
  halt(): void {
    for (const { uid, ended } of this.#options.node.containers.values()) {
      this.#stopTimer(uid);
      ended.abort(new Error('the node is gone'));
    }
  }

  /** Sets the timer of a container that works, from the start or again. */
  resumed(container: Container): void {
    this.#stopTimer(container.uid);
    const { workSeconds } = workloadOf(container.pod);
    if (workSeconds === null) return;
    const leftMs = Math.max(0, workSeconds - container.progressSeconds) * 1000;
    this.#completions.set(
      container.uid,
      this.#options.clock.setTimer(leftMs, () => void this.#complete(container)),
    );
  }

  frozen(container: Container): void {
    this.#stopTimer(container.uid);
  }

  async #start(container: Container): Promise<void> {
    const { node, restorer, api, clock, ledger, unsavedWork } = this.#options;
    const { pod } = container;
    const conditions: NonNullable<PodPatch['conditions']>[number][] = [...readiness(true)];
    // A node that comes back starts its pods anew: what was restored once is not restored again.
    const ticket =
      (conditionOf(conditionsOf(pod), RESTORED_CONDITION)?.status ?? 'Unknown') !== 'Unknown'
        ? undefined
        : pod.metadata.annotations?.[TICKET_ANNOTATION];
    const isReplacement = unsavedWork.delete(workKeyOf(pod));
    const sinceMs = clock.monotonic();
    let restore: Restore | null = null;
    try {
      if (ticket !== undefined) restore = await restorer.restore(container, ticket);
      if (restore?.succeeded === false) await restorer.untilCold(container, restore);
      if (!restore?.succeeded) await sleep(clock, node.spec.coldStartMs, container.ended.signal);
    } catch (error) {
      if (container.ended.signal.aborted) return; // deleted before it ran
      throw error;
    } finally {
      if (ticket !== undefined || isReplacement) ledger.hold(node.weightOf(pod), (clock.monotonic() - sinceMs) / 1000);
    }
    if (restore !== null) {
      const { succeeded, reason, message } = restore;
      conditions.push(
        succeeded
          ? { type: RESTORED_CONDITION, status: 'True', reason, message }
          : { type: RESTORED_CONDITION, status: 'False', reason, message },
      );
    }
    const kind = restore === null ? 'started' : restore.succeeded ? 'restored' : 'coldStarted';
    const begunWith = restore?.succeeded ? restore.progressSeconds : 0;
    container.run(begunWith);
    ledger.record(workEvent(kind, container, clock.now(), restore?.succeeded ? restore.bytes : undefined));
    this.resumed(container);
    const status = runningStatus(pod, api.timestamp(), podIpOf(pod));
    await this.#write(container, { status, conditions }, begunWith);
  }

  async #complete(container: Container): Promise<void> {
    if (container.state !== 'running') return;
    const { clock, ledger } = this.#options;
    container.exitCode = 0;
    ledger.record(workEvent('completed', container, clock.now()));
    await this.#end(container);
  }

  async #terminate(container: Container): Promise<void> {
    const { pod } = container;
    if (container.state === 'running') {
      this.#stopTimer(container.uid);
      container.terminate();
      const graceSeconds = pod.metadata.deletionGracePeriodSeconds ?? 30;
      const seconds = Math.min(workloadOf(pod).terminationSeconds, graceSeconds);
      try {
        await sleep(this.#options.clock, seconds * 1000, container.ended.signal);
      } catch {
        return; // its object was removed by force
      }
    }
    this.#kill(container);
    await this.#end(container);
  }

  /** Ends a container before its work is done, and counts what that throws away: its progress, less what is saved of it. */
  #kill(container: Container): void {
    const { node, agent, clock, ledger, unsavedWork } = this.#options;
    const { pod, state, stateSeconds } = container;
    this.#stopTimer(container.uid);
    if (state === 'ended') return;
    container.end();
    if (state === 'starting') return;
    const weight = node.weightOf(pod);
    const displaced = isDisplaced(pod);
    if (state === 'frozen' || (state === 'terminating' && displaced)) ledger.hold(weight, stateSeconds);
    if (displaced) {
      const saved = node.store.newestOf(container.uid as PodUid);
      ledger.discard(weight, container.progressSeconds - (saved?.progressSeconds ?? 0));
      if (saved === undefined) unsavedWork.add(workKeyOf(pod));
      else saved.owed = true;
    }
    ledger.record(workEvent('killed', container, clock.now()));
    if (state === 'frozen') agent.killed(container);
  }

  async #end(container: Container): Promise<void> {
    const { api } = this.#options;
    const { pod, exitCode } = container;
    this.#stopTimer(container.uid);
    container.end();
    const ended = await this.#write(container, {
      status: endedStatus(pod, exitCode, api.timestamp()),
      conditions: readiness(false),
    });
    container.isEndTold = true;
    // As kubelet: the object goes when its end is recorded, and only where somebody asked for it.
    const newest = ended ?? container.pod;
    if (newest.metadata.deletionTimestamp !== undefined) await this.#deleteObject(newest);
  }

  #write(
    container: Container,
    patch: PodPatch,
    progressSeconds = container.progressSeconds,
  ): Promise<KubeObject | null> {
    const annotations = { [PROGRESS_ANNOTATION]: String(rounded(progressSeconds)) };
    return container.writes.take(() => this.#options.api.patchPod(container.pod, { ...patch, annotations }));
  }

  async #deleteObject(pod: KubeObject): Promise<void> {
    await this.#options.api.deletePod(pod, { uid: pod.metadata.uid as string, gracePeriodSeconds: 0 });
  }

  #stopTimer(uid: string): void {
    this.#completions.get(uid)?.cancel();
    this.#completions.delete(uid);
  }
}

/** Deleted to make room, not because its owner wanted it gone. */
function isDisplaced(pod: KubeObject): boolean {
  return isConditionTrue(conditionsOf(pod), 'DisruptionTarget');
}

/** Pods of one controller do one work; a bare pod does its own. */
function workKeyOf(pod: KubeObject): string {
  const { namespace, name, ownerReferences } = pod.metadata;
  return ownerReferences?.[0]?.uid ?? `${namespace}/${name}`;
}

/** Made up, the same for the same pod: nothing listens there. */
function podIpOf(pod: KubeObject): string {
  let hash = 0;
  for (const character of pod.metadata.uid ?? '') hash = (hash * 31 + (character.codePointAt(0) ?? 0)) >>> 0;
  return `10.244.${(hash >>> 8) & 0xff}.${Math.max(1, hash & 0xff)}`;
}
