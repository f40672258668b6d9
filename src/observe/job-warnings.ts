import type { DisplacedPod, Displacement } from '../domain/displacement.ts';
import { ownerKey, type OwnerKey, type PodUid } from '../domain/ids.ts';
import { failsAlone } from '../domain/owner-facts.ts';
import { JOB_READ_EVERY_MS } from '../engine/policies/job-limit.ts';
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
    const byOwner = Map.groupBy(opened.pods, (pod) => this.#ownerOf(pod));
    const warnings = [...byOwner].flatMap(([owner, victims]) => {
      const fails = owner === null ? null : this.#view.ownerFacts(owner)?.failsByEviction;
      if (owner === null || fails == null) return [];
      const leaving = new Set([...this.#leaving(owner, opened), ...victims.map(({ uid }) => uid)]);
      const isOver = leaving.size > fails.bears;
      return victims
        .filter(({ uid }) => isOver || failsAlone(fails, this.#view.pod(uid) ?? NOT_SEEN))
        .map((victim) => ({ victim, message: fails.message }));
    });
    this.#recent = [...this.#recent, opened];
    return warnings;
  }

  /** Pods of the Job that other displacements have just taken, also those of an earlier leader. */
  *#leaving(owner: OwnerKey, { id, decidedMs }: Displacement): Generator<PodUid> {
    for (const { pods } of this.#recent) for (const pod of pods) if (this.#ownerOf(pod) === owner) yield pod.uid;
    for (const { displacement, phaseMs, pod } of this.#view.ticketsOfOwner(owner))
      if (displacement.id !== id && decidedMs < phaseMs + JOB_READ_EVERY_MS) yield pod.uid;
  }

  #ownerOf({ uid, namespace }: DisplacedPod): OwnerKey | null {
    const owner = this.#view.pod(uid)?.owner ?? null;
    return owner === null ? null : ownerKey(namespace, owner);
  }
}
