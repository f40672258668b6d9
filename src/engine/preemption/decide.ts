import type { Displacement, Preemption } from '../../domain/displacement.ts';
import type { NodeName } from '../../domain/ids.ts';
import { compareNodeOptions, type NodeOption } from '../../domain/node-choice.ts';
import type { Pod } from '../../domain/pod.ts';
import { whyExcluded } from '../../domain/node-fit.ts';
import type { ClusterView } from '../../index/types.ts';
import { BudgetUse } from './budget-use.ts';
import type { PreemptCandidate, PreemptRequest } from './callbacks.ts';
import type { CheaperEviction } from './cheaper-evictions.ts';
import { offerOf, passedOn, toCandidate, type Offer } from './offer.ts';
import { cheaperIn, planOf, toDisplacement, type PlanContext } from './plan.ts';

export interface DecideContext extends PlanContext {
  /**
   * Nodes that must not be chosen for this preemptor: used by displacements of equal or higher priority, or tried and failed. Nor are
   * they chosen where each other node violates a budget, which kube-scheduler does not promise to keep either.
   */
  isExcluded(node: NodeName): boolean;
  /** Open displacements. */
  readonly displacements: { readonly size: number; all(): Iterable<Displacement> };
}

/** What to answer, before anything is recorded. */
export type Choice =
  /** Nobody offered is protected: kube-scheduler's own choice stands. */
  | { readonly kind: 'passThrough'; readonly candidates: readonly PreemptCandidate[] }
  /** The best node's victims can go at once. */
  | { readonly kind: 'evictNow'; readonly candidate: PreemptCandidate; readonly cheaper: readonly CheaperEviction[] }
  /** The best node's victims have to be saved first. */
  | { readonly kind: 'save'; readonly displacement: Preemption; readonly cheaper: readonly CheaperEviction[] }
  /** Offers are left out because they are excluded or unfit, or because the index sees none of their victims. */
  | { readonly kind: 'none'; readonly because: 'AllReserved' | 'NoKnownVictims' };

interface PlannedOffer extends NodeOption {
  readonly offer: Offer;
}

/**
 * Decides about one `preempt` call ("The life of one preempt call" in ARCHITECTURE.md, step 3). Pure: the same view and request give
 * the same choice.
 *
 * Candidates are taken as kube-scheduler's dry run made them; nobody is added to the victims. Left out are victims the
 * index no longer sees on that node (they are gone, their room is free), candidates of whom nobody is left, and candidates
 * with a victim that, by the index, is not less important than the preemptor.
 */
export function decide(view: ClusterView, request: PreemptRequest, context: DecideContext): Choice {
  const offers: Offer[] = [];
  let excluded = 0;
  for (const candidate of request.candidates) {
    const on = view.node(candidate.node);
    if (on === undefined) continue;
    if (context.isExcluded(candidate.node)) {
      excluded++;
      continue;
    }
    const offer = offerOf(on, candidate);
    const [first] = offer.places; // the most important one
    if (first !== undefined && on.sheet.priority(first) < request.preemptor.priority) offers.push(offer);
  }
  if (offers.length === 0) return { kind: 'none', because: excluded > 0 ? 'AllReserved' : 'NoKnownVictims' };
  if (!offers.some(({ on, places }) => places.some((place) => on.sheet.policy(place, view) !== null))) {
    return { kind: 'passThrough', candidates: offers.map(passedOn) };
  }

  // kube-scheduler's picture may be a moment older than ours: nobody is saved for a node that takes no pod any more.
  const fit = offers.filter(({ on }) => whyExcluded(on.node, request.preemptor) === null);
  if (fit.length === 0) return { kind: 'none', because: 'AllReserved' };
  const budgets = new BudgetUse(view, context.displacements);
  let best: PlannedOffer | null = null;
  for (const offer of fit) {
    const planned = planOffer(view, request.preemptor, offer, context, budgets);
    if (best === null || compareNodeOptions(planned, best) < 0) best = planned;
  }
  const chosen = best as PlannedOffer;
  const plan = planOf(view, request.preemptor, chosen.offer, context);
  const cheaper = cheaperIn(view, request.preemptor, chosen.offer, plan);
  if (plan.victims.every(({ plan }) => plan === 'Evict')) {
    return { kind: 'evictNow', candidate: toCandidate(chosen.offer), cheaper };
  }
  return { kind: 'save', displacement: toDisplacement(view, request.preemptor, chosen.offer, plan, context), cheaper };
}

function planOffer(
  view: ClusterView,
  preemptor: Pod,
  offer: Offer,
  context: DecideContext,
  budgets: BudgetUse,
): PlannedOffer {
  const { on, places } = offer;
  const { sheet } = on;
  let cost = 0;
  for (const victim of planOf(view, preemptor, offer, context).victims) cost += victim.cost;
  const highest = sheet.priority(places[0] as number);
  let startOfHighestMs = Number.POSITIVE_INFINITY;
  for (const place of places) {
    if (sheet.priority(place) !== highest) break;
    const startMs = sheet.startMs(place);
    startOfHighestMs = Math.min(startOfHighestMs, Number.isNaN(startMs) ? context.nowMs : startMs);
  }
  return {
    node: on.node.name,
    numPdbViolations: budgets.violations(offer),
    highestVictimPriority: highest,
    cost,
    victimCount: places.length,
    startOfHighestMs,
    offer,
  };
}
