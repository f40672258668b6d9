import type { NodeName, PodUid } from '../domain/ids.ts';
import { KubeClient } from '../kube/client.ts';
import { EventRecorder } from '../kube/event-recorder.ts';
import type { ReflectorNotice } from '../kube/reflector.ts';
import { TimedTransport } from '../kube/server-time.ts';
import type { KubeObject, KubeTransport } from '../kube/transport.ts';
import type { IndexedKind } from '../index/types.ts';
import type { Log } from '../observe/log.ts';
import { sleep, type Clock } from '../ports/clock.ts';
import { FollowedObjects } from './followed-objects.ts';
import { Heartbeat } from './heartbeat.ts';
import { NodeApi } from './node-api.ts';
import { CheckpointOrders } from './orders/checkpoint-orders.ts';
import { NodePods } from './pods/node-pods.ts';
import type { Checkpointer } from './checkpointer/checkpointer.ts';
import { ObstacleWatch } from './pods/obstacle-watch.ts';
import type { PodProcesses } from './pods/pod-processes.ts';
import { NodeRecord, type NodeReport } from './probe/node-record.ts';
import type { StateStore } from './state/state-store.ts';

/** How often the node is looked at again: packages are updated under a running agent. */
const PROBE_EVERY_MS = 300_000;
const PROBE_AGAIN_MS = 5_000;
/** How often an agent that cannot start looks whether it may end. */
const FROZEN_LOOK_MS = 1_000;
/** An agent that stops waits no longer than this for the answer to its last write. */
const LAST_WRITE_MS = 3_000;

export interface NodeAgentOptions {
  readonly nodeName: NodeName;
  /** Of Reprieve itself. */
  readonly namespace: string;
  readonly transport: KubeTransport;
  readonly clock: Clock;
  readonly log: Log;
  /** What saves the pods of this node, and where their states lie. */
  readonly engines: (api: NodeApi) => NodeEngines;
  /** See {@link NodePods}. */
  readonly recordsFolder: string;
  readonly maxConcurrentDumps: number;
  /** How long a state is kept whose PodCheckpoint is unknown. */
  readonly keepUnknownMs: number;
  /** What this node can do, looked at now. */
  readonly probe: () => Promise<Omit<NodeReport, 'dumpSpeed'>>;
  /** Class of this node, as the last probe found it; null: not known. */
  readonly compatibility: () => string | null;
  /** The other half of the agent's work, which starts when the pods of the node are known. */
  readonly restores: (shared: {
    readonly pods: FollowedObjects;
    /** A PodCheckpoint of this node, by its UID. */
    readonly checkpoint: (uid: string) => KubeObject | undefined;
    readonly api: NodeApi;
    readonly store: StateStore;
  }) => RestoreSide;
}

export interface NodeEngines {
  readonly processes: PodProcesses;
  readonly checkpointer: Checkpointer;
  readonly store: StateStore;
}

export interface RestoreSide {
  podChanged(before: KubeObject | null, after: KubeObject | null): void;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * The agent of one node: says what the node can do, carries out its PodCheckpoints, says which pods cannot be saved, and
 * restores the pods that continue others. It talks to the API server and to the runtime of its node.
 */
export class NodeAgent {
  readonly #options: NodeAgentOptions;
  readonly #transport: TimedTransport;
  readonly #stopped = new AbortController();
  readonly #pods: FollowedObjects;
  readonly #checkpoints: readonly FollowedObjects[];
  readonly #policies: FollowedObjects;
  readonly #namespaces: FollowedObjects;
  readonly #checkpointer: Checkpointer;
  readonly #nodePods: NodePods;
  readonly #orders: CheckpointOrders;
  readonly #obstacles: ObstacleWatch;
  readonly #events: EventRecorder;
  readonly #record: NodeRecord;
  readonly #restores: RestoreSide;
  readonly #heartbeat: Heartbeat;
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: NodeAgentOptions) {
    const { nodeName, clock } = options;
    const transport = new TimedTransport(options.transport, clock);
    this.#options = options;
    this.#transport = transport;
    const client = new KubeClient(transport);
    const api = new NodeApi(transport, clock, this.#stopped.signal);
    const engines = options.engines(api);
    const { checkpointer, store } = engines;
    this.#checkpointer = checkpointer;
    const onError = (error: unknown): void => this.#failed(error);
    this.#pods = this.#follow('pod', `spec.nodeName=${nodeName}`);
    // A request has the one field or the other: an earlier version wrote `nodeName`.
    this.#checkpoints = ['node', 'nodeName'].map((field) => this.#follow('checkpoint', `spec.${field}=${nodeName}`));
    this.#policies = this.#follow('policy');
    this.#namespaces = this.#follow('namespace');
    this.#events = new EventRecorder({ client, clock, instance: `agent-${nodeName}` });
    this.#record = new NodeRecord(client, nodeName);
    this.#heartbeat = new Heartbeat({ client, clock, nodeName, namespace: options.namespace, onError });
    this.#nodePods = new NodePods({
      ...engines,
      clock,
      recordsFolder: options.recordsFolder,
      maxConcurrentDumps: options.maxConcurrentDumps,
      onFound: (pod) => this.#orders.found(pod),
      onKilled: (key) => this.#orders.killed(key),
      onError,
    });
    this.#orders = new CheckpointOrders({
      nodeName,
      pods: this.#nodePods,
      api,
      clock,
      serverTime: transport,
      compatibility: () => options.compatibility() ?? '',
      keepUnknownMs: options.keepUnknownMs,
      onUnknown: (reference, message) => options.log.warn({ reference }, message),
      onMove: (move) => options.log.info(move, 'the checkpoint request has moved'),
      onError,
    });
    this.#obstacles = new ObstacleWatch({
      pods: () => this.#pods.list(),
      policies: () => this.#policies.list(),
      namespaces: () => this.#namespaces.list(),
      isFrozen: (podUid) => (this.#nodePods.find(podUid as PodUid)?.hold ?? null) !== null,
      memoryBytes: (podUid) => checkpointer.stateBytes(podUid),
      obstacle: (pod, rules) => checkpointer.lastingObstacle(pod, rules),
      api,
      events: this.#events,
      clock,
      onError,
    });
    this.#restores = options.restores({
      pods: this.#pods,
      checkpoint: (uid) => this.#checkpoints.map((objects) => objects.get(uid)).find((found) => found !== undefined),
      api,
      store,
    });
  }

  /** From then on what a predecessor left frozen is thawed at its time. Asks the node alone: the API server may be away. */
  async guard(): Promise<void> {
    await this.#nodePods.load();
  }

  /** Resolves when nothing of this node is frozen any more. */
  async nothingIsFrozen(): Promise<void> {
    const { clock } = this.#options;
    await this.#nodePods.looked;
    while ([...this.#nodePods.all()].some(({ hold }) => hold !== null)) await sleep(clock, FROZEN_LOOK_MS);
  }

  /**
   * To be called after {@link guard}. Resolves when orders are taken: what a predecessor left frozen goes on or is still wanted,
   * and the node says what it can do.
   */
  async start(): Promise<void> {
    const { signal } = this.#stopped;
    this.#pods.onChange((before, after) => this.#nodePods.changed(before, after));
    this.#pods.onChange((before, after) => this.#restores.podChanged(before, after));
    const followed = [this.#pods, ...this.#checkpoints, this.#policies, this.#namespaces];
    this.#running = Promise.all(followed.map((objects) => objects.run(signal)));
    await Promise.all(followed.map(({ synced }) => synced));
    this.#nodePods.endOrphans(this.#pods.list());
    const isRecovered = await this.#orders.recover(
      () => this.#checkpoints.flatMap((objects) => objects.list()),
      () => this.#probe(),
    );
    if (!isRecovered) return;
    for (const checkpoints of this.#checkpoints)
      checkpoints.onChange((before, after, wentUnseen) => {
        if (after !== null) this.#orders.changed(after);
        else this.#orders.removed(before as KubeObject, wentUnseen);
      });
    await this.#restores.start();
    this.#obstacles.start();
    this.#running = Promise.all([this.#running, this.#probeOnAndOn(), this.#heartbeat.run(signal)]);
  }

  /** Ends without undoing anything: what stands frozen stays so until the next process thaws it at its time. */
  async stop(): Promise<void> {
    const withdrawn = this.#record.withdraw().catch((error: unknown) => this.#failed(error));
    await Promise.race([withdrawn, sleep(this.#options.clock, LAST_WRITE_MS)]);
    this.#obstacles.stop();
    this.#nodePods.stop();
    this.#orders.stop();
    await this.#restores.stop();
    this.#stopped.abort(new Error('the agent stops'));
    await this.#running.catch(() => undefined);
  }

  #follow(kind: IndexedKind, fieldSelector?: string): FollowedObjects {
    const { clock, log } = this.#options;
    const onNotice = (notice: ReflectorNotice): void => log.warn(notice, 'reading the cluster');
    return new FollowedObjects({
      transport: this.#transport,
      clock,
      kind,
      onNotice,
      ...(fieldSelector && { fieldSelector }),
    });
  }

  /** Until the Node object says it: the kubelet may not have registered it yet. */
  async #probe(): Promise<void> {
    const { probe, clock, log } = this.#options;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      const report = { ...(await probe()), dumpSpeed: this.#checkpointer.bytesPerSecond };
      try {
        await this.#record.write(report);
        log.info({ ...report }, 'the node can save pods, or not');
        return;
      } catch (error) {
        log.warn({ err: error }, 'cannot write to the Node object');
        await sleep(clock, PROBE_AGAIN_MS, signal).catch(() => undefined);
      }
    }
  }

  async #probeOnAndOn(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await sleep(this.#options.clock, PROBE_EVERY_MS, signal).catch(() => undefined);
      if (!signal.aborted) await this.#probe();
    }
  }

  #failed(error: unknown): void {
    if (!this.#stopped.signal.aborted) this.#options.log.error({ err: error }, 'something failed');
  }
}
