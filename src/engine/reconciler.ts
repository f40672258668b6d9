import type { NodeName, PodUid } from '../domain/ids.ts';
import { isFinal } from '../domain/ticket.ts';
import type { ClusterView, IndexEvent } from '../index/types.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { PreemptRequest, PreemptVerdict } from './callbacks.ts';
import type { DecisionBook } from './decision-book.ts';
import type { EngineEvents } from './engine-events.ts';
import type { Executor } from './executor.ts';
import { nextSteps } from './next-steps.ts';
import { WATCH_LAG_MS, type EngineSettings, type Steps, type World } from './steps.ts';
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

/**
 * Looks at the world whenever something changed or a deadline came, and hands what is to be done to the executor. Many
 * changes at once make one pass.
 */
export class Reconciler {
  readonly #options: ReconcilerOptions;
  #executor: Executor | null = null;
  #pass: Timer | null = null;
  #alarm: { readonly atMs: number; readonly timer: Timer } | null = null;
  readonly #wakes: WakeList;
  /** Contradictions that were told of and still stand. */
  #told: ReadonlySet<string> = new Set(); // `${kind} ${uid of the ticket}`
  /** Null while this process may not act. */
  #acting: { readonly sinceSteadyMs: number; readonly seen: Set<PodUid> } | null = null;
  #unsubscribe: (() => void) | null = null;
  /** Continuing pods that were preempted before they were restored. A change and the next may come between two passes. */
  readonly #preempted = new Set<PodUid>();
  #stopped = false;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    const { view, book, clock } = options;
    this.#wakes = new WakeList(view, book, clock);
  }

  /** The executor calls back into the reconciler, so it is given afterwards. */
  start(executor: Executor): void {
    this.#executor = executor;
    this.#unsubscribe = this.#options.events.on('command:done', ({ command, outcome }) => {
      if (outcome === 'done') this.#wakes.done(command);
    });
    this.poke();
  }

  stop(): void {
    this.#stopped = true;
    this.#unsubscribe?.();
    this.#pass?.cancel();
    this.#alarm?.timer.cancel();
  }

  /** Something changed: look again soon. */
  poke(): void {
    if (this.#stopped || this.#pass !== null || this.#executor === null) return;
    this.#pass = this.#options.clock.setTimer(0, () => {
      this.#pass = null;
      this.#run();
    });
  }

  /** A change of the index: what the next pass could no longer see is kept. */
  changed(event: IndexEvent): void {
    if (event.type === 'upsert' && event.kind === 'pod') {
      const { uid, ticket, restored, disruptionTarget } = event.value;
      if (ticket !== null && restored === null && disruptionTarget) this.#preempted.add(uid);
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
    return { view, book, nowMs, steadyMs, actingSinceMs, seen, preempted: this.#preempted, settings };
  }

  #run(): void {
    const { view, book, clock, mayAct } = this.#options;
    if (this.#stopped || this.#executor === null) return;
    if (!mayAct()) {
      this.#acting = null;
      return;
    }
    const startMs = clock.monotonic();
    this.#acting ??= { sinceSteadyMs: startMs, seen: new Set() };
    book.refresh(view);
    const world = this.world();
    const { nowMs, steadyMs, actingSinceMs } = world;
    const { seen } = this.#acting;
    const steps = nextSteps(world);
    if (nowMs < actingSinceMs + WATCH_LAG_MS) this.#see(seen);
    else seen.clear();
    this.#tell(steps);
    this.#close(steps);
    for (const decision of steps.emptied) book.markEmptied(decision, steadyMs);
    this.#wakes.holdParked();
    this.#wakes.addTo(steps);
    this.#executor.run(steps.commands);
    this.#setAlarm(steps.wakeAtMs);
    this.#forgetPreempted();
    const tookMs = clock.monotonic() - startMs;
    this.#options.events.emit('pass:done', { tookMs, longestSliceMs: tookMs });
  }

  /** Those that no open ticket claims any more. */
  #forgetPreempted(): void {
    if (this.#preempted.size === 0) return;
    const claimed = new Set<PodUid>();
    for (const { claim, phase } of this.#options.view.tickets()) {
      if (claim !== null && !isFinal(phase)) claimed.add(claim.uid);
    }
    for (const uid of this.#preempted) if (!claimed.has(uid)) this.#preempted.delete(uid);
  }

  /** What is in view now and is not later is gone: the next pass need not wait until it might have come. */
  #see(seen: Set<PodUid>): void {
    const { view, book } = this.#options;
    const see = (uid: PodUid): void => void (view.pod(uid) !== undefined && seen.add(uid));
    for (const { pod, claim } of view.tickets()) {
      see(pod.uid);
      if (claim !== null) see(claim.uid);
    }
    for (const { victims } of book.all()) for (const { uid } of victims) see(uid);
  }

  #tell(steps: Steps): void {
    const told = new Set<string>();
    for (const contradiction of steps.contradictions) {
      const key = `${contradiction.kind} ${contradiction.object.uid}`;
      if (!told.has(key) && !this.#told.has(key)) this.#options.events.emit('record:contradiction', contradiction);
      told.add(key);
    }
    this.#told = told;
  }

  #close(steps: Steps): void {
    const { view, book, events, settings } = this.#options;
    for (const { decision, because, message } of steps.closed) {
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
    // What a closed decision left behind is undone by the next pass.
    if (steps.closed.length > 0) this.poke();
  }

  #setAlarm(atMs: number): void {
    if (this.#alarm !== null) {
      if (this.#alarm.atMs === atMs) return;
      this.#alarm.timer.cancel();
      this.#alarm = null;
    }
    if (atMs === Number.POSITIVE_INFINITY) return;
    const { clock } = this.#options;
    const timer = clock.setTimer(Math.min(atMs - clock.now(), MAX_TIMER_MS), () => {
      this.#alarm = null;
      this.poke();
    });
    this.#alarm = { atMs, timer };
  }
}

/** Longer delays overflow the 32 bits of the platform's timers; looking early does no harm. */
const MAX_TIMER_MS = 2_000_000_000;
