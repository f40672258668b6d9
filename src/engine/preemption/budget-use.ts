import type { Displacement } from '../../domain/displacement.ts';
import { isAbout, type DisruptionBudget } from '../../domain/disruption-budget.ts';
import { standsOn, type Pod } from '../../domain/pod.ts';
import type { ClusterView } from '../../index/types.ts';
import type { Offer } from './offer.ts';

/**
 * What open displacements will take of the PodDisruptionBudgets, which kube-scheduler does not know when it counts violations: a pod
 * that is being saved is still healthy. Each pod counts once: one that is terminating, not ready or allowed to be evicted is
 * counted in the status of its budgets already.
 *
 * Made for one decision, and costs nothing where no displacement is open or no victim has a budget.
 */
export class BudgetUse {
  readonly #view: ClusterView;
  readonly #open: { readonly size: number; all(): Iterable<Displacement> };
  readonly #used = new Map<DisruptionBudget, ReadonlySet<Pod>>(); // budget -> healthy pods that open displacements move

  constructor(view: ClusterView, open: { readonly size: number; all(): Iterable<Displacement> }) {
    this.#view = view;
    this.#open = open;
  }

  /** Victims of the offer that a budget does not allow to go; at least as many as kube-scheduler counted. */
  violations({ on, places, candidate }: Offer): number {
    if (this.#open.size === 0) return candidate.numPdbViolations;
    const left = new Map<DisruptionBudget, number>();
    const victims = places.map((place) => on.sheet.pod(place));
    let violations = 0;
    for (const victim of victims) {
      let isViolating = false;
      for (const budget of this.#view.budgets(victim.namespace)) {
        if (!covers(budget, victim)) continue;
        const allowed = (left.get(budget) ?? this.#allowed(budget, victims)) - 1;
        left.set(budget, allowed);
        if (allowed < 0) isViolating = true;
      }
      if (isViolating) violations++;
    }
    return Math.max(violations, candidate.numPdbViolations);
  }

  /** The first budget that does not allow this pod to go now; null: none is in its way. A pod that is not ready is counted already. */
  forbidding(pod: Pod): DisruptionBudget | null {
    if (!pod.ready) return null;
    for (const budget of this.#view.budgets(pod.namespace))
      if (covers(budget, pod) && this.#allowed(budget, [pod]) < 1) return budget;
    return null;
  }

  /** What the budget allows beside open displacements. The victims of the offer are counted by the offer. */
  #allowed(budget: DisruptionBudget, victims: readonly Pod[]): number {
    let used = this.#used.get(budget);
    if (used === undefined) this.#used.set(budget, (used = new Set(this.#usersOf(budget))));
    let others = used.size;
    for (const victim of victims) if (used.has(victim)) others--;
    return budget.disruptionsAllowed - others;
  }

  *#usersOf(budget: DisruptionBudget): Generator<Pod> {
    for (const { pods } of this.#open.all()) {
      for (const { uid, namespace, node } of pods) {
        if (namespace !== budget.namespace) continue;
        const pod = this.#view.pod(uid);
        if (standsOn(pod, node) && pod.ready && pod.deletionMs === null && covers(budget, pod)) yield pod;
      }
    }
  }
}

function covers(budget: DisruptionBudget, pod: Pod): boolean {
  return isAbout(budget, pod) && !budget.disruptedPods.includes(pod.name);
}
