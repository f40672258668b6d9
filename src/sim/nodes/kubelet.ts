import { RESTORED_CONDITION, TICKET_ANNOTATION } from '../../domain/labels.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { sleep, type Clock, type Timer } from '../../ports/clock.ts';
import type { Agent } from './agent.ts';
import { Container } from './container.ts';
import type { ConditionPatch, NodeApi } from './node-api.ts';
import { endedStatus, readiness, runningStatus } from './pod-status.ts';
import type { Restorer } from './restorer.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { workEvent, type WorkLedger } from './work-ledger.ts';
import { isEnded, PROGRESS_ANNOTATION, rounded, workloadOf } from './workload.ts';

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
      if (isEnded(pod)) return;
      const started = new Container(pod, node.spec.name, clock);
      node.containers.set(uid, started);
      if (pod.metadata.deletionTimestamp === undefined) void this.#start(started);
      else void this.#end(started, 137);
      return;
    }
    const wasDeleting = container.pod.metadata.deletionTimestamp !== undefined;
    container.pod = pod;
    if (pod.metadata.deletionTimestamp !== undefined && !wasDeleting) void this.#terminate(container);
  }

  podRemoved(pod: KubeObject): void {
    const { node } = this.#options;
    const uid = pod.metadata.uid as string;
    const container = node.containers.get(uid);
    if (container !== undefined && container.state !== 'ended') this.#account(container);
    this.#stopTimer(uid);
    container?.end();
    node.containers.delete(uid);
  }

  /** Sets the timer of a container that works again after it was frozen. */
  resumed(container: Container): void {
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
    const startedMs = clock.now();
    let progress = 0;
    const conditions: ConditionPatch[] = [...readiness(true)];
    const isReplacement = unsavedWork.delete(workKeyOf(pod));
    try {
      const ticket = pod.metadata.annotations?.[TICKET_ANNOTATION];
      const restore = ticket === undefined ? null : await restorer.restore(container, ticket);
      if (restore !== null) {
        const { succeeded, reason, message } = restore;
        conditions.push({ type: RESTORED_CONDITION, status: succeeded ? 'True' : 'False', reason, message });
        if (succeeded) progress = restore.progressSeconds;
      }
      if (restore === null || !restore.succeeded) await sleep(clock, node.spec.coldStartMs, container.ended.signal);
      if (restore !== null || isReplacement) ledger.hold(node.weightOf(pod), (clock.now() - startedMs) / 1000);
      const kind = restore === null ? 'started' : restore.succeeded ? 'restored' : 'coldStarted';
      container.run(progress);
      ledger.record(workEvent(kind, container, clock.now(), restore?.succeeded ? restore.bytes : undefined));
    } catch (error) {
      if (container.ended.signal.aborted) return; // deleted before it ran
      throw error;
    }
    this.resumed(container);
    await api.patchPod(pod, {
      status: runningStatus(pod, api.timestamp(), podIpOf(pod)),
      conditions,
      annotations: { [PROGRESS_ANNOTATION]: String(rounded(progress)) },
    });
  }

  async #complete(container: Container): Promise<void> {
    if (container.state !== 'running') return;
    this.#stopTimer(container.uid);
    const { clock, ledger } = this.#options;
    ledger.record(workEvent('completed', container, clock.now()));
    await this.#end(container, 0);
  }

  async #terminate(container: Container): Promise<void> {
    const { clock, ledger, node } = this.#options;
    const { pod } = container;
    if (container.state === 'running') {
      this.#stopTimer(container.uid);
      container.terminate();
      const graceSeconds = pod.metadata.deletionGracePeriodSeconds ?? 30;
      const seconds = Math.min(workloadOf(pod).terminationSeconds, graceSeconds);
      try {
        await sleep(clock, seconds * 1000, container.ended.signal);
      } catch {
        return; // its object was removed by force
      }
      if (isDisplaced(container.pod)) ledger.hold(node.weightOf(pod), seconds);
    }
    this.#account(container);
    await this.#end(container, 137);
  }

  /** What a kill throws away: the progress, less what the node's store holds of it. */
  #account(container: Container): void {
    const { node, agent, clock, ledger, unsavedWork } = this.#options;
    if (container.state === 'starting' || container.state === 'ended') return;
    const { pod } = container;
    if (container.state === 'frozen') {
      ledger.hold(node.weightOf(pod), container.stateSeconds);
      agent.killed(container);
    }
    const saved = agent.savedProgressOf(container);
    if (isDisplaced(pod)) {
      ledger.discard(node.weightOf(pod), container.progressSeconds - (saved ?? 0));
      if (saved === null) unsavedWork.add(workKeyOf(pod));
    }
    ledger.record(workEvent('killed', container, clock.now()));
  }

  async #end(container: Container, exitCode: 0 | 137): Promise<void> {
    const { api } = this.#options;
    const { pod } = container;
    if (container.state !== 'ended') container.end();
    const ended = await api.patchPod(pod, {
      status: endedStatus(pod, exitCode, api.timestamp()),
      conditions: readiness(false),
      annotations: { [PROGRESS_ANNOTATION]: String(rounded(container.progressSeconds)) },
    });
    // As kubelet: the object goes when its end is recorded, and only where somebody asked for it.
    if ((ended ?? container.pod).metadata.deletionTimestamp !== undefined) {
      await api.deletePod(pod, { uid: container.uid, gracePeriodSeconds: 0 });
    }
  }

  #stopTimer(uid: string): void {
    this.#completions.get(uid)?.cancel();
    this.#completions.delete(uid);
  }
}

/** Deleted to make room, not because its owner wanted it gone. */
function isDisplaced(pod: KubeObject): boolean {
  const { conditions } = (pod['status'] ?? {}) as { conditions?: readonly { type: string; status: string }[] };
  return conditions?.some(({ type, status }) => type === 'DisruptionTarget' && status === 'True') ?? false;
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
