import type { NodeName, PodUid } from '../../domain/ids.ts';
import { setNewest } from '../../domain/newest.ts';
import { standsOn, wantsRoom, type Pod } from '../../domain/pod.ts';
import { whyExcluded } from '../../domain/node-fit.ts';
import type { ClusterView } from '../../index/types.ts';
import type { Clock } from '../../ports/clock.ts';
import { isTaken } from '../causes/causes.ts';
import type { Command } from '../core/commands.ts';
import { growingWaitMs } from '../../domain/growing-wait.ts';
import type { DisplacementBook } from '../displace/displacement-book.ts';
import { refusesUnsaved } from '../displace/displacement-terms.ts';
import type { Steps } from '../core/steps.ts';

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

/** Why a node is not to be tried again at once. */
export type FailedAttempt =
  /**
   * `victims` could not be saved. The longer time holds while one of them stands there and may not go unsaved: once none does,
   * there is nothing left to fail.
   */
  | { readonly kind: 'NotSaved'; readonly victims: readonly PodUid[] }
  /** The node was emptied, and the preemptor was not bound: something keeps it off that is not asked about the preemption. */
  | { readonly kind: 'NotBound' }
  /** The preemptor no longer fitted when its victims were saved. Once that is chance: other victims on the node may do. */
  | { readonly kind: 'NoLongerFits' };

/** A held preemptor that the watch never brought is not waited for. */
const FORGET_MS = 600_000;
/** A process that never may act does not remember more than this; the oldest go first. */
const MOST_HELD = 10_000;
/** Nodes of preemptors, likewise. */
const MOST_REFUSED = 10_000;

/**
 * Whom to wake, and when: level-triggered. A preemptor stays on the list, and a Wake is derived for it in each pass, until
 * one has come back as done, or it is settled: bound, deleted, or with a displacement of its own. A Wake ends with no nomination
 * on the pod, so it also takes back the one that a closed displacement left.
 */
export class WakeList {
  readonly #view: ClusterView;
  readonly #book: DisplacementBook;
  readonly #clock: Clock;
  readonly #held = new Map<PodUid, Held>(); // preemptor -> how to wake it, oldest first
  readonly #refused = new Map<string, Refusal>(); // `${preemptor}/${node}` -> attempts that failed, as long as it is pending
  /** Answered with victims, and not written to since: what the pod says of itself is from before. */
  readonly #released = new Map<PodUid, string>(); // preemptor -> its resourceVersion then
  readonly #meant = new WeakMap<Command, Held>(); // wake -> the entry it is for: a later one needs a wake of its own

  constructor(view: ClusterView, book: DisplacementBook, clock: Clock) {
    this.#view = view;
    this.#book = book;
    this.#clock = clock;
  }

  /** `nodes` holds at least one. */
  hold(preemptor: PodUid, nodes: readonly NodeName[], until: Held['until']): void {
    setNewest(this.#held, preemptor, { nodes, until, sinceMs: this.#clock.monotonic() }, MOST_HELD);
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
      if (this.#book.ofBeneficiary(pod.uid) !== undefined) continue;
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

  /** An attempt on `node` failed: it is not to be repeated for `forMs`, and for twice as long each time it fails again. */
  refuse(preemptor: PodUid, node: NodeName, forMs: number, attempt: FailedAttempt): void {
    const key = `${preemptor}/${node}`;
    const failures = (this.#refused.get(key)?.failures ?? 0) + 1;
    const nowMs = this.#clock.monotonic();
    const grownMs = nowMs + growingWaitMs(forMs, failures);
    const untilMs = attempt.kind === 'NoLongerFits' && failures === 1 ? nowMs : grownMs;
    const firmUntilMs = attempt.kind === 'NotSaved' ? nowMs + forMs : untilMs;
    const victims = attempt.kind === 'NotSaved' ? attempt.victims : [];
    setNewest(this.#refused, key, { preemptor, node, victims, firmUntilMs, untilMs, failures }, MOST_REFUSED);
  }

  isRefused(preemptor: PodUid, node: NodeName): boolean {
    return this.#refusedUntilMs(preemptor, node) !== null;
  }

  /** Remembered for as long as the preemptor is pending. */
  hasFailed(preemptor: PodUid, node: NodeName): boolean {
    return this.#refused.has(`${preemptor}/${node}`);
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
      const isPending = pod !== undefined && wantsRoom(pod);
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
      if (pod.nodeName !== null || pod.deletionMs !== null || this.#book.ofBeneficiary(uid) !== undefined) {
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
    return refusedUntilMs === null && !isTaken(this.#view, this.#book, node, pod) && whyExcluded(on.node, pod) === null;
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
