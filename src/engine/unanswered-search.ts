import type { PodUid } from '../domain/ids.ts';
import type { ClusterView } from '../index/types.ts';
import type { DecisionBook } from './decision-book.ts';
import { WATCH_LAG_MS, type Steps } from './steps.ts';
import type { WakeList } from './wake-list.ts';

/**
 * Preemptors that were told `{}` by a process that died, or ceased to lead, before it wrote anything down: nothing but
 * kube-scheduler's flush after five minutes would bring them back. Looked for twice when a process begins to act: at once,
 * and when what its predecessor's last answers did to the pods must have come by the watch.
 */
export class UnansweredSearch {
  readonly #againMs: number;
  #considered: Set<PodUid> | null = null; // those the first look met; null before it
  #isOver = false;

  constructor(beganMs: number) {
    this.#againMs = beganMs + WATCH_LAG_MS;
  }

  addTo(steps: Steps, seen: { view: ClusterView; book: DecisionBook; nowMs: number; wakes: WakeList }): void {
    if (this.#isOver) return;
    const isSecond = this.#considered !== null;
    if (isSecond && seen.nowMs < this.#againMs) {
      steps.lookAgainAt(this.#againMs);
      return;
    }
    this.#isOver = isSecond;
    if (!isSecond) steps.lookAgainAt(this.#againMs);
    // A pod is woken by a nomination that is taken back, whatever node it names.
    const [any] = seen.view.nodes();
    if (any === undefined) return;
    const considered = (this.#considered ??= new Set());
    for (const pod of seen.view.pendingPods()) {
      if (!pod.preemptionDeferred || considered.has(pod.uid)) continue;
      considered.add(pod.uid);
      if (seen.book.get(pod.uid) === undefined && !seen.wakes.has(pod.uid)) {
        seen.wakes.hold(pod.uid, [any.node.name], 'now');
      }
    }
    if (this.#isOver) considered.clear();
  }
}
