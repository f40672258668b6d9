import { isTooLarge, type CheckpointRules } from '../../domain/checkpoint-rules.ts';
import type { PodUid } from '../../domain/ids.ts';
import type {
  Dump,
  DumpProgress,
  Hold,
  HoldTerms,
  SavablePod,
  SavablePods,
  SaveFailure,
} from '../../agent/orders/savable-pod.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { LONGEST_TIMER_MS, sleep, type Clock } from '../../ports/clock.ts';
import type { Turns } from '../../agent/turns.ts';
import type { Container } from './container.ts';
import { imageIdOf } from './pod-status.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { workEvent, type WorkLedger } from './work-ledger.ts';
import { containersOf, PROGRESS_ANNOTATION, rounded, workloadOf } from './workload.ts';

/** Seeded or scripted failures; each is asked once per attempt. */
export interface NodeFaults {
  /** Message of a dump that fails; null: it succeeds. */
  readonly dumpFails?: (pod: KubeObject) => string | null;
  /** Message of a freeze that fails; null: it succeeds. */
  readonly freezeFails?: (pod: KubeObject) => string | null;
  /** Message of a thaw that fails; null: it succeeds. */
  readonly thawFails?: (pod: KubeObject) => string | null;
  readonly dumpHangs?: (pod: KubeObject) => boolean;
  readonly restoreFails?: (pod: KubeObject) => string | null;
  /** How many times longer the disk takes than the node's spec says; absent: 1. */
  readonly slowness?: () => number;
}

export interface SimulatedPodsOptions {
  readonly node: SimulatedNode;
  readonly clock: Clock;
  readonly ledger: WorkLedger;
  readonly faults: NodeFaults;
  /** The kubelet's timers follow what the agent does to a container. */
  readonly onFrozen: (container: Container) => void;
  readonly onThawed: (container: Container) => void;
  /** The agent has learned that its pod is being deleted, maybe before the kubelet. */
  readonly onDeleted: (object: KubeObject) => void;
}

/** What the real node does with runc and CRIU takes time and bytes here, and saves a number. */
export class SimulatedPods implements SavablePods {
  readonly #options: SimulatedPodsOptions;
  readonly #pods = new WeakMap<Container, SavablePod>();

  constructor(options: SimulatedPodsOptions) {
    this.#options = options;
  }

  get disk(): Turns {
    return this.#options.node.disk;
  }

  find(uid: PodUid): SavablePod | undefined {
    const container = this.#options.node.containers.get(uid);
    return container && this.#podOf(container);
  }

  *all(): Iterable<SavablePod> {
    for (const container of this.#options.node.containers.values()) yield this.#podOf(container);
  }

  references(): readonly string[] {
    return this.#options.node.store.references();
  }

  unknownSince(reference: string, nowMs: number): Promise<number | null> {
    return Promise.resolve(this.#options.node.store.unknownSince(reference, nowMs));
  }

  known(reference: string): Promise<void> {
    this.#options.node.store.known(reference);
    return Promise.resolve();
  }

  forget(reference: string): Promise<void> {
    const { node, ledger } = this.#options;
    const removed = node.store.remove(reference);
    if (removed !== null) ledger.discard(removed.state.weight, removed.lostSeconds);
    return Promise.resolve();
  }

  lookedAt(): null {
    return null;
  }

  /** A simulated state that is not to be restored need not be there at all. */
  invalidate(reference: string): Promise<void> {
    return this.forget(reference);
  }

  isValid(reference: string): Promise<boolean> {
    return Promise.resolve(this.#options.node.store.get(reference) !== undefined);
  }

  #podOf(container: Container): SavablePod {
    let pod = this.#pods.get(container);
    if (pod === undefined) this.#pods.set(container, (pod = new SimulatedPod(container, this.#options)));
    return pod;
  }
}

class SimulatedPod implements SavablePod {
  readonly #container: Container;
  readonly #options: SimulatedPodsOptions;
  #writing: { readonly sinceMs: number; readonly lengthMs: number; readonly bytes: number } | null = null;

  constructor(container: Container, options: SimulatedPodsOptions) {
    this.#container = container;
    this.#options = options;
  }

  get object(): KubeObject {
    return this.#container.pod;
  }

  get state(): SavablePod['state'] {
    return this.#container.state;
  }

  get frozenBy(): string | null {
    return this.hold?.key ?? null;
  }

  get hold(): Hold | null {
    return this.state === 'frozen' ? this.#container.hold : null;
  }

  /** Simulated kubelets probe nothing. */
  get longestFreezeMs(): null {
    return null;
  }

  get ended(): AbortSignal {
    return this.#container.ended.signal;
  }

  async freeze(terms: HoldTerms, stop: AbortSignal): Promise<SaveFailure | null> {
    const { node, clock, ledger, faults, onFrozen } = this.#options;
    await sleep(clock, node.spec.freezeMs, stop);
    const failure = faults.freezeFails?.(this.object) ?? null;
    if (failure !== null) throw new Error(failure);
    if (this.state !== 'running') {
      return { reason: 'NotRunning', message: `pod ${this.object.metadata.name} ended before it was frozen` };
    }
    this.#container.freeze(terms);
    onFrozen(this.#container);
    ledger.record(workEvent('frozen', this.#container, clock.now()));
    return null;
  }

  async thaw(): Promise<void> {
    const { node, clock, ledger, faults, onThawed } = this.#options;
    const container = this.#container;
    const failure = faults.thawFails?.(this.object) ?? null;
    if (failure !== null) throw new Error(failure);
    if (container.state === 'frozen') {
      ledger.hold(node.weightOf(container.pod), container.stateSeconds);
      container.thaw();
      ledger.record(workEvent('thawed', container, clock.now()));
      onThawed(container);
    }
  }

  deletionSeen(object: KubeObject): void {
    this.#options.onDeleted(object);
  }

  async dump(key: string, rules: CheckpointRules, stop: AbortSignal): Promise<Dump> {
    const { node, clock, ledger } = this.#options;
    const container = this.#container;
    const { stateBytes, volumeBytes, connections, images } = workloadOf(container.pod);
    if (rules.sockets === 'Refuse' && connections > 0) {
      return { failure: { reason: 'TcpEstablished', message: `it has ${connections} TCP connections` } };
    }
    const bytes = rules.volumes === 'None' ? Math.max(0, stateBytes - volumeBytes) : stateBytes;
    if (isTooLarge(bytes, rules)) {
      return { failure: { reason: 'TooLarge', message: `its state has ${bytes} bytes` } };
    }
    const message = await this.#write(key, bytes, stop);
    if (message !== null) return { failure: { reason: 'DumpFailed', message } };
    node.store.put(key, {
      podUid: container.uid as PodUid,
      progressSeconds: container.progressSeconds,
      bytes,
      images,
      weight: node.weightOf(container.pod),
      owed: false,
    });
    container.saved();
    ledger.record(workEvent('saved', container, clock.now(), bytes));
    const digest = digestOf(key);
    const containers = containersOf(container.pod).map(({ name, image }) => ({
      name,
      imageDigest: digestOf(image),
      bytes,
      digest,
    }));
    return { failure: null, saved: { containers, bytes, manifestDigest: digest } };
  }

  progress(): Promise<DumpProgress | null> {
    if (this.#writing === null) return Promise.resolve(null);
    const { sinceMs, lengthMs, bytes } = this.#writing;
    const share = lengthMs === 0 ? 1 : Math.min(1, (this.#options.clock.monotonic() - sinceMs) / lengthMs);
    return Promise.resolve({ writtenBytes: Math.round(share * bytes), expectedBytes: bytes });
  }

  annotations(): Readonly<Record<string, string>> {
    return { [PROGRESS_ANNOTATION]: String(rounded(this.#container.progressSeconds)) };
  }

  /** Writes the state; returns why it could not. */
  async #write(key: string, bytes: number, stop: AbortSignal): Promise<string | null> {
    const { node, clock, faults } = this.#options;
    node.store.begin(key);
    if (faults.dumpHangs?.(this.object)) await sleep(clock, LONGEST_TIMER_MS, stop);
    const lengthMs = (bytes / node.spec.dumpBytesPerSecond) * 1000 * (faults.slowness?.() ?? 1);
    this.#writing = { sinceMs: clock.monotonic(), lengthMs, bytes };
    try {
      await sleep(clock, lengthMs, stop);
    } finally {
      this.#writing = null;
    }
    return faults.dumpFails?.(this.object) ?? null;
  }
}

function digestOf(name: string): string {
  return imageIdOf(name).split('@').at(-1) as string;
}
