import type {
  AdmissionRequest,
  AdmissionVerdict,
  ExtenderCallbacks,
  FilterRequest,
  FilterVerdict,
  PreemptRequest,
  PreemptVerdict,
  PrioritizeVerdict,
} from './preemption/callbacks.ts';
import { CheaperEvictions } from './preemption/cheaper-evictions.ts';
import { Admission } from './return/admission.ts';
import { displacementIds } from './displace/names.ts';
import { DisplacementBook } from './displace/displacement-book.ts';
import { EngineEvents } from './engine-events.ts';
import type { EngineOptions } from './engine-options.ts';
import { describeEngine, type EngineState } from './engine-state.ts';
import { Executor } from './core/executor.ts';
import { guard } from './guard/guard.ts';
import type { GuardRequest, GuardVerdict } from './guard/guard-request.ts';
import { openProposals, type Opening, type Proposal } from './propose/proposal.ts';
import type { Pod } from '../domain/pod.ts';
import { filter, prioritize } from './preemption/placement.ts';
import type { OwnerRef } from './policies/policy-census.ts';
import { PauseWatch } from './policies/pause-watch.ts';
import { PolicyReporter } from './policies/policy-reporter.ts';
import { preempt } from './preemption/preempt.ts';
import { RefusedWrites } from './core/refused-writes.ts';
import { QueueReporter } from './return/queue-reporter.ts';
import { Reconciler } from './core/reconciler.ts';
import { UnsavedEvictions } from './preemption/unsaved-evictions.ts';

/** Statuses of policies, and of pods in the queue, that are written at the same time. */
const MAX_REPORTS_IN_FLIGHT = 2;

/** The whole of Reprieve's behaviour behind its ports: answers from memory, and moves the cluster towards what was decided. */
export class Engine implements ExtenderCallbacks {
  readonly events: EngineEvents;
  readonly #options: EngineOptions;
  readonly #book = new DisplacementBook();
  readonly #cheaper = new CheaperEvictions();
  readonly #unsaved: UnsavedEvictions;
  readonly #pause: PauseWatch;
  readonly #reconciler: Reconciler;
  readonly #executor: Executor;
  readonly #reporter: PolicyReporter;
  readonly #queueReporter: QueueReporter;
  readonly #reports: Executor;
  readonly #admission: Admission;
  readonly #refused: RefusedWrites;
  readonly #opening: Opening;
  #unsubscribe: (() => void) | null = null;
  /** The term that the book and the reconciler were filled in. */
  #term: number | null = null;

  constructor(options: EngineOptions) {
    this.#options = options;
    const { view, clock, settings, costs, writer, refusalOf, podsWatchedSinceMs } = options;
    const events = (this.events = new EngineEvents(options.onListenerError));
    const seen = { view, book: this.#book, events, cheaper: this.#cheaper };
    this.#unsaved = new UnsavedEvictions({ ...seen, mayAct: () => this.mayAct });
    this.#pause = new PauseWatch(view, events);
    this.#admission = new Admission({ ...options, events, mayAct: () => this.mayAct });
    const newDisplacementId = displacementIds(options);
    this.#opening = { view, book: this.#book, clock, costs, events, newDisplacementId };
    const mayAct = (): boolean => this.#enterTerm();
    const open = (proposals: readonly Proposal[]): void => openProposals(proposals, this.#opening);
    const acting = { mayAct, podsWatchedSinceMs, open };
    this.#reconciler = new Reconciler({ view, book: this.#book, clock, events, settings, ...acting });
    const writing = { writer, clock, events, refusalOf };
    const executor = (this.#executor = new Executor({ ...writing, onSettled: () => this.#reconciler.poke() }));
    const onSettled = (): void => {
      this.#reporter.write();
      this.#queueReporter.write();
    };
    this.#reports = new Executor({ ...writing, onSettled, maxInFlight: MAX_REPORTS_IN_FLIGHT });
    this.#refused = new RefusedWrites({ view, book: this.#book, clock, events, executor, reports: this.#reports });
    const telling = { view, clock, mayAct: () => this.mayAct, executor: this.#reports };
    this.#reporter = new PolicyReporter(telling);
    this.#queueReporter = new QueueReporter({ ...telling, settings });
  }

  start(): void {
    this.#unsubscribe = this.#options.view.onChange((event, before) => {
      this.#unsaved.note(event, before);
      this.#reconciler.changed(event, before);
      this.#pause.look(this.mayAct);
      this.#refused.changed(event, before);
      this.#admission.seen(event);
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
    this.#pause.look(this.#enterTerm());
    this.#reconciler.poke();
    this.#reporter.poke();
  }

  /** What every refused write may depend on has changed. */
  retryRefused(): void {
    this.#refused.retryAll();
    this.poke();
  }

  filter(request: FilterRequest): FilterVerdict {
    if (!this.#enterTerm()) return { refused: new Map() };
    const { view, settings } = this.#options;
    const limits = { maxRestores: settings.maxConcurrentRestoresPerNode, room: this.#reconciler.roomMemory };
    return filter(view, this.#book, limits, request);
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

  guard(request: GuardRequest): GuardVerdict {
    const { view, isSynced, clock } = this.#options;
    const world = this.#enterTerm() ? this.#reconciler.world() : null;
    const { asked } = this.#reconciler;
    const isCheaper = ({ uid }: Pod): boolean => this.#cheaper.isExpected(uid, clock.monotonic());
    const open = (proposal: Proposal): void => openProposals([proposal], this.#opening);
    const verdict = guard(request, { view, isSynced: isSynced(), world, asked, isCheaper, open });
    this.events.emit('guard:answered', { request, verdict });
    this.#reconciler.poke();
    return verdict;
  }

  /** Jobs of pods that would be saved now: whether an eviction fails them is to be known before one comes. */
  get savedJobs(): readonly OwnerRef[] {
    return this.#reporter.savedJobs;
  }

  admitPod(request: AdmissionRequest): Promise<AdmissionVerdict> {
    return this.#admission.admit(request);
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
      maxDisplacementsPerHour: settings.maxDisplacementsPerHour,
      isRefused: (preemptor, node) => this.#reconciler.wakes.isRefused(preemptor, node),
      hasFailed: (preemptor, node) => this.#reconciler.wakes.hasFailed(preemptor, node),
      newDisplacementId: this.#opening.newDisplacementId,
    });
    for (const { displacement, because, message } of outcome.closed) {
      this.#book.close(displacement);
      this.events.emit('displacement:closed', { displacement, because, message });
      this.#reconciler.ended(displacement, because);
    }
    this.#cheaper.expect(outcome.cheaper, clock.monotonic());
    if (outcome.opened !== null) {
      this.#book.open(outcome.opened);
      this.events.emit('displacement:opened', { displacement: outcome.opened });
    }
    if (outcome.opened !== null || outcome.closed.length > 0) this.#reconciler.poke();
    return outcome.verdict;
  }

  #unsynced(request: PreemptRequest): PreemptVerdict {
    const candidates =
      this.#options.onUnsynced === 'PassThrough' ? request.candidates.filter(({ victims }) => victims.length > 0) : [];
    return { reason: 'Unsynced', candidates, node: null, displacementId: null, saving: 0 };
  }
}
