import type { PodUid } from '../../domain/ids.ts';
import type { Ticket } from '../../domain/ticket.ts';
import type { ClusterView, IndexedKind, IndexedKinds, IndexEvent } from '../../index/types.ts';
import type { Clock, Timer } from '../../ports/clock.ts';
import type { Displacement } from '../../domain/displacement.ts';
import type { CloseReason } from '../displace/close-reasons.ts';
import { rulesOf } from '../causes/causes.ts';
import { Agenda } from './agenda.ts';
import { noFindings, type Findings } from './findings.ts';
import { BarrierWaits } from '../displace/barrier-waits.ts';
import type { PreemptRequest, PreemptVerdict } from '../preemption/callbacks.ts';
import type { DisplacementBook } from '../displace/displacement-book.ts';
import type { EngineEvents } from '../engine-events.ts';
import type { Executor } from './executor.ts';
import { Asked } from '../guard/asked.ts';
import type { Proposal } from '../propose/proposal.ts';
import { Rests } from '../propose/rests.ts';
import { Sightings } from './sightings.ts';
import { LATE_WRITES_MS, Steps, WATCH_LAG_MS, type EngineSettings, type World } from './steps.ts';
import { WakeUp } from './wake-up.ts';
import { WakeList } from '../preemption/wake-list.ts';
import { RoomMemory } from '../return/room-memory.ts';

export interface ReconcilerOptions {
  readonly view: ClusterView;
  readonly book: DisplacementBook;
  readonly clock: Clock;
  readonly events: EngineEvents;
  readonly settings: EngineSettings;
  /** Makes displacements of what steps propose. */
  readonly open: (proposals: readonly Proposal[]) => void;
  /** False: nothing is derived and nothing is written (not synced, or another replica leads). */
  readonly mayAct: () => boolean;
  /** As in `EngineOptions`. */
  readonly podsWatchedSinceMs: () => number | null;
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
  #timer: Timer | null = null; // of the next pass, or of the next slice of this one
  #pass: Pass | null = null;
  #changedMeanwhile = false;
  readonly #alarm: WakeUp;
  readonly #wakes: WakeList;
  readonly #barrier: BarrierWaits;
  readonly #rests: Rests;
  /** When the guard was asked, which the engine notes. */
  readonly asked: Asked;
  /** Null while this process may not act. */
  #acting: { readonly sinceSteadyMs: number; readonly seen: Set<PodUid> } | null = null;
  readonly #subscriptions: (() => void)[] = [];
  readonly #sightings: Sightings;
  readonly roomMemory = new RoomMemory();
  #stopped = false;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    const { view, book, clock, events } = options;
    this.#agenda = new Agenda(view, book);
    this.#wakes = new WakeList(view, book, clock);
    this.#alarm = new WakeUp(clock, () => this.poke());
    this.#sightings = new Sightings(view, clock);
    this.#rests = new Rests(clock);
    this.asked = new Asked(clock);
    this.#barrier = new BarrierWaits((displacement, waitedMs) =>
      events.emit('barrier:passed', { displacement, waitedMs }),
    );
  }

  /** The executor calls back into the reconciler, so it is given afterwards. */
  start(executor: Executor): void {
    this.#executor = executor;
    this.#subscriptions.push(
      this.#options.events.on('command:done', ({ command, outcome }) => {
        if (outcome === 'done') this.#wakes.done(command);
      }),
      this.#options.book.onChange((id) => this.#agenda.displacementChanged(id)),
    );
    this.poke();
  }

  stop(): void {
    this.#stopped = true;
    for (const unsubscribe of this.#subscriptions) unsubscribe();
    this.#timer?.cancel();
    this.#alarm.cancel();
  }

  /** Something changed: look again soon. */
  poke(): void {
    if (this.#stopped || this.#executor === null) return;
    if (this.#pass !== null) this.#changedMeanwhile = true;
    else this.#plan();
  }

  /** A change of the index. To be told of each: what is not told of is not looked at again. */
  changed(event: IndexEvent, before?: IndexedKinds[IndexedKind]): void {
    this.#sightings.note(event, before);
    if (this.#acting !== null) {
      this.#agenda.changed(event, before);
      const after = event.type === 'upsert' ? event.value : undefined;
      if (event.kind === 'ticket') {
        const mayBeLate = this.#options.clock.monotonic() - this.#acting.sinceSteadyMs < LATE_WRITES_MS;
        this.#options.book.follow(before as Ticket | undefined, after as Ticket | undefined, mayBeLate);
      }
      if (event.type === 'delete' && event.kind === 'pod') this.#acting.seen.add(event.uid as PodUid);
    }
    this.poke();
  }

  /** One that was turned away with nothing recorded is woken when it may be answered otherwise. */
  answered({ preemptor, candidates }: PreemptRequest, verdict: PreemptVerdict): void {
    if (verdict.candidates.length > 0) this.#wakes.release(preemptor.uid);
    else if (verdict.displacementId === null && candidates.length > 0) {
      const nodes = candidates.map(({ node }) => node);
      this.#wakes.hold(preemptor.uid, nodes, verdict.reason === 'AllReserved' ? 'nodeFree' : 'now');
      this.poke();
    }
  }

  /** A displacement was closed outside of a pass: what its cause demands then is done. */
  ended(displacement: Displacement, because: CloseReason): void {
    const { view, settings } = this.#options;
    rulesOf(displacement).onEnding({ view, wakes: this.#wakes, rests: this.#rests, settings }, displacement, because);
    this.poke();
  }

  /** Preemptors that were turned away, and nodes that are refused to one, for `/debug/state`. */
  get wakes(): WakeList {
    return this.#wakes;
  }

  /** A new term begins. Whom this process turned away while it did not lead still waits to be woken. */
  reset(): void {
    this.#acting = null;
    this.#barrier.clear();
    this.roomMemory.clear();
    this.#pass?.looks.return();
    this.#pass = null;
    this.#agenda.stop();
  }

  /** The world as it is now. */
  world(): World {
    const { view, book, clock, settings, podsWatchedSinceMs } = this.#options;
    const nowMs = clock.now();
    const steadyMs = clock.monotonic();
    const { sinceSteadyMs, seen } = this.#acting ?? { sinceSteadyMs: steadyMs, seen: new Set<PodUid>() };
    // Set back, the wall clock would make it a moment that is still to come.
    const actingSinceMs = nowMs - (steadyMs - sinceSteadyMs);
    const podsSinceMs = nowMs - (steadyMs - (podsWatchedSinceMs() ?? steadyMs));
    const { disrupted, evicted, unwanted, freed } = this.#sightings;
    const sighted = { seen, disrupted, evicted, unwanted, freed, roomMemory: this.roomMemory };
    const times = { nowMs, steadyMs, actingSinceMs, podsSinceMs };
    return { view, book, ...times, ...sighted, rests: this.#rests, asked: this.asked, settings };
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
    } else book.forgetSettled();
    if (clock.monotonic() >= this.#acting.sinceSteadyMs + WATCH_LAG_MS) this.#acting.seen.clear();
    const findings = noFindings();
    return { looks: this.#agenda.pass(() => this.world(), findings), findings, tookMs: 0, longestSliceMs: 0 };
  }

  #end({ findings }: Pass, executor: Executor): void {
    const { book, clock, events } = this.#options;
    this.#pass = null;
    for (const contradiction of findings.contradictions) events.emit('record:contradiction', contradiction);
    for (const stays of findings.staying) events.emit('pod:stays', stays);
    this.#close(findings.closed);
    this.#options.open(findings.proposals);
    for (const displacement of findings.emptied) book.markEmptied(displacement, clock.monotonic());
    for (const { displacement } of findings.waiting) this.#barrier.waits(displacement, clock.monotonic());
    const wakes = new Steps();
    this.#wakes.holdParked();
    this.#wakes.addTo(wakes);
    const commands = [...this.#agenda.commands(), ...wakes.commands];
    this.#barrier.passed(commands, clock.monotonic());
    executor.run(commands);
    this.#sightings.forgetSettled();
    if (this.#changedMeanwhile || this.#agenda.isDue) this.#plan();
    this.#alarm.setFor(Math.min(this.#agenda.wakeAtMs, clock.monotonic() + (wakes.wakeAtMs - clock.now())));
  }

  #close(closed: Findings['closed']): void {
    const { book, events } = this.#options;
    for (const { displacement, because, message } of closed) {
      book.close(displacement);
      this.#barrier.forget(displacement);
      events.emit('displacement:closed', { displacement, because, message });
      this.ended(displacement, because);
    }
  }
}
