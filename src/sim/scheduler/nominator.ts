import type { PodInfo } from './pod-info.ts';

/** What a cycle does to the nomination of its pod: a node, nothing (''), or leave it as it is (null). */
export type Nomination = string | null;

/**
 * Which pending pod is expected on which node. It is ahead of `status.nominatedNodeName`: a preemption nominates here
 * first and patches the pod later.
 */
export class Nominator {
  readonly #byUid = new Map<string, { readonly info: PodInfo; readonly node: string }>();

  /** The end of a failed cycle, and a new pod (with null). */
  set(info: PodInfo, nomination: Nomination): void {
    this.delete(info.pod.uid);
    const node = nomination ?? info.pod.nominatedNodeName ?? '';
    if (node !== '') this.#byUid.set(info.pod.uid, { info, node });
  }

  /** An update of the object. One that knows nothing of a nomination yet does not end it. */
  update(before: PodInfo, after: PodInfo): void {
    const known = this.#byUid.get(after.pod.uid);
    const isBlind = before.pod.nominatedNodeName === null && after.pod.nominatedNodeName === null;
    this.set(after, isBlind && known !== undefined ? known.node : null);
  }

  delete(uid: string): void {
    this.#byUid.delete(uid);
  }

  /** Pods nominated to the node that keep room from `pod`: those of at least its priority, itself not included. */
  rivalsOf(info: PodInfo, node: string): readonly PodInfo[] {
    return this.#on(node).filter(({ pod }) => pod.priority >= info.pod.priority && pod.uid !== info.pod.uid);
  }

  /** Pods nominated to the node that a preemption of this priority displaces. */
  below(priority: number, node: string): readonly PodInfo[] {
    return this.#on(node).filter(({ pod }) => pod.priority < priority);
  }

  #on(node: string): readonly PodInfo[] {
    const found: PodInfo[] = [];
    for (const nominated of this.#byUid.values()) if (nominated.node === node) found.push(nominated.info);
    return found;
  }
}
