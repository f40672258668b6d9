import { ownerKey, type OwnerKey } from '../../domain/ids.ts';
/**
 * What the status of each ReprievePolicy says: how many pods it selects, rules and protects now, and whether it can work. Begin with
 * this file.
 *
 * - `policy-census.ts`: counts all pods once, a slice at a time.
 * - `policy-reporter.ts`: when a census is taken, and which statuses are written. It has an executor of its own, so that a status that
 *   cannot be written takes no place from what moves pods.
 *
 * Invariants:
 * 1. Nothing here decides about a pod: the counts come from the rules that decisions use (`src/domain/protection.ts`).
 * 2. A status is written only where it differs from what the policy says.
 */
import type { Node } from '../../domain/node.ts';
import { countsEvictions } from '../../domain/owner-kinds.ts';
import type { Pod, PodOwner } from '../../domain/pod.ts';
import type { Policy, PolicyReport } from '../../domain/policy.ts';
import { acceptance, conflict, restorability } from '../../domain/policy-findings.ts';
import { protectionOf, selectsPod, type UnprotectedReason } from '../../domain/protection.ts';
import { comesBack } from '../../domain/webhook-reach.ts';
import { circumstancesIn } from '../../index/circumstances.ts';
import type { ClusterView } from '../../index/types.ts';
import { endsItsJob } from './job-limit.ts';

/** What the pods counted so far show about one policy. */
interface Tally {
  readonly policy: Policy;
  selected: number;
  ruling: number;
  protected: number;
  /** Reason -> ruled pods that are not protected. */
  readonly unprotected: Map<string, number>;
  /** Namespaces of pods that it rules, in which a replacement came without a review of the webhook. */
  readonly missedIn: Set<string>;
  /** Namespaces of pods that it rules and that the selectors of the webhook leave out. */
  readonly leftOutIn: Set<string>;
  /** Kinds of controllers of pods that it rules and whose successors could not be told. */
  readonly unknownSuccessors: Set<string>;
  /** Jobs of pods that it rules, and that the eviction of a pod would fail. */
  readonly failing: Set<string>;
  /** Of the same precedence, selecting some of its pods; by their place in the order of precedence. */
  readonly equals: Set<number>;
  /** Who rules pods that it selects and does not rule; the same. */
  readonly rulers: Set<number>;
}

/** A controller, and where it is. */
export interface OwnerRef {
  readonly namespace: string;
  readonly owner: PodOwner;
}

/** What every policy comes to in this cluster, by the policy's name. All at once: see {@link PolicyCensus} for the cost. */
export function policyReports(view: ClusterView): ReadonlyMap<string, PolicyReport> {
  const census = new PolicyCensus(view);
  census.countSome(Number.POSITIVE_INFINITY);
  return census.reports();
}

/**
 * Counts the pods of a cluster by policy, a slice at a time: one pass over the pods that hold room or wait for it, each
 * asked about by every policy. For 150,000 pods and 4 policies 40 ms in all, and some 150 ms the first time.
 *
 * The view may change between two slices. A pod that moves meanwhile may be missed or counted twice; its move is a change,
 * and asks for the next census.
 */
export class PolicyCensus {
  /** Jobs of pods that would be saved. */
  readonly savedJobs = new Map<OwnerKey, OwnerRef>();
  readonly #view: ClusterView;
  readonly #tallies: readonly Tally[];
  readonly #rest: Iterator<readonly [Pod, Node | undefined]>;

  constructor(view: ClusterView) {
    this.#view = view;
    this.#tallies = view.policies().map((policy) => ({
      policy,
      selected: 0,
      ruling: 0,
      protected: 0,
      unprotected: new Map(),
      missedIn: new Set(),
      leftOutIn: new Set(),
      unknownSuccessors: new Set(),
      failing: new Set(),
      equals: new Set(),
      rulers: new Set(),
    }));
    this.#rest = livePods(view);
  }

  /** Counts so many more pods. False when there are no more. */
  countSome(pods: number): boolean {
    for (let counted = 0; counted < pods; counted++) {
      const next = this.#rest.next();
      if (next.done) return false;
      this.#count(...next.value);
    }
    return true;
  }

  /** By name of the policy. */
  reports(): ReadonlyMap<string, PolicyReport> {
    return new Map(this.#tallies.map((tally, place) => [tally.policy.name, this.#report(tally, place)]));
  }

  #count(pod: Pod, node: Node | undefined): void {
    const tallies = this.#tallies;
    const labels = this.#view.namespaceLabels(pod.namespace);
    let ruler = -1;
    for (let place = 0; place < tallies.length; place++) {
      const tally = tallies[place] as Tally;
      if (!selectsPod(tally.policy, pod, labels)) continue;
      tally.selected++;
      if (ruler < 0) {
        ruler = place;
        tally.ruling++;
        const circumstances = circumstancesIn(this.#view);
        const { reach } = circumstances;
        const protection = protectionOf(pod, node, [tally.policy], labels, circumstances);
        if (protection.protected) this.#countProtected(pod, tally);
        else countUnprotected(pod, tally, protection.reason);
        if (reach.isCalled && !comesBack(pod, reach)) tally.missedIn.add(pod.namespace);
        continue;
      }
      tally.rulers.add(ruler);
      this.#noteEquals(place, ruler, pod, labels);
    }
  }

  #countProtected(pod: Pod, tally: Tally): void {
    const { owner, namespace } = pod;
    tally.protected++;
    if (owner === null || !countsEvictions(owner)) return;
    const key = ownerKey(namespace, owner);
    this.savedJobs.set(key, { namespace, owner });
    if (endsItsJob(this.#view, pod)) tally.failing.add(`${namespace}/${owner.name}`);
  }

  /** Policies come in order of precedence, so the equals of `place` stand just before it, and none before the ruler selects the pod. */
  #noteEquals(place: number, ruler: number, pod: Pod, labels: Readonly<Record<string, string>>): void {
    const tally = this.#tallies[place] as Tally;
    for (let other = place - 1; other >= ruler; other--) {
      const rival = this.#tallies[other] as Tally;
      if (rival.policy.precedence !== tally.policy.precedence) return;
      if (tally.equals.has(other) || !selectsPod(rival.policy, pod, labels)) continue;
      tally.equals.add(other);
      rival.equals.add(place);
    }
  }

  #report(tally: Tally, place: number): PolicyReport {
    const { policy, selected, ruling, protected: saved, unprotected, equals, rulers } = tally;
    const at = (places: Iterable<number>): Policy[] =>
      [...places].sort((a, b) => a - b).map((other) => (this.#tallies[other] as Tally).policy);
    const before = at([...equals].filter((other) => other < place));
    const after = at([...equals].filter((other) => other > place));
    return {
      observedGeneration: policy.generation,
      accepted: acceptance(policy),
      conflicted: conflict(policy, ruling === 0, { before, after, rulers: at(rulers) }),
      restorable: restorability(circumstancesIn(this.#view), tally),
      selectedPods: selected,
      rulingPods: ruling,
      protectedPods: saved,
      unprotectedPods: new Map([...unprotected].sort(([a], [b]) => (a < b ? -1 : 1))),
    };
  }
}

/** What its node or its spec says counts by its own reason. */
function countUnprotected({ namespace, owner, notCheckpointable }: Pod, tally: Tally, why: UnprotectedReason): void {
  const reason = why === 'NotCheckpointable' ? (notCheckpointable?.reason ?? why) : why;
  tally.unprotected.set(reason, (tally.unprotected.get(reason) ?? 0) + 1);
  if (why === 'OutOfScope') tally.leftOutIn.add(namespace);
  if (why === 'SuccessorUnknown') tally.unknownSuccessors.add(owner?.kind ?? '');
}

/** Pods that hold room, with their node, then those that wait for it. */
function* livePods(view: ClusterView): Generator<readonly [Pod, Node | undefined], undefined> {
  for (const { node, pods } of view.nodes()) for (const pod of pods) yield [pod, node];
  for (const pod of view.pendingPods()) yield [pod, undefined];
}
