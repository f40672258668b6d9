import { ownerKey, type OwnerKey } from '../domain/ids.ts';
import { RESTORE_GATE, RUNTIME_CLASS } from '../domain/labels.ts';
import { isTerminal, type Pod } from '../domain/pod.ts';
import { insert, remove } from './sorted.ts';

/** A pod that has a controller. */
type OwnedPod = Pod & { readonly owner: NonNullable<Pod['owner']> };

/** Pods by their controller. */
export class OwnedPods {
  readonly #byOwner = new Map<OwnerKey, Pod[]>(); // controller -> its pods that did not fail and are not being deleted, oldest first

  /** `before` is what was held of a pod, `after` what is held now. */
  change(before: Pod | undefined, after: Pod | undefined): void {
    if (before !== undefined && isKept(before)) this.#remove(keyOf(before), before);
    if (after !== undefined && isKept(after)) this.#add(keyOf(after), after);
  }

  /** Those that its controller counts as present. */
  activeOf(owner: OwnerKey): readonly Pod[] {
    return (this.#byOwner.get(owner) ?? []).filter((pod) => !isTerminal(pod));
  }

  /** Those created after `sinceMs` that the webhook did not change: it saw no free ticket for them, or was not called. Oldest first. */
  unreviewedOf(owner: OwnerKey, sinceMs: number): readonly Pod[] {
    const pods = this.#byOwner.get(owner) ?? [];
    return pods.slice(pods.findLastIndex(({ creationMs }) => creationMs <= sinceMs) + 1).filter(isUnreviewed);
  }

  #add(owner: OwnerKey, pod: Pod): void {
    const pods = this.#byOwner.get(owner);
    if (pods === undefined) this.#byOwner.set(owner, [pod]);
    else insert(pods, pod, byAge);
  }

  #remove(owner: OwnerKey, pod: Pod): void {
    const pods = this.#byOwner.get(owner) as Pod[];
    remove(pods, pod, byAge);
    if (pods.length === 0) this.#byOwner.delete(owner);
  }
}

function keyOf({ namespace, owner }: OwnedPod): OwnerKey {
  return ownerKey(namespace, owner);
}

function isKept(pod: Pod): pod is OwnedPod {
  return pod.owner !== null && pod.deletionMs === null && pod.phase !== 'Failed';
}

/** It serves its controller, and has neither our gate nor our runtime class. */
export function isUnreviewed(pod: Pod): pod is OwnedPod {
  if (!isKept(pod)) return false;
  return pod.ticket === null && pod.runtimeClassName !== RUNTIME_CLASS && !pod.gates.includes(RESTORE_GATE);
}

function byAge(a: Pod, b: Pod): number {
  return a.creationMs - b.creationMs || (a.uid < b.uid ? -1 : a.uid > b.uid ? 1 : 0);
}
