import { RESTORE_GATE } from '../domain/labels.ts';
import { objectKey, type NodeName, type ObjectKey } from '../domain/ids.ts';
import type { Node } from '../domain/node.ts';
import { isTerminal, occupiesNode, type Pod } from '../domain/pod.ts';
import { isCurrent } from './object-table.ts';
import { NodeEntry } from './node-entry.ts';
import type { NodeSnapshot } from './types.ts';

/** Pods by where they are: by name, pending, gated, on a node, nominated to one. Follows changes that the object tables let through. */
export class PodIndex {
  readonly #byName = new Map<ObjectKey, Pod>(); // namespace/name -> the pod that has it now
  readonly #pending = new Map<string, Pod>(); // uid -> pod without a node
  readonly #gated = new Map<string, Pod>(); // uid -> pending pod behind our gate
  readonly #entries = new Map<NodeName, NodeEntry>(); // node -> what stands on it

  named(namespace: string, name: string): Pod | undefined {
    return this.#byName.get(objectKey(namespace, name));
  }

  pending(): Iterable<Pod> {
    return this.#pending.values();
  }

  gated(): Iterable<Pod> {
    return this.#gated.values();
  }

  node(name: NodeName): NodeSnapshot | undefined {
    return this.#entries.get(name)?.snapshot() ?? undefined;
  }

  *nodes(): Iterable<NodeSnapshot> {
    for (const entry of this.#entries.values()) {
      const snapshot = entry.snapshot();
      if (snapshot !== null) yield snapshot;
    }
  }

  /** `before` is what was held of this pod, `after` what is held now; undefined where there was or is none. */
  changePod(before: Pod | undefined, after: Pod | undefined, generation: number): void {
    if (before !== undefined) this.#remove(before, generation);
    if (after !== undefined) this.#add(after, generation);
  }

  changeNode(before: Node | undefined, after: Node | undefined, generation: number): void {
    if (after !== undefined) {
      const entry = this.#entryOf(after.name);
      if (isCurrent(entry.node ?? undefined, after)) entry.setNode(after, generation);
    } else if (before !== undefined) {
      const entry = this.#entries.get(before.name);
      // A node that registered again under the same name is another object.
      if (entry?.node?.uid === before.uid) entry.setNode(null, generation);
      this.#dropIfEmpty(before.name);
    }
  }

  #add(pod: Pod, generation: number): void {
    const key = objectKey(pod.namespace, pod.name);
    if (isCurrent(this.#byName.get(key), pod)) this.#byName.set(key, pod);
    if (occupiesNode(pod)) {
      this.#entryOf(pod.nodeName as NodeName).addPod(pod, generation);
    } else if (pod.nodeName === null && !isTerminal(pod)) {
      this.#pending.set(pod.uid, pod);
      if (pod.gates.includes(RESTORE_GATE)) this.#gated.set(pod.uid, pod);
      if (pod.nominatedNodeName !== null) this.#entryOf(pod.nominatedNodeName).addNominated(pod, generation);
    }
  }

  #remove(pod: Pod, generation: number): void {
    const key = objectKey(pod.namespace, pod.name);
    // A StatefulSet's next pod may have taken the name already.
    if (this.#byName.get(key)?.uid === pod.uid) this.#byName.delete(key);
    if (occupiesNode(pod)) {
      const node = pod.nodeName as NodeName;
      this.#entryOf(node).removePod(pod, generation);
      this.#dropIfEmpty(node);
    } else if (pod.nodeName === null && !isTerminal(pod)) {
      this.#pending.delete(pod.uid);
      this.#gated.delete(pod.uid);
      if (pod.nominatedNodeName !== null) {
        this.#entryOf(pod.nominatedNodeName).removeNominated(pod, generation);
        this.#dropIfEmpty(pod.nominatedNodeName);
      }
    }
  }

  #entryOf(name: NodeName): NodeEntry {
    let entry = this.#entries.get(name);
    if (entry === undefined) this.#entries.set(name, (entry = new NodeEntry()));
    return entry;
  }

  #dropIfEmpty(name: NodeName): void {
    if (this.#entries.get(name)?.isEmpty) this.#entries.delete(name);
  }
}
