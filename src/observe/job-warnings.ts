import type { DisplacedPod, Displacement } from '../domain/displacement.ts';
import { failsAlone, JOB_READ_EVERY_MS } from '../domain/owner-facts.ts';
import { ownerOf, leaving } from '../engine/policies/job-limit.ts';
import type { ClusterView } from '../index/types.ts';

/** Of a pod that the index does not hold nothing is known of its index. */
const NOT_SEEN = { indexFailures: 0 };

/** Which displaced pods fail their Job for good: pods of one Job go together, or by several displacements one after the other. */
export class JobWarnings {
  readonly #view: ClusterView;
  #recent: readonly Displacement[] = []; // that this process opened, oldest first

  constructor(view: ClusterView) {
    this.#view = view;
  }

  /** Of a displacement that was just opened. */
  warnings(opened: Displacement): readonly { readonly victim: DisplacedPod; readonly message: string }[] {
    this.#recent = this.#recent.filter(({ decidedMs }) => opened.decidedMs < decidedMs + JOB_READ_EVERY_MS);
    const byOwner = Map.groupBy(opened.pods, (pod) => ownerOf(this.#view, pod));
    const warnings = [...byOwner].flatMap(([owner, victims]) => {
      const fails = owner === null ? null : this.#view.ownerFacts(owner)?.failsByEviction;
      if (owner === null || fails == null) return [];
      const going = new Set([
        ...leaving(this.#view, this.#recent, owner, opened.decidedMs),
        ...victims.map(({ uid }) => uid),
      ]);
      const isOver = going.size > fails.bears;
      return victims
        .filter(({ uid }) => isOver || failsAlone(fails, this.#view.pod(uid) ?? NOT_SEEN))
        .map((victim) => ({ victim, message: fails.message }));
    });
    this.#recent = [...this.#recent, opened];
    return warnings;
  }
}
