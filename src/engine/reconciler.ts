import type { NodeName, PodUid } from '../domain/ids.ts';
import type { ClusterView } from '../index/types.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import type { Command } from './commands.ts';
import type { DecisionBook } from './decision-book.ts';
import type { EngineEvents } from './engine-events.ts';
import type { Executor } from './executor.ts';
import { nextSteps } from './next-steps.ts';
import type { EngineSettings, Steps } from './steps.ts';

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
  /** Node attempts that failed, not to be repeated at once. */
  readonly #refused = new Map<string, number>(); // `${preemptor}/${node}` -> until
  /** Preemptors that were answered `{}` with nothing recorded: kube-scheduler will not ask again by itself. */
  readonly #held = new Map<PodUid, Held>(); // preemptor -> how to wake it
  /** What an earlier process left unanswered was looked for. */
  #isCaughtUp = false;
  #stopped = false;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /** The executor calls back into the reconciler, so it is given afterwards. */
  start(executor: Executor): void {
    this.#executor = executor;
    this.poke();
  }

  stop(): void {
    this.#stopped = true;
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

  /** Remembers a preemptor that was turned away, so that it is woken when it may be answered otherwise. */
  hold(preemptor: PodUid, node: NodeName, until: Held['until']): void {
    this.#held.set(preemptor, { node, until, sinceMs: this.#options.clock.now() });
    this.poke();
  }

  /** Preemptors that were turned away, for `/debug/state`. */
  held(): readonly (Held & { readonly preemptor: PodUid })[] {
    return [...this.#held].map(([preemptor, held]) => ({ preemptor, ...held }));
  }

  /** Nodes that are not chosen for a preemptor now, for `/debug/state`. */
  refused(): readonly { readonly preemptor: string; readonly node: string; readonly untilMs: number }[] {
    const nowMs = this.#options.clock.now();
    const current = [...this.#refused].filter(([, untilMs]) => nowMs < untilMs);
    return current.map(([key, untilMs]) => {
      const [preemptor = '', node = ''] = key.split('/');
      return { preemptor, node, untilMs };
    });
  }

  isRefused(preemptor: PodUid, node: NodeName): boolean {
    const untilMs = this.#refused.get(`${preemptor}/${node}`);
    return untilMs !== undefined && this.#options.clock.now() < untilMs;
  }

  #run(): void {
    const { view, book, clock, settings, mayAct } = this.#options;
    if (this.#stopped || this.#executor === null || !mayAct()) return;
    book.refresh(view);
    this.#catchUp();
    const steps = nextSteps({ view, book, nowMs: clock.now(), settings });
    const commands: Command[] = [...steps.commands, ...this.#close(steps), ...this.#wakeHeld()];
    for (const decision of steps.emptied) book.markEmptied(decision, clock.now());
    // What a closed decision left behind is undone by the next pass.
    if (steps.closed.length > 0) this.poke();
    this.#executor.run(commands);
    this.#setAlarm(steps.wakeAtMs);
  }

  /**
   * Once, when this process begins to act: preemptors that were told `{}` by one that died before it wrote anything down.
   * Nothing but kube-scheduler's flush after five minutes would bring them back.
   */
  #catchUp(): void {
    const { view, book, clock } = this.#options;
    if (this.#isCaughtUp) return;
    this.#isCaughtUp = true;
    const [any] = view.nodes();
    if (any === undefined) return;
    for (const pod of view.pendingPods()) {
      if (!pod.preemptionDeferred || book.get(pod.uid) !== undefined) continue;
      this.#held.set(pod.uid, { node: any.node.name, until: 'synced', sinceMs: clock.now() });
    }
  }

  #close(steps: Steps): readonly Command[] {
    const { view, book, clock, events, settings } = this.#options;
    const commands: Command[] = [];
    for (const { decision, because, message } of steps.closed) {
      book.close(decision);
      events.emit('decision:closed', { decision, because, message });
      const preemptor = view.pod(decision.preemptor.uid);
      if (preemptor === undefined || preemptor.nodeName !== null || preemptor.deletionMs !== null) continue;
      if (because === 'CheckpointFailed' || because === 'DeadlineExceeded') {
        this.#refused.set(`${preemptor.uid}/${decision.node}`, clock.now() + settings.retryNodeAfterMs);
        this.hold(preemptor.uid, decision.node, 'synced');
      }
      if (preemptor.nominatedNodeName === decision.node)
        commands.push({ kind: 'Nominate', pod: preemptor, node: null });
    }
    const nowMs = clock.now();
    for (const [key, untilMs] of this.#refused) if (nowMs >= untilMs) this.#refused.delete(key);
    return commands;
  }

  #wakeHeld(): readonly Command[] {
    const { view, book, clock } = this.#options;
    const commands: Command[] = [];
    for (const [uid, held] of this.#held) {
      const pod = view.pod(uid);
      // Not seen yet: `preempt` may have been answered before the watch brought the pod.
      if (pod === undefined) {
        if (clock.now() - held.sinceMs > FORGET_HELD_MS) this.#held.delete(uid);
        continue;
      }
      const isSettled = pod.nodeName !== null || pod.deletionMs !== null || book.get(uid) !== undefined;
      if (!isSettled && held.until === 'nodeFree' && !book.on(held.node, uid).next().done) continue;
      this.#held.delete(uid);
      if (!isSettled) commands.push({ kind: 'Wake', pod, node: held.node });
    }
    return commands;
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

/** A preemptor that was turned away. */
interface Held {
  /** A node to nominate it for and take it back: that is what wakes it. */
  readonly node: NodeName;
  /** `synced`: as soon as the engine may act. `nodeFree`: when no other decision uses `node` any more. */
  readonly until: 'synced' | 'nodeFree';
  readonly sinceMs: number;
}

/** A held preemptor that the watch never brought is not waited for. */
const FORGET_HELD_MS = 600_000;

/** Longer delays overflow the 32 bits of the platform's timers; looking early does no harm. */
const MAX_TIMER_MS = 2_000_000_000;
