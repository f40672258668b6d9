import type { NodeName, PodUid } from '../domain/ids.ts';
import { isFinal, type Ticket } from '../domain/ticket.ts';
import type { ClusterView, IndexedKind, IndexedKinds, IndexEvent } from '../index/types.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import { Agenda, type Findings } from './agenda.ts';
import type { PreemptRequest, PreemptVerdict } from './callbacks.ts';
import type { DecisionBook } from './decision-book.ts';
import type { EngineEvents } from './engine-events.ts';
import type { Executor } from './executor.ts';
import { isFreed } from './replaced.ts';
import { Steps, WATCH_LAG_MS, type EngineSettings, type World } from './steps.ts';
import { WakeList } from './wake-list.ts';

export interface ReconcilerOptions {
  readonly view: ClusterView;
  readonly book: DecisionBook;
  readonly clock: Clock;
  readonly events: EngineEvents;
  readonly settings: EngineSettings;
  /** False: nothing is derived and nothing is written (not synced, or another replica leads). */
  readonly mayAct: () => boolean;
}

/** A pass that is under way. */
interface Pass {
  readonly looks: Generator<void, void>;
  readonly findings: Findings;
  tookMs: number;
  longestSliceMs: number;
}

/** How long a pass keeps the event loop at a time: `preempt`, which takes some milliseconds itself, waits no longer for it. */
const SLICE_MS = 2;

/**
 * Looks at what changed, or whose time came, and hands what is to be done to the executor. Many changes at once make one pass;
 * a long one is cut in slices, between which the event loop turns, and what changes meanwhile is for the next.
 *
 *     idle ──poke──> planned ──> slice ──> slice ──> ... ──> commands ──> idle; planned again where something changed meanwhile
 */
export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #agenda: Agenda;
  #executor: Executor | null = null;
  /** Of the next pass, or of the next slice of this one. */
  #timer: Timer | null = null;
  #pass: Pass | null = null;
  #changedMeanwhile = false;
  #alarm: { readonly atMs: number; readonly timer: Timer } | null = null;
  readonly #wakes: WakeList;
  /** Null while this process may not act. */
  #acting: { readonly sinceSteadyMs: number; readonly seen: Set<PodUid> } | null = null;
  readonly #subscriptions: (() => void)[] = [];
  /** Continuing pods that were preempted before they were restored. A change and the next may come between two passes. */
  readonly #preempted = new Set<PodUid>();
  /** When tickets came to be free again. */
  readonly #freed = new Map<string, number>(); // uid of a ticket -> time of day
  #stopped = false;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    const { view, book, clock } = options;
    this.#agenda = new Agenda(view, book);
    this.#wakes = new WakeList(view, book, clock);
  }

  /** The executor calls back into the reconciler, so it is given afterwards. */
  start(executor: Executor): void {
    this.#executor = executor;
    this.#subscriptions.push(
      this.#options.events.on('command:done', ({ command, outcome }) => {
        if (outcome === 'done') this.#wakes.done(command);
      }),
      this.#options.book.onChange((preemptor) => this.#agenda.decisionChanged(preemptor)),
    );
    this.poke();
  }

  stop(): void {
    this.#stopped = true;
    for (const unsubscribe of this.#subscriptions) unsubscribe();
    this.#timer?.cancel();
    this.#alarm?.timer.cancel();
  }

  /** Something changed: look again soon. */
  poke(): void {
    if (this.#stopped || this.#executor === null) return;
    if (this.#pass !== null) this.#changedMeanwhile = true;
    else this.#plan();
  }

  /** A change of the index. To be told of each: what is not told of is not looked at again. */
  changed(event: IndexEvent, before?: IndexedKinds[IndexedKind]): void {
    if (event.type === 'upsert' && event.kind === 'pod') {
      const { uid, ticket, restored, disruptionTarget } = event.value;
      if (ticket !== null && restored === null && disruptionTarget) this.#preempted.add(uid);
    }
    if (event.kind === 'ticket') this.#noteFreed(event, before as Ticket | undefined);
    if (this.#acting !== null) {
      this.#agenda.changed(event, before);
      const after = event.type === 'upsert' ? event.value : undefined;
      if (event.kind === 'ticket') this.#options.book.follow(before as Ticket | undefined, after as Ticket | undefined);
      if (event.type === 'delete' && event.kind === 'pod') this.#acting.seen.add(event.uid as PodUid);
    }
    this.poke();
  }

  /** One that was turned away with nothing recorded is woken when it may be answered otherwise. */
  answered({ preemptor, candidates }: PreemptRequest, verdict: PreemptVerdict): void {
    if (verdict.candidates.length > 0) this.#wakes.release(preemptor.uid);
    else if (verdict.decisionId === null && candidates.length > 0) {
      const nodes = candidates.map(({ node }) => node);
      this.#wakes.hold(preemptor.uid, nodes, verdict.reason === 'AllReserved' ? 'nodeFree' : 'now');
      this.poke();
    }
  }

  /** A preemptor whose decision about `node` was closed: kube-scheduler looks for another one. */
  wake(preemptor: PodUid, node: NodeName): void {
    this.#wakes.hold(preemptor, [node], 'now');
    this.poke();
  }

  /** Preemptors that were turned away, and nodes that are refused to one, for `/debug/state`. */
  get wakes(): WakeList {
    return this.#wakes;
  }

  /** A new term begins. Whom this process turned away while it did not lead still waits to be woken. */
  reset(): void {
    this.#acting = null;
    this.#pass?.looks.return();
    this.#pass = null;
    this.#agenda.stop();
  }

  isRefused(preemptor: PodUid, node: NodeName): boolean {
    return this.#wakes.isRefused(preemptor, node);
  }

  /** The world as it is now. */
  world(): World {
    const { view, book, clock, settings } = this.#options;
    const nowMs = clock.now();
    const steadyMs = clock.monotonic();
    const { sinceSteadyMs, seen } = this.#acting ?? { sinceSteadyMs: steadyMs, seen: new Set<PodUid>() };
    // Set back, the wall clock would make it a moment that is still to come.
    const actingSinceMs = nowMs - (steadyMs - sinceSteadyMs);
    const [preempted, freed] = [this.#preempted, this.#freed];
    return { view, book, nowMs, steadyMs, actingSinceMs, seen, preempted, freed, settings };
  }

  #noteFreed(event: IndexEvent, before: Ticket | undefined): void {
    if (event.type === 'delete') this.#freed.delete(event.uid);
    else if (event.kind === 'ticket' && isFreed(before, event.value)) {
      this.#freed.set(event.value.uid, this.#options.clock.now());
    }
  }

  #plan(): void {
    this.#timer ??= this.#options.clock.setTimer(0, () => {
      this.#timer = null;
      this.#slice();
    });
  }

  #slice(): void {
    const { clock, mayAct } = this.#options;
    if (this.#stopped || this.#executor === null) return;
    if (!mayAct()) {
      this.reset();
      return;
    }
    const startMs = clock.monotonic();
    this.#pass ??= this.#begin(startMs);
    const pass = this.#pass;
    let isDone = false;
    do isDone = pass.looks.next().done === true;
    while (!isDone && clock.monotonic() - startMs < SLICE_MS);
    if (isDone) this.#end(pass, this.#executor);
    const sliceMs = clock.monotonic() - startMs;
    pass.tookMs += sliceMs;
    pass.longestSliceMs = Math.max(pass.longestSliceMs, sliceMs);
    if (isDone) {
      const { tookMs, longestSliceMs } = pass;
      this.#options.events.emit('pass:done', { tookMs, longestSliceMs });
    } else this.#plan();
  }

  #begin(steadyMs: number): Pass {
    const { view, book, clock, settings } = this.#options;
    this.#changedMeanwhile = false;
    if (this.#acting === null) {
      this.#acting = { sinceSteadyMs: steadyMs, seen: new Set() };
      book.refresh(view);
      this.#agenda.start(settings.maxConcurrentRestoresPerNode);
    } else book.refreshChanged(view);
    if (clock.monotonic() >= this.#acting.sinceSteadyMs + WATCH_LAG_MS) this.#acting.seen.clear();
    const findings: Findings = { closed: [], emptied: [], contradictions: [] };
    return { looks: this.#agenda.pass(() => this.world(), findings), findings, tookMs: 0, longestSliceMs: 0 };
  }

  #end({ findings }: Pass, executor: Executor): void {
    const { book, clock, events } = this.#options;
    this.#pass = null;
    for (const contradiction of findings.contradictions) events.emit('record:contradiction', contradiction);
    this.#close(findings.closed);
    for (const decision of findings.emptied) book.markEmptied(decision, clock.monotonic());
    const wakes = new Steps();
    this.#wakes.holdParked();
    this.#wakes.addTo(wakes);
    executor.run([...this.#agenda.commands(), ...wakes.commands]);
    this.#forgetPreempted();
    if (this.#changedMeanwhile || this.#agenda.isDue) this.#plan();
    this.#setAlarm(Math.min(this.#agenda.wakeAtMs, clock.monotonic() + (wakes.wakeAtMs - clock.now())));
  }

  /** Those that no open ticket claims any more. */
  #forgetPreempted(): void {
    for (const uid of this.#preempted) {
      const isClaimed = this.#options.view.ticketsOfClaimant(uid).some(({ phase }) => !isFinal(phase));
      if (!isClaimed) this.#preempted.delete(uid);
    }
  }

  #close(closed: Findings['closed']): void {
    const { view, book, events, settings } = this.#options;
    for (const { decision, because, message } of closed) {
      book.close(decision);
      events.emit('decision:closed', { decision, because, message });
      const preemptor = view.pod(decision.preemptor.uid);
      if (preemptor === undefined || preemptor.nodeName !== null || preemptor.deletionMs !== null) continue;
      if (because === 'CheckpointFailed' || because === 'DeadlineExceeded') {
        const saved = decision.victims.filter(({ action }) => action !== 'evict').map(({ uid }) => uid);
        this.#wakes.refuse(preemptor.uid, decision.node, settings.retryNodeAfterMs, saved);
      }
      // Whatever ended it, kube-scheduler waits for room that nobody makes, and reserves some that the pod does not get.
      this.#wakes.hold(preemptor.uid, [decision.node], 'now');
    }
  }

  /** On the clock that nobody sets. */
  #setAlarm(atMs: number): void {
    if (this.#alarm !== null) {
      if (this.#alarm.atMs === atMs) return;
      this.#alarm.timer.cancel();
      this.#alarm = null;
    }
    if (atMs === Number.POSITIVE_INFINITY) return;
    const { clock } = this.#options;
    const timer = clock.setTimer(Math.min(atMs - clock.monotonic(), MAX_TIMER_MS), () => {
      this.#alarm = null;
      this.poke();
    });
    this.#alarm = { atMs, timer };
  }
}

/** Longer delays overflow the 32 bits of the platform's timers; looking early does no harm. */
const MAX_TIMER_MS = 2_000_000_000;
