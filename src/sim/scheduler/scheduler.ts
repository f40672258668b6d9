import { messageOf } from '../../domain/message-of.ts';
import { KubeClient } from '../../kube/client.ts';
import type { KubeTransport } from '../../kube/transport.ts';
import type { Clock } from '../../ports/clock.ts';
import type { ClusterInformers } from '../controllers/cluster-informers.ts';
import type { Random } from '../random.ts';
import { SchedulerCache } from './cache.ts';
import { followCluster, type SchedulerState } from './event-handlers.ts';
import { PreemptionExecutor } from './executor.ts';
import type { ExtenderVerb } from './extender-transport.ts';
import { extendersOf, type Extender, type ExtenderConfig } from './extender.ts';
import type { Rejector } from './filters.ts';
import { findNode, type Search } from './find-node.ts';
import { noFitMessage } from './fit-message.ts';
import { Nominator, type Nomination } from './nominator.ts';
import type { NodeSnapshot } from './pod-info.ts';
import { isApiFailure, PodWrites } from './pod-writes.ts';
import { evaluatePreemption, type PreemptionVerdict } from './preemption.ts';
import { SchedulingQueue, type QueuedPod } from './queue.ts';
import type { BoundPod, Eviction, SchedulerStatistics } from './statistics.ts';

/** Everything a {@link Scheduler} needs. */
export interface SchedulerOptions {
  readonly transport: KubeTransport;
  readonly clock: Clock;
  /** Not started yet, so that the scheduler sees everything. */
  readonly informers: ClusterInformers;
  readonly random: Random;
  /** None: native kube-scheduler. */
  readonly extenders?: readonly ExtenderConfig[];
  readonly schedulerName?: string;
  /** A crash of the scheduler; without it the error is an unhandled rejection, which ends the process as the real one does. */
  readonly onFatal?: (error: unknown) => void;
}

/** How a cycle ends that did not end in a binding. */
interface Failure {
  readonly reason: 'Unschedulable' | 'SchedulerError';
  readonly message: string;
  readonly nomination: Nomination;
  readonly rejectors: ReadonlySet<Rejector>;
}

/**
 * A small kube-scheduler, faithful to 1.37 where an extender can tell the difference: the order of callbacks, what an
 * answer does, nominations, and what wakes a pod. One cycle at a time; bindings and evictions run beside it.
 */
export class Scheduler {
  readonly #clock: Clock;
  readonly #informers: ClusterInformers;
  readonly #random: Random;
  readonly #extenders: readonly Extender[];
  readonly #onFatal: ((error: unknown) => void) | null;
  readonly #writes: PodWrites;
  readonly #executor: PreemptionExecutor;
  readonly #state: SchedulerState;
  readonly #bound: BoundPod[] = [];
  readonly #evictions: Eviction[] = [];
  readonly #extenderCalls: Record<ExtenderVerb, number> = { filter: 0, prioritize: 0, preempt: 0 };
  #preemptionAttempts = 0;
  #cycles = 0;
  #wake: (() => void) | null = null;
  #isStopped = false;

  constructor(options: SchedulerOptions) {
    const { transport, clock, informers } = options;
    this.#clock = clock;
    this.#informers = informers;
    this.#random = options.random;
    this.#onFatal = options.onFatal ?? null;
    this.#extenders = extendersOf((options.extenders ?? []).map((config) => this.#counted(config)));
    this.#writes = new PodWrites(new KubeClient(transport), transport);
    this.#executor = new PreemptionExecutor({
      clock,
      writes: this.#writes,
      onEviction: (eviction) => this.#evictions.push(eviction),
      onFailure: (uid) => queue.activate(uid),
      isGoing: (uid) => informers.pods.byUid(uid)?.metadata.deletionTimestamp !== undefined || !this.#exists(uid),
    });
    const queue = new SchedulingQueue({
      clock,
      isPreempting: (uid) => this.#executor.isRunning(uid),
      onReady: () => this.#wake?.(),
    });
    this.#state = {
      schedulerName: options.schedulerName ?? 'default-scheduler',
      cache: new SchedulerCache(),
      queue,
      nominator: new Nominator(),
      pods: new Map(),
    };
    followCluster(informers, this.#state);
    void this.#run();
  }

  statistics(): SchedulerStatistics {
    return {
      bound: [...this.#bound],
      preemptionAttempts: this.#preemptionAttempts,
      evictions: [...this.#evictions],
      cycles: this.#cycles,
      extenderCalls: { ...this.#extenderCalls },
    };
  }

  /** How many pods wait, by queue. */
  pending(): ReturnType<SchedulingQueue['counts']> {
    return this.#state.queue.counts();
  }

  stop(): void {
    this.#isStopped = true;
    this.#state.queue.stop();
    this.#wake?.();
  }

  async #run(): Promise<void> {
    await this.#informers.synced();
    try {
      while (!this.#isStopped) {
        const queued = this.#state.queue.pop();
        if (queued === null) await new Promise<void>((resolve) => (this.#wake = resolve));
        else await this.#cycle(queued);
      }
    } catch (error) {
      this.stop();
      if (this.#onFatal === null) throw error;
      this.#onFatal(error);
    }
  }

  async #cycle(queued: QueuedPod): Promise<void> {
    this.#cycles++;
    const { cache, nominator, queue } = this.#state;
    const { info } = queued;
    if (info.pod.deletionMs !== null) {
      queue.done(queued);
      return;
    }
    const snapshot = cache.snapshot();
    const search = await findNode(info, { snapshot, nominator, extenders: this.#extenders });
    if (search.kind === 'found') {
      this.#assume(queued, search.node);
      void this.#bind(queued, search.node).catch((error: unknown) => this.#crash(error));
      return;
    }
    await this.#fail(queued, await this.#failureOf(queued, search, snapshot));
  }

  async #failureOf(
    queued: QueuedPod,
    search: Exclude<Search, { readonly kind: 'found' }>,
    snapshot: NodeSnapshot,
  ): Promise<Failure> {
    if (search.kind === 'error') {
      return { reason: 'SchedulerError', message: search.message, nomination: '', rejectors: new Set() };
    }
    if (snapshot.size === 0) {
      const message = 'no nodes available to schedule pods';
      return { reason: 'Unschedulable', message, nomination: '', rejectors: new Set(['NodeResourcesFit']) };
    }
    const reasons = [...snapshot.keys()].flatMap((node) => search.rejections.get(node)?.reasons ?? []);
    const verdict = await this.#preempt(queued, search, snapshot);
    return {
      reason: 'Unschedulable',
      message: noFitMessage(snapshot.size, reasons, verdict?.message),
      nomination: verdict === null ? null : verdict.kind === 'preempt' ? verdict.node : verdict.nomination,
      rejectors: search.rejectors,
    };
  }

  /** The PostFilter. Null where the pod is gone in the meantime. */
  async #preempt(
    queued: QueuedPod,
    { rejections }: Search & { readonly kind: 'none' },
    snapshot: NodeSnapshot,
  ): Promise<PreemptionVerdict | null> {
    const { nominator, pods } = this.#state;
    this.#preemptionAttempts++;
    const info = pods.get(queued.info.pod.uid);
    if (info === undefined) return null;
    const verdict = await evaluatePreemption({
      info,
      snapshot,
      rejections,
      nominator,
      budgets: this.#informers.podDisruptionBudgets.list(),
      extenders: this.#extenders,
      random: this.#random,
      nowMs: this.#clock.now(),
    });
    if (verdict.kind === 'preempt') {
      const { node, victims } = verdict;
      const displaced = nominator.below(info.pod.priority, node);
      this.#executor.start({ preemptor: info, node, victims, displaced });
    }
    if (verdict.kind === 'preempt' || verdict.foundCandidates) queued.neededPreemption = true;
    return verdict;
  }

  /** `handleSchedulingFailure`: back into the queue first, then the nomination, then the news for everybody else. */
  async #fail(queued: QueuedPod, { reason, message, nomination, rejectors }: Failure): Promise<void> {
    const { nominator, pods, queue } = this.#state;
    const info = pods.get(queued.info.pod.uid);
    if (info === undefined || info.pod.nodeName !== null) {
      queue.done(queued);
      return;
    }
    queued.info = info;
    queue.addUnschedulable(queued, rejectors);
    nominator.set(info, nomination);
    const condition = { type: 'PodScheduled', status: 'False', reason, message };
    try {
      await this.#writes.reportFailure(info.raw, condition, nomination, this.#clock.now());
    } catch (error) {
      if (!isApiFailure(error)) throw error;
    }
  }

  #assume(queued: QueuedPod, node: string): void {
    const { cache, nominator, queue } = this.#state;
    cache.assume(queued.info, node);
    nominator.delete(queued.info.pod.uid);
    queue.done(queued);
  }

  async #bind(queued: QueuedPod, node: string): Promise<void> {
    const { cache, queue } = this.#state;
    const { uid, namespace, name, priority } = queued.info.pod;
    try {
      await this.#writes.bind(queued.info.raw, node);
    } catch (error) {
      if (!isApiFailure(error)) throw error;
      if (cache.forget(uid)) queue.notify({ type: 'assigned-pod-removed', maxPriority: Infinity });
      const message = messageOf(error);
      await this.#fail(queued, { reason: 'SchedulerError', message, nomination: '', rejectors: new Set() });
      return;
    }
    const boundMs = this.#clock.now();
    const { createdMs, neededPreemption } = queued;
    this.#bound.push({ uid, namespace, name, priority, node, waitMs: boundMs - createdMs, boundMs, neededPreemption });
  }

  #exists(uid: string): boolean {
    return this.#informers.pods.byUid(uid) !== null;
  }

  #counted(config: ExtenderConfig): ExtenderConfig {
    return {
      ...config,
      transport: {
        call: (verb, body) => {
          this.#extenderCalls[verb]++;
          return config.transport.call(verb, body);
        },
      },
    };
  }

  #crash(error: unknown): void {
    this.stop();
    if (this.#onFatal === null) throw error;
    this.#onFatal(error);
  }
}
