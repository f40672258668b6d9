import type { NodeName } from '../domain/ids.ts';
import { DEFAULT_NAMESPACE, OWNER_UID_LABEL } from '../domain/labels.ts';
import { DEFAULT_COST_MODEL, type CostModel } from '../domain/victim-cost.ts';
import { Engine } from '../engine/engine.ts';
import type { EngineState } from '../engine/engine-state.ts';
import { DEFAULT_ENGINE_SETTINGS, type EngineSettings } from '../engine/core/steps.ts';
import { ClusterIndex } from '../index/cluster-index.ts';
import type { Ticket } from '../domain/ticket.ts';
import type { WebhookReach } from '../domain/webhook-reach.ts';
import type { IndexedKind } from '../index/types.ts';
import { AgentWatch } from '../kube/agent-watch.ts';
import { KubeClient } from '../kube/client.ts';
import { ClusterReader } from '../kube/cluster-reader.ts';
import { KubeClusterWriter } from '../kube/cluster-writer.ts';
import { refusedWithGate } from '../kube/creation-probe.ts';
import { refusalOf } from '../kube/refusal.ts';
import { TicketProgress } from '../kube/ticket-progress.ts';
import { EventRecorder } from '../kube/event-recorder.ts';
import { ticketOf } from '../kube/project/ticket.ts';
import { OwnerWatch } from '../kube/owner-watch.ts';
import type { ReflectorNotice } from '../kube/reflector.ts';
import type { ReflectorStats } from '../kube/reflector-stats.ts';
import { RESOURCES } from '../kube/resources.ts';
import { serverClock, TimedTransport } from '../kube/server-time.ts';
import type { KubeObject, KubeTransport } from '../kube/transport.ts';
import { narrate } from '../observe/narrator.ts';
import { sleep, type Clock } from '../ports/clock.ts';
import { SOLE_LEADER, type Leadership } from '../ports/leadership.ts';
import { FencedTransport } from '../kube/fenced-transport.ts';
import { ActingTerm } from './acting-term.ts';
import { Replicas, type ReplicasState } from './replicas.ts';
import { readWebhookScope } from '../kube/webhook-scope.ts';
import { WebhookWatch } from './webhook-watch.ts';

/** How long the hand-over waits for writes under way; a follower must lead within a second of SIGTERM. */
const LAST_WRITES_MS = 500;

export interface ReprieveOptions {
  readonly transport: KubeTransport;
  readonly clock: Clock;
  readonly settings?: Partial<EngineSettings>;
  readonly costs?: Partial<CostModel>;
  readonly onUnsynced?: 'Hold' | 'PassThrough';
  /** Extended resources that kube-scheduler does not count. */
  readonly ignoredResources?: readonly string[];
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
  /** Name of the MutatingWebhookConfiguration whose selectors say which pods are gated; null: those of deploy/webhook.yaml do. */
  readonly webhookConfiguration?: string | null;
  /** Called when it changes what is known about the webhook, and every minute while it is not known to be called. */
  readonly onWebhookReach?: (reach: WebhookReach) => void;
  readonly onListenerError?: (error: unknown) => void;
  /** Told of the first failure of several in a row to renew the Lease of this replica. */
  readonly onMembershipError?: (error: unknown) => void;
}

interface ReprieveState extends EngineState {
  readonly time: string;
  readonly instance: string;
  readonly synced: boolean;
  readonly webhook: { readonly called: boolean; readonly message: string; readonly missedIn: readonly string[] };
  /** Null without a leader election. `seen`: the resourceVersion up to which a replica has published that it holds the tickets. */
  readonly replicas: ReplicasState | null;
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
  readonly index: ClusterIndex;
  readonly engine: Engine;
  /** Its time of day is that of the API server. */
  readonly clock: Clock;
  readonly reader: ClusterReader;
  readonly agents: AgentWatch;
  readonly #recorder: EventRecorder;
  readonly #webhook: WebhookWatch;
  readonly #owners: OwnerWatch;
  /** Null where this process has none. */
  readonly #replicas: Replicas | null;
  readonly #tickets: TicketProgress;
  readonly #clock: Clock;
  readonly #instance: string;
  readonly #leadership: Leadership;
  #isSynced = false;
  readonly #term: ActingTerm;

  constructor(options: ReprieveOptions) {
    const { transport, clock, instance, leadership = SOLE_LEADER, namespace = DEFAULT_NAMESPACE } = options;
    this.index = new ClusterIndex({ ownNamespace: namespace });
    this.index.ignoreResources(options.ignoredResources ?? []);
    this.#clock = clock;
    this.#instance = instance;
    this.#leadership = leadership;
    this.#term = new ActingTerm({
      leadership,
      isSynced: () => this.#isSynced,
      prepare: () => this.#prepare(),
      onBegin: () => {
        this.#owners.begin();
        this.engine.poke();
      },
    });
    const timed = new TimedTransport(transport, clock);
    const dated = serverClock(timed, clock);
    this.clock = dated;
    const client = new KubeClient(timed);
    const writing = new KubeClient(new FencedTransport(timed, leadership));
    this.#tickets = new TicketProgress(clock);
    const reading = {
      transport,
      clock,
      ...(options.random && { random: options.random }),
      ...(options.breathe && { breathe: options.breathe }),
      ...(options.onNotice && { onNotice: options.onNotice }),
    };
    this.reader = new ClusterReader({
      ...reading,
      index: this.index,
      tickets: this.#tickets,
      onWentBack: () => this.#wentBack(),
    });
    this.agents = new AgentWatch({
      ...reading,
      namespace,
      onChange: (node, silent) => {
        this.index.setAgentSilent(node, silent);
        options.onAgent?.(node, silent);
      },
    });
    this.#replicas =
      leadership === SOLE_LEADER
        ? null
        : new Replicas({
            watching: { ...reading, namespace },
            client,
            writing,
            instance,
            tickets: this.#tickets,
            leads: () => this.leads,
            relistTickets: () => this.reader.relist('ticket'),
            onChange: (replicas) => {
              this.index.setWebhookReplicas(replicas);
              this.engine.poke();
            },
            onWentBack: () => this.#wentBack(),
            onError: options.onMembershipError ?? (() => undefined),
          });
    if (this.#replicas !== null) this.index.setWebhookReplicas(this.#replicas.waitedFor);
    this.engine = new Engine({
      refusalOf,
      probePod: ({ namespace, object }) => refusedWithGate({ client, clock }, namespace, object),
      view: this.index,
      writer: new KubeClusterWriter({
        client: writing,
        clock: dated,
        serverTime: timed,
        apply: (event) => {
          this.index.apply(event);
          if (event.type === 'upsert' && event.kind === 'ticket') this.#tickets.exists(event.value.resourceVersion);
        },
      }),
      clock: dated,
      settings: { ...DEFAULT_ENGINE_SETTINGS, ...options.settings },
      costs: { ...DEFAULT_COST_MODEL, ...options.costs },
      onUnsynced: options.onUnsynced ?? 'Hold',
      isSynced: () => this.#isSynced,
      podsWatchedSinceMs: () => this.reader.podsWatchedSinceMs(),
      leadership: { term: () => this.#term.serial() },
      knowsTickets: () => this.#replicas?.knowsTickets ?? false,
      readTickets: async (namespace, ownerUid) => {
        const labelSelector = ownerUid === null ? `!${OWNER_UID_LABEL}` : `${OWNER_UID_LABEL}=${ownerUid}`;
        return (await client.list(RESOURCES.reprieves, { namespace, labelSelector })).flatMap(ticketIn);
      },
      instanceId: instance
        .toLowerCase()
        .replace(/[^a-z0-9]/g, '')
        .slice(-3),
      onListenerError: options.onListenerError ?? (() => undefined),
    });
    this.#recorder = new EventRecorder({ client: writing, clock: dated, instance });
    narrate(this.engine.events, this.index, this.#recorder);
    const { onWebhookReach = () => undefined, webhookConfiguration = null } = options;
    this.#webhook = new WebhookWatch({
      client: writing,
      clock,
      instance,
      namespaceLabels: (name) => this.index.namespaceLabels(name),
      ...(webhookConfiguration !== null && {
        readScope: () => readWebhookScope(client, webhookConfiguration),
      }),
      onChange: (reach) => {
        this.index.setWebhookReach(reach);
        this.engine.poke();
        onWebhookReach(reach);
      },
      onReminder: onWebhookReach,
    });
    this.#owners = new OwnerWatch({
      client,
      clock,
      tickets: () => this.index.tickets(),
      jobs: () => this.engine.savedJobs,
      onFacts: (owner, facts) => {
        this.index.setOwner(owner, facts);
        this.engine.poke();
      },
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

  /** Reviews of the webhook cost no read from the API server. */
  get answersFromIndex(): boolean {
    return this.leads || (this.#replicas?.knowsTickets ?? false);
  }

  /** Why reviews should go to another replica; null where they may come. A leader knows its own tickets whatever its Lease says. */
  get reviewProblem(): string | null {
    return this.leads ? null : (this.#replicas?.problem ?? null);
  }

  /** Whether the RuntimeClass of restored pods exists; until this is called it counts as existing. */
  setRuntimeClass(exists: boolean): void {
    this.index.setRuntimeClass(exists);
    this.engine.retryRefused();
  }

  /** This replica decides and writes. */
  get leads(): boolean {
    return this.#term.serial() !== null;
  }

  /** Resolves when the index holds the cluster and the engine answers. */
  async start(): Promise<void> {
    this.reader.start();
    this.agents.start();
    this.#replicas?.start();
    this.engine.start();
    await this.reader.synced;
    this.#isSynced = true;
    this.#replicas?.join();
    await this.leadershipChanged();
  }

  /**
   * To be called when {@link ReprieveOptions.leadership} says something else. A new leader first reads the records again:
   * its watches may be behind the last writes of its predecessor, and what it does not see it would do a second time. It also
   * asks whether the webhook is called, for until it knows, nothing of a controller's is saved.
   */
  async leadershipChanged(): Promise<void> {
    if (this.#leadership.term() === null) this.#endWatches();
    await this.#term.begin();
  }

  /**
   * Ends all writing, then calls `release` for the Lease: the next leader acts while our last calls are still answered. Only
   * the writes under way come before, which it would otherwise race with.
   */
  async handOver(release: () => Promise<void>): Promise<void> {
    this.engine.stop();
    this.#endWatches();
    await Promise.race([this.engine.idle(), sleep(this.#clock, LAST_WRITES_MS)]);
    await release();
  }

  async stop(): Promise<void> {
    this.engine.stop();
    this.#endWatches();
    await Promise.all([this.#replicas?.stop(), this.reader.stop(), this.agents.stop()]);
  }

  /** Those that only a leader needs. */
  #endWatches(): void {
    this.#webhook.end();
    this.#owners.end();
  }

  async #prepare(): Promise<void> {
    const isAlone = this.#leadership === SOLE_LEADER;
    const records = isAlone ? null : this.reader.relist('ticket', 'checkpoint');
    await Promise.all([records, this.#webhook.begin()]);
  }

  /**
   * etcd was restored: nothing that the index or the engine remembers of the lost revisions counts. Everything is listed again
   * before this replica acts or answers a review from its index. One kind that went back shows it for all of them, though the
   * versions of another kind may have grown beyond the lost ones by then.
   */
  #wentBack(): void {
    this.#term.recover(() => {
      this.#tickets.forget();
      return Promise.all([this.#replicas?.recover(), this.reader.replaceAll(), this.agents.relist()]);
    });
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
      replicas: this.#replicas?.describe() ?? null,
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
