import { RESTORE_GATE } from '../domain/labels.ts';
import { objectKey, type NodeName, type ObjectKey } from '../domain/ids.ts';
import type { Node } from '../domain/node.ts';
import { isTerminal, occupiesNode, type Pod } from '../domain/pod.ts';
import { FreezableMap, Views, type FrozenMap } from './frozen-map.ts';
import { MultiMap } from './multi-map.ts';
import { NodeEntry } from './node-entry.ts';
import type { NodeSnapshot } from './types.ts';

/** Pods by where they are: pending, gated, parked, on a node, nominated to one. Follows changes that the object tables let through. */
export class PodIndex {
  readonly #pending = new FreezableMap<string, Pod>(); // uid -> pod without a node
  readonly #gated = new FreezableMap<string, Pod>(); // uid -> pending pod behind our gate
  readonly #gatedByOwner = new MultiMap<string, Pod>(({ owner }) => owner?.uid ?? null); // uid of the controller -> its gated pods
  readonly #byTicket = new MultiMap<ObjectKey, Pod>(ticketKeyOf); // ticket -> pods on nodes that continue it
  readonly #parked = new FreezableMap<string, Pod>(); // uid -> pending pod whose preemption was put off
  readonly #entries = new Map<NodeName, NodeEntry>(); // node -> what stands on it
  readonly #nodeViews = new Views<NodeName, NodeSnapshot>({
    get: (name) => this.node(name),
    entries: () => this.#nodeEntries(),
  });

  pending(): Iterable<Pod> {
    return this.#pending.values();
  }

  gated(): Iterable<Pod> {
    return this.#gated.values();
  }

  gatedOfOwner(ownerUid: string): readonly Pod[] {
    return this.#gatedByOwner.get(ownerUid);
  }

  ofTicket(ticket: ObjectKey): readonly Pod[] {
    return this.#byTicket.get(ticket);
  }

  parked(): Iterable<Pod> {
    return this.#parked.values();
  }

  node(name: NodeName): NodeSnapshot | undefined {
    return this.#entries.get(name)?.snapshot();
  }

  *nodes(): Iterable<NodeSnapshot> {
    for (const entry of this.#entries.values()) {
      const snapshot = entry.snapshot();
      if (snapshot !== undefined) yield snapshot;
    }
  }

  freezePending(): FrozenMap<string, Pod> {
    return this.#pending.freeze();
  }

  freezeGated(): FrozenMap<string, Pod> {
    return this.#gated.freeze();
  }

  freezeGatedByOwner(): FrozenMap<string, readonly Pod[]> {
    return this.#gatedByOwner.freeze();
  }

  freezeByTicket(): FrozenMap<ObjectKey, readonly Pod[]> {
    return this.#byTicket.freeze();
  }

  freezeParked(): FrozenMap<string, Pod> {
    return this.#parked.freeze();
  }

  freezeNodes(): FrozenMap<NodeName, NodeSnapshot> {
    return this.#nodeViews.freeze();
  }

  /** `before` is what was held of this pod, `after` what is held now; undefined where there was or is none. */
  changePod(before: Pod | undefined, after: Pod | undefined, generation: number): void {
    if (before !== undefined) this.#remove(before, generation);
    if (after !== undefined) this.#add(after, generation);
  }

  changeNode(before: Node | undefined, after: Node | undefined, generation: number): void {
    const name = (after ?? before)?.name;
    if (name === undefined) return;
    this.#entryOf(name).setNode(after ?? null, generation);
    this.#dropIfEmpty(name);
  }

  #add(pod: Pod, generation: number): void {
    if (occupiesNode(pod)) {
      this.#entryOf(pod.nodeName as NodeName).addPod(pod, generation);
      this.#byTicket.change(undefined, pod);
    } else if (pod.nodeName === null && !isTerminal(pod)) {
      this.#pending.set(pod.uid, pod);
      if (pod.gates.includes(RESTORE_GATE)) {
        this.#gated.set(pod.uid, pod);
        this.#gatedByOwner.change(undefined, pod);
      }
      if (pod.preemptionDeferred) this.#parked.set(pod.uid, pod);
      if (pod.nominatedNodeName !== null) this.#entryOf(pod.nominatedNodeName).addNominated(pod, generation);
    }
  }

  #remove(pod: Pod, generation: number): void {
    if (occupiesNode(pod)) {
      const node = pod.nodeName as NodeName;
      this.#entryOf(node).removePod(pod, generation);
      this.#byTicket.change(pod, undefined);
      this.#dropIfEmpty(node);
    } else if (pod.nodeName === null && !isTerminal(pod)) {
      this.#pending.delete(pod.uid);
      if (pod.gates.includes(RESTORE_GATE)) {
        this.#gated.delete(pod.uid);
        this.#gatedByOwner.change(pod, undefined);
      }
      if (pod.preemptionDeferred) this.#parked.delete(pod.uid);
      if (pod.nominatedNodeName !== null) {
        this.#entryOf(pod.nominatedNodeName).removeNominated(pod, generation);
        this.#dropIfEmpty(pod.nominatedNodeName);
      }
    }
  }

  /** The entry, about to be changed. Made where there is none: pods may be seen before their node. */
  #entryOf(name: NodeName): NodeEntry {
    this.#nodeViews.beforeChange(name);
    let entry = this.#entries.get(name);
    if (entry === undefined) this.#entries.set(name, (entry = new NodeEntry()));
    return entry;
  }

  #dropIfEmpty(name: NodeName): void {
    if (this.#entries.get(name)?.isEmpty) this.#entries.delete(name);
  }

  *#nodeEntries(): Iterable<readonly [NodeName, NodeSnapshot]> {
    for (const on of this.nodes()) yield [on.node.name, on];
  }
}

function ticketKeyOf({ namespace, ticket }: Pod): ObjectKey | null {
  return ticket === null ? null : objectKey(namespace, ticket);
}
