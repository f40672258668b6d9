import { RESTORE_GATE } from '../domain/labels.ts';
import { objectKey, type NodeName, type ObjectKey, ownerKey, type OwnerKey } from '../domain/ids.ts';
import type { Node } from '../domain/node.ts';
import { isTerminal, occupiesNode, type Pod } from '../domain/pod.ts';
import { ConstraintIndex } from './constraint-index.ts';
import { MultiMap } from './multi-map.ts';
import { NodeEntry } from './node-entry.ts';
import type { NodeSnapshot } from './types.ts';
import { OwnedPods } from './owned-pods.ts';

/** Pods by where they are: pending, gated, parked, on a node, nominated to one. Follows changes that the object tables let through. */
export class PodIndex {
  readonly #pending = new Map<string, Pod>(); // uid -> pod without a node
  readonly #gated = new Map<string, Pod>(); // uid -> pending pod behind our gate
  readonly #gatedByOwner = new MultiMap<OwnerKey, Pod>(({ namespace, owner }) =>
    owner === null ? null : ownerKey(namespace, owner),
  ); // controller -> its gated pods
  readonly #byTicket = new MultiMap<ObjectKey, Pod>(ticketKeyOf); // ticket -> pods on nodes that continue it
  readonly #owned = new OwnedPods();
  readonly #parked = new Map<string, Pod>(); // uid -> pending pod whose preemption was put off
  readonly #toMove = new MultiMap<NodeName, Pod>(toMoveFrom); // node -> pods that people ask to be moved off it
  readonly #toEvacuate = new Set<NodeName>(); // nodes that people ask to be evacuated
  readonly #entries = new Map<NodeName, NodeEntry>(); // node -> what stands on it
  readonly constraints = new ConstraintIndex(() => this.#onNodes());

  pending(): Iterable<Pod> {
    return this.#pending.values();
  }

  gated(): Iterable<Pod> {
    return this.#gated.values();
  }

  gatedOfOwner(owner: OwnerKey): readonly Pod[] {
    return this.#gatedByOwner.get(owner);
  }

  unreviewedOfOwner(owner: OwnerKey, sinceMs: number): readonly Pod[] {
    return this.#owned.unreviewedOf(owner, sinceMs);
  }

  activeOfOwner(owner: OwnerKey): readonly Pod[] {
    return this.#owned.activeOf(owner);
  }

  ofTicket(ticket: ObjectKey): readonly Pod[] {
    return this.#byTicket.get(ticket);
  }

  parked(): Iterable<Pod> {
    return this.#parked.values();
  }

  toMoveFrom(node: NodeName): readonly Pod[] {
    return this.#toMove.get(node);
  }

  nodesToMoveFrom(): ReadonlySet<NodeName> {
    return new Set([...this.#toMove.keys(), ...this.#toEvacuate]);
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

  /** `before` is what was held of this pod, `after` what is held now; undefined where there was or is none. */
  changePod(before: Pod | undefined, after: Pod | undefined): void {
    if (before !== undefined) this.#remove(before);
    if (after !== undefined) this.#add(after);
    this.#owned.change(before, after);
    this.#toMove.change(before, after);
    this.constraints.changePod(before, after);
  }

  changeNode(before: Node | undefined, after: Node | undefined): void {
    const name = (after ?? before)?.name;
    if (name === undefined) return;
    if (after?.evacuateFor != null) this.#toEvacuate.add(name);
    else this.#toEvacuate.delete(name);
    this.#entryOf(name).setNode(after ?? null);
    this.#dropIfEmpty(name);
  }

  *#onNodes(): Generator<Pod> {
    for (const entry of this.#entries.values()) yield* entry.pods;
  }

  #add(pod: Pod): void {
    if (occupiesNode(pod)) {
      this.#entryOf(pod.nodeName as NodeName).addPod(pod);
      this.#byTicket.change(undefined, pod);
    } else if (pod.nodeName === null && !isTerminal(pod)) {
      this.#pending.set(pod.uid, pod);
      if (pod.gates.includes(RESTORE_GATE)) {
        this.#gated.set(pod.uid, pod);
        this.#gatedByOwner.change(undefined, pod);
      }
      if (pod.preemptionDeferred) this.#parked.set(pod.uid, pod);
      if (pod.nominatedNodeName !== null) this.#entryOf(pod.nominatedNodeName).addNominated(pod);
    }
  }

  #remove(pod: Pod): void {
    if (occupiesNode(pod)) {
      const node = pod.nodeName as NodeName;
      this.#entryOf(node).removePod(pod);
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
        this.#entryOf(pod.nominatedNodeName).removeNominated(pod);
        this.#dropIfEmpty(pod.nominatedNodeName);
      }
    }
  }

  /** The entry, about to be changed. Made where there is none: pods may be seen before their node. */
  #entryOf(name: NodeName): NodeEntry {
    let entry = this.#entries.get(name);
    if (entry === undefined) this.#entries.set(name, (entry = new NodeEntry()));
    return entry;
  }

  #dropIfEmpty(name: NodeName): void {
    if (this.#entries.get(name)?.isEmpty) this.#entries.delete(name);
  }
}

function ticketKeyOf({ namespace, ticket }: Pod): ObjectKey | null {
  return ticket === null ? null : objectKey(namespace, ticket);
}

function toMoveFrom(pod: Pod): NodeName | null {
  return pod.displaceFor !== null && occupiesNode(pod) ? pod.nodeName : null;
}
