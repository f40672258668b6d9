import type { NodeName } from '../domain/ids.ts';
import { DEFAULT_NAMESPACE, OWNER_UID_LABEL } from '../domain/labels.ts';
import { DEFAULT_COST_MODEL, type CostModel } from '../domain/victim-cost.ts';
import { Engine } from '../engine/engine.ts';
import type { EngineState } from '../engine/engine-state.ts';
import { DEFAULT_ENGINE_SETTINGS, type EngineSettings } from '../engine/steps.ts';
import { ClusterIndex } from '../index/cluster-index.ts';
import type { Ticket } from '../domain/ticket.ts';
import type { WebhookReach } from '../domain/webhook-reach.ts';
import type { IndexedKind } from '../index/types.ts';
import { AgentWatch } from '../kube/agent-watch.ts';
import { KubeClient } from '../kube/client.ts';
import { ClusterReader } from '../kube/cluster-reader.ts';
import { KubeClusterWriter } from '../kube/cluster-writer.ts';
import { EventRecorder } from '../kube/event-recorder.ts';
import { ticketOf } from '../kube/project/ticket.ts';
import type { ReflectorNotice, ReflectorStats } from '../kube/reflector.ts';
import { RESOURCES } from '../kube/resources.ts';
import { TimedTransport } from '../kube/server-time.ts';
import type { KubeObject, KubeTransport } from '../kube/transport.ts';
import { INDEXED_RESOURCES } from '../kube/project/kinds.ts';
import { narrate } from '../observe/narrator.ts';
import { sleep, type Clock } from '../ports/clock.ts';
import { SOLE_LEADER, type Leadership } from '../ports/leadership.ts';
import { FencedTransport } from '../kube/fenced-transport.ts';
import { WebhookWatch } from './webhook-watch.ts';

/** How long the hand-over waits for writes under way; a follower must lead within a second of SIGTERM. */
const LAST_WRITES_MS = 500;
const INDEXED_KINDS = Object.keys(INDEXED_RESOURCES) as readonly IndexedKind[];

export interface ReprieveOptions {
  readonly transport: KubeTransport;
  readonly clock: Clock;
  readonly settings?: Partial<EngineSettings>;
  readonly costs?: Partial<CostModel>;
  readonly onUnsynced?: 'Hold' | 'PassThrough';
  /** Absent: this process has no replicas. */
  readonly leadership?: Leadership;
  /** Name of this process among its replicas; the pod's name in a cluster. */
  readonly instance: string;
  /** Of Reprieve itself: the Leases of the agents lie there. */
  readonly namespace?: string;
  /** An agent fell silent, or is heard again. */
  readonly onAgent?: (node: NodeName, silent: boolean) => void;
  readonly random?: () => number;
  /** Lets other work of a real process run between slices of a long listing. */
  readonly breathe?: () => Promise<void>;
  readonly onNotice?: (notice: ReflectorNotice) => void;
  /** Called when it changes what is known about the webhook, and every minute while it is not known to be called. */
  readonly onWebhookReach?: (reach: WebhookReach) => void;
  readonly onListenerError?: (error: unknown) => void;
}

interface ReprieveState extends EngineState {
  readonly time: string;
  readonly instance: string;
  readonly synced: boolean;
  readonly webhook: { readonly called: boolean; readonly message: string; readonly missedIn: readonly string[] };
  /** By kind: what the index holds of it, and how long ago the server last said anything; null before it did. */
  readonly watches: Readonly<
    Record<IndexedKind, Omit<ReflectorStats, 'lastEventMs'> & { readonly objects: number; readonly age: number | null }>
  >;
  /** Events that were given up. */
  readonly eventsDropped: number;
}

/**
 * One Reprieve over one API server, real or embedded: index, reader, writer, engine and Events, without a network of its own.
 * `serve` puts HTTP in front of it, tests and the simulator call its engine directly.
 */
export class Reprieve {
  readonly index = new ClusterIndex();
  readonly engine: Engine;
  readonly reader: ClusterReader;
  readonly agents: AgentWatch;
  readonly #recorder: EventRecorder;
  readonly #webhook: WebhookWatch;
  readonly #clock: Clock;
  readonly #instance: string;
  readonly #leadership: Leadership;
  #isSynced = false;
  /** The term in which the index was compared with the API server: only then this replica acts. */
  #fresh: { readonly term: number; readonly serial: number } | null = null;
  /** How often this replica began to act. The engine forgets what it remembers at each. */
  #beginnings = 0;
  /** Resolves when the index holds the cluster again after the API server went back to an earlier state. */
  #recovery: Promise<void> = Promise.resolve();
  #isRecovering = false;

  constructor(options: ReprieveOptions) {
    const { transport, clock, instance, leadership = SOLE_LEADER } = options;
    this.#clock = clock;
    this.#instance = instance;
    this.#leadership = leadership;
    const timed = new TimedTransport(transport, clock);
    const client = new KubeClient(timed);
    const writing = new KubeClient(new FencedTransport(timed, leadership));
    this.reader = new ClusterReader({
      transport,
      clock,
      index: this.index,
      ...(options.random && { random: options.random }),
      ...(options.breathe && { breathe: options.breathe }),
      ...(options.onNotice && { onNotice: options.onNotice }),
      onWentBack: () => this.#wentBack(),
    });
    this.agents = new AgentWatch({
      transport,
      clock,
      namespace: options.namespace ?? DEFAULT_NAMESPACE,
      onChange: (node, silent) => {
        this.index.setAgentSilent(node, silent);
        options.onAgent?.(node, silent);
      },
      ...(options.random && { random: options.random }),
      ...(options.breathe && { breathe: options.breathe }),
      ...(options.onNotice && { onNotice: options.onNotice }),
    });
    this.engine = new Engine({
      view: this.index,
      writer: new KubeClusterWriter({
        client: writing,
        clock,
        serverTime: timed,
        apply: (event) => this.index.apply(event),
      }),
      clock,
      settings: { ...DEFAULT_ENGINE_SETTINGS, ...options.settings },
      costs: { ...DEFAULT_COST_MODEL, ...options.costs },
      onUnsynced: options.onUnsynced ?? 'Hold',
      isSynced: () => this.#isSynced,
      leadership: { term: () => this.#actingTerm() },
      readTickets: async (namespace, ownerUid) => {
        const labelSelector = `${OWNER_UID_LABEL}=${ownerUid}`;
        return (await client.list(RESOURCES.reprieves, { namespace, labelSelector })).flatMap(ticketIn);
      },
      instanceId: instance
        .toLowerCase()
        .replace(/[^a-z0-9]/g, '')
        .slice(-3),
      onListenerError: options.onListenerError ?? (() => undefined),
    });
    this.#recorder = new EventRecorder({ client: writing, clock, instance });
    narrate(this.engine.events, this.index, this.#recorder);
    const { onWebhookReach = () => undefined } = options;
    this.#webhook = new WebhookWatch({
      client: writing,
      clock,
      instance,
      namespaceLabels: (name) => this.index.namespaceLabels(name),
      onChange: (reach) => {
        this.index.setWebhookReach(reach);
        this.engine.poke();
        onWebhookReach(reach);
      },
      onReminder: onWebhookReach,
    });
    this.index.setWebhookReach(this.#webhook.reach);
    this.engine.events.on('command:done', ({ command, outcome }) => {
      if (outcome !== 'done' || command.kind !== 'SetTicketPhase' || command.reason !== 'NotGated') return;
      this.#webhook.missed(command.ticket.namespace);
    });
  }

  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** This replica leads, and kube-apiserver calls the webhook as far as it knows. */
  get reachesWebhook(): boolean {
    return this.leads && this.#webhook.reach.isCalled;
  }

  /** This replica decides and writes. */
  get leads(): boolean {
    return this.#actingTerm() !== null;
  }

  /** Resolves when the index holds the cluster and the engine answers. */
  async start(): Promise<void> {
    this.reader.start();
    this.agents.start();
    this.engine.start();
    await this.reader.synced;
    this.#isSynced = true;
    await this.leadershipChanged();
  }

  /**
   * To be called when {@link ReprieveOptions.leadership} says something else. A new leader first reads the records again:
   * its watches may be behind the last writes of its predecessor, and what it does not see it would do a second time. It also
   * asks whether the webhook is called, for until it knows, nothing of a controller's is saved.
   */
  async leadershipChanged(): Promise<void> {
    const term = this.#leadership.term();
    if (term === null) this.#webhook.end();
    if (term === null || !this.#isSynced || term === this.#fresh?.term) return;
    const isAlone = this.#leadership === SOLE_LEADER;
    let recovery: Promise<void>;
    do {
      recovery = this.#recovery;
      const records = isAlone ? null : this.reader.relist('ticket', 'checkpoint');
      await Promise.all([recovery, records, this.#webhook.begin()]);
    } while (this.#recovery !== recovery);
    if (this.#leadership.term() !== term || this.#fresh?.term === term) return;
    this.#fresh = { term, serial: ++this.#beginnings };
    this.engine.poke();
  }

  /**
   * Ends all writing, then calls `release` for the Lease: the next leader acts while our last calls are still answered. Only
   * the writes under way come before, which it would otherwise race with.
   */
  async handOver(release: () => Promise<void>): Promise<void> {
    this.engine.stop();
    this.#webhook.end();
    await Promise.race([this.engine.idle(), sleep(this.#clock, LAST_WRITES_MS)]);
    await release();
  }

  async stop(): Promise<void> {
    this.engine.stop();
    this.#webhook.end();
    await Promise.all([this.reader.stop(), this.agents.stop()]);
  }

  #actingTerm(): number | null {
    const fresh = this.#fresh;
    return fresh !== null && this.#leadership.term() === fresh.term ? fresh.serial : null;
  }

  /**
   * etcd was restored: nothing that the index or the engine remembers of the lost revisions counts. Everything is listed again
   * before this replica acts; each kind notices by its own listing that versions went back.
   */
  #wentBack(): void {
    this.#fresh = null;
    if (this.#isRecovering) return;
    this.#isRecovering = true;
    this.#recovery = this.reader.relist(...INDEXED_KINDS).then(() => {
      this.#isRecovering = false;
    });
    void this.#recovery.then(() => this.leadershipChanged());
  }

  /** What `/debug/state` shows: names, counts and ages in seconds; no pod contents. */
  describe(): ReprieveState {
    const nowMs = this.#clock.now();
    const steadyMs = this.#clock.monotonic();
    const { isCalled, message, missedIn } = this.#webhook.reach;
    const watches = Object.entries(this.reader.stats()).map(([kind, { lastEventMs, ...totals }]) => {
      const age = lastEventMs === null ? null : (steadyMs - lastEventMs) / 1000;
      return [kind, { objects: this.index.count(kind as IndexedKind), age, ...totals }];
    });
    return {
      time: new Date(nowMs).toISOString(),
      instance: this.#instance,
      synced: this.#isSynced,
      webhook: { called: isCalled, message, missedIn: [...missedIn] },
      ...this.engine.describe(),
      watches: Object.fromEntries(watches) as ReprieveState['watches'],
      eventsDropped: this.#recorder.dropped,
    };
  }
}

/** None where it cannot be read, which the watch has told already: the other tickets of its owner count. */
function ticketIn(object: KubeObject): Ticket[] {
  try {
    return [ticketOf(object)];
  } catch {
    return [];
  }
}
