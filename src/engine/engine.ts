import type { PodOwner } from '../domain/pod.ts';
import type { Policy } from '../domain/policy.ts';
import { isUnsupportedOwner, selectsPod } from '../domain/protection.ts';
import { isOpenAndFree, type Ticket } from '../domain/ticket.ts';
import type { CostModel } from '../domain/victim-cost.ts';
import type { ClusterView, IndexListener } from '../index/types.ts';
import type { Clock } from '../ports/clock.ts';
import type { Leadership } from '../ports/leadership.ts';
import type { ClusterWriter } from '../ports/cluster-writer.ts';
import type {
  AdmissionRequest,
  AdmissionVerdict,
  ExtenderCallbacks,
  FilterRequest,
  FilterVerdict,
  PreemptRequest,
  PreemptVerdict,
  PrioritizeVerdict,
} from './callbacks.ts';
import { CheaperEvictions } from './cheaper-evictions.ts';
import { sameIdentity } from './claims.ts';
import { DecisionBook } from './decision-book.ts';
import { EngineEvents } from './engine-events.ts';
import { describeEngine, type EngineState } from './engine-state.ts';
import { Executor } from './executor.ts';
import { filter, prioritize } from './placement.ts';
import { PolicyReporter } from './policy-reporter.ts';
import { preempt } from './preempt.ts';
import { QueueReporter } from './queue-reporter.ts';
import { Reconciler } from './reconciler.ts';
import { WATCH_LAG_MS, type EngineSettings } from './steps.ts';
import { unprotectedEviction } from './unprotected-eviction.ts';

export interface EngineOptions {
  /** The live index. `onChange` tells when to look again. */
  readonly view: ClusterView & { onChange(listener: IndexListener): () => void };
  readonly writer: ClusterWriter;
  readonly clock: Clock;
  readonly settings: EngineSettings;
  readonly costs: CostModel;
  readonly onUnsynced: 'Hold' | 'PassThrough';
  /** The index holds everything the API server had. */
  readonly isSynced: () => boolean;
  readonly leadership: Leadership;
  /** Tickets of an owner, straight from the API server: for the webhook when the index may lag. */
  readonly readTickets: (namespace: string, ownerUid: string) => Promise<readonly Ticket[]>;
  /** Distinguishes the decision ids of two processes that decide in the same millisecond. Lower-case letters and digits. */
  readonly instanceId: string;
  readonly onListenerError: (error: unknown) => void;
}

/** Statuses of policies, and of pods in the queue, that are written at the same time. */
const MAX_REPORTS_IN_FLIGHT = 2;

/**
 * The whole of Reprieve's behaviour behind its ports: answers the callbacks from memory, and keeps the cluster moving
 * towards what was decided.
 */
export class Engine implements ExtenderCallbacks {
  readonly events: EngineEvents;
  readonly #options: EngineOptions;
  readonly #book = new DecisionBook();
  readonly #cheaper = new CheaperEvictions();
  readonly #reconciler: Reconciler;
  readonly #executor: Executor;
  readonly #reporter: PolicyReporter;
  readonly #queueReporter: QueueReporter;
  readonly #reports: Executor;
  #unsubscribe: (() => void) | null = null;
  #decisions = 0;
  /** Those that admission last saw, and since when. */
  #policies: readonly Policy[] | null = null;
  #policiesSinceMs = Number.POSITIVE_INFINITY;
  /** The term that the book and the reconciler were filled in. */
  #term: number | null = null;

  constructor(options: EngineOptions) {
    this.#options = options;
    const { view, clock, settings, writer } = options;
    this.events = new EngineEvents(options.onListenerError);
    this.#reconciler = new Reconciler({
      view,
      book: this.#book,
      clock,
      events: this.events,
      settings,
      mayAct: () => this.#enterTerm(),
    });
    this.#executor = new Executor({ writer, clock, events: this.events, onSettled: () => this.#reconciler.poke() });
    this.#reports = new Executor({
      writer,
      clock,
      events: this.events,
      onSettled: () => {
        this.#reporter.write();
        this.#queueReporter.write();
      },
      maxInFlight: MAX_REPORTS_IN_FLIGHT,
    });
    this.#reporter = new PolicyReporter({ view, clock, mayAct: () => this.mayAct, executor: this.#reports });
    this.#queueReporter = new QueueReporter({
      view,
      clock,
      maxRestores: settings.maxConcurrentRestoresPerNode,
      mayAct: () => this.mayAct,
      executor: this.#reports,
    });
  }

  start(): void {
    const { view } = this.#options;
    this.#unsubscribe = view.onChange((event, before) => {
      const cheaper = this.#cheaper.seen(event);
      if (cheaper !== null) this.events.emit('victim:cheaper', cheaper);
      const unprotected = unprotectedEviction(view, event, before);
      if (cheaper === null && unprotected !== null && this.mayAct) this.events.emit('victim:unprotected', unprotected);
      this.#reconciler.changed(event, before);
      this.#reporter.poke();
      this.#queueReporter.poke();
    });
    this.#reconciler.start(this.#executor);
    this.#reporter.poke();
  }

  /** Starts nothing more. What is under way comes back, unobserved. */
  stop(): void {
    this.#unsubscribe?.();
    this.#reconciler.stop();
    this.#executor.stop();
    this.#reporter.stop();
    this.#queueReporter.stop();
    this.#reports.stop();
  }

  /** Resolves when no write is under way. */
  async idle(): Promise<void> {
    await Promise.all([this.#executor.idle(), this.#reports.idle()]);
  }

  /** This process decides and writes: its index is complete, and it leads. Changes nothing: metrics ask while a change is applied. */
  get mayAct(): boolean {
    return this.#actingTerm() !== null;
  }

  /**
   * Whether this process may act. To be called before every decision and pass: on the first call of a new term it forgets the
   * last one, because another replica may have acted since, and only the records know what it did.
   */
  #enterTerm(): boolean {
    const term = this.#actingTerm();
    if (term !== null && term !== this.#term) {
      this.#term = term;
      this.#book.clear();
      this.#reconciler.reset();
      this.#book.refresh(this.#options.view);
    }
    return term !== null;
  }

  #actingTerm(): number | null {
    const { isSynced, leadership } = this.#options;
    return isSynced() ? leadership.term() : null;
  }

  /** Writes that wait for their answer. */
  get commandsInFlight(): number {
    return this.#executor.inFlightCount + this.#reports.inFlightCount;
  }

  /** Something changed: the index, or what may be done (synced, leadership). */
  poke(): void {
    this.#enterTerm();
    this.#reconciler.poke();
    this.#reporter.poke();
  }

  filter(request: FilterRequest): FilterVerdict {
    if (!this.#enterTerm()) return { refused: new Map() };
    const { view, settings } = this.#options;
    return filter(view, this.#book, settings.maxConcurrentRestoresPerNode, request);
  }

  prioritize(request: FilterRequest): PrioritizeVerdict {
    return prioritize(this.#options.view, request);
  }

  preempt(request: PreemptRequest): PreemptVerdict {
    const verdict = this.#enterTerm() ? this.#preempt(request) : this.#unsynced(request);
    this.events.emit('preempt:answered', { preemptor: request.preemptor, verdict });
    this.#reconciler.answered(request, verdict);
    return verdict;
  }

  async admitPod(request: AdmissionRequest): Promise<AdmissionVerdict> {
    if (request.gated) return { gate: false, reason: 'AlreadyGated' };
    const { owner } = request;
    if (owner === null) return { gate: false, reason: 'NoOwner' };
    const continues = (ticket: Ticket): boolean => isOpenAndFree(ticket) && sameIdentity(ticket, { ...request, owner });
    if (this.#options.view.ticketsOfOwner(owner.uid).some(continues)) return { gate: true, reason: 'OpenTicket' };
    // A leader's own tickets are in its index before their victims are deleted. Anybody else's index may be behind.
    if (this.mayAct || this.#cannotHaveTicket(request, owner)) return { gate: false, reason: 'NoTicket' };
    const tickets = await this.#options.readTickets(request.namespace, owner.uid);
    return tickets.some(continues) ? { gate: true, reason: 'OpenTicket' } : { gate: false, reason: 'NoTicket' };
  }

  /**
   * Pods of this owner are never protected, or no policy selects the new pod, and has not for longer than one watch may be
   * behind another: a ticket of the owner would have come into the index.
   */
  #cannotHaveTicket(request: AdmissionRequest, owner: PodOwner): boolean {
    if (isUnsupportedOwner(owner)) return true;
    const { view, clock, isSynced } = this.#options;
    const policies = view.policies();
    if (policies !== this.#policies) {
      this.#policies = policies;
      this.#policiesSinceMs = clock.monotonic();
    }
    if (!isSynced() || clock.monotonic() < this.#policiesSinceMs + WATCH_LAG_MS) return false;
    const labels = view.namespaceLabels(request.namespace);
    return !policies.some((policy) => selectsPod(policy, request, labels));
  }

  describe(): EngineState {
    const { view, clock, settings, costs, onUnsynced, leadership } = this.#options;
    return describeEngine({
      view,
      book: this.#book,
      reconciler: this.#reconciler,
      executor: this.#executor,
      nowMs: clock.now(),
      steadyMs: clock.monotonic(),
      settings,
      costs,
      onUnsynced,
      leads: leadership.term() !== null,
      mayAct: this.mayAct,
    });
  }

  #preempt(request: PreemptRequest): PreemptVerdict {
    const { view, clock, costs, settings } = this.#options;
    const outcome = preempt(request, {
      view,
      book: this.#book,
      nowMs: clock.now(),
      steadyMs: clock.monotonic(),
      costs,
      defaultMaxDelayMs: settings.defaultMaxDelayMs,
      isRefused: (preemptor, node) => this.#reconciler.isRefused(preemptor, node),
      newDecisionId: () => this.#newDecisionId(),
    });
    for (const decision of outcome.closed) {
      this.#book.close(decision);
      const isOwn = decision.preemptor.uid === request.preemptor.uid;
      const message = isOwn
        ? 'kube-scheduler asked anew'
        : `${request.preemptor.name} of higher priority takes the node`;
      this.events.emit('decision:closed', { decision, because: isOwn ? 'NotBound' : 'Superseded', message });
      if (!isOwn) this.#reconciler.wake(decision.preemptor.uid, decision.node);
    }
    this.#cheaper.expect(outcome.cheaper, clock.monotonic());
    if (outcome.opened !== null) {
      for (const { uid, action } of outcome.opened.victims) if (action !== 'evict') this.#cheaper.forget(uid);
      this.#book.open(outcome.opened);
      this.events.emit('decision:opened', { decision: outcome.opened });
    }
    if (outcome.opened !== null || outcome.closed.length > 0) this.#reconciler.poke();
    return outcome.verdict;
  }

  #unsynced(request: PreemptRequest): PreemptVerdict {
    const candidates =
      this.#options.onUnsynced === 'PassThrough' ? request.candidates.filter(({ victims }) => victims.length > 0) : [];
    return { reason: 'Unsynced', candidates, node: null, decisionId: null, saving: 0 };
  }

  #newDecisionId(): string {
    this.#decisions = (this.#decisions + 1) % 36 ** 2;
    const serial = this.#decisions.toString(36).padStart(2, '0');
    return `${this.#options.clock.now().toString(36).slice(-7)}${serial}${this.#options.instanceId.slice(0, 3)}`;
  }
}
