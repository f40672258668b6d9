import type { KubeObject } from '../../kube/transport.ts';
import { nodeInfoOf, nodeNameOf, withPods, type NodeInfo, type NodeSnapshot, type PodInfo } from './pod-info.ts';

/**
 * What runs where. A pod is in one of two states:
 *
 *     assume ──> assumed ──(informer shows it bound)──> added ──> removed
 *                   └────(binding failed, deleted)──> forgotten
 *
 * Both count on their node alike. A node that is not known yet holds its pods for when it arrives.
 */
export class SchedulerCache {
  readonly #nodes = new Map<string, NodeInfo>();
  readonly #podsByNode = new Map<string, Map<string, PodInfo>>(); // node -> pods by UID, unknown nodes included
  readonly #nodeOfPod = new Map<string, string>(); // UID -> node
  readonly #assumed = new Set<string>();

  setNode(object: KubeObject): void {
    const name = nodeNameOf(object);
    this.#nodes.set(name, nodeInfoOf(object, [...(this.#podsByNode.get(name)?.values() ?? [])]));
  }

  removeNode(name: string): void {
    this.#nodes.delete(name);
  }

  /** Counts a pod on a node before the API server knows. */
  assume(info: PodInfo, node: string): void {
    this.#assumed.add(info.pod.uid);
    this.#put(info, node);
  }

  isAssumed(uid: string): boolean {
    return this.#assumed.has(uid);
  }

  /** Takes an assumed pod back. False where it was not one any more. */
  forget(uid: string): boolean {
    if (!this.#assumed.has(uid)) return false;
    this.remove(uid);
    return true;
  }

  /** A pod that the API server shows on its node; confirms an assumed one. */
  set(info: PodInfo): void {
    this.#assumed.delete(info.pod.uid);
    if (info.pod.nodeName !== null) this.#put(info, info.pod.nodeName);
  }

  remove(uid: string): void {
    this.#assumed.delete(uid);
    const node = this.#nodeOfPod.get(uid);
    if (node === undefined) return;
    this.#nodeOfPod.delete(uid);
    const pods = this.#podsByNode.get(node);
    pods?.delete(uid);
    if (pods?.size === 0) this.#podsByNode.delete(node);
    this.#refresh(node);
  }

  snapshot(): NodeSnapshot {
    return new Map([...this.#nodes].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #put(info: PodInfo, node: string): void {
    const { uid } = info.pod;
    const former = this.#nodeOfPod.get(uid);
    if (former !== undefined && former !== node) {
      const wasAssumed = this.#assumed.has(uid);
      this.remove(uid);
      if (wasAssumed) this.#assumed.add(uid);
    }
    this.#nodeOfPod.set(uid, node);
    let pods = this.#podsByNode.get(node);
    if (pods === undefined) this.#podsByNode.set(node, (pods = new Map()));
    pods.set(uid, info);
    this.#refresh(node);
  }

  #refresh(node: string): void {
    const info = this.#nodes.get(node);
    if (info !== undefined) this.#nodes.set(node, withPods(info, [...(this.#podsByNode.get(node)?.values() ?? [])]));
  }
}
