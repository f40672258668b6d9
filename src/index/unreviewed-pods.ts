import { RESTORE_GATE, RUNTIME_CLASS } from '../domain/labels.ts';
import type { Pod } from '../domain/pod.ts';
import { insert, remove } from './sorted.ts';

/** Pods by their controller that the webhook did not change: it saw no free ticket for them, or was not called. */
export class UnreviewedPods {
  readonly #byOwner = new Map<string, Pod[]>(); // uid of the controller -> its pods, oldest first

  /** `before` is what was held of a pod, `after` what is held now. */
  change(before: Pod | undefined, after: Pod | undefined): void {
    if (before !== undefined && isUnreviewed(before)) this.#remove(before.owner.uid, before);
    if (after !== undefined && isUnreviewed(after)) this.#add(after.owner.uid, after);
  }

  /** Those created after `sinceMs`, oldest first. */
  ofOwner(uid: string, sinceMs: number): readonly Pod[] {
    const pods = this.#byOwner.get(uid) ?? [];
    return pods.slice(pods.findLastIndex(({ creationMs }) => creationMs <= sinceMs) + 1);
  }

  #add(owner: string, pod: Pod): void {
    const pods = this.#byOwner.get(owner);
    if (pods === undefined) this.#byOwner.set(owner, [pod]);
    else insert(pods, pod, byAge);
  }

  #remove(owner: string, pod: Pod): void {
    const pods = this.#byOwner.get(owner) as Pod[];
    remove(pods, pod, byAge);
    if (pods.length === 0) this.#byOwner.delete(owner);
  }
}

/** It serves its controller, and has neither our gate nor our runtime class. */
export function isUnreviewed(pod: Pod): pod is Pod & { readonly owner: NonNullable<Pod['owner']> } {
  if (pod.owner === null || pod.deletionMs !== null || pod.phase === 'Failed') return false;
  return pod.ticket === null && pod.runtimeClassName !== RUNTIME_CLASS && !pod.gates.includes(RESTORE_GATE);
}

function byAge(a: Pod, b: Pod): number {
  return a.creationMs - b.creationMs || (a.uid < b.uid ? -1 : a.uid > b.uid ? 1 : 0);
}
