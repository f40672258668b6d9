import type { DisplacedPod, Displacement } from '../domain/displacement.ts';
import { ownerKey, type OwnerKey, type PodUid } from '../domain/ids.ts';
import type { ClusterView } from '../index/types.ts';

/** Jobs are read once a minute: their own count of failures may lack what was evicted since. */
const READ_EVERY_MS = 60_000;

/** Which displaced pods fail their Job for good: pods of one Job go together, or by several displacements one after the other. */
export class JobWarnings {
  readonly #view: ClusterView;
  #recent: readonly Displacement[] = []; // that this process opened, oldest first

  constructor(view: ClusterView) {
    this.#view = view;
  }

  /** Of a displacement that was just opened. */
  warnings(opened: Displacement): readonly { readonly victim: DisplacedPod; readonly message: string }[] {
    this.#recent = this.#recent.filter(({ decidedMs }) => opened.decidedMs < decidedMs + READ_EVERY_MS);
    const byOwner = Map.groupBy(opened.pods, (pod) => this.#ownerOf(pod));
    const warnings = [...byOwner].flatMap(([owner, victims]) => {
      const fails = owner === null ? null : this.#view.ownerFacts(owner)?.failsByEviction;
      if (owner === null || fails == null) return [];
      const leaving = new Set([...this.#leaving(owner, opened), ...victims.map(({ uid }) => uid)]);
      return leaving.size <= fails.bears ? [] : victims.map((victim) => ({ victim, message: fails.message }));
    });
    this.#recent = [...this.#recent, opened];
    return warnings;
  }

  /** Pods of the Job that other displacements have just taken, also those of an earlier leader. */
  *#leaving(owner: OwnerKey, { id, decidedMs }: Displacement): Generator<PodUid> {
    for (const { pods } of this.#recent) for (const pod of pods) if (this.#ownerOf(pod) === owner) yield pod.uid;
    for (const { displacement, phaseMs, pod } of this.#view.ticketsOfOwner(owner))
      if (displacement.id !== id && decidedMs < phaseMs + READ_EVERY_MS) yield pod.uid;
  }

  #ownerOf({ uid, namespace }: DisplacedPod): OwnerKey | null {
    const owner = this.#view.pod(uid)?.owner ?? null;
    return owner === null ? null : ownerKey(namespace, owner);
  }
}
