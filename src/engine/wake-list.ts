import type { NodeName, PodUid } from '../domain/ids.ts';
import { standsOn, type Pod } from '../domain/pod.ts';
import { whyUnfit } from '../domain/toleration.ts';
import type { ClusterView } from '../index/types.ts';
import type { Clock } from '../ports/clock.ts';
import type { Command } from './commands.ts';
import type { DecisionBook } from './decision-book.ts';
import { refusesUnsaved } from './decision-terms.ts';
import type { Steps } from './steps.ts';

/** A preemptor that was turned away: kube-scheduler will not ask again by itself before its flush, after five minutes. */
interface Held {
  /** Those it was offered, or failed on. The first is what it is nominated for and taken back from: that is what wakes it. */
  readonly nodes: readonly NodeName[];
  /** `now`: as soon as the engine may act. `nodeFree`: when at least one of `nodes` may be chosen for it again. */
  readonly until: 'now' | 'nodeFree';
  readonly sinceMs: number;
}

/** A node that is not chosen for a preemptor for a while: first in any case, then for as long as the cause of it stands. */
interface Refusal {
  readonly preemptor: PodUid;
  readonly node: NodeName;
  /** Of the attempt that failed last: those that were to be saved. */
  readonly victims: readonly PodUid[];
  /** Until then in any case. */
  readonly firmUntilMs: number;
  /** Until then at the latest; never before `firmUntilMs`. */
  readonly untilMs: number;
  /** Attempts in a row that failed. */
  readonly failures: number;
}

/** A held preemptor that the watch never brought is not waited for. */
const FORGET_MS = 600_000;
/** Attempts that fail one after the other are this many times as far apart in the end: their victims stand still for each. */
const LONGEST_REFUSAL_FACTOR = 16;
/** A process that never may act does not remember more than this; the oldest go first. */
const MOST_HELD = 10_000;

/**
 * Whom to wake, and when: level-triggered. A preemptor stays on the list, and a Wake is derived for it in each pass, until
 * one has come back as done, or it is settled: bound, deleted, or with a decision of its own. A Wake ends with no nomination
 * on the pod, so it also takes back the one that a closed decision left.
 */
export class WakeList {
  readonly #view: ClusterView;
  readonly #book: DecisionBook;
  readonly #clock: Clock;
  readonly #held = new Map<PodUid, Held>(); // preemptor -> how to wake it, oldest first
  readonly #refused = new Map<string, Refusal>(); // `${preemptor}/${node}` -> attempts that failed, as long as it is pending
  /** Answered with victims, and not written to since: what the pod says of itself is from before. */
  readonly #released = new Map<PodUid, string>(); // preemptor -> its resourceVersion then
  readonly #meant = new WeakMap<Command, Held>(); // wake -> the entry it is for: a later one needs a wake of its own

  constructor(view: ClusterView, book: DecisionBook, clock: Clock) {
    this.#view = view;
    this.#book = book;
    this.#clock = clock;
  }

  /** `nodes` holds at least one. */
  hold(preemptor: PodUid, nodes: readonly NodeName[], until: Held['until']): void {
    this.#held.delete(preemptor);
    this.#held.set(preemptor, { nodes, until, sinceMs: this.#clock.monotonic() });
    if (this.#held.size <= MOST_HELD) return;
    const [oldest] = this.#held.keys();
    if (oldest !== undefined) this.#held.delete(oldest);
  }

  /**
   * Takes in whom kube-scheduler has parked for a reason that nobody here knows: it was told `{}` by a process that died before
   * it wrote anything down or by a replica that did not lead, or it was told nothing. Nothing but the flush would bring
   * it back. One that was woken and still stands parked is taken in again: the executor sets the pace.
   */
  holdParked(): void {
    // A pod is woken by a nomination that is taken back, whatever node it names.
    const [any] = this.#view.nodes();
    if (any === undefined) return;
    for (const [uid, version] of this.#released) {
      if (this.#view.pod(uid)?.resourceVersion !== version) this.#released.delete(uid);
    }
    for (const pod of this.#view.parkedPods()) {
      if (this.#book.get(pod.uid) !== undefined) continue;
      if (this.has(pod.uid) || this.#released.has(pod.uid)) continue;
      this.hold(pod.uid, [any.node.name], 'now');
    }
  }

  has(preemptor: PodUid): boolean {
    return this.#held.has(preemptor);
  }

  /** It was answered with victims: kube-scheduler nominates it, and a wake would take that back. */
  release(preemptor: PodUid): void {
    this.#held.delete(preemptor);
    const pod = this.#view.pod(preemptor);
    if (pod !== undefined) this.#released.set(preemptor, pod.resourceVersion);
  }

  /** Whom this list holds, for `/debug/state`. */
  held(): readonly (Held & { readonly preemptor: PodUid })[] {
    return [...this.#held].map(([preemptor, held]) => ({ preemptor, ...held }));
  }

  /** Nodes that are not chosen for a preemptor now, for `/debug/state`. */
  refused(): readonly { readonly preemptor: string; readonly node: string; readonly untilMs: number }[] {
    return [...this.#refused.values()].flatMap(({ preemptor, node }) => {
      const untilMs = this.#refusedUntilMs(preemptor, node);
      return untilMs === null ? [] : [{ preemptor, node, untilMs }];
    });
  }

  /**
   * An attempt on `node` to save `victims` failed: it is not to be repeated for that long; twice as long each time it fails
   * again, where one of `victims` still stands there and may not go unsaved. Once none does, there is nothing left to fail.
   */
  refuse(preemptor: PodUid, node: NodeName, forMs: number, victims: readonly PodUid[]): void {
    const key = `${preemptor}/${node}`;
    const failures = (this.#refused.get(key)?.failures ?? 0) + 1;
    const factor = Math.min(2 ** (failures - 1), LONGEST_REFUSAL_FACTOR);
    const nowMs = this.#clock.monotonic();
    const [firmUntilMs, untilMs] = [nowMs + forMs, nowMs + forMs * factor];
    this.#refused.set(key, { preemptor, node, victims, firmUntilMs, untilMs, failures });
  }

  isRefused(preemptor: PodUid, node: NodeName): boolean {
    return this.#refusedUntilMs(preemptor, node) !== null;
  }

  /** `command` was carried out. One that failed, or met another world, is derived again. */
  done(command: Command): void {
    if (command.kind === 'Wake' && this.#held.get(command.pod.uid) === this.#meant.get(command)) {
      this.#held.delete(command.pod.uid);
    }
  }

  /** Adds the wakes that are due, and when to look again for those that are not. */
  addTo(steps: Steps): void {
    const nowMs = this.#clock.monotonic();
    for (const [key, { preemptor, node, untilMs }] of this.#refused) {
      const pod = this.#view.pod(preemptor);
      const isPending = pod !== undefined && pod.nodeName === null && pod.deletionMs === null;
      const isOver = nowMs >= untilMs && !isPending;
      if (isOver || this.#view.node(node) === undefined) this.#refused.delete(key);
    }
    for (const [uid, held] of this.#held) {
      const pod = this.#view.pod(uid);
      // Not seen yet: `preempt` may have been answered before the watch brought the pod.
      if (pod === undefined) {
        if (nowMs - held.sinceMs > FORGET_MS) this.#held.delete(uid);
        continue;
      }
      if (pod.nodeName !== null || pod.deletionMs !== null || this.#book.get(uid) !== undefined) {
        this.#held.delete(uid);
        continue;
      }
      if (held.until === 'nodeFree' && !held.nodes.some((node) => this.#mayBeChosen(node, pod, steps))) continue;
      const command: Command = { kind: 'Wake', pod, node: held.nodes[0] as NodeName };
      this.#meant.set(command, held);
      steps.do(command);
    }
  }

  /** Nothing that turned `pod` away from `node` stands any more. A node that is gone is in nobody's way. */
  #mayBeChosen(node: NodeName, pod: Pod, steps: Steps): boolean {
    const on = this.#view.node(node);
    if (on === undefined) return true;
    const refusedUntilMs = this.#refusedUntilMs(pod.uid, node);
    // Whole milliseconds: what is less of one may be nothing beside the time of day.
    if (refusedUntilMs !== null)
      steps.lookAgainAt(this.#clock.now() + Math.ceil(refusedUntilMs - this.#clock.monotonic()));
    return refusedUntilMs === null && !this.#book.isTaken(node, pod) && whyUnfit(on.node, pod.tolerations) === null;
  }

  /** When to look again; null where the node is not refused. A change of the cause is seen by the pass that it brings about. */
  #refusedUntilMs(preemptor: PodUid, node: NodeName): number | null {
    const refusal = this.#refused.get(`${preemptor}/${node}`);
    const nowMs = this.#clock.monotonic();
    if (refusal === undefined || nowMs >= refusal.untilMs) return null;
    if (nowMs < refusal.firmUntilMs) return refusal.firmUntilMs;
    return refusal.victims.some((victim) => this.#isInTheWay(victim, node)) ? refusal.untilMs : null;
  }

  /** It stands there, and may not go unsaved. */
  #isInTheWay(victim: PodUid, node: NodeName): boolean {
    const pod = this.#view.pod(victim);
    return standsOn(pod, node) && pod.deletionMs === null && refusesUnsaved(this.#view, pod);
  }
}
